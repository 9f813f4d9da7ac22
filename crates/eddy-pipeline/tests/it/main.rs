//! The pipeline against sources and sinks in memory, and the embedded default whole.

#[cfg(feature = "sql")]
mod application;
mod archives;
mod chain;
mod crashes;
mod documents;
#[cfg(feature = "sql")]
mod event_time;
mod fleet;
mod merged;
mod queues;
mod simulation;
#[cfg(feature = "sql")]
mod sql;
mod stops;
mod support;

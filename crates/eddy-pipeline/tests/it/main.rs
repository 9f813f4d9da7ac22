//! The pipeline against sources and sinks in memory, and the embedded default whole.

mod archives;
mod chain;
mod crashes;
mod documents;
mod queues;
mod simulation;
mod support;

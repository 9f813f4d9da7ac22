//! The pipeline against sources and sinks in memory, and the embedded default whole.

mod chain;
mod crashes;
mod documents;
mod fleet;
mod support;

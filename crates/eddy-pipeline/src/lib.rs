//! The pipeline: source, decoder, detector and sinks at work, with positions and models committed
//! together.
//!
//! A [`Pipeline`] runs one worker a partition. The worker's loop (`worker.rs`) is the heart of
//! Eddy: take a batch, decode it, score it, hand the rows to a queue for each sink, and, once they
//! are durable in all of them, commit position and changed models in one write. What stands around the loop is here
//! too: which partitions start and when ([`Pipeline::run`]), states in slatedb
//! ([`SlateStateStore`]), the counters ([`Counters`]), the settings file ([`Settings`]) and the
//! embedded default ([`embedded`]). `parts.rs` is the one file that names concrete sources and
//! sinks.
//!
//! It does not know how a record looks, what a forest is, or how any service is called.

mod checkpoint;
mod counters;
mod delivery;
pub mod embedded;
mod in_process;
mod input;
mod objects;
mod outputs;
mod parts;
mod pipeline;
mod prefetch;
mod queue;
mod settings;
mod slate;
mod telemetry;
mod validate;
mod worker;

pub use counters::{Counters, PartitionStatus, Totals};
pub use outputs::Outputs;
pub use parts::{Built, build};
pub use pipeline::Pipeline;
pub use settings::{
    OnUnreadableModel, Order, PageSettings, PipelineSettings, RowFormatSetting, SchemaSettings,
    Settings, SettingsError, SinkSettings, SourceSettings, StateSettings,
};
pub use slate::SlateStateStore;
pub use telemetry::publish;
pub use worker::Stop;

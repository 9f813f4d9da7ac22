//! The pipeline: source, decoder, detector and sinks at work, with positions and models committed
//! together.
//!
//! A [`Pipeline`] runs one worker a partition. The worker's loop (`worker.rs`) is the heart of
//! Eddy: take a batch, decode it, score it, hand the rows to a queue for each sink, and, once they
//! are durable in all of them, commit position and changed models in one write. What stands around the loop is here
//! too: which partitions start and when ([`Pipeline::run`]), states in slatedb
//! ([`SlateStateStore`]), the counters ([`Counters`]), the settings file ([`Settings`]) and the
//! embedded default ([`embedded`]) and the process of a fleet ([`fleet`]). `parts.rs` is the one file that names concrete sources and
//! sinks.
//!
//! It does not know how a record looks, what a forest is, or how any service is called.

mod checkpoint;
mod counters;
mod delivery;
pub mod embedded;
mod engine;
pub mod fleet;
mod in_process;
mod input;
mod labels;
mod making;
mod merge;
mod merging;
mod models;
mod objects;
mod opening;
mod outputs;
mod parts;
mod pipeline;
mod prefetch;
mod queue;
mod scoring;
mod settings;
mod shards;
mod slate;
#[cfg(feature = "sql")]
mod sql;
mod telemetry;
mod validate;
mod worker;

pub use counters::{Counters, PartitionStatus, Totals};
pub use engine::EngineSettings;
pub use labels::SensorLabels;
pub use outputs::{Outputs, Routes};
pub use parts::{Built, build};
pub use pipeline::Pipeline;
pub use settings::{
    ApplicationSettings, OnLostState, OnUnreadableModel, Order, PageSettings, PipelineSettings,
    RoutedSink, RowFormatSetting, SchemaSettings, Settings, SettingsError, SinkSettings,
    SourceSettings, StateSettings,
};
pub use slate::SlateStateStore;
#[cfg(feature = "sql")]
pub use sql::{
    ApplicationArgs, ApplicationParts, ERROR_STREAM, beside, fetch_reference, is_service,
};
pub use telemetry::publish;
pub use worker::Stop;

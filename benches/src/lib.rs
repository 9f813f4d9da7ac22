//! What the measurements of the whole chain share: a Kinesis in this process, a receiver that checks
//! what comes out, the pipeline as a process of its own, and what Linux tells of a process.

pub mod chain;
pub mod child;
pub mod process;
pub mod receiver;

//! What the measurements of the whole chain share: a Kinesis in this process, a receiver that checks
//! what comes out, and what Linux tells of this process.

pub mod chain;
pub mod process;
pub mod receiver;

//! What measurements share. Of the whole chain: a Kinesis in this process, a receiver that checks what
//! comes out, the pipeline as a process of its own, and what Linux tells of a process. Of forests: ours
//! and krcf's, and the numbers that they learn.

pub mod chain;
pub mod child;
pub mod forests;
pub mod process;
pub mod receiver;

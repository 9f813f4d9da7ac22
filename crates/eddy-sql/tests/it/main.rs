//! Applications as they are written, their input, and what must come out.

mod batches;
mod cases;
mod golden;
mod snapshots;

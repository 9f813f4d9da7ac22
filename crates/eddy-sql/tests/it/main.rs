//! Applications as they are written, their input, and what must come out.

mod batches;
mod cases;
mod clock;
mod counters;
mod depth;
mod forests;
mod golden;
mod ids;
mod lateness;
mod limits;
mod snapshots;

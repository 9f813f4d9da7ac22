//! The crate as its users see it.

mod compare;
mod estimates;
mod golden;
mod properties;
mod snapshots;

//! The crate as its users see it.

mod batch;
mod compare;
mod estimates;
mod fuzz;
mod golden;
#[cfg(feature = "serde")]
mod json;
mod paper;
mod properties;
mod snapshots;

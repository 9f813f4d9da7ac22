//! The crate as its users see it.

mod batch;
mod compare;
mod estimates;
mod golden;
#[cfg(feature = "serde")]
mod json;
mod properties;
mod snapshots;

//! The crate as its users see it.

mod compare;
mod golden;
mod properties;
mod snapshots;

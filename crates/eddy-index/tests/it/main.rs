//! The index as its clients meet it.

mod bulk;
mod crash;
mod naive;
mod search;
mod sink;
mod snapshot;
mod support;

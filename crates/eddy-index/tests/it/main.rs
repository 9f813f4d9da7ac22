//! The index as its clients meet it.

mod aggs;
mod attack;
mod bulk;
mod clients;
mod crash;
mod naive;
mod retention;
mod search;
mod sink;
mod snapshot;
mod support;
mod wire;

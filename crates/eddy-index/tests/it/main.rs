//! The index as its clients meet it.

mod aggs;
mod bulk;
mod clients;
mod crash;
mod naive;
mod search;
mod sink;
mod support;

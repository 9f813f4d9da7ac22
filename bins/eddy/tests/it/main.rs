//! The binary as its users run it.

#[cfg(feature = "sql")]
mod abuse;
#[cfg(feature = "sql")]
mod application;
mod dashboards;
mod discover;
mod embedded;
mod kcl;
mod kills;
mod run;
mod score;
#[cfg(feature = "sql")]
mod sql;
mod stops;
mod support;

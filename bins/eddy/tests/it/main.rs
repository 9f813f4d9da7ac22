//! The binary as its users run it.

mod discover;
mod embedded;
mod kills;
mod run;
mod score;
mod sql;
mod support;

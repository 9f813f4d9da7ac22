//! The binary as its users run it.

mod discover;
mod embedded;
mod kcl;
mod kills;
mod run;
mod score;
mod sql;
mod support;

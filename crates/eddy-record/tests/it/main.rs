//! Payloads as streams really carry them, and as they should not.

mod discovery;
mod malformed;
mod payloads;

//! The examples are files beside this folder: `cargo run -p eddy-examples --example score_a_stream`.

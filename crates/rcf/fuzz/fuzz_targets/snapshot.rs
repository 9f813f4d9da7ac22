//! Bytes that may be a snapshot.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rcf_fuzz::snapshot(bytes));

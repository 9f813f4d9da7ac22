//! Streams of learning and questions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rcf_fuzz::stream(bytes));

//! libFuzzer's entry to `fuzz::message_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::message_header(input));

//! libFuzzer's entry to `fuzz::metadata`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::metadata(input));

//! libFuzzer's entry to `fuzz::smtp_data`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::smtp_data(input));

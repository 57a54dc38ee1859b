//! libFuzzer's entry to `fuzz::smtp_line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::smtp_line(input));

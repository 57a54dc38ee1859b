//! libFuzzer's entry to `fuzz::ip_filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::ip_filter(input));

//! libFuzzer's entry to `fuzz::lsd`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::lsd(input));

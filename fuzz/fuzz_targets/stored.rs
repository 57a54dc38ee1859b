//! libFuzzer's entry to `fuzz::stored`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::stored(input));

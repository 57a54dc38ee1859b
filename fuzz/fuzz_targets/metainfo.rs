//! libFuzzer's entry to `fuzz::metainfo`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::metainfo(input));

//! libFuzzer's entry to `fuzz::magnet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::magnet(input));

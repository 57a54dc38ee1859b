//! libFuzzer's entry to `fuzz::merkle`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::merkle(input));

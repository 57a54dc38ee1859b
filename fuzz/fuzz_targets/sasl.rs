//! libFuzzer's entry to `fuzz::sasl`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::sasl(input));

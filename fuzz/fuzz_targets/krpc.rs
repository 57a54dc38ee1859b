//! libFuzzer's entry to `fuzz::krpc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::krpc(input));

//! libFuzzer's entry to `fuzz::utp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::utp(input));

//! libFuzzer's entry to `fuzz::socks`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::socks(input));

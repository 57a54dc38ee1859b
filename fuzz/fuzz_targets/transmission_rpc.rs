//! libFuzzer's entry to `fuzz::transmission_rpc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::transmission_rpc(input));

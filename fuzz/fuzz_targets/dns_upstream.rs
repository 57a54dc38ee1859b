//! libFuzzer's entry to `fuzz::dns_upstream`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::dns_upstream(input));

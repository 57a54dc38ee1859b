//! libFuzzer's entry to `fuzz::bencode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::bencode(input));

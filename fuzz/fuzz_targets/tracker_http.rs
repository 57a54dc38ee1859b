//! libFuzzer's entry to `fuzz::tracker_http`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::tracker_http(input));

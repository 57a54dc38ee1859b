//! libFuzzer's entry to `fuzz::smtp_reply`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::smtp_reply(input));

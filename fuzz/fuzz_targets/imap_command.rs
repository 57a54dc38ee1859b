//! libFuzzer's entry to `fuzz::imap_command`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::imap_command(input));

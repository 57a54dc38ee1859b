//! libFuzzer's entry to `fuzz::bittorrent_wire`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::bittorrent_wire(input));

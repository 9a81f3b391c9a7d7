#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| corelane_fuzz::hpack::promises::any_octets(octets));

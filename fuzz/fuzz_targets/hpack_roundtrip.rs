#![no_main]

libfuzzer_sys::fuzz_target!(|steps: &[u8]| corelane_fuzz::hpack::promises::any_fields(steps));

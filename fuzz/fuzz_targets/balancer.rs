#![no_main]

libfuzzer_sys::fuzz_target!(|input: corelane_fuzz::balancing::Input| corelane_fuzz::balancing::steps(&input));

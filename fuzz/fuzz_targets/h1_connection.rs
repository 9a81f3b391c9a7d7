#![no_main]

libfuzzer_sys::fuzz_target!(|steps: Vec<corelane_fuzz::relay::Step>| corelane_fuzz::relay::steps(&steps));

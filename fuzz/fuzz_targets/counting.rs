#![no_main]

libfuzzer_sys::fuzz_target!(|input: corelane_fuzz::counting::Input| corelane_fuzz::counting::calls(&input));

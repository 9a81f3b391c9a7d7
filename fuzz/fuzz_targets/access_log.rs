#![no_main]

libfuzzer_sys::fuzz_target!(|request: corelane_fuzz::edge::Request<'_>| corelane_fuzz::edge::log(&request));

//! A configuration file of any bytes: it is refused or fine, every error has a line and a column, nothing that a
//! terminal would obey is repeated, and the canonical form stays as it is. Begin with the files that there are:
//!
//! `cargo +nightly fuzz run config edge/tests/config/broken edge/examples-config`

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| corelane_edge::fuzz_config(bytes));

//! Any fields, and changes of the table's size between them: they come back, and no secret is in a table.

#![no_main]

#[path = "../../codec/tests/hpack/mod.rs"]
mod hpack;

libfuzzer_sys::fuzz_target!(|steps: &[u8]| hpack::promises::any_fields(steps));

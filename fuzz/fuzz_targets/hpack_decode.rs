//! Header blocks of any octets: however they are cut they are refused, or mean what a decoder makes of them that is too
//! simple to be wrong, and nobody holds more memory than allowed.

#![no_main]

#[path = "../../codec/tests/hpack/mod.rs"]
mod hpack;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| hpack::promises::any_octets(octets));

//! What tests of the program as a whole have in common: the binary as a process with its outputs and signals, a plain
//! client, and an origin whose answers a test decides.

pub(crate) mod client;
#[path = "../wire/clock.rs"]
#[allow(dead_code, reason = "the cases use more of it")]
pub(crate) mod clock;
pub(crate) mod corelane;
pub(crate) mod origin;

//! What must hold for inputs that nobody thought of. Each function takes what the fuzzer made and panics when a
//! promise is broken; the files in `fuzz_targets/` only call them. `ci/fuzz` runs them all.
//!
//! | function | input | promise |
//! |---|---|---|
//! | [`messages::requests`] | bytes from a client | cuts change nothing; hyper sees the same requests |
//! | [`messages::responses`] | bytes from an origin | the same, for what was asked |
//! | [`chunks::content`] | chunked content | a decoder too simple to be wrong sees the same |
//! | [`relay::steps`] | pieces from both sides, answers, ends | what goes out is whole messages, each to whom it is for |
//! | [`forward::requests`] | bytes from a client | what is sent on has one boundary, for httparse, hyper and us |
//! | [`forward::responses`] | bytes from an origin | the same; what was cut short is never made whole |
//! | [`hpack::promises::any_octets`] | header blocks | a decoder too simple to be wrong sees the same, in bounded memory |
//! | [`hpack::promises::any_fields`] | fields and table sizes | they come back; no secret is in a table |
//! | [`h2::server`], [`h2::client`] | bytes of HTTP/2 | cuts change nothing; nothing spins; memory has its limit |
//! | [`h2::frames`] | frames and an application, in any order | what goes out may be sent where it stands |
//! | [`h2::pair`] | two connections joined | neither finds fault; messages come as they were sent |
//! | [`balancing::steps`] | picks and outcomes | a model too simple to be wrong agrees |
//! | [`counting::calls`] | events, limits, leases | lists of all that happened agree |
//! | [`edge::log`] | texts from the network | one request, one line, in every format |
//! | [`edge::config`] | a configuration file | errors have places; the canonical form stays |
//!
//! A promise that turns out broken gets a test in the crate that broke it.

pub mod balancing;
pub mod chunks;
pub mod counting;
#[cfg(feature = "edge")]
pub mod edge;
pub mod forward;
pub mod h2;
#[path = "../../codec/tests/hpack/mod.rs"]
pub mod hpack;
pub mod messages;
pub mod relay;

mod cut;
#[path = "../../codec/tests/reference/mod.rs"]
mod reference;
#[path = "../../codec/tests/wire/mod.rs"]
mod wire;

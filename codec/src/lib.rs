//! HTTP as a value: bytes in, events and bytes out.
//!
//! This crate turns bytes into messages and messages into bytes. It never touches a socket, reads no clock,
//! draws no random number, spawns nothing, locks nothing and awaits nothing: whoever drives it owns the
//! transport. The same code therefore runs over io_uring, over epoll and inside a test.
//!
//! | module | what it holds |
//! |---|---|
//! | [`head`] | version-neutral [`RequestHead`] and [`ResponseHead`] |
//! | [`fields`] | [`Fields`]: an ordered list of header or trailer fields over one byte buffer |
//! | [`framing`] | where a message ends (RFC 9112 §6.3), as one function for each direction |
//! | [`h1`] | HTTP/1.0 and HTTP/1.1: a [`h1::Server`] and a [`h1::Client`] connection |
//! | [`hpack`] | header compression for HTTP/2 (RFC 7541): [`hpack::Decoder`] and [`hpack::Encoder`] |
//! | [`h2`] | HTTP/2: a [`h2::Connection`], either side |
//! | [`forward`] | what an intermediary must change in a head (RFC 9110 §7.6, RFC 7239) |
//! | [`trail`] | who the client is, by what trusted proxies say |
//! | [`limits`] | every limit, with its unit and its default |
//! | [`error`] | who is to blame and how far the damage goes |
//!
//! # The contract
//!
//! Four kinds of method: getters; `receive*` for what came from the network; `send_*` for what the application
//! says; and what comes out is appended to a `Vec<u8>` that the caller owns. Content is never copied here: an
//! event names a range of the caller's buffer, and `send_data` returns only the framing around content.
//!
//! # Strictness
//!
//! Every byte, from a client and from an origin, is untrusted. A message is either understood completely, by the
//! grammar of the RFCs without their tolerated deviations, or refused; and it is always written anew from what
//! was parsed, so two parsers in a row can never disagree about bytes that passed through unread.
#![forbid(unsafe_code)]
// The numbers here come from whoever is at the other end.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

pub mod error;
pub mod fields;
pub mod forward;
pub mod framing;
mod grammar;
mod growth;
pub mod h1;
pub mod h2;
pub mod head;
pub mod hpack;
pub mod limits;
pub mod trail;

pub use error::{Blame, Error, Kind, Scope};
pub use fields::Fields;
pub use framing::Length;
pub use head::{RequestHead, ResponseHead, Upgrade, Version};
pub use limits::{Limits, Underscores};

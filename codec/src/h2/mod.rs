//! HTTP/2 (RFC 9113): one connection as a value, either side of it.
//!
//! # How it is driven
//!
//! A [`Connection`] never sees a socket or a clock. Four kinds of method, and time is an argument of those that need
//! it (a `Duration` since some start of the caller's):
//!
//! - **What came**: [`receive`](Connection::receive) is given the bytes that have come and were not consumed, and
//!   makes one [`Event`] of them; the caller drops [`Received::consumed`] of them and calls again, until
//!   [`Event::NeedMore`]. [`handle_timeout`](Connection::handle_timeout) is called at
//!   [`next_timeout`](Connection::next_timeout), [`receive_end`](Connection::receive_end) when the peer has closed;
//!   what they led to comes from [`poll_event`](Connection::poll_event).
//! - **What is asked for**: heads, interim responses and trailers are written at once, behind what is in the caller's
//!   buffer ([`send_request`](Connection::send_request), [`inform`](Connection::inform),
//!   [`send_response`](Connection::send_response), [`send_trailers`](Connection::send_trailers),
//!   [`send_end`](Connection::send_end)). [`reset`](Connection::reset), [`close`](Connection::close),
//!   [`go_away`](Connection::go_away), [`abort`](Connection::abort), [`ping`](Connection::ping) and
//!   [`release`](Connection::release) leave frames that wait.
//! - **What goes out**: [`transmit`](Connection::transmit) appends the frames that wait. Then content: the caller has
//!   [`offer`](Connection::offer)ed what it has at hand for each stream, [`next_data`](Connection::next_data) says
//!   whose turn it is and how much, [`send_data`](Connection::send_data) gives nine octets that go before it. So
//!   frames of many streams go out in one gathered write, each from the buffer into which its content was received.
//! - **Getters**, which change nothing.
//!
//! ```
//! use corelane_codec::h2::{Config, Connection, Event};
//! use corelane_codec::{Length, RequestHead, ResponseHead};
//! use std::{rc::Rc, time::Duration};
//!
//! let (config, now) = (Rc::new(Config::default()), Duration::ZERO);
//! let mut client = Connection::client(config.clone(), now);
//! let mut server = Connection::server(config, now);
//! let (mut request, mut up, mut down) = (RequestHead::new(), Vec::new(), Vec::new());
//! request.target = b"/hello".to_vec();
//! request.fields.append("host", "example.com");
//! client.send_request(&request, &mut up)?;
//!
//! let stream = loop {
//!     let received = server.receive(&up, now)?;
//!     up.drain(..received.consumed);
//!     if let Event::Request { stream, ended: true } = received.event {
//!         break stream;
//!     }
//! };
//! assert_eq!(server.request_mut().path(), b"/hello");
//! let head = ResponseHead { content: Length::Known(2), ..ResponseHead::new() };
//! server.send_response(stream, &head, &mut down)?;
//! server.offer(stream, 2, now)?;
//! let grant = server.next_data(now).expect("there is room");
//! down.extend(server.send_data(grant.stream, 2, true, now)?);
//! down.extend(b"hi");
//! server.close(stream);
//!
//! let (mut at, mut content) = (0, Vec::new());
//! loop {
//!     let received = client.receive(&down[at..], now)?;
//!     let start = at;
//!     at += received.consumed;
//!     match received.event {
//!         Event::Response { ended: false, .. } => assert_eq!(client.response_mut().status, 200),
//!         Event::Data { stream, range, ended } => {
//!             content.extend_from_slice(&down[start..][range.clone()]);
//!             client.release(stream, range.len());
//!             if ended {
//!                 break client.close(stream);
//!             }
//!         }
//!         event => unreachable!("{event:?}"),
//!     }
//! }
//! assert_eq!(content, b"hi");
//! # Ok::<(), corelane_codec::h2::Error>(())
//! ```
//!
//! # How it is built
//!
//! | file | what it knows | what it does not |
//! |---|---|---|
//! | `frame/` | octets to `Frame` values and back, a file for each type | streams, policy |
//! | `stream` | the states of a stream, their transitions as one function | frames, policy |
//! | `streams` | slots that are used again; which streams are gone | what a stream means |
//! | `flow` | windows, both ways | frames, streams |
//! | `settings` | what both sides have said | what follows from it |
//! | `schedule` | whose turn it is (RFC 9218) | windows |
//! | `headers/` | fields to heads and back, all of §8 | frames, streams |
//! | `budget` | what a peer may do of what is cheap to send and dear to receive | how to find it out |
//! | `config`, `error` | limits and times; faults as data | |
//! | `connection/` | drives them: a `Frame` and a time in, events out | octets |
//!
//! **Buffers.** Bytes that came belong to the caller; an event names a range of them. Bytes that go belong to the
//! caller, but for the small frames that wait in the connection (at most 8 KiB, or it ends). A head that came stands
//! in the connection until the next `receive`, and is taken by exchanging it; its memory is used again, so that a warm
//! connection allocates nothing for a request.
//!
//! **Streams.** A stream is the application's from its first event until it says [`close`](Connection::close), however
//! it ended, and counts until then: whoever resets requests can't start new ones faster than the work for them stops.
//!
//! **Heads** are those of HTTP/1: `:authority` is the `Host`, a WebSocket is a `GET` with an upgrade and a 101 even
//! where an extended CONNECT and a 200 carried it (RFC 8441), cookies are one field.
//!
//! **Errors** concern a stream or the connection. A request that is malformed is reset with PROTOCOL_ERROR; one that is
//! too large, or expects what nobody does, gets a status (431, 414, 417). Neither reaches the application but as
//! [`Event::Refused`].
//!
//! **Size.** An idle connection takes at most 2.5 KiB in all once it has been told to [rest](Connection::rest), a
//! stream at most 176 bytes. What a peer can make one hold is limited by [`Config::heap_bytes_max`].
//!
//! **Time** that is waited: for the preface, for the acknowledgement of settings, for the end of a field block, for
//! room to send, for the peer to hear of a GOAWAY ([`Timeouts`]). How long a peer may take for content or for an answer
//! is for whoever drives the connection to say.

mod budget;
mod config;
mod connection;
mod error;
mod flow;
mod frame;
mod headers;
mod schedule;
mod settings;
mod stream;
mod streams;

pub use budget::{Allowance, Budgets, Charge};
pub use config::{Config, Scheme, Timeouts};
pub use connection::{Connection, Event, Grant, Received, Role, StreamId};
pub use error::{Cause, Code, Error};
pub use schedule::Priority;

/// Whether a client that has said `input` so far speaks HTTP/2 with prior knowledge (RFC 9113 §3.3): `None` until that
/// can be told. One that speaks HTTP/1 is told apart at its first or second byte, unless it has a method like `PRI`.
pub fn is_preface(input: &[u8]) -> Option<bool> {
    let same = input.iter().zip(connection::PREFACE).take_while(|(a, b)| a == b).count();
    match same {
        same if same == connection::PREFACE.len() => Some(true),
        same if same == input.len() => None,
        _ => Some(false),
    }
}

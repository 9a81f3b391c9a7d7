//! HTTP/1.0 and HTTP/1.1 (RFC 9112): one connection as a value, either side of it.
//!
//! A [`Server`] receives requests and sends responses, a [`Client`] the reverse. One exchange follows another: when
//! both messages have ended, `next_exchange` starts over.
//!
//! # Receiving
//!
//! `receive` looks at the bytes that have come and were not consumed, and gives one [`Event`]. The caller drops the
//! first [`Received::consumed`] bytes and calls again, until it is told [`Event::NeedMore`]; then it waits for more
//! bytes and calls with what was left and what came. Whatever the pieces are in which bytes come, events and errors
//! are the same, but for where [`Event::Data`] is cut. An error is final: `receive` only repeats it, and what is
//! still sent says `Connection: close`.
//!
//! # Sending
//!
//! `send_head`, then content, then `send_end`. Content isn't handed over: `send_data` says what goes
//! [before](Wrap::before) and [after](Wrap::after) it.
//!
//! ```
//! use corelane_codec::h1::{Event, Server};
//! use corelane_codec::{Length, Limits, RequestHead, ResponseHead};
//!
//! let limits = Limits::default();
//! let (mut server, mut head) = (Server::new(&limits), RequestHead::new());
//! let mut input: &[u8] = b"GET /hello HTTP/1.1\r\nHost: example.com\r\n\r\n";
//! loop {
//!     let received = server.receive(&limits, input, &mut head)?;
//!     input = &input[received.consumed..];
//!     match received.event {
//!         Event::End => break,
//!         Event::Head => assert_eq!(head.path(), b"/hello"),
//!         Event::Data(_) | Event::Interim => unreachable!("a GET without content"),
//!         Event::NeedMore => unreachable!("all of it has come"),
//!     }
//! }
//! let mut out = Vec::new();
//! server.send_head(&ResponseHead { content: Length::Known(2), ..Default::default() }, &mut out)?;
//! let wrap = server.send_data(2)?;
//! out.extend([wrap.before(), b"hi", wrap.after()].concat());
//! server.send_end(None, &mut out)?;
//! assert_eq!(out, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
//! assert!(server.may_reuse());
//! # Ok::<(), corelane_codec::Error>(())
//! ```
//!
//! # What is decided here, and what is not
//!
//! Framing, persistence, what may be said to a peer of which version, and which fields end here are decided by
//! this module. Time, retries, and what to answer are not.

mod chunked;
mod client;
mod content;
mod emit;
mod parse;
mod quick;
mod scan;
mod server;

pub(crate) use emit::decimal;

pub use client::Client;
pub use server::Server;

use std::ops::Range;

/// What `receive` found, and how much of its input is done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// This many bytes must not be presented again, [`Event::Data`] among them.
    pub consumed: usize,
    /// What they meant.
    pub event: Event,
}

impl Received {
    pub(crate) const NEED_MORE: Self = Self { consumed: 0, event: Event::NeedMore };
}

/// What bytes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Nothing, until more have come. Also after [`Event::End`], until `next_exchange`.
    NeedMore,
    /// The head has been filled. For a client it is the final one.
    Head,
    /// The head of an interim response (1xx, but not 101) has been filled; another one follows.
    Interim,
    /// Content, as a range of this call's input that is not empty.
    Data(Range<usize>),
    /// The message is complete.
    End,
}

/// What goes around a piece of content: nothing, or the framing of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrap {
    /// Hexadecimal digits and CRLF.
    size: [u8; 18],
    size_len: u8,
}

impl Wrap {
    pub(crate) const NOTHING: Self = Self { size: [0; 18], size_len: 0 };

    pub(crate) fn chunk(len: usize) -> Self {
        let mut wrap = Self::NOTHING;
        wrap.size_len = emit::chunk_size(len as u64, &mut wrap.size);
        wrap
    }

    /// What goes before the content, at most 18 bytes.
    pub fn before(&self) -> &[u8] {
        self.size.get(..usize::from(self.size_len)).unwrap_or_default()
    }

    /// What goes after the content.
    pub const fn after(&self) -> &'static [u8] {
        if self.size_len == 0 { b"" } else { b"\r\n" }
    }
}

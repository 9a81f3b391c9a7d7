//! A stream: its state, and what is known of its two messages.
//!
//! The diagram of RFC 9113 §5.1 without the reserved states, because nobody pushes here:
//!
//! ```text
//!                          +--------+
//!                          |  idle  |
//!                          +---+----+
//!                              | send H / recv H
//!                              v
//!                          +--------+
//!                recv ES   |        |   send ES
//!              ,-----------+  open  +-----------.
//!              v           |        |           v
//!        +----------+      +---+----+      +----------+
//!        |   half-  |          |           |   half-  |
//!        |  closed  |          | send R /  |  closed  |
//!        | (remote) |          | recv R    | (local)  |
//!        +-----+----+          |           +-----+----+
//!              |               v                 |
//!              |  send ES  +--------+  recv ES   |
//!              |  send R   |        |  send R    |
//!              `---------->| closed |<-----------'
//!                 recv R   |        |    recv R
//!                          +--------+
//! ```
//!
//! H: HEADERS, ES: END_STREAM, R: RST_STREAM.

use super::flow::{ReceiveWindow, SendWindow};
use super::schedule::Priority;
use std::time::Duration;

/// Where a stream stands. Idle streams are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    /// We have sent END_STREAM.
    HalfClosedLocal,
    /// The peer has sent END_STREAM.
    HalfClosedRemote,
    Closed(How),
}

/// How a stream was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Both sides came to the end of their messages.
    Ended,
    /// We have sent RST_STREAM: what the peer had sent before it knew may still come.
    ResetByUs,
    /// The peer has sent RST_STREAM, or will not look at the stream.
    ResetByPeer,
}

/// What moves a stream from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    SendEnd,
    ReceiveEnd,
    SendReset,
    ReceiveReset,
}

impl State {
    /// The one function of all transitions. A step that a state does not have changes nothing.
    #[must_use]
    pub(crate) fn after(self, step: Step) -> Self {
        match (self, step) {
            (Self::Closed(how), _) => Self::Closed(how),
            (_, Step::SendReset) => Self::Closed(How::ResetByUs),
            (_, Step::ReceiveReset) => Self::Closed(How::ResetByPeer),
            (Self::Open, Step::SendEnd) => Self::HalfClosedLocal,
            (Self::Open, Step::ReceiveEnd) => Self::HalfClosedRemote,
            (Self::HalfClosedLocal, Step::ReceiveEnd) => Self::Closed(How::Ended),
            (Self::HalfClosedRemote, Step::SendEnd) => Self::Closed(How::Ended),
            (Self::HalfClosedLocal, Step::SendEnd) => self,
            (Self::HalfClosedRemote, Step::ReceiveEnd) => self,
        }
    }

    /// Whether we may send frames that carry a message.
    pub(crate) fn may_send(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedRemote)
    }

    /// Whether the peer may.
    pub(crate) fn may_receive(self) -> bool {
        matches!(self, Self::Open | Self::HalfClosedLocal)
    }

    pub(crate) fn is_closed(self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

/// What comes next of the message that is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receiving {
    /// The final head of a response.
    Head,
    /// Content, so much of it if its length was said.
    Content(Option<u64>),
    /// Nothing but the end: the response to a HEAD, a 204, a 304.
    NoContent,
    /// Bytes of a tunnel (RFC 9113 §8.5), which have no trailers.
    Tunnel,
}

/// What comes next of the message that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// The final head.
    Head,
    /// Content, so much of it if its length was said.
    Content(Option<u64>),
}

/// What a request asked for, as far as its response depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A response like any other.
    Message,
    /// A response without content (`HEAD`).
    HeadOnly,
    /// A tunnel (`CONNECT`).
    Connect,
    /// A WebSocket (RFC 8441).
    WebSocket,
}

/// A stream that has been opened and that the application has not closed.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) state: State,
    pub(crate) receiving: Receiving,
    pub(crate) sending: Sending,
    pub(crate) asked: Asked,
    /// The client takes trailers.
    pub(crate) takes_trailers: bool,
    /// Interim responses that have come.
    pub(crate) interim: u32,
    pub(crate) send_window: SendWindow,
    pub(crate) receive_window: ReceiveWindow,
    /// Content that the application has at hand.
    pub(crate) offered: usize,
    pub(crate) priority: Priority,
    /// What the head that the application was given costs it, in bytes.
    pub(crate) head_bytes: u32,
    /// Since when there has been content and no room for it, and how much went out nevertheless.
    pub(crate) stalled: Option<Stall>,
}

/// Content waits for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stall {
    pub(crate) since: Duration,
    pub(crate) sent_bytes: u32,
}

const _: () = assert!(size_of::<Stream>() <= 136, "the docs of the module say what a stream costs");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s5_1_every_transition_of_the_diagram_and_no_other() {
        use {State::*, Step::*};
        let ended = Closed(How::Ended);
        for (from, step, to) in [
            (Open, SendEnd, HalfClosedLocal),
            (Open, ReceiveEnd, HalfClosedRemote),
            (Open, SendReset, Closed(How::ResetByUs)),
            (Open, ReceiveReset, Closed(How::ResetByPeer)),
            (HalfClosedLocal, SendEnd, HalfClosedLocal),
            (HalfClosedLocal, ReceiveEnd, ended),
            (HalfClosedLocal, SendReset, Closed(How::ResetByUs)),
            (HalfClosedLocal, ReceiveReset, Closed(How::ResetByPeer)),
            (HalfClosedRemote, SendEnd, ended),
            (HalfClosedRemote, ReceiveEnd, HalfClosedRemote),
            (HalfClosedRemote, SendReset, Closed(How::ResetByUs)),
            (HalfClosedRemote, ReceiveReset, Closed(How::ResetByPeer)),
            (ended, SendEnd, ended),
            (ended, ReceiveEnd, ended),
            (ended, SendReset, ended),
            (ended, ReceiveReset, ended),
        ] {
            assert_eq!(from.after(step), to, "{from:?} {step:?}");
        }
    }
}

//! What a connection allows its peer, and how long it waits.

use super::budget::Budgets;
use super::flow::{WINDOW_DEFAULT, WINDOW_MAX};
use super::frame::{PAYLOAD_BYTES_DEFAULT, PAYLOAD_BYTES_MAX};
use crate::Limits;
use crate::hpack::TABLE_BYTES_DEFAULT;
use std::time::Duration;

/// The scheme of a connection's requests (RFC 9110 §4.2): what a client writes, and the only one that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`.
    Http,
    /// `https`.
    Https,
}

impl Scheme {
    /// As it stands in `:scheme`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that need not be written.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// How long a connection waits for its peer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For the preface and the first SETTINGS frame. Then the connection ends with PROTOCOL_ERROR. Default 10 s.
    pub preface: Duration,
    /// For the acknowledgement of our SETTINGS. Then it ends with SETTINGS_TIMEOUT. Default 10 s.
    pub settings: Duration,
    /// For the end of a field block. Then it ends with ENHANCE_YOUR_CALM. Default 10 s.
    pub block: Duration,
    /// For room to send what is at hand. Then the stream is reset with CANCEL. Default 30 s.
    pub stall: Duration,
    /// For the PING that tells that the peer has seen our first GOAWAY. Then the second goes out all the same.
    /// Default 5 s.
    pub go_away: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            preface: Duration::from_secs(10),
            settings: Duration::from_secs(10),
            block: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            go_away: Duration::from_secs(5),
        }
    }
}

/// What a connection allows. One is built for many connections.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Limits of messages, the same as those of HTTP/1: the bytes of a head are those of the decoded list, with 32
    /// more for each field, pseudo-fields and crumbs of cookies included.
    pub limits: Limits,
    /// What is cheap to send and dear to receive.
    pub budgets: Budgets,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Requests at a time: SETTINGS_MAX_CONCURRENT_STREAMS of a server, and what a client opens at most whatever the
    /// server allows. Default 100.
    pub streams_max: u32,
    /// Content that a peer may send on one stream before it is [released](super::Connection::release). Default 65,535,
    /// which need not be said; at most 2^31-1.
    pub stream_window_bytes: u32,
    /// Content that a peer may send on all streams together before it is released. Default 96 KiB: more than a
    /// stream's, so that one whose content nobody reads doesn't stop all others. At least 65,535, for a connection's window can't
    /// be made smaller.
    pub connection_window_bytes: u32,
    /// The payload of the largest frame that is taken. Default 16 KiB, the least that is allowed.
    pub frame_bytes_max: u32,
    /// The table that the peer's encoder may use. Default 4 KiB.
    pub table_bytes_max: usize,
    /// What a connection may make us hold: our own state, heads of requests that the application has not
    /// [closed](super::Connection::close), the content that may come, and what decoding one more head may take. A
    /// request beyond it is refused with REFUSED_STREAM. Default 256 KiB.
    pub heap_bytes_max: usize,
    /// Whether a server takes extended CONNECT for WebSockets (RFC 8441). Default false.
    pub connect_protocol: bool,
    /// The scheme of a client's requests. Default `http`.
    pub scheme: Scheme,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            budgets: Budgets::default(),
            timeouts: Timeouts::default(),
            streams_max: 100,
            stream_window_bytes: WINDOW_DEFAULT,
            connection_window_bytes: 96 << 10,
            frame_bytes_max: PAYLOAD_BYTES_DEFAULT,
            table_bytes_max: TABLE_BYTES_DEFAULT,
            heap_bytes_max: 256 << 10,
            connect_protocol: false,
            scheme: Scheme::Http,
        }
    }
}

impl Config {
    /// # Panics
    /// If a number is one that the protocol does not have.
    pub(crate) fn check(&self) {
        let frame = PAYLOAD_BYTES_DEFAULT..=PAYLOAD_BYTES_MAX;
        let window = WINDOW_DEFAULT..=WINDOW_MAX;
        assert!(frame.contains(&self.frame_bytes_max), "a frame has 2^14 to 2^24-1 octets");
        assert!(self.stream_window_bytes <= WINDOW_MAX, "a window is at most 2^31-1");
        assert!(window.contains(&self.connection_window_bytes), "a connection's window is 65,535 to 2^31-1");
        assert!(self.streams_max < 1 << 24, "streams at a time are fewer than 2^24");
        assert!(self.limits.request_head_bytes_max < 1 << 31, "a list of fields is shorter than 2 GiB");
        assert!(
            self.table_bytes_max <= crate::hpack::TABLE_BYTES_MAX,
            "a table is at most as long as HPACK can say"
        );
    }
}

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
    /// What a connection may make us hold, at no time more: our own state, heads of requests that the application has
    /// not [closed](super::Connection::close), content that has come and that may come, and the head that is being
    /// decoded. A request beyond it is refused with REFUSED_STREAM; so is one whose head is longer than what is left is
    /// enough for, even if the limit of heads is more. Default 256 KiB.
    ///
    /// A client holds no heads, and its streams are its own doing: the head of a response may have 16 KiB whatever it
    /// has asked for, and as much as is left beyond that.
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
    /// If something is [wrong](Self::fault) with it.
    pub(crate) fn check(&self) {
        if let Some(fault) = self.fault() {
            panic!("{fault}");
        }
    }

    /// What is wrong with it, if something is: a number that the protocol does not have, or one with which a connection
    /// would do nothing, or would end with what every peer does.
    pub fn fault(&self) -> Option<&'static str> {
        let frame = PAYLOAD_BYTES_DEFAULT..=PAYLOAD_BYTES_MAX;
        let window = WINDOW_DEFAULT..=WINDOW_MAX;
        first_fault(&[
            (frame.contains(&self.frame_bytes_max), "a frame has 2^14 to 2^24-1 octets"),
            ((1..=WINDOW_MAX).contains(&self.stream_window_bytes), "a stream's window is 1 to 2^31-1"),
            (window.contains(&self.connection_window_bytes), "a connection's window is 65,535 to 2^31-1"),
            ((1..1 << 24).contains(&self.streams_max), "streams at a time are 1 to 2^24-1"),
            (
                self.table_bytes_max <= crate::hpack::TABLE_BYTES_MAX,
                "a table is at most as long as HPACK can say",
            ),
        ])
        .or_else(|| self.limits_fault())
        .or_else(|| self.budgets_fault())
        .or_else(|| self.timeouts_fault())
        .or_else(|| {
            let fine = self.heap_bytes_max >= self.heap_bytes_least();
            first_fault(&[(fine, "memory is for one request with content, beside what a connection takes")])
        })
    }

    /// Streams that may have been reset, or refused, before the peer could know: a frame of one that is forgotten would be
    /// taken for one on a stream that never was.
    pub(crate) fn resets_remembered(&self) -> u32 {
        self.budgets.refused_streams.burst.saturating_add(self.streams_max)
    }

    /// What a peer that has not seen our settings believes that a stream's window is, if that is more.
    pub(crate) fn stream_window_at_first(&self) -> u32 {
        self.stream_window_bytes.max(WINDOW_DEFAULT)
    }

    /// The same of its encoder's table.
    pub(crate) fn table_bytes_at_first(&self) -> usize {
        self.table_bytes_max.max(TABLE_BYTES_DEFAULT)
    }

    /// Limits that no message keeps.
    fn limits_fault(&self) -> Option<&'static str> {
        let limits = &self.limits;
        let list = LIST_BYTES_LEAST..1 << 31;
        let lists =
            list.contains(&limits.request_head_bytes_max) && list.contains(&limits.response_head_bytes_max);
        let fields = limits.request_fields_max >= PSEUDO_FIELDS && limits.response_fields_max > 0;
        first_fault(&[
            (lists, "a list of fields has 256 octets to 2 GiB"),
            (fields, "a head has at least its pseudo-fields"),
            (limits.method_bytes_max >= "GET".len(), "a method has 3 octets or more"),
            (limits.request_line_bytes_max > 0, "a target has an octet or more"),
        ])
    }

    /// Budgets that every peer exceeds.
    fn budgets_fault(&self) -> Option<&'static str> {
        let budgets = &self.budgets;
        let usual = [budgets.pings, budgets.window_updates, budgets.ignored_frames, budgets.late_frames];
        let settings = budgets.settings.burst > 0
            && budgets.settings_pending_max > 0
            && budgets.settings_entries_max >= SETTINGS_KNOWN;
        first_fault(&[
            (settings, "every peer sends SETTINGS, with 8 entries that mean something"),
            (usual.iter().all(|allowance| allowance.burst > 0), "that is a frame that every peer sends"),
            (budgets.block_lists_max > 0 && budgets.table_lists_max > 0, "a block has at least one list"),
            (budgets.pending_output_bytes_max >= 1 << 10, "output that waits may have 1 KiB or more"),
            // A peer whose window is no larger than that would never get any.
            (budgets.quantum_bytes <= PAYLOAD_BYTES_DEFAULT, "a piece of content has 16 KiB or less"),
        ])
    }

    fn timeouts_fault(&self) -> Option<&'static str> {
        let Timeouts { preface, settings, block, stall, go_away: _ } = self.timeouts;
        first_fault(&[(
            [preface, settings, block, stall].iter().all(|time| !time.is_zero()),
            "a peer has some time to answer",
        )])
    }
}

/// What one has to be able to say at least: pseudo-fields with short values.
const LIST_BYTES_LEAST: usize = 256;
/// Those of a request.
const PSEUDO_FIELDS: usize = 4;
/// Settings that mean something.
const SETTINGS_KNOWN: u32 = 8;

fn first_fault(all: &[(bool, &'static str)]) -> Option<&'static str> {
    all.iter().find(|(fine, _)| !fine).map(|(_, fault)| *fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Config);

    /// Each would make a connection on which nothing can be done, or that ends with what every peer does.
    #[test]
    fn what_would_make_a_dead_connection_is_refused() {
        let changes: [(&str, Change); 33] = [
            ("a stream's window", |c| c.stream_window_bytes = 0),
            ("a stream's window", |c| c.stream_window_bytes = 1 << 31),
            ("a connection's window", |c| c.connection_window_bytes = 65_534),
            ("a connection's window", |c| c.connection_window_bytes = 1 << 31),
            ("a frame", |c| c.frame_bytes_max = 16_383),
            ("a frame", |c| c.frame_bytes_max = 1 << 24),
            ("streams at a time", |c| c.streams_max = 0),
            ("streams at a time", |c| c.streams_max = 1 << 24),
            ("a table", |c| c.table_bytes_max = 1 << 28),
            ("a list of fields", |c| c.limits.request_head_bytes_max = 255),
            ("a list of fields", |c| c.limits.request_head_bytes_max = 1 << 31),
            ("a list of fields", |c| c.limits.response_head_bytes_max = 255),
            ("a list of fields", |c| c.limits.response_head_bytes_max = 1 << 31),
            ("a head", |c| c.limits.request_fields_max = 3),
            ("a head", |c| c.limits.response_fields_max = 0),
            ("a method", |c| c.limits.method_bytes_max = 2),
            ("a target", |c| c.limits.request_line_bytes_max = 0),
            ("a block", |c| c.budgets.block_lists_max = 0),
            ("a block", |c| c.budgets.table_lists_max = 0),
            ("SETTINGS", |c| c.budgets.settings.burst = 0),
            ("SETTINGS", |c| c.budgets.settings_pending_max = 0),
            ("SETTINGS", |c| c.budgets.settings_entries_max = 7),
            ("every peer sends", |c| c.budgets.window_updates.burst = 0),
            ("every peer sends", |c| c.budgets.pings.burst = 0),
            ("every peer sends", |c| c.budgets.ignored_frames.burst = 0),
            ("every peer sends", |c| c.budgets.late_frames.burst = 0),
            ("output", |c| c.budgets.pending_output_bytes_max = 1_023),
            ("content", |c| c.budgets.quantum_bytes = 16_385),
            ("time", |c| c.timeouts.preface = Duration::ZERO),
            ("time", |c| c.timeouts.stall = Duration::ZERO),
            ("memory", |c| c.heap_bytes_max = 100 << 10),
            ("memory", |c| c.table_bytes_max = 1 << 20),
            ("memory", |c| (c.stream_window_bytes, c.connection_window_bytes) = (1 << 20, 1 << 20)),
        ];
        for (at, (about, change)) in changes.into_iter().enumerate() {
            let mut config = Config::default();
            assert_eq!(config.fault(), None);
            change(&mut config);
            let fault = config.fault();
            assert!(fault.is_some_and(|fault| fault.contains(about)), "{at}, {about}: {fault:?}");
        }
    }

    #[test]
    fn what_only_some_would_choose_is_allowed() {
        let changes: [Change; 6] = [
            |c| c.stream_window_bytes = 1,
            |c| c.table_bytes_max = 0,
            |c| c.budgets.empty_frames.burst = 0,
            |c| c.budgets.refused_streams.burst = 0,
            |c| c.budgets.dribbles.burst = 0,
            |c| c.timeouts.go_away = Duration::ZERO,
        ];
        for change in changes {
            let mut config = Config::default();
            change(&mut config);
            assert_eq!(config.fault(), None);
        }
    }
}

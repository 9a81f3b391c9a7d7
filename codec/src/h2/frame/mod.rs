//! Frames as values (RFC 9113 §4, §6): nine octets of header, and a file for each type or group of small types.
//!
//! Nothing here knows of streams, windows or budgets. What is checked is what can be checked of one frame alone: its
//! length, its padding, and whether it names a stream.

pub(crate) mod control;
pub(crate) mod data;
pub(crate) mod headers;
pub(crate) mod priority;
mod reader;
pub(crate) mod settings;

pub(crate) use reader::Reader;

use super::error::{Cause, Code, Error};
use super::schedule::Priority;
use std::ops::Range;

/// Octets of a frame's header.
pub(crate) const HEAD_BYTES: usize = 9;
/// The largest frame that everybody takes (RFC 9113 §4.2).
pub(crate) const PAYLOAD_BYTES_DEFAULT: u32 = 1 << 14;
/// The largest frame that there can be.
pub(crate) const PAYLOAD_BYTES_MAX: u32 = (1 << 24) - 1;
/// The highest stream identifier, and the mask of the reserved bit.
pub(crate) const STREAM_MAX: u32 = (1 << 31) - 1;

/// `END_STREAM` of DATA and HEADERS.
pub(crate) const END_STREAM: u8 = 0x01;
/// `ACK` of SETTINGS and PING.
pub(crate) const ACK: u8 = 0x01;
/// `END_HEADERS` of HEADERS and CONTINUATION.
pub(crate) const END_HEADERS: u8 = 0x04;
/// `PADDED` of DATA and HEADERS.
pub(crate) const PADDED: u8 = 0x08;
/// `PRIORITY` of HEADERS.
pub(crate) const PRIORITY: u8 = 0x20;

/// Types of frames. What is not named is ignored (RFC 9113 §5.5), ALTSVC (RFC 7838) and ORIGIN (RFC 8336) among them.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x00;
    pub(crate) const HEADERS: u8 = 0x01;
    pub(crate) const PRIORITY: u8 = 0x02;
    pub(crate) const RST_STREAM: u8 = 0x03;
    pub(crate) const SETTINGS: u8 = 0x04;
    pub(crate) const PUSH_PROMISE: u8 = 0x05;
    pub(crate) const PING: u8 = 0x06;
    pub(crate) const GOAWAY: u8 = 0x07;
    pub(crate) const WINDOW_UPDATE: u8 = 0x08;
    pub(crate) const CONTINUATION: u8 = 0x09;
    pub(crate) const PRIORITY_UPDATE: u8 = 0x10;
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Octets of payload.
    pub(crate) len: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Head {
    pub(crate) const fn new(len: u32, kind: u8, flags: u8, stream: u32) -> Self {
        Self { len, kind, flags, stream }
    }

    /// The reserved bit is ignored (RFC 9113 §4.1).
    pub(crate) fn parse(bytes: [u8; HEAD_BYTES]) -> Self {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = bytes;
        Self {
            len: u32::from_be_bytes([0, l2, l1, l0]),
            kind,
            flags,
            stream: u32::from_be_bytes([s3, s2, s1, s0]) & STREAM_MAX,
        }
    }

    pub(crate) const fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let [_, l2, l1, l0] = self.len.to_be_bytes();
        let [s3, s2, s1, s0] = self.stream.to_be_bytes();
        [l2, l1, l0, self.kind, self.flags, s3, s2, s1, s0]
    }

    pub(crate) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// A frame that belongs to a stream.
    fn on_stream(self) -> Result<Self, Error> {
        if self.stream == 0 { Err(ON_WRONG_STREAM) } else { Ok(self) }
    }

    /// A frame that belongs to the connection.
    fn on_connection(self) -> Result<Self, Error> {
        if self.stream == 0 { Ok(self) } else { Err(ON_WRONG_STREAM) }
    }

    /// A frame whose length is always the same.
    fn of_len(self, len: u32) -> Result<Self, Error> {
        if self.len == len { Ok(self) } else { Err(WRONG_SIZE) }
    }
}

const ON_WRONG_STREAM: Error = Error::connection(Code::PROTOCOL_ERROR, Cause::StreamZero);
const WRONG_SIZE: Error = Error::connection(Code::FRAME_SIZE_ERROR, Cause::FrameSize);
const BAD_PADDING: Error = Error::connection(Code::PROTOCOL_ERROR, Cause::Padding);

/// A frame, or a piece of one whose payload may be long. Ranges are of the input that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The start of a DATA frame; [`Content`](Self::Content) follows.
    Data(data::Data),
    /// Content of the DATA frame that was started. `last` is said once, with a range that may be empty.
    Content {
        range: Range<usize>,
        last: bool,
    },
    /// The start of a HEADERS frame; [`Fragment`](Self::Fragment) follows.
    Headers(headers::Headers),
    /// The start of a CONTINUATION frame; [`Fragment`](Self::Fragment) follows.
    Continuation(headers::Continuation),
    /// A piece of the field block. `last` is said once for each frame, with a range that may be empty.
    Fragment {
        range: Range<usize>,
        last: bool,
    },
    /// A PRIORITY frame (deprecated, RFC 9113 §5.3.2) of a right or a wrong length.
    Priority {
        stream: u32,
        valid: bool,
    },
    Reset {
        stream: u32,
        code: Code,
    },
    /// The start of a SETTINGS frame that is no acknowledgement, with so many settings.
    Settings {
        count: u32,
    },
    Setting(settings::Setting),
    /// All settings of the frame have come.
    SettingsEnd,
    SettingsAck,
    PushPromise,
    Ping {
        ack: bool,
        data: [u8; 8],
    },
    GoAway {
        last: u32,
        code: Code,
    },
    WindowUpdate {
        stream: u32,
        increment: u32,
    },
    PriorityUpdate {
        stream: u32,
        priority: Priority,
    },
    /// A frame that means nothing to us.
    Ignored,
}

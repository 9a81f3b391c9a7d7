//! What both sides have said in SETTINGS (RFC 9113 §6.5.2), and what was acknowledged.

use super::config::Config;
use super::connection::Role;
use super::error::{Cause, Code, Error};
use super::flow::{WINDOW_DEFAULT, WINDOW_MAX};
use super::frame::settings::{Setting, id};
use super::frame::{PAYLOAD_BYTES_DEFAULT, PAYLOAD_BYTES_MAX};
use crate::hpack::TABLE_BYTES_DEFAULT;
use std::time::Duration;

/// Streams that a client opens before the server has said how many it takes (the least that RFC 9113 §6.5.2
/// recommends).
const STREAMS_BEFORE_SETTINGS: u32 = 100;

/// What the peer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerSettings {
    pub(crate) streams_max: u32,
    pub(crate) initial_window: u32,
    pub(crate) frame_bytes_max: u32,
    /// The list of fields that it is prepared to take: advice, which it may back by refusing what is longer.
    pub(crate) list_bytes_max: u32,
    /// The smallest and the last size of this SETTINGS frame, which the encoder has not been told.
    pub(crate) table_bytes: Option<(u32, u32)>,
    pub(crate) connect_protocol: bool,
    /// It has said whether it uses the priorities of RFC 7540; it must not say otherwise later (RFC 9218 §2.1).
    no_rfc7540_priorities: Option<bool>,
    /// The first SETTINGS frame has come.
    pub(crate) known: bool,
}

impl PeerSettings {
    pub(crate) fn new() -> Self {
        Self {
            streams_max: STREAMS_BEFORE_SETTINGS,
            initial_window: WINDOW_DEFAULT,
            frame_bytes_max: PAYLOAD_BYTES_DEFAULT,
            list_bytes_max: u32::MAX,
            table_bytes: None,
            connect_protocol: false,
            no_rfc7540_priorities: None,
            known: false,
        }
    }

    /// A SETTINGS frame begins.
    pub(crate) fn begin(&mut self) {
        if !self.known {
            // Whoever says nothing of streams has no limit.
            self.streams_max = u32::MAX;
            self.known = true;
        }
    }

    /// Takes one setting of a peer that is not in our `role`. Unknown ones are ignored (RFC 9113 §6.5.2).
    pub(crate) fn apply(&mut self, setting: Setting, role: Role) -> Result<(), Error> {
        let invalid = Error::connection(Code::PROTOCOL_ERROR, Cause::Setting);
        let value = setting.value;
        match setting.id {
            id::HEADER_TABLE_SIZE => {
                // If it was smaller for a moment, the encoder must begin with that (RFC 7541 §4.2).
                let least = self.table_bytes.map_or(value, |(least, _)| least.min(value));
                self.table_bytes = Some((least, value));
            }
            // A server must not say that it takes pushes, which nobody sends.
            id::ENABLE_PUSH if value > 1 || (value == 1 && role == Role::Client) => return Err(invalid),
            id::MAX_CONCURRENT_STREAMS => self.streams_max = value,
            id::INITIAL_WINDOW_SIZE if value > WINDOW_MAX => {
                return Err(Error::connection(Code::FLOW_CONTROL_ERROR, Cause::Setting));
            }
            id::INITIAL_WINDOW_SIZE => self.initial_window = value,
            id::MAX_FRAME_SIZE if !(PAYLOAD_BYTES_DEFAULT..=PAYLOAD_BYTES_MAX).contains(&value) => {
                return Err(invalid);
            }
            id::MAX_FRAME_SIZE => self.frame_bytes_max = value,
            id::MAX_HEADER_LIST_SIZE => self.list_bytes_max = value,
            id::ENABLE_CONNECT_PROTOCOL => {
                // It must not be taken back (RFC 8441 §3).
                if value > 1 || (value == 0 && self.connect_protocol) {
                    return Err(invalid);
                }
                self.connect_protocol = value == 1;
            }
            id::NO_RFC7540_PRIORITIES => {
                let said = value == 1;
                if value > 1 || self.no_rfc7540_priorities.is_some_and(|before| before != said) {
                    return Err(invalid);
                }
                self.no_rfc7540_priorities = Some(said);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What we said, once, at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnSettings {
    /// Until when the peer has to acknowledge it; nothing once it has.
    pub(crate) due: Option<Duration>,
}

impl OwnSettings {
    /// The settings of a configuration. Those that are as they are before anything was said are left out.
    pub(crate) fn write(config: &Config, role: Role, out: &mut Vec<u8>) {
        let limits = &config.limits;
        let list_bytes_max = match role {
            Role::Server => limits.request_head_bytes_max,
            Role::Client => limits.response_head_bytes_max,
        };
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let server = role == Role::Server;
        let all = [
            (
                id::HEADER_TABLE_SIZE,
                number(config.table_bytes_max),
                config.table_bytes_max != TABLE_BYTES_DEFAULT,
            ),
            (id::ENABLE_PUSH, 0, !server),
            (id::MAX_CONCURRENT_STREAMS, config.streams_max, server),
            (
                id::INITIAL_WINDOW_SIZE,
                config.stream_window_bytes,
                config.stream_window_bytes != WINDOW_DEFAULT,
            ),
            (id::MAX_FRAME_SIZE, config.frame_bytes_max, config.frame_bytes_max != PAYLOAD_BYTES_DEFAULT),
            (id::MAX_HEADER_LIST_SIZE, number(list_bytes_max), true),
            (id::ENABLE_CONNECT_PROTOCOL, 1, server && config.connect_protocol),
            (id::NO_RFC7540_PRIORITIES, 1, true),
        ];
        let mut said = [Setting { id: 0, value: 0 }; 8];
        let mut count = 0_usize;
        for (id, value, is_said) in all {
            if let (true, Some(place)) = (is_said, said.get_mut(count)) {
                *place = Setting { id, value };
                count = count.saturating_add(1);
            }
        }
        super::frame::settings::write(said.get(..count).unwrap_or_default(), out);
    }
}

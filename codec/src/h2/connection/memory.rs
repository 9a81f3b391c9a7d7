//! What a connection holds, and what it may yet come to hold: the account of
//! [`Config::heap_bytes_max`](super::super::Config::heap_bytes_max).
//!
//! Whatever a peer does is charged before it is done. A stream is let in if there is room for all that it may lead to:
//! its head, its content as far as windows allow it, what it takes of our own state, and beside all of that a section
//! of trailers. What is left then is how long the next head may be: if that is less than the limit, the head of a
//! request that is longer is refused, not answered by a status.

use super::super::config::Config;
use super::super::headers::BYTES_BESIDE_LIST;
use super::{Connection, Event, Role};
use crate::hpack::{Decoder, Encoder, Policy};

/// A list of fields may be held so many times: in the decoder, which has the longest of its fields, as a head, and once
/// more while one of these grows or cookies are put together.
const LISTS: usize = 3;
/// What is small and not counted one by one: identifiers of streams that are gone, and buffers of less than 1 KiB.
const OTHER_BYTES: usize = 4 << 10;
/// What a stream takes of lists that get as long as there are streams: an event if it ends, a place in the schedule.
const BYTES_PER_STREAM: usize = 2 * size_of::<Event>() + 64;
/// The head of a response may have so much, however much is held by requests that we made.
const RESPONSE_BYTES_LEAST: usize = 16 << 10;

impl Connection {
    /// What is left for a head, whether or not a stream joins with it. `ended`: no content follows.
    pub(super) fn memory_left(&self, ended: bool) -> usize {
        self.config.heap_bytes_max.saturating_sub(self.charged_bytes(ended))
    }

    /// What the list of a head may have where so much memory is left for it: at most `bytes_max`.
    pub(super) fn list_bytes_left(&self, left: usize, bytes_max: usize) -> usize {
        let list = left.saturating_sub(BYTES_BESIDE_LIST).checked_div(LISTS).unwrap_or(0);
        let least = if self.role == Role::Client { RESPONSE_BYTES_LEAST } else { 0 };
        list.max(least).min(bytes_max)
    }

    /// Whether a stream may join whose head takes so much, of what was left for it. What is left then is enough for
    /// sections that nobody gets, and for what the decoder keeps of memory.
    pub(super) fn has_memory(&mut self, left: usize, head_bytes: usize) -> bool {
        let all = head_bytes.saturating_add(self.config.section_bytes_least());
        if all.saturating_add(self.decoder.field_bytes()) > left {
            self.decoder.shrink();
        }
        all <= left
    }

    /// What the connection may come to hold if another stream joins, without its head and without sections that are
    /// being received: our own state, the heads that the application has, content (no more than streams that may send
    /// any have windows for).
    fn charged_bytes(&self, ended: bool) -> usize {
        let streams = self.streams.len().saturating_add(1).saturating_mul(BYTES_PER_STREAM);
        [
            self.own_bytes,
            self.streams.heap_bytes(),
            self.streams.growth_bytes(),
            streams,
            self.held_head_bytes,
            self.content_bytes(ended),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// Content that has come and was not released, and that may come.
    fn content_bytes(&self, ended: bool) -> usize {
        let receiving = u64::from(self.receiving).saturating_add(u64::from(!ended));
        let windows = receiving.saturating_mul(u64::from(self.config.stream_window_at_first()));
        let content = windows.saturating_add(u64::from(self.receive_window.held()));
        content.min(u64::from(self.config.connection_window_bytes)) as usize
    }
}

impl Config {
    /// What one connection must be allowed: its own state, one stream whose window is used up, and a head.
    pub(in super::super) fn heap_bytes_least(&self) -> usize {
        const STREAM_BYTES: usize = 2 << 10;
        let content = self.stream_window_at_first().min(self.connection_window_bytes) as usize;
        [self.own_bytes(), STREAM_BYTES, content, self.section_bytes_least().saturating_mul(2)]
            .into_iter()
            .fold(0, usize::saturating_add)
    }

    /// What a section takes that nobody gets, or trailers: a literal for the table is put together whatever becomes of
    /// it.
    fn section_bytes_least(&self) -> usize {
        let list = self.limits.trailer_bytes_max.max(self.table_bytes_at_first());
        list.saturating_mul(LISTS).saturating_add(BYTES_BESIDE_LIST)
    }

    /// What does not depend on streams: the value itself, both tables, frames that wait, and what is small.
    pub(super) fn own_bytes(&self) -> usize {
        [
            size_of::<Connection>(),
            Decoder::table_heap_bytes_max(self.table_bytes_at_first()),
            Encoder::heap_bytes_max(&Policy::default()),
            self.output_bytes_max(),
            OTHER_BYTES,
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }

    /// Memory for frames that wait: as many as a peer may provoke, and what the application may say on each stream.
    pub(super) fn output_bytes_max(&self) -> usize {
        let provoked = self.budgets.pending_output_bytes_max;
        provoked.saturating_add(provoked / 2)
    }
}

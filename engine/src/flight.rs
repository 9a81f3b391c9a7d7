//! The flight recorder: the last slow exchanges of each lane, with what is known of them, for whoever asks later.

use crate::{
    address::Address,
    record::{End, Phases, Record},
};
use http::StatusCode;
use std::{
    cell::RefCell,
    collections::VecDeque,
    time::{Duration, SystemTime},
};

/// Bytes of a path that are kept.
const PATH_BYTES_MAX: usize = 256;
/// Bytes of a request's id that are kept: ours have 32.
const ID_BYTES_MAX: usize = 64;
/// Bytes of a method's name that are kept.
const METHOD_BYTES_MAX: usize = 16;
/// The most exchanges that a lane may keep.
const KEPT_MAX: usize = 4096;

/// What the flight recorder keeps: the last exchanges that were slow, by a threshold that somebody has chosen.
///
/// The threshold is a fixed one. One that follows the lane's own percentiles would call a part of all traffic slow
/// however quick it is, and on a busy lane what it keeps would be gone within milliseconds; an operator knows what is
/// too slow for his users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlightRecorder {
    /// Exchanges that take at least so long are kept.
    pub slower_than: Duration,
    /// How many of them each lane keeps; 0 keeps none, and 4,096 is the most.
    pub kept: usize,
}

impl Default for FlightRecorder {
    /// 32 of at least 100 ms.
    fn default() -> Self {
        Self { slower_than: Duration::from_millis(100), kept: 32 }
    }
}

/// A slow exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slow {
    /// The lane that it was on.
    pub lane: usize,
    /// When its head was complete.
    pub at: SystemTime,
    /// How long it took from then on.
    pub duration: Duration,
    /// Where the time went. [`queue`](Phases::queue) and [`parse`](Phases::parse) come before `duration`.
    pub phases: Phases,
    /// The longest turn of the lane, of those from 1 ms on, that had not ended when the head was complete: so long the
    /// lane did not look at the kernel. Zero if there was none. Of many long turns the last sixteen are known.
    pub longest_turn: Duration,
    /// Its id, cut at 64 bytes.
    pub request_id: Vec<u8>,
    /// Its method, cut at 16 bytes; empty if no request could be read.
    pub method: Vec<u8>,
    /// Its path, cut at 256 bytes. The query is not kept, because it may hold secrets; a path should not.
    pub path: Vec<u8>,
    /// The status that was sent; 0 if none was.
    pub status: u16,
    /// Why it ended.
    pub end: End,
    /// The endpoint that was tried last, if it is among the first eight.
    pub endpoint: Option<Address>,
    /// How many attempts there were.
    pub attempts: u32,
}

impl Slow {
    fn new(lane: usize) -> Self {
        Self {
            lane,
            at: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            phases: Phases::default(),
            longest_turn: Duration::ZERO,
            request_id: Vec::with_capacity(ID_BYTES_MAX),
            method: Vec::with_capacity(METHOD_BYTES_MAX),
            path: Vec::with_capacity(PATH_BYTES_MAX),
            status: 0,
            end: End::Dropped,
            endpoint: None,
            attempts: 0,
        }
    }

    fn fill(&mut self, record: &Record) {
        fn keep(text: &mut Vec<u8>, from: &[u8], max: usize) {
            text.clear();
            text.extend_from_slice(&from[..from.len().min(max)]);
        }
        let method = record.method.as_ref().map_or("", http::Method::as_str);
        keep(&mut self.request_id, &record.request_id, ID_BYTES_MAX);
        keep(&mut self.method, method.as_bytes(), METHOD_BYTES_MAX);
        keep(&mut self.path, path_of(&record.target), PATH_BYTES_MAX);
        (self.at, self.duration, self.phases) = (record.at, record.duration, record.phases);
        (self.status, self.end) = (record.status, record.end);
        self.endpoint = record.attempts.last().map(|attempt| attempt.endpoint.clone());
        self.attempts = record.attempts_total;
    }
}

/// The path of a target: without the query, and of the absolute form without the authority, which may hold a password.
fn path_of(target: &[u8]) -> &[u8] {
    let end = target.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(target.len());
    let path = &target[..end];
    if path.first() == Some(&b'/') {
        return path;
    }
    match path.windows(3).position(|bytes| bytes == b"://") {
        Some(scheme) => {
            let authority = &path[scheme + 3..];
            authority.iter().position(|byte| *byte == b'/').map_or(b"/", |slash| &authority[slash..])
        }
        // `*`, or the authority of a CONNECT.
        None => path,
    }
}

/// A lane's recorder.
pub(crate) struct Flight {
    lane: usize,
    settings: FlightRecorder,
    slow: RefCell<VecDeque<Slow>>,
}

impl Flight {
    pub(crate) fn new(lane: usize, settings: FlightRecorder) -> Self {
        let settings = FlightRecorder { kept: settings.kept.min(KEPT_MAX), ..settings };
        Self { lane, settings, slow: RefCell::new(VecDeque::with_capacity(settings.kept)) }
    }

    /// Whether it keeps anything at all.
    pub(crate) fn is_on(&self) -> bool {
        self.settings.kept > 0
    }

    /// Whether an exchange is to be kept.
    pub(crate) fn is_slow(&self, record: &Record) -> bool {
        let took = record.duration + record.phases.queue + record.phases.parse;
        if took < self.settings.slower_than || !self.is_on() {
            return false;
        }
        // How long a tunnel lasts is not how slow it was.
        record.status != StatusCode::SWITCHING_PROTOCOLS.as_u16()
            || took.saturating_sub(record.phases.transfer) >= self.settings.slower_than
    }

    /// Keeps an exchange, in the place of the oldest if there is no other. Places are used again: after the first
    /// rounds this allocates nothing, but for the name of an endpoint behind a unix socket.
    pub(crate) fn keep(&self, record: &Record, longest_turn: Duration) {
        let mut slow = self.slow.borrow_mut();
        let full = slow.len() >= self.settings.kept;
        let mut place = if full { slow.pop_front() } else { None }.unwrap_or_else(|| Slow::new(self.lane));
        place.fill(record);
        place.longest_turn = longest_turn;
        slow.push_back(place);
    }

    /// What is kept, the oldest first.
    pub(crate) fn copy(&self) -> Vec<Slow> {
        self.slow.borrow().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(target: &str, millis: u64) -> Record {
        let mut record = Record::new();
        record.target = target.as_bytes().to_vec();
        record.duration = Duration::from_millis(millis);
        record
    }

    #[test]
    fn a_path_is_without_query_and_authority() {
        for (target, path) in [
            ("/a/b?token=secret", "/a/b"),
            ("/a#b?c", "/a"),
            ("?token=secret", ""),
            ("http://user:secret@example.com/a?b", "/a"),
            ("http://user:secret@example.com?b=/c", "/"),
            ("http://example.com", "/"),
            ("*", "*"),
            ("/a?to=http://b/c", "/a"),
            ("/to/http://b/c", "/to/http://b/c"),
        ] {
            assert_eq!(path_of(target.as_bytes()), path.as_bytes(), "{target}");
        }
    }

    #[test]
    fn the_last_slow_ones_are_kept() {
        let flight = Flight::new(3, FlightRecorder { slower_than: Duration::from_millis(10), kept: 2 });
        for number in 0..5 {
            let record = record(&format!("/{number}?x"), 10 + number);
            assert!(flight.is_slow(&record));
            flight.keep(&record, Duration::ZERO);
        }
        let kept = flight.copy();
        let paths: Vec<_> = kept.iter().map(|slow| String::from_utf8_lossy(&slow.path)).collect();
        assert_eq!(paths, ["/3", "/4"]);
        assert!(kept.iter().all(|slow| slow.lane == 3));
        assert!(flight.slow.borrow().iter().all(|slow| slow.path.capacity() == PATH_BYTES_MAX), "used again");
    }

    #[test]
    fn what_is_slow() {
        let flight = Flight::new(0, FlightRecorder { slower_than: Duration::from_millis(10), kept: 1 });
        assert!(!flight.is_slow(&record("/", 9)));
        let mut waited = record("/", 5);
        waited.phases.queue = Duration::from_millis(5);
        assert!(flight.is_slow(&waited), "the wait for the lane is the client's, too");
        let mut tunnel = record("/", 3_600_000);
        (tunnel.status, tunnel.phases.transfer) = (101, Duration::from_millis(3_599_995));
        assert!(!flight.is_slow(&tunnel));
        tunnel.phases.transfer = Duration::from_millis(3_599_990);
        assert!(flight.is_slow(&tunnel), "it was slow to open");
        let off = Flight::new(0, FlightRecorder { kept: 0, ..FlightRecorder::default() });
        assert!(!off.is_slow(&record("/", 10_000)));
    }

    #[test]
    fn long_texts_are_cut() {
        let flight = Flight::new(0, FlightRecorder::default());
        let mut long = record(&format!("/{}", "a".repeat(1000)), 1000);
        long.request_id = vec![b'x'; 1000];
        long.method = Some(http::Method::from_bytes(&[b'M'; 100]).unwrap());
        flight.keep(&long, Duration::ZERO);
        let slow = &flight.copy()[0];
        assert_eq!((slow.path.len(), slow.request_id.len(), slow.method.len()), (256, 64, 16));
    }
}

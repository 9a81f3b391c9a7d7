//! What a lane uses again and again: free heads, records, exchanges and timers, and words that many requests share.

use super::Lane;
use crate::{context::Exchange, metrics::Metric, record::Record, wheel::Timer};
use corelane_codec::{RequestHead, ResponseHead};
use std::{rc::Rc, time::SystemTime};

/// Free heads, records and exchanges that a lane keeps.
const KEPT_MAX: usize = 1024;
/// Free timers that a lane keeps: as many connections may end within the time for a head and leave no more than these.
const TIMERS_KEPT_MAX: usize = 16_384;

impl Lane {
    pub(crate) fn take_request(&self) -> RequestHead {
        self.0.requests.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_request(&self, mut head: RequestHead) {
        let mut kept = self.0.requests.borrow_mut();
        if kept.len() < KEPT_MAX {
            head.clear();
            kept.push(head);
        }
    }

    pub(crate) fn take_response(&self) -> ResponseHead {
        self.0.responses.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_response(&self, mut head: ResponseHead) {
        let mut kept = self.0.responses.borrow_mut();
        if kept.len() < KEPT_MAX {
            head.clear();
            kept.push(head);
        }
    }

    pub(crate) fn take_record(&self) -> Box<Record> {
        self.0.records.borrow_mut().pop().unwrap_or_else(|| Box::new(Record::new()))
    }

    pub(crate) fn take_exchange(&self) -> Option<Rc<Exchange>> {
        self.0.exchanges.borrow_mut().pop()
    }

    pub(crate) fn give_exchange(&self, exchange: Rc<Exchange>) {
        let mut kept = self.0.exchanges.borrow_mut();
        if kept.len() < KEPT_MAX {
            kept.push(exchange);
        }
    }

    pub(crate) fn take_timer(&self) -> Rc<Timer> {
        self.0.timers.borrow_mut().pop().unwrap_or_else(Timer::new)
    }

    pub(crate) fn give_timer(&self, timer: Rc<Timer>) {
        let mut kept = self.0.timers.borrow_mut();
        if kept.len() < TIMERS_KEPT_MAX {
            timer.forget();
            kept.push(timer);
        }
    }

    /// Whether anybody reads records: otherwise their texts need not be filled in.
    pub(crate) fn has_sink(&self) -> bool {
        self.0.process.config.sink.is_some()
    }

    /// Whether slow exchanges are kept: that takes a few of those texts.
    pub(crate) fn has_flight_recorder(&self) -> bool {
        self.0.flight.is_on()
    }

    /// Closes a record: counts it, shows it to the sink, and keeps its memory.
    pub(crate) fn close_record(&self, record: Box<Record>) {
        self.0.metrics.record(&record);
        if self.0.flight.is_slow(&record) {
            self.0.metrics.count(Metric::Slow);
            let now = self.about_now();
            let longest = self.0.turns.longest_since(now.saturating_sub(record.duration), self.now());
            self.0.flight.keep(&record, longest);
        }
        if let Some(sink) = self.0.sink.borrow_mut().as_mut() {
            sink.record(&record);
            self.0.unflushed.set(true);
        }
        self.give_record(record);
    }

    pub(crate) fn give_record(&self, mut record: Box<Record>) {
        let mut kept = self.0.records.borrow_mut();
        if kept.len() < KEPT_MAX {
            record.clear();
            kept.push(record);
        }
    }

    /// A fresh request id: 128 random bits in hexadecimal.
    pub(crate) fn request_id(&self) -> [u8; 32] {
        const DIGITS: [[u8; 2]; 256] = {
            let (digits, mut all, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
            while byte < all.len() {
                all[byte] = [digits[byte >> 4], digits[byte & 15]];
                byte += 1;
            }
            all
        };
        let mut rng = self.0.rng.borrow_mut();
        let mut id = [0; 32];
        for half in id.chunks_exact_mut(16) {
            for (pair, byte) in half.chunks_exact_mut(2).zip(rng.next().to_le_bytes()) {
                pair.copy_from_slice(&DIGITS[usize::from(byte)]);
            }
        }
        id
    }

    /// The present time for `Date`, formatted once a second (RFC 9110 §5.6.7).
    pub(crate) fn date(&self, put: impl FnOnce(&str)) {
        let now = self.wall();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.0.date.borrow_mut();
        if date.0 != second || date.1.is_empty() {
            *date = (second, httpdate::fmt_http_date(now));
        }
        put(&date.1);
    }
}

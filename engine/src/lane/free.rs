//! What a lane uses again and again: free records, exchanges, heads and timers, and words that many requests share.

use super::Lane;
use crate::{
    context::Exchange,
    io,
    kept::{Free, Kept},
    message::{RequestParts, ResponseParts},
    metrics::Metric,
    record::Record,
    wheel::Timer,
};
use corelane_codec::{RequestHead, ResponseHead};
use std::{rc::Rc, time::SystemTime};

/// Free timers that a lane keeps: as many connections may end within the time for a head and leave no more than these.
const TIMERS_MAX: usize = 16_384;
/// So many of each may be kept although they are not used: also a batch of [`Spares`](crate::io::Spares).
const SPARE: usize = 64;

/// What a lane keeps of each kind.
#[derive(Default)]
pub(super) struct FreeLists {
    records: Free<Box<Record>>,
    exchanges: Free<Rc<Exchange>>,
    /// Of connections that have ended. The wheel still holds on to most of them, for a deadline that matters no more:
    /// used again, they need no other entry.
    timers: Free<Rc<Timer>, TIMERS_MAX>,
}

impl FreeLists {
    /// Whether far more is kept than so many requests need, or timers than are of any use.
    fn has_spare(&self, requests: usize, timers: usize) -> bool {
        let most = [
            self.records.len(),
            self.exchanges.len(),
            Kept::<RequestHead>::spare(),
            Kept::<ResponseHead>::spare(),
            Kept::<RequestParts>::spare(),
            Kept::<ResponseParts>::spare(),
        ];
        most.iter().any(|kept| *kept > requests) || self.timers.len() > timers
    }

    fn shrink(&self, requests: usize, timers: usize) {
        // In this order: who goes gives back what it had.
        self.exchanges.shrink(requests);
        Kept::<RequestParts>::shrink(requests);
        Kept::<ResponseParts>::shrink(requests);
        Kept::<RequestHead>::shrink(requests);
        Kept::<ResponseHead>::shrink(requests);
        self.records.shrink(requests);
        self.timers.shrink(timers);
    }
}

impl Lane {
    /// What may be kept, for requests and of timers: twice as much as is in use.
    fn wanted(&self) -> (usize, usize) {
        let busy = self.0.metrics.value(Metric::RequestsOpen) as usize;
        let enrolled = self.0.wheel.enrolled();
        (SPARE.max(2 * busy), SPARE.max(2 * self.connections()).max(enrolled))
    }

    /// Whether the lane has a lot that it does not need.
    pub(super) fn has_spares(&self) -> bool {
        let (requests, timers) = self.wanted();
        self.0.free.has_spare(requests, timers) || self.0.spares.kept() > requests || io::runtime::has_spare()
    }

    pub(super) fn let_go_of_spares(&self) {
        let (requests, timers) = self.wanted();
        self.0.free.shrink(requests, timers);
        self.0.spares.shrink(requests);
        io::runtime::shrink();
    }

    pub(crate) fn take_record(&self) -> Box<Record> {
        self.0.free.records.take().unwrap_or_else(|| Box::new(Record::new()))
    }

    pub(crate) fn take_exchange(&self) -> Option<Rc<Exchange>> {
        self.0.free.exchanges.take()
    }

    pub(crate) fn give_exchange(&self, exchange: Rc<Exchange>) {
        self.0.free.exchanges.give(exchange);
    }

    /// Those that are kept hold on to their lane, which is to go.
    pub(super) fn forget_exchanges(&self) {
        self.0.free.exchanges.shrink(0);
    }

    pub(crate) fn take_timer(&self) -> Rc<Timer> {
        self.0.free.timers.take().unwrap_or_else(Timer::new)
    }

    pub(crate) fn give_timer(&self, timer: Rc<Timer>) {
        timer.forget();
        self.0.free.timers.give(timer);
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
        record.clear();
        self.0.free.records.give(record);
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

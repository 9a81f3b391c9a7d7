//! What is counted while load runs.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The longest latency that is told apart, in nanoseconds: an hour.
const LATENCY_NANOS_MAX: u64 = 3_600_000_000_000;
/// Digits that a latency is kept with: within 0.1 %.
const DIGITS: u8 = 3;
/// Seconds that the course over time is kept for; longer runs merge two and two.
const SECONDS_KEPT: usize = 1200;

/// Why a request has no answer that counts. They are never among the latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection could be made.
    Connect,
    /// The connection was reset or closed before the whole answer had come.
    Reset,
    /// The answer did not come in time.
    Timeout,
    /// An answer with another status than was expected.
    Status,
    /// An answer that is malformed, or has another length or content than was expected.
    Body,
}

/// How many there were of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    pub(crate) connect: u64,
    pub(crate) reset: u64,
    pub(crate) timeout: u64,
    pub(crate) status: u64,
    pub(crate) body: u64,
}

impl Faults {
    fn of(&mut self, fault: Fault) -> &mut u64 {
        match fault {
            Fault::Connect => &mut self.connect,
            Fault::Reset => &mut self.reset,
            Fault::Timeout => &mut self.timeout,
            Fault::Status => &mut self.status,
            Fault::Body => &mut self.body,
        }
    }

    /// Each with its name.
    pub(crate) fn all(&self) -> [(&'static str, u64); 5] {
        [
            ("connect", self.connect),
            ("reset", self.reset),
            ("timeout", self.timeout),
            ("status", self.status),
            ("body", self.body),
        ]
    }

    pub(crate) fn sum(&self) -> u64 {
        self.all().iter().map(|(_, count)| count).sum()
    }

    fn add(&mut self, other: &Self) {
        self.connect += other.connect;
        self.reset += other.reset;
        self.timeout += other.timeout;
        self.status += other.status;
        self.body += other.body;
    }
}

/// The moments of a request, by its lane's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moments {
    /// When it was to be sent.
    pub(crate) due: Duration,
    /// When it was.
    pub(crate) sent: Duration,
}

/// What happened in a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Second {
    /// Seconds from the beginning of the measurement.
    pub(crate) at_s: f64,
    /// Answers that were as expected.
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// The worst latency, from when the request was due.
    pub(crate) max_us: f64,
    /// The mean latency.
    pub(crate) mean_us: f64,
}

/// What others may see while it is counted: cells with a single writer.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) answered: AtomicU64,
    pub(crate) faults: AtomicU64,
    /// The sum of the latencies, in nanoseconds.
    pub(crate) latency_nanos: AtomicU64,
    /// 1 once the warm-up is over.
    pub(crate) measuring: AtomicU64,
}

fn bump(cell: &AtomicU64, by: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// What a lane counts.
#[derive(Debug)]
pub(crate) struct Tally {
    /// What is due before is warm-up.
    from: Duration,
    /// Nothing is due from here on.
    to: Duration,
    /// Answers between the two, whenever they were due: what was achieved in that time.
    pub(crate) in_time: u64,
    /// Failures between the two.
    pub(crate) faults_in_time: u64,
    /// What was due between the two and was sent between the two.
    pub(crate) sent_in_time: u64,
    /// What was due and has not been sent at all.
    pub(crate) unsent: u64,
    /// From when the request was due.
    pub(crate) corrected: Histogram<u64>,
    /// From when it was sent.
    pub(crate) uncorrected: Histogram<u64>,
    /// How late requests were sent although a connection was free.
    pub(crate) lateness: Histogram<u64>,
    pub(crate) faults: Faults,
    /// In a closed loop requests are due when they are sent.
    closed: bool,
    /// Bytes received.
    pub(crate) bytes: u64,
    /// Requests that waited because every connection was busy.
    pub(crate) waited: u64,
    /// When the last answer, or failure, came.
    pub(crate) last: Duration,
    /// What a first fault of each kind was, in words.
    pub(crate) samples: Vec<String>,
    seconds: Vec<Second>,
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, DIGITS).expect("the bounds are a valid histogram's")
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(LATENCY_NANOS_MAX).clamp(1, LATENCY_NANOS_MAX)
}

impl Tally {
    /// Counts what is due from `from` on, and before `to`.
    pub(crate) fn new((from, to): (Duration, Duration), closed: bool) -> Self {
        Self {
            from,
            to,
            in_time: 0,
            faults_in_time: 0,
            sent_in_time: 0,
            unsent: 0,
            closed,
            corrected: histogram(),
            uncorrected: histogram(),
            lateness: histogram(),
            faults: Faults::default(),
            bytes: 0,
            waited: 0,
            last: from,
            samples: Vec::new(),
            seconds: Vec::new(),
        }
    }

    /// An answer came as expected.
    pub(crate) fn answered(&mut self, moments: Moments, now: Duration, bytes: u64, progress: &Progress) {
        if now >= self.from && now < self.to {
            self.in_time += 1;
        }
        if moments.due < self.from {
            return;
        }
        self.sent_in_time += u64::from(moments.sent < self.to);
        let latency = nanos(now.saturating_sub(moments.due));
        self.corrected.saturating_record(latency);
        if !self.closed {
            self.uncorrected.saturating_record(nanos(now.saturating_sub(moments.sent)));
        }
        self.bytes += bytes;
        self.last = self.last.max(now);
        let second = self.second(now);
        let micros = latency as f64 / 1e3;
        second.mean_us += (micros - second.mean_us) / (second.requests + 1) as f64;
        second.requests += 1;
        second.max_us = second.max_us.max(micros);
        bump(&progress.answered, 1);
        bump(&progress.latency_nanos, latency);
    }

    /// A request has no answer that counts; `says` tells what happened, for the first of each kind.
    pub(crate) fn failed(
        &mut self,
        fault: Fault,
        (moments, now): (Moments, Duration),
        progress: &Progress,
        says: impl FnOnce() -> String,
    ) {
        self.faults_in_time += u64::from(now >= self.from && now < self.to);
        if moments.due < self.from {
            return;
        }
        self.sent_in_time += u64::from(moments.sent < self.to);
        let count = self.faults.of(fault);
        *count += 1;
        if *count == 1 {
            self.samples.push(says());
        }
        self.last = self.last.max(now);
        self.second(now).errors += 1;
        bump(&progress.faults, 1);
    }

    /// A request was sent at once although it was due before: the generator was late.
    pub(crate) fn late(&mut self, due: Duration, now: Duration) {
        if due >= self.from {
            self.lateness.saturating_record(nanos(now.saturating_sub(due)));
        }
    }

    /// A request that was due waited for a connection.
    pub(crate) fn waited(&mut self, due: Duration) {
        self.waited += u64::from(due >= self.from);
    }

    /// From the beginning of the measurement to the last answer or failure.
    pub(crate) fn elapsed(&self) -> Duration {
        self.last.saturating_sub(self.from)
    }

    fn second(&mut self, now: Duration) -> &mut Second {
        let at = usize::try_from(now.saturating_sub(self.from).as_secs()).unwrap_or(usize::MAX);
        let at = at.min(7 * 24 * 3600);
        while self.seconds.len() <= at {
            let at_s = self.seconds.len() as f64;
            self.seconds.push(Second { at_s, ..Second::default() });
        }
        &mut self.seconds[at]
    }

    /// Adds what another lane has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.corrected, &other.corrected),
            (&mut self.uncorrected, &other.uncorrected),
            (&mut self.lateness, &other.lateness),
        ] {
            mine.add(theirs).expect("all have the same bounds");
        }
        self.faults.add(&other.faults);
        self.in_time += other.in_time;
        self.faults_in_time += other.faults_in_time;
        self.sent_in_time += other.sent_in_time;
        self.unsent += other.unsent;
        self.bytes += other.bytes;
        self.waited += other.waited;
        self.last = self.last.max(self.from + other.elapsed());
        for sample in &other.samples {
            if self.samples.len() < 5 && !self.samples.contains(sample) {
                self.samples.push(sample.clone());
            }
        }
        for (at, theirs) in other.seconds.iter().enumerate() {
            let mine = self.second(self.from + Duration::from_secs(at as u64));
            merge(mine, theirs);
        }
    }

    /// The course over time, in at most 1,200 parts of the same length, and that length in seconds.
    pub(crate) fn course(&self) -> (Vec<Second>, u64) {
        let each = self.seconds.len().div_ceil(SECONDS_KEPT).max(1);
        let parts = self.seconds.chunks(each).map(|part| {
            let mut sum = Second { at_s: part[0].at_s, ..Second::default() };
            part.iter().for_each(|second| merge(&mut sum, second));
            sum
        });
        (parts.collect(), each as u64)
    }
}

fn merge(mine: &mut Second, theirs: &Second) {
    let requests = mine.requests + theirs.requests;
    if requests > 0 {
        let sum = mine.mean_us * mine.requests as f64 + theirs.mean_us * theirs.requests as f64;
        mine.mean_us = sum / requests as f64;
    }
    mine.requests = requests;
    mine.errors += theirs.errors;
    mine.max_us = mine.max_us.max(theirs.max_us);
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn sent(due: u64, sent: u64) -> Moments {
        Moments { due: millis(due), sent: millis(sent) }
    }

    fn tally(from: u64) -> Tally {
        Tally::new((millis(from), Duration::MAX), false)
    }

    #[test]
    fn warm_up_counts_for_nothing() {
        let (mut tally, progress) = (tally(1000), Progress::default());
        tally.answered(sent(999, 999), millis(2000), 10, &progress);
        tally.failed(Fault::Reset, (sent(999, 999), millis(2000)), &progress, || {
            unreachable!("it does not count")
        });
        tally.late(millis(999), millis(2000));
        tally.waited(millis(999));
        assert_eq!((tally.corrected.len(), tally.faults.sum(), tally.bytes, tally.waited), (0, 0, 0, 0));
        assert_eq!((tally.lateness.len(), tally.course().0.len()), (0, 0));
    }

    #[test]
    fn latency_is_counted_from_when_a_request_was_due() {
        let (mut tally, progress) = (tally(0), Progress::default());
        tally.answered(sent(100, 150), millis(160), 10, &progress);
        assert_eq!(tally.corrected.max() / 1_000_000, 60);
        assert_eq!(tally.uncorrected.max() / 1_000_000, 10);
    }

    #[test]
    fn what_was_achieved_is_what_came_in_time() {
        let progress = Progress::default();
        let mut tally = Tally::new((millis(1000), millis(2000)), false);
        for (due, now) in [(900, 950), (900, 1100), (1500, 1600), (1900, 2000)] {
            tally.answered(sent(due, due), millis(now), 0, &progress);
        }
        assert_eq!((tally.in_time, tally.corrected.len(), tally.sent_in_time), (2, 2, 2));
        // It had to wait for a connection.
        tally.answered(sent(1990, 2010), millis(2020), 0, &progress);
        tally.failed(Fault::Status, (sent(1600, 1600), millis(1700)), &progress, String::new);
        assert_eq!((tally.sent_in_time, tally.faults_in_time), (3, 1));
    }

    #[test]
    fn lanes_add_up() {
        let progress = Progress::default();
        let (mut one, mut two) = (tally(0), tally(0));
        one.answered(sent(0, 0), millis(10), 5, &progress);
        one.failed(Fault::Status, (sent(0, 0), millis(10)), &progress, || "500".to_owned());
        two.answered(sent(1000, 1000), millis(1030), 5, &progress);
        two.answered(sent(0, 0), millis(20), 5, &progress);
        two.failed(Fault::Status, (sent(0, 0), millis(1500)), &progress, || "500".to_owned());
        one.add(&two);
        assert_eq!((one.corrected.len(), one.faults.status, one.bytes), (3, 2, 15));
        assert_eq!(one.samples, ["500"]);
        let (course, each) = one.course();
        assert_eq!((course.len(), each), (2, 1));
        assert_eq!(
            (course[0].requests, course[0].errors, course[0].mean_us, course[0].max_us),
            (2, 1, 15e3, 20e3)
        );
        assert_eq!((course[1].requests, course[1].errors, course[1].at_s), (1, 1, 1.0));
    }

    #[test]
    fn a_long_course_is_merged() {
        let (mut tally, progress) = (tally(0), Progress::default());
        for second in 0..3000 {
            tally.answered(sent(second * 1000, second * 1000), millis(second * 1000 + 1), 0, &progress);
        }
        let (course, each) = tally.course();
        assert_eq!((course.len(), each, course[1].requests, course[1].at_s), (1000, 3, 3, 3.0));
    }
}

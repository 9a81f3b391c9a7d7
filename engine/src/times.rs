//! How long something took, counted in as few instructions as it takes: a lane does so several times for each request.

use hdrhistogram::Histogram;
use std::{cell::Cell, time::Duration};

/// The range is 1 µs to an hour; what is beyond is counted at the end.
const MICROS_MAX: u64 = 3_600_000_000;
/// Buckets of one octave. Below twice as many microseconds each has its own; above, two digits are kept: 1 % of error.
const PER_OCTAVE: usize = 128;
/// Where [`MICROS_MAX`] is counted, and one.
const BUCKETS: usize = place(MICROS_MAX) + 1;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The bucket of so many microseconds: those of a histogram with two digits.
const fn place(micros: u64) -> usize {
    let octave = (u64::BITS - (micros / (2 * PER_OCTAVE as u64)).leading_zeros()) as usize;
    octave * PER_OCTAVE + (micros >> octave) as usize
}

/// The least that is counted there.
const fn least(place: usize) -> u64 {
    let octave = match place / PER_OCTAVE {
        0 => 0,
        above => above - 1,
    };
    ((place - octave * PER_OCTAVE) as u64) << octave
}

/// Times, each counted in a bucket, and their sum.
pub(crate) struct Times {
    buckets: Box<[Cell<u64>; BUCKETS]>,
    /// In nanoseconds: buckets round.
    sum: Cell<u64>,
}

impl Times {
    pub(crate) fn new() -> Self {
        Self { buckets: Box::new([const { Cell::new(0) }; BUCKETS]), sum: Cell::new(0) }
    }

    /// Something has taken so long. Most of what is counted took no time worth speaking of.
    pub(crate) fn add(&self, took: Duration) {
        let nanos = took.subsec_nanos();
        let micros = (nanos / 1000) as usize;
        if took.as_secs() > 0 || micros >= 2 * PER_OCTAVE {
            return self.add_long(took);
        }
        self.sum.set(self.sum.get().wrapping_add(nanos.into()));
        self.count(micros.max(1));
    }

    fn add_long(&self, took: Duration) {
        let nanos =
            took.as_secs().saturating_mul(NANOS_PER_SECOND).saturating_add(took.subsec_nanos().into());
        self.sum.set(self.sum.get().wrapping_add(nanos));
        self.count(place((nanos / 1000).clamp(1, MICROS_MAX)));
    }

    fn count(&self, place: usize) {
        let bucket = &self.buckets[place];
        bucket.set(bucket.get() + 1);
    }

    /// In nanoseconds.
    pub(crate) fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// As a histogram for others.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        let mut histogram =
            Histogram::new_with_bounds(1, MICROS_MAX, 2).expect("the bounds are a valid histogram's");
        for (place, count) in self.buckets.iter().enumerate().filter(|(_, count)| count.get() > 0) {
            histogram.saturating_record_n(least(place), count.get());
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_a_histogram() {
        let histogram = Histogram::<u64>::new_with_bounds(1, MICROS_MAX, 2).unwrap();
        let mut micros = 1;
        while micros <= MICROS_MAX {
            for micros in [micros - 1, micros, micros + 1, micros + micros / 2]
                .map(|micros| micros.clamp(1, MICROS_MAX))
            {
                assert_eq!(least(place(micros)), histogram.lowest_equivalent(micros), "{micros}");
            }
            micros *= 2;
        }
        for micros in (1..3000).chain([99_999, 100_000, 1_234_567, MICROS_MAX]) {
            assert_eq!(least(place(micros)), histogram.lowest_equivalent(micros), "{micros}");
        }
        assert_eq!(place(MICROS_MAX), BUCKETS - 1);
    }

    #[test]
    fn times_are_counted_once_and_summed_exactly() {
        let times = Times::new();
        for took in
            [Duration::ZERO, Duration::from_nanos(999), Duration::from_nanos(1_000_001), Duration::MAX]
        {
            times.add(took);
        }
        let histogram = times.histogram();
        assert_eq!((histogram.len(), histogram.count_at(1), histogram.count_at(1000)), (4, 2, 1));
        assert_eq!(histogram.count_at(MICROS_MAX), 1);
        let exact = Times::new();
        exact.add(Duration::from_nanos(3));
        exact.add(Duration::from_nanos(4));
        assert_eq!(exact.sum(), 7);
    }

    /// Short times are counted by a shorter way: it is the same where the two meet.
    #[test]
    fn short_times_and_long_ones_are_counted_alike() {
        let times = Times::new();
        let mut expected = Histogram::<u64>::new_with_bounds(1, MICROS_MAX, 2).unwrap();
        let micros = (0..1000).chain([999_999, 1_000_000, 1_000_100]);
        for micros in micros.clone() {
            times.add(Duration::from_micros(micros));
            expected.record(expected.lowest_equivalent(micros.max(1))).unwrap();
        }
        assert_eq!(times.histogram(), expected);
        assert_eq!(times.sum(), micros.sum::<u64>() * 1000);
    }
}

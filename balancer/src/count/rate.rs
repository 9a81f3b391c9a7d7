//! How many events in the last window.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::nanos;

/// Events in the last window, in fixed memory and constant time.
///
/// At any `now` the window is what happened after `now - window`, up to and including `now`. It is counted in
/// [`SLOTS`](Self::SLOTS) slots, whose edges are multiples of a slot's length: when `now` is on such an edge the
/// count is exact. Otherwise the oldest slot is partly outside and counts for the part of it that is inside, as
/// if its events had been spread evenly (the sliding-window counter of Cloudflare, "How we built rate limiting
/// capable of scaling to millions of domains", 2017, with 16 slots where it has one). So the error is at most
/// the events of one sixteenth of a window, and [`bounds`](Self::bounds) says how much it can be.
///
/// ```
/// use std::time::Duration;
///
/// use corelane_balancer::count::Rate;
///
/// let mut rate = Rate::new(Duration::from_secs(1));
/// rate.add(30, Duration::from_millis(500));
/// rate.add(12, Duration::from_millis(900));
/// assert_eq!(rate.count(Duration::from_millis(1_000)), 42);
/// assert_eq!(rate.count(Duration::from_millis(1_500)), 12, "what is as old as the window is out");
/// assert_eq!(rate.count(Duration::from_millis(2_000)), 0);
/// ```
#[derive(Clone, Debug)]
pub struct Rate {
    slot_ns: u64,
    /// The newest slot in which something was counted. A slot ends with its edge: the one that ends at `n`
    /// slots' lengths after the epoch has the index `n`.
    latest: u64,
    /// Those of the indexes `latest - SLOTS` to `latest`, each at its index modulo their number.
    events: [u64; Self::SLOTS as usize + 1],
}

impl Rate {
    /// A window has this many slots: 16.
    pub const SLOTS: u64 = 16;

    /// No events yet, over windows of this length: a whole number of slots, each of at least 1 ns and at most
    /// 2^59 ns (18 years), to which it is rounded up or cut.
    pub fn new(window: Duration) -> Self {
        let slot_ns = nanos(window).div_ceil(Self::SLOTS).max(1);
        Self { slot_ns, latest: 0, events: [0; Self::SLOTS as usize + 1] }
    }

    /// Counts `events` at `now`. Should `now` be before what was counted last, they count as just as late.
    ///
    /// A slot stops at `u64::MAX`.
    pub fn add(&mut self, events: u64, now: Duration) {
        let index = self.index(now).0;
        if index > self.latest {
            self.advance_to(index);
        }
        let slot = &mut self.events[place(self.latest)];
        *slot = slot.saturating_add(events);
    }

    /// The events in the window that ends at `now`: exact on the edge of a slot, else the best guess.
    pub fn count(&self, now: Duration) -> u64 {
        let (inside, oldest, inside_ns) = self.sums(now);
        let part = u128::from(oldest) * u128::from(inside_ns) / u128::from(self.slot_ns);
        // The part is less than the whole, so it fits.
        inside.saturating_add(part as u64)
    }

    /// The least and the most that they can be: the truth is always between these.
    pub fn bounds(&self, now: Duration) -> RangeInclusive<u64> {
        let (inside, oldest, inside_ns) = self.sums(now);
        let most = if inside_ns == 0 { inside } else { inside.saturating_add(oldest) };
        inside..=most
    }

    /// [`count`](Self::count) divided by the window's length in seconds.
    pub fn per_second(&self, now: Duration) -> f64 {
        self.count(now) as f64 / self.window().as_secs_f64()
    }

    /// The length of the window, as it was rounded.
    pub fn window(&self) -> Duration {
        Duration::from_nanos(self.slot_ns * Self::SLOTS)
    }

    /// The events in slots that are inside, those of the oldest slot, and how much of that is inside.
    fn sums(&self, now: Duration) -> (u64, u64, u64) {
        let (index, age_ns) = self.index(now);
        // Before the latest slot there is no telling what to leave out.
        let (index, age_ns) = if index < self.latest { (self.latest, 0) } else { (index, age_ns) };
        let inside = (0..Self::SLOTS).map(|age| self.slot(index, age)).fold(0, u64::saturating_add);
        (inside, self.slot(index, Self::SLOTS), self.slot_ns - age_ns)
    }

    /// What was counted in the slot that is `age` slots older than the one at `index`.
    fn slot(&self, index: u64, age: u64) -> u64 {
        let held = self.latest.saturating_sub(Self::SLOTS)..=self.latest;
        match index.checked_sub(age) {
            Some(index) if held.contains(&index) => self.events[place(index)],
            _ => 0,
        }
    }

    /// The slot that holds `now`, and how far into it that is: more than nothing, up to its whole length.
    fn index(&self, now: Duration) -> (u64, u64) {
        let now_ns = nanos(now);
        let index = now_ns.div_ceil(self.slot_ns);
        // The slot with the index 0 holds the epoch alone, as the end of a slot.
        let age_ns = self.slot_ns - (index * self.slot_ns - now_ns);
        (index, age_ns)
    }

    fn advance_to(&mut self, index: u64) {
        let new = (index - self.latest).min(self.events.len() as u64);
        for index in self.latest + 1..=self.latest + new {
            self.events[place(index)] = 0;
        }
        self.latest = index;
    }
}

fn place(index: u64) -> usize {
    (index % (Rate::SLOTS + 1)) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What happened after `now - window`, up to `now`.
    fn truth(events: &[(u64, u64)], window: u64, now: u64) -> u64 {
        let inside = |at: u64| at <= now && at + window > now;
        events.iter().filter(|(at, _)| inside(*at)).map(|(_, count)| count).sum()
    }

    proptest! {
        #[test]
        fn the_truth_is_within_the_bounds_and_exact_on_edges(
            slot in 1..50_u64,
            steps in prop::collection::vec((0..400_u64, 0..100_u64), 1..200),
            waits in prop::collection::vec(0..1_000_u64, 1..20),
        ) {
            let mut rate = Rate::new(Duration::from_nanos(slot * Rate::SLOTS));
            let window = slot * Rate::SLOTS;
            let mut events = Vec::new();
            let mut now = 0;
            let check = |rate: &Rate, events: &[(u64, u64)], now: u64| {
                let at = Duration::from_nanos(now);
                let (truth, bounds) = (truth(events, window, now), rate.bounds(at));
                prop_assert!(bounds.contains(&truth), "{truth} in {bounds:?}");
                prop_assert!(bounds.contains(&rate.count(at)));
                if now.is_multiple_of(slot) {
                    prop_assert_eq!(rate.count(at), truth);
                    prop_assert_eq!(bounds, truth..=truth);
                }
                Ok(())
            };
            for (wait, count) in steps {
                now += wait % (3 * slot);
                rate.add(count, Duration::from_nanos(now));
                events.push((now, count));
                check(&rate, &events, now)?;
                check(&rate, &events, now.next_multiple_of(slot))?;
            }
            for wait in waits {
                now += wait;
                check(&rate, &events, now)?;
                check(&rate, &events, now.next_multiple_of(slot))?;
            }
        }

        #[test]
        fn never_panics(
            window in any::<u64>(),
            steps in prop::collection::vec((any::<u64>(), any::<u64>()), 0..20),
        ) {
            let mut rate = Rate::new(Duration::from_nanos(window));
            for (count, now) in steps {
                let now = Duration::from_nanos(now);
                rate.add(count, now);
                prop_assert!(rate.bounds(now).contains(&rate.count(now)));
                prop_assert!(rate.count(now) >= count, "they have just happened");
            }
        }
    }

    #[test]
    fn an_event_is_in_for_exactly_the_window() {
        let window = Duration::from_secs(1);
        let mut rate = Rate::new(window);
        assert_eq!(rate.window(), window);
        rate.add(1_000, window);
        let ns = Duration::from_nanos(1);
        assert_eq!(rate.count(window), 1_000);
        assert_eq!(rate.bounds(2 * window - ns), 0..=1_000, "what is left of the slot may hold it");
        assert_eq!(rate.count(2 * window - window / 16), 1_000);
        assert_eq!(rate.bounds(2 * window), 0..=0);
        assert_eq!(rate.count(2 * window), 0);
    }

    #[test]
    fn between_edges_the_oldest_slot_counts_in_part() {
        let mut rate = Rate::new(Duration::from_millis(1_600));
        rate.add(100, Duration::from_millis(50));
        assert_eq!(rate.count(Duration::from_millis(1_600)), 100);
        assert_eq!(rate.count(Duration::from_millis(1_625)), 75);
        assert_eq!(rate.count(Duration::from_millis(1_699)), 1);
        assert_eq!(rate.count(Duration::from_millis(1_700)), 0);
    }

    #[test]
    fn time_that_runs_backwards_loses_nothing() {
        let mut rate = Rate::new(Duration::from_secs(1));
        rate.add(5, Duration::from_secs(10));
        rate.add(7, Duration::from_secs(3));
        assert_eq!(rate.count(Duration::from_secs(10)), 12);
        assert_eq!(rate.count(Duration::from_secs(3)), 12);
    }

    #[test]
    fn windows_at_the_limits() {
        assert_eq!(Rate::new(Duration::ZERO).window(), Duration::from_nanos(16));
        assert_eq!(Rate::new(Duration::from_nanos(17)).window(), Duration::from_nanos(32));
        assert_eq!(Rate::new(Duration::MAX).window(), Duration::from_nanos(1 << 63));
        let mut rate = Rate::new(Duration::MAX);
        rate.add(u64::MAX, Duration::MAX);
        rate.add(u64::MAX, Duration::MAX);
        assert_eq!(rate.count(Duration::MAX), u64::MAX);
        assert!(rate.per_second(Duration::MAX) > 0.0);
    }
}

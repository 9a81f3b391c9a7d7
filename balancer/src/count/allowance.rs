//! A lane's share of a number that all lanes share.

use std::time::Duration;

/// What nobody has leased of a number that all lanes share: a cluster's connection maximum, say. The arithmetic
/// alone; whoever shares it keeps [`to_raw`](Self::to_raw) in an atomic cell.
///
/// What is free here, held by the lanes' [`Allowance`]s, and spent by them is the total at every moment: a
/// maximum of 1 over 4 lanes is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stock {
    /// Below 0 after the total was cut below what is leased: then nothing is leased until enough came back.
    free: i64,
}

impl Stock {
    /// Everything is free.
    pub const fn new(total: u32) -> Self {
        Self { free: total as i64 }
    }

    /// Leases at least `need`, or nothing when there aren't that many; and more, up to `batch`, as long as there
    /// is plenty. How many.
    ///
    /// Beyond the need, a lease is at most what is left divided by twice the number of lanes: guided
    /// self-scheduling (Polychronopoulos and Kuck, IEEE Trans. Computers C-36(12), 1987), so that batches shrink
    /// as the stock does and no lane takes what the others will need.
    pub const fn lease(&mut self, need: u32, batch: u32, lanes: u32) -> u32 {
        if need == 0 || self.free < need as i64 {
            return 0;
        }
        let lanes = if lanes == 0 { 1 } else { lanes as i64 };
        let share = (self.free - need as i64) / (2 * lanes);
        let more = batch.saturating_sub(need) as i64;
        // At most `batch` or `need`, so it fits.
        let leased = need as i64 + if share < more { share } else { more };
        self.free -= leased;
        leased as u32
    }

    /// Takes back `n` that were leased.
    pub const fn put_back(&mut self, n: u32) {
        self.free = self.free.saturating_add(n as i64);
    }

    /// The total has changed, while some of it is leased. Should it be less than that, it is exceeded until
    /// enough came back; what lanes hold they may still spend, unless they are told to
    /// [`release`](Allowance::release) it.
    pub const fn resize(&mut self, old_total: u32, new_total: u32) {
        self.free = self.free.saturating_add(new_total as i64 - old_total as i64);
    }

    /// How many can be leased.
    pub const fn free(&self) -> u64 {
        if self.free < 0 { 0 } else { self.free as u64 }
    }

    /// How many must come back until the total holds again: more than 0 only after it was cut.
    pub const fn debt(&self) -> u64 {
        if self.free < 0 { self.free.unsigned_abs() } else { 0 }
    }

    /// As one number, for whoever keeps it in an atomic cell.
    pub const fn to_raw(self) -> i64 {
        self.free
    }

    /// The stock of which [`to_raw`](Self::to_raw) gave this number.
    pub const fn from_raw(raw: i64) -> Self {
        Self { free: raw }
    }
}

/// What one lane has leased of a [`Stock`], or of a shared [`Bucket`](super::Bucket): spending costs no look at
/// what is shared.
///
/// Of what is leased, a part is held and a part is spent. What can be used again (a connection that was closed)
/// is [returned](Self::give_back) here and held; what cannot (a request that was let pass) is spent for good.
/// What is held longer than it is needed is [reclaimed](Self::reclaim): the least that was held over a whole
/// period was of no use in it (the working set of Bonwick and Adams, "Magazines and Vmem", USENIX 2001).
///
/// ```
/// use std::time::Duration;
///
/// use corelane_balancer::count::{Allowance, Stock};
///
/// let period = Duration::from_secs(1);
/// let (lanes, batch) = (2, 8);
/// let mut connections = Stock::new(10);
/// let mut lane = Allowance::new(period, Duration::ZERO);
///
/// assert!(!lane.spend(1), "nothing is held yet");
/// lane.lease(connections.lease(1, batch, lanes));
/// assert_eq!(lane.held(), 3);
/// assert!(lane.spend(1));
/// assert_eq!((lane.held(), lane.spent(), connections.free()), (2, 1, 7));
///
/// // A second later, two were never needed; the connection that is closed then may be of use again.
/// lane.give_back(1);
/// connections.put_back(lane.reclaim(period));
/// assert_eq!((lane.held(), lane.spent(), connections.free()), (3, 0, 7), "leased within the period");
/// connections.put_back(lane.reclaim(2 * period));
/// assert_eq!((lane.held(), connections.free()), (0, 10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Leased, and neither spent nor let go.
    held: u32,
    spent: u64,
    /// The least that was held since the period began.
    held_min: u32,
    period: Duration,
    period_began: Duration,
}

impl Allowance {
    /// Nothing leased. What goes unused for a whole `period` is reclaimed; a second is a good start. `now` is
    /// the time since the caller's epoch.
    pub const fn new(period: Duration, now: Duration) -> Self {
        Self { held: 0, spent: 0, held_min: 0, period, period_began: now }
    }

    /// Holds `n` more, which were leased. What would be more than `u32::MAX` stays leased and is lost: lease
    /// less.
    pub const fn lease(&mut self, n: u32) {
        self.held = self.held.saturating_add(n);
    }

    /// Spends `n` of what is held. False when it isn't that many: then nothing was spent, and at least
    /// `n` less [`held`](Self::held) must be leased first.
    #[must_use = "false: nothing was spent"]
    pub const fn spend(&mut self, n: u32) -> bool {
        let Some(held) = self.held.checked_sub(n) else { return false };
        self.held = held;
        self.spent = self.spent.saturating_add(n as u64);
        if self.held_min > held {
            self.held_min = held;
        }
        true
    }

    /// Holds `n` again that were spent; at most as many as were. How many: they can be spent again, or given
    /// to those who wait by [`release`](Self::release).
    pub const fn give_back(&mut self, n: u32) -> u32 {
        let room = u32::MAX - self.held;
        let n = if n > room { room } else { n };
        let back = if (n as u64) < self.spent { n } else { self.spent as u32 };
        self.spent -= back as u64;
        self.held += back;
        back
    }

    /// Lets go of what is held, at most `at_most`, at once: another lane waits for it, or the stock is in
    /// [debt](Stock::debt). How many: put them back.
    #[must_use = "what is let go must be put back"]
    pub const fn release(&mut self, at_most: u32) -> u32 {
        let released = if at_most < self.held { at_most } else { self.held };
        self.held -= released;
        if self.held_min > self.held {
            self.held_min = self.held;
        }
        released
    }

    /// Lets go of what was of no use since the period began, once the period is over; another begins. How many:
    /// put them back.
    ///
    /// Called now and then (by a lane's sweep), it returns what is held unused within two periods.
    #[must_use = "what is let go must be put back"]
    pub fn reclaim(&mut self, now: Duration) -> u32 {
        if now.saturating_sub(self.period_began) < self.period {
            return 0;
        }
        let unused = self.release(self.held_min);
        (self.held_min, self.period_began) = (self.held, now);
        unused
    }

    /// How many are held: they can be spent without a lease.
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// How many were spent and not given back.
    pub const fn spent(&self) -> u64 {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LANES: usize = 4;
    const PERIOD: Duration = Duration::from_secs(1);
    const BATCH: u32 = 8;

    #[derive(Clone, Debug)]
    enum Step {
        Spend(usize, u32),
        GiveBack(usize, u32),
        Release(usize, u32),
        Reclaim(usize),
        Resize(u32),
        WaitMs(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let lane = || 0..LANES;
        prop_oneof![
            8 => (lane(), 0..4_u32).prop_map(|(lane, n)| Step::Spend(lane, n)),
            4 => (lane(), 0..4_u32).prop_map(|(lane, n)| Step::GiveBack(lane, n)),
            1 => (lane(), 0..9_u32).prop_map(|(lane, n)| Step::Release(lane, n)),
            3 => lane().prop_map(Step::Reclaim),
            1 => (0..60_u32).prop_map(Step::Resize),
            2 => (0..1_500_u64).prop_map(Step::WaitMs),
        ]
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_the_total_holds(
            mut total in 0..60_u32,
            steps in prop::collection::vec(step(), 0..300),
        ) {
            let mut stock = Stock::new(total);
            let mut lanes = vec![Allowance::new(PERIOD, Duration::ZERO); LANES];
            let mut now = Duration::ZERO;
            for step in steps {
                let leased_before = i64::from(total) - stock.to_raw();
                match step {
                    Step::Spend(lane, n) => {
                        let lane = &mut lanes[lane];
                        let missing = n.saturating_sub(lane.held());
                        let leased = stock.lease(missing, BATCH, LANES as u32);
                        prop_assert!(leased == 0 || (missing..=missing.max(BATCH)).contains(&leased));
                        lane.lease(leased);
                        prop_assert_eq!(lane.spend(n), leased >= missing);
                    }
                    Step::GiveBack(lane, n) => {
                        let spent = lanes[lane].spent();
                        prop_assert_eq!(u64::from(lanes[lane].give_back(n)), spent.min(u64::from(n)));
                    }
                    Step::Release(lane, n) => stock.put_back(lanes[lane].release(n)),
                    Step::Reclaim(lane) => stock.put_back(lanes[lane].reclaim(now)),
                    Step::Resize(new) => {
                        stock.resize(total, new);
                        total = new;
                    }
                    Step::WaitMs(ms) => now += Duration::from_millis(ms),
                }
                let spent: u64 = lanes.iter().map(Allowance::spent).sum();
                let held: u64 = lanes.iter().map(|lane| u64::from(lane.held())).sum();
                prop_assert_eq!(stock.to_raw() + (held + spent) as i64, i64::from(total));
                let leased = (held + spent) as i64;
                prop_assert!(leased <= i64::from(total).max(leased_before), "only a cut total is exceeded");
                prop_assert_eq!(Stock::from_raw(stock.to_raw()), stock);
                prop_assert!(stock.free() == 0 || stock.debt() == 0);
            }
        }

        #[test]
        fn what_is_held_unused_is_back_within_two_periods(
            leased in 1..100_u32,
            used in 0..100_u32,
            at_ms in 0..5_000_u64,
        ) {
            let mut lane = Allowance::new(PERIOD, Duration::ZERO);
            let used = used.min(leased);
            let mut now = Duration::from_millis(at_ms);
            let _ = lane.reclaim(now);
            lane.lease(leased);
            let mut reclaimed = 0;
            // As many as are used are out for a while in every tenth of a period.
            for _ in 0..20 {
                prop_assert!(lane.spend(used), "what is in use is not reclaimed");
                prop_assert_eq!(lane.give_back(used), used);
                now += PERIOD / 10;
                reclaimed += lane.reclaim(now);
            }
            prop_assert_eq!((reclaimed, lane.held()), (leased - used, used));
        }

        #[test]
        fn batches_leave_something_for_the_others(total in 1..1_000_u32, batch in 0..1_000_u32) {
            let mut stock = Stock::new(total);
            let first = stock.lease(1, batch, LANES as u32);
            let fair = total.div_ceil(LANES as u32);
            prop_assert!((1..=fair).contains(&first));
            for _ in 1..LANES.min(total as usize) {
                prop_assert!(stock.lease(1, batch, LANES as u32) >= 1, "each lane has its first");
            }
        }
    }

    #[test]
    fn a_maximum_of_one_over_four_lanes_is_one() {
        let mut stock = Stock::new(1);
        let mut lanes = [(); LANES].map(|()| Allowance::new(PERIOD, Duration::ZERO));
        lanes[2].lease(stock.lease(1, BATCH, LANES as u32));
        assert!(lanes[2].spend(1));
        assert_eq!(stock.lease(1, BATCH, LANES as u32), 0);
        assert_eq!(lanes[2].give_back(1), 1);
        assert_eq!(stock.lease(1, BATCH, LANES as u32), 0, "the lane holds it");
        stock.put_back(lanes[2].release(1));
        assert_eq!(stock.lease(1, BATCH, LANES as u32), 1);
    }

    #[test]
    fn a_total_that_was_cut_is_paid_back_first() {
        let mut stock = Stock::new(10);
        let mut lane = Allowance::new(PERIOD, Duration::ZERO);
        lane.lease(stock.lease(6, 6, 1));
        assert!(lane.spend(6));
        stock.resize(10, 2);
        assert_eq!((stock.free(), stock.debt()), (0, 4));
        assert_eq!(lane.give_back(5), 5);
        stock.put_back(lane.release(4));
        assert_eq!((stock.debt(), stock.lease(1, 1, 1)), (0, 0));
        stock.put_back(lane.release(1));
        assert_eq!(stock.lease(1, 1, 1), 1);
    }

    #[test]
    fn numbers_at_the_limits() {
        let mut stock = Stock::new(u32::MAX);
        assert_eq!(stock.lease(0, BATCH, 1), 0);
        assert_eq!(stock.lease(1, u32::MAX, 0), 1 + (u32::MAX - 1) / 2, "no lanes count as one");
        let mut lane = Allowance::new(PERIOD, Duration::MAX);
        lane.lease(u32::MAX);
        assert!(lane.spend(u32::MAX));
        lane.lease(1);
        assert_eq!(lane.give_back(u32::MAX), u32::MAX - 1);
        assert_eq!((lane.held(), lane.spent()), (u32::MAX, 1));
        assert_eq!(lane.reclaim(Duration::ZERO), 0);
    }
}

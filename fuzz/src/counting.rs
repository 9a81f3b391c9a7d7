//! What counts and limits, by calls in any order, beside lists of all that happened.

use arbitrary::Arbitrary;
use corelane_balancer::count::{Bucket, CountMin, Limit, Rate, Stock, Top};
use std::collections::BTreeMap;
use std::time::Duration;

/// Settings, and what happens.
#[derive(Arbitrary, Debug)]
pub struct Input {
    window_us: u32,
    per: (u16, u32, u8),
    capacity: u8,
    stock: u16,
    calls: Vec<Call>,
}

#[derive(Arbitrary, Debug)]
enum Call {
    Wait(u32),
    /// So many events of a key.
    Count(u8, u32),
    Decay,
    Take(u8),
    TakeUpTo(u8),
    PutBack(u8),
    /// Of the stock: so many, in batches, for lanes.
    Lease(u8, u8, u8),
    Return(u8),
    Resize(u16),
}

struct Counts {
    now: Duration,
    events: Vec<(Duration, u64)>,
    rate: Rate,
    sketch: CountMin,
    top: Top<u8>,
    /// The true count of each key, halved as often as the others were; and as far as a sketch counts.
    keys: BTreeMap<u8, (u64, u32)>,
    limit: Option<(Limit, Bucket)>,
    /// When one passed the limit.
    passed: Vec<Duration>,
    stock: Stock,
    total: u32,
    leased: u64,
}

/// Makes the calls, and looks at everything after each.
pub fn calls(input: &Input) {
    let (count, period_us, burst) = input.per;
    let limit = Limit::new(count.into(), Duration::from_micros(period_us.into()), burst.into());
    let total = u32::from(input.stock);
    let mut counts = Counts {
        now: Duration::from_secs(1),
        events: Vec::new(),
        rate: Rate::new(Duration::from_micros(input.window_us.into())),
        sketch: CountMin::new(0.1, 0.1, 7).expect("both are in range"),
        top: Top::new(usize::from(input.capacity)),
        keys: BTreeMap::new(),
        limit: limit.ok().map(|limit| (limit, Bucket::default())),
        passed: Vec::new(),
        stock: Stock::new(total),
        total,
        leased: 0,
    };
    for call in input.calls.iter().take(200) {
        counts.call(call);
        counts.hold();
    }
}

impl Counts {
    fn call(&mut self, call: &Call) {
        match call {
            Call::Wait(us) => self.now += Duration::from_micros(u64::from(*us)),
            Call::Count(key, events) => {
                self.rate.add(u64::from(*events), self.now);
                self.events.push((self.now, u64::from(*events)));
                self.sketch.add(u64::from(*key), *events);
                self.top.add(u64::from(*key), u64::from(*events), || *key);
                let count = self.keys.entry(*key).or_default();
                *count = (count.0 + u64::from(*events), count.1.saturating_add(*events));
            }
            Call::Decay => {
                self.sketch.decay();
                self.top.decay();
                self.keys.values_mut().for_each(|count| *count = (count.0 / 2, count.1 / 2));
            }
            Call::Take(n) => self.take(u32::from(*n)),
            Call::TakeUpTo(at_most) => {
                let Some((limit, bucket)) = &mut self.limit else { return };
                let left = bucket.left(limit, self.now);
                let taken = bucket.take_up_to(limit, u32::from(*at_most), self.now);
                assert_eq!(taken, left.min(u32::from(*at_most)));
                self.passed.extend(std::iter::repeat_n(self.now, taken as usize));
            }
            Call::PutBack(n) => {
                let Some((limit, bucket)) = &mut self.limit else { return };
                // Only what was taken at this moment: then it is as if it had not been.
                let taken = self.passed.iter().rev().take_while(|at| **at == self.now).count();
                let n = usize::from(*n).min(taken);
                bucket.put_back(limit, n as u32);
                self.passed.truncate(self.passed.len() - n);
            }
            Call::Lease(need, batch, lanes) => {
                let (need, batch, free) = (u32::from(*need), u32::from(*batch), self.stock.free());
                let leased = self.stock.lease(need, batch, u32::from(*lanes));
                assert!(leased == 0 || (leased >= need && leased <= need.max(batch)));
                assert_eq!(leased == 0, need == 0 || free < u64::from(need));
                self.leased += u64::from(leased);
            }
            Call::Return(n) => {
                let n = u64::from(*n).min(self.leased);
                self.stock.put_back(n as u32);
                self.leased -= n;
            }
            Call::Resize(total) => {
                self.stock.resize(self.total, u32::from(*total));
                self.total = u32::from(*total);
            }
        }
    }

    fn take(&mut self, n: u32) {
        let Some((limit, bucket)) = &mut self.limit else { return };
        let before = *bucket;
        match bucket.take(limit, n, self.now) {
            Ok(()) => self.passed.extend(std::iter::repeat_n(self.now, n as usize)),
            Err(wait) => {
                assert_eq!(*bucket, before, "nothing was taken");
                assert_eq!(wait == Duration::MAX, n > limit.burst());
                if wait < Duration::MAX {
                    let (mut early, mut then) = (before, before);
                    assert!(early.take(limit, n, self.now + wait - Duration::from_nanos(1)).is_err());
                    assert_eq!(then.take(limit, n, self.now + wait), Ok(()));
                }
            }
        }
    }

    fn hold(&self) {
        let inside = |(at, _): &&(Duration, u64)| self.now - *at < self.rate.window();
        let truth: u64 = self.events.iter().filter(inside).map(|(_, events)| events).sum();
        let bounds = self.rate.bounds(self.now);
        assert!(bounds.contains(&truth), "{truth} in {bounds:?}");
        assert!(bounds.contains(&self.rate.count(self.now)));
        for (key, (count, as_far)) in &self.keys {
            let estimate = self.sketch.estimate(u64::from(*key));
            assert!(estimate >= *as_far, "{key}: {estimate}, {as_far}");
            if let Some(counted) = self.top.counted(u64::from(*key)) {
                assert!(counted.count >= *count, "{key}: {counted:?}, {count}");
                assert!(counted.count - counted.error <= *count, "{key}: {counted:?}, {count}");
                assert_eq!(counted.label, key);
            }
        }
        self.limit_holds();
        assert_eq!(
            i128::from(self.stock.free()) - i128::from(self.stock.debt()),
            i128::from(self.total) - i128::from(self.leased)
        );
    }

    /// In no span of time more have passed than the burst and what refilled meanwhile.
    fn limit_holds(&self) {
        let Some((limit, bucket)) = &self.limit else { return };
        assert!(bucket.left(limit, self.now) <= limit.burst());
        let Some(last) = self.passed.last() else { return };
        for (at, first) in self.passed.iter().enumerate().rev().take(300) {
            let passed = (self.passed.len() - at) as u128;
            let refilled = (*last - *first).as_nanos() / limit.interval().as_nanos();
            assert!(passed <= u128::from(limit.burst()) + refilled, "{passed} in {:?}", *last - *first);
        }
    }
}

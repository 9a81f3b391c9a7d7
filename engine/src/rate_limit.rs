//! Rate limits, as handlers use them: one recipe, and on each lane what it has taken from it.

use crate::{
    io::{HashState, clock::Clock},
    lane::Lane,
    network::block,
    shared::rates::{Batch, Rates},
};
use corelane_balancer::count::Limit;
use std::{
    cell::Cell,
    fmt,
    hash::BuildHasher,
    net::IpAddr,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

/// How long what a lane has taken ahead is good for; then it is put back. Also how long it takes a lane's word for it
/// that there is nothing.
const LEASE: Duration = Duration::from_millis(10);
/// Keys of which a lane remembers what it has.
const REMEMBERED_MAX: usize = 1024;

/// So many per time and key, over all lanes together: a recipe, of which clones share the count.
/// [`Lane::rate_limit`] makes a lane's own access to it.
///
/// In any span of time `t`, no more than `burst + t / interval` pass for one key (see [`Limit`](crate::balancer::count::Limit)),
/// but for what lanes have taken ahead: at most 10 ms' worth. Lanes that have much to do for a key take batches, so that
/// a key that is asked for often costs no access to what lanes share.
///
/// Memory is taken once, 16 bytes for each of `keys_max` keys, rounded up to a power of two. Keys that have rested are
/// forgotten. When more are in use than there is room for, some share one allowance: too small a table limits too much.
/// Keys are hashed with a secret of the process's, so nobody can choose keys that share.
///
/// ```
/// use corelane_engine::{
///     Handler, RateLimit, RateLimiter, Request, Response, Result, StatusCode, balancer::count::Limit,
/// };
/// use std::time::Duration;
///
/// struct Gateway {
///     per_client: RateLimiter,
/// }
///
/// impl Handler for Gateway {
///     async fn handle(&self, request: Request) -> Result<Response> {
///         if let Some(ip) = request.client_ip()
///             && let Err(wait) = self.per_client.check_ip(ip)
///         {
///             let mut response = Response::text(StatusCode::TOO_MANY_REQUESTS, "not so fast\n");
///             response.fields_mut().set("retry-after", (wait.as_secs() + 1).to_string());
///             return Ok(response);
///         }
///         Ok(Response::text(StatusCode::OK, "here\n"))
///     }
/// }
///
/// let limit = RateLimit::new(Limit::new(100, Duration::from_secs(1), 20)?, 100_000);
/// let engine = corelane_engine::Engine::builder()
///     .serve("127.0.0.1:8080", move |lane| Ok(Gateway { per_client: lane.rate_limit(&limit) }));
/// # Ok::<(), corelane_engine::balancer::count::InvalidLimit>(())
/// ```
#[derive(Clone)]
pub struct RateLimit(Arc<Shared>);

struct Shared {
    rates: Rates,
    /// Keyed at random, so that nobody outside knows which keys meet.
    hasher: HashState,
    /// Where its time begins.
    clock: Clock,
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimit").field(self.0.rates.limit()).finish()
    }
}

impl RateLimit {
    /// A limit for each of up to `keys_max` keys (16,777,216 at most).
    pub fn new(limit: Limit, keys_max: usize) -> Self {
        let rates = Rates::new(limit, keys_max);
        Self(Arc::new(Shared { rates, hasher: HashState::default(), clock: Clock::start() }))
    }
}

/// A lane's access to a [`RateLimit`].
#[derive(Clone)]
pub struct RateLimiter {
    lane: Lane,
    leases: Rc<Leases>,
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimiter").field(self.leases.shared.rates.limit()).finish()
    }
}

impl RateLimiter {
    /// Counts one for `key`, if one more may pass.
    ///
    /// # Errors
    /// It may not, and nothing was counted: how long until one may, if nobody else comes first.
    pub fn check(&self, key: impl AsRef<[u8]>) -> Result<(), Duration> {
        let hash = self.leases.shared.hasher.hash_one(key.as_ref());
        self.leases.check(hash, self.leases.time(self.lane.about_now()))
    }

    /// The same for an address: an IPv4 address by itself, an IPv6 address with all that begin with the same 64 bits,
    /// which one host has to itself (RFC 4291 §2.5.4).
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), Duration> {
        self.check(block(ip))
    }
}

impl Lane {
    /// This lane's access to a rate limit.
    pub fn rate_limit(&self, limit: &RateLimit) -> RateLimiter {
        let mut all = self.0.leases.borrow_mut();
        all.retain(|leases| leases.strong_count() > 0);
        let mut known = all.iter().filter_map(Weak::upgrade);
        let known = known.find(|leases| Arc::ptr_eq(&leases.shared, &limit.0));
        let leases = known.unwrap_or_else(|| {
            let lanes = u32::try_from(self.0.process.lanes()).unwrap_or(u32::MAX);
            let leases = Rc::new(Leases::new(limit.0.clone(), lanes, &self.0.process.clock));
            all.push(Rc::downgrade(&leases));
            leases
        });
        RateLimiter { lane: self.clone(), leases }
    }

    /// Puts back what this lane has taken ahead and not used.
    pub(crate) fn sweep_rate_limits(&self) {
        let now = self.about_now();
        for leases in self.0.leases.borrow().iter().filter_map(Weak::upgrade) {
            leases.sweep(leases.time(now));
        }
    }
}

/// What one lane has of one limit.
pub(crate) struct Leases {
    shared: Arc<Shared>,
    /// By some bits of the hash; a key that meets another there takes its place.
    remembered: Box<[Cell<Lease>]>,
    lanes: u32,
    /// The most that is taken at once: this lane's part of what comes in [`LEASE`].
    batch_max: u32,
    /// How far the limit's time is ahead of the lane's, or behind it.
    ahead: Duration,
    behind: Duration,
}

/// What a lane has of one key's.
#[derive(Clone, Copy, Default)]
struct Lease {
    hash: u64,
    /// Taken and not used.
    held: u32,
    /// How many were asked for when it was taken.
    batch: u32,
    /// Until when it is good.
    due: Duration,
    /// There was nothing when it was asked for, and will not be before this.
    denied_until: Duration,
}

impl Leases {
    fn new(shared: Arc<Shared>, lanes: u32, clock: &Clock) -> Self {
        let interval = shared.rates.limit().interval().as_nanos().max(1) * u128::from(lanes.max(1));
        Self {
            remembered: vec![Cell::default(); REMEMBERED_MAX].into(),
            lanes,
            batch_max: u32::try_from(LEASE.as_nanos() / interval).unwrap_or(u32::MAX).max(1),
            ahead: clock.later_than(&shared.clock),
            behind: shared.clock.later_than(clock),
            shared,
        }
    }

    /// The lane's time as the limit counts it.
    fn time(&self, now: Duration) -> Duration {
        (now + self.ahead).saturating_sub(self.behind)
    }

    fn check(&self, hash: u64, now: Duration) -> Result<(), Duration> {
        let place = &self.remembered[(hash >> 20) as usize % REMEMBERED_MAX];
        let mut lease = place.get();
        if lease.hash != hash {
            self.let_go(&lease);
            lease = Lease { hash, ..Lease::default() };
        }
        let is_good = now <= lease.due;
        if is_good && lease.held > 0 {
            place.set(Lease { held: lease.held - 1, ..lease });
            return Ok(());
        }
        if is_good && now < lease.denied_until {
            place.set(lease);
            return Err(lease.denied_until - now);
        }
        self.let_go(&lease);
        // A batch that was used up in time was too small; one that was not, too large.
        let grown = lease.batch.saturating_mul(2).min(self.batch_max);
        let batch = if is_good && lease.denied_until.is_zero() { grown.max(1) } else { 1 };
        let taken = self.shared.rates.take(hash, Batch { most: batch, lanes: self.lanes }, now);
        let mut renewed = Lease { hash, batch, due: now + LEASE, ..Lease::default() };
        match taken {
            Ok(taken) => renewed.held = taken - 1,
            Err(wait) => renewed.denied_until = now + wait,
        }
        place.set(renewed);
        taken.map(drop)
    }

    /// Puts back what is no longer good.
    fn sweep(&self, now: Duration) {
        for place in &self.remembered {
            let lease = place.get();
            if lease.held > 0 && now > lease.due {
                self.let_go(&lease);
                place.set(Lease { held: 0, ..lease });
            }
        }
    }

    fn let_go(&self, lease: &Lease) {
        if lease.held > 0 {
            self.shared.rates.put_back(lease.hash, lease.held);
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.sweep(Duration::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn lanes<const N: usize>(count: u32, burst: u32) -> [Leases; N] {
        let limit = RateLimit::new(Limit::new(count, 1000 * MS, burst).unwrap(), 64);
        std::array::from_fn(|_| Leases::new(limit.0.clone(), N as u32, &limit.0.clock))
    }

    /// What has been taken of the one key that these tests have, and not been put back.
    fn outstanding(lane: &Leases, burst: u32, now: Duration) -> u32 {
        let all = Batch { most: burst, lanes: 0 };
        let left = lane.shared.rates.take(0, all, now).unwrap_or(0);
        lane.shared.rates.put_back(0, left);
        burst - left
    }

    #[test]
    fn res_14_nobody_outside_knows_which_keys_meet() {
        let hash = || RateLimit::new(Limit::new(1, MS, 1).unwrap(), 1).0.hasher.hash_one(b"192.0.2.1");
        let of_process: std::collections::HashSet<u64> = (0..8).map(|_| hash()).collect();
        assert_eq!(of_process.len(), 8, "each limit has a secret of its own");
    }

    #[test]
    fn a_lane_that_has_much_to_do_takes_more_at_once() {
        let [one, _other] = lanes::<2>(10_000, 1_000);
        assert_eq!(one.batch_max, 50, "10 ms are 100, for two lanes");
        let mut batches = Vec::new();
        for _ in 0..200 {
            one.check(0, MS).unwrap();
            let lease = one.remembered[0].get();
            if batches.last() != Some(&lease.batch) {
                batches.push(lease.batch);
            }
        }
        assert_eq!(batches, [1, 2, 4, 8, 16, 32, 50]);
        assert_eq!(outstanding(&one, 1_000, MS), 200 + one.remembered[0].get().held);
    }

    #[test]
    fn what_was_taken_ahead_goes_back() {
        let [one, other] = lanes::<2>(10_000, 1_000);
        for _ in 0..20 {
            one.check(0, MS).unwrap();
        }
        let held = one.remembered[0].get().held;
        assert_eq!((held, outstanding(&one, 1_000, MS)), (11, 31));
        // When it is asked the next time, after it is due, or when it is swept; and a key that takes its place.
        one.sweep(MS + LEASE);
        assert_eq!(one.remembered[0].get().held, held, "it is still good");
        one.sweep(2 * MS + LEASE);
        assert_eq!(one.remembered[0].get().held, 0);
        for (displaces, batch) in [(0, 1), (1, 1)] {
            for _ in 0..20 {
                other.check(0, 50 * MS).unwrap();
            }
            let later = if displaces == 0 { 70 * MS } else { 50 * MS };
            other.check(displaces, later).unwrap();
            let lease = other.remembered[0].get();
            assert_eq!((lease.hash, lease.held, lease.batch), (displaces, 0, batch));
        }
        drop(one);
    }

    #[test]
    fn no_batch_leaves_the_others_nothing() {
        let [one, other] = lanes::<2>(1_000_000, 9);
        for _ in 0..4 {
            one.check(0, MS).unwrap();
        }
        assert!(one.remembered[0].get().held <= 2);
        other.check(0, MS).unwrap();
    }

    #[test]
    fn a_maximum_of_one_over_four_lanes_is_one() {
        let lanes = lanes::<4>(1, 1);
        assert_eq!(lanes[2].check(0, MS), Ok(()));
        for lane in &lanes {
            let wait = lane.check(0, 3 * MS).unwrap_err();
            assert_eq!(wait, 998 * MS);
            // It is taken at its word for a while.
            assert_eq!(lane.check(0, 4 * MS), Err(997 * MS));
        }
        let passed: Vec<_> = lanes.iter().map(|lane| lane.check(0, 1001 * MS).is_ok()).collect();
        assert_eq!(passed, [true, false, false, false]);
    }

    #[test]
    fn lanes_together_pass_no_more_than_one_would() {
        const BURST: u32 = 40;
        let lanes = lanes::<3>(2_000, BURST);
        let mut rng = corelane_balancer::Rng::new(7);
        let (mut passed, mut now) = (Vec::new(), 1000 * MS);
        for _ in 0..60_000 {
            now += Duration::from_micros(rng.next() % 200);
            // Mostly the first.
            let lane = [0, 0, 0, 0, 0, 0, 1, 2][rng.next() as usize % 8];
            if lanes[lane].check(0, now).is_ok() {
                passed.push(now);
            }
        }
        let span = passed[passed.len() - 1] - passed[0];
        let per_second = passed.len() as f64 / span.as_secs_f64();
        assert!((1900.0..2010.0).contains(&per_second), "{per_second} a second");
        for window in [BURST as usize, 100, 1000] {
            for ends in passed.windows(window + 1) {
                let most = BURST as f64 + (ends[window] - ends[0] + LEASE).as_secs_f64() * 2_000.0 + 1.0;
                assert!((window + 1) as f64 <= most, "{window} in {:?}", ends[window] - ends[0]);
            }
        }
    }

    #[test]
    fn time_is_the_limits_whatever_the_lanes_is() {
        let (lane, limit) = (Clock::start(), RateLimit::new(Limit::new(1, MS, 1).unwrap(), 1));
        let early = Leases::new(limit.0.clone(), 1, &lane);
        let late = Leases::new(limit.0.clone(), 1, &Clock::start());
        // A moment of the lane's that is a second and some after the limit's beginning, by either clock.
        let moment = 1000 * MS;
        assert_eq!(early.time(moment), moment - limit.0.clock.later_than(&lane));
        assert!(late.time(moment) >= moment);
    }
}

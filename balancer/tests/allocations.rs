//! Once a picker or a counter is built, its calls allocate nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use corelane_balancer::count::{Allowance, Bucket, CountMin, InFlight, Limit, Rate, Stock, Top};
use corelane_balancer::{Candidates, Choose, EndpointId, Outcome, Picker, Policy, Rng, Tried, hash_bytes};

/// Counts what each thread allocates: the test harness has threads of its own.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes on to `System` with its arguments as they are. The counter neither allocates nor has
// a destructor, so it can be touched inside an allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, and the pointer came from `System` by `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_in(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn pick_and_done_allocate_nothing() {
    for policy in [
        Policy::RoundRobin,
        Policy::WeightedRoundRobin,
        Policy::Random,
        Policy::LeastRequest,
        Policy::P2c,
        Policy::Hash,
        Policy::custom(|| LeastLoaded),
    ] {
        let mut picker = Picker::new(policy.clone(), &[3; 128], 1).unwrap();
        let mut rng = Rng::new(1);
        let count = allocations_in(|| {
            let mut tried = Tried::default();
            while let Some(id) = picker.pick(7, Duration::ZERO, &mut rng, &tried) {
                tried.insert(id);
                picker.done(id, Outcome::Unreachable, Duration::ZERO, Duration::ZERO);
            }
            assert_eq!(tried.len(), 128);
        });
        assert_eq!(count, 0, "{policy:?}");
    }
}

struct LeastLoaded;

impl Choose for LeastLoaded {
    fn choose(
        &mut self,
        candidates: &Candidates<'_>,
        _key: u64,
        _now: Duration,
        _rng: &mut Rng,
    ) -> Option<EndpointId> {
        candidates.iter().min_by(|a, b| a.compare_load(b)).map(|least| least.id())
    }
}

#[test]
fn counters_allocate_nothing() {
    let second = Duration::from_secs(1);
    let mut rate = Rate::new(second);
    let in_flight = InFlight::default();
    let mut sketch = CountMin::new(0.01, 0.01, 1).unwrap();
    let mut top = Top::new(50);
    let limit = Limit::new(100, second, 10).unwrap();
    let mut bucket = Bucket::default();
    let mut stock = Stock::new(100);
    let mut allowance = Allowance::new(second, Duration::ZERO);
    let count = allocations_in(|| {
        for step in 0..1_000_u64 {
            let now = Duration::from_millis(step);
            let key = hash_bytes(&(step % 200).to_le_bytes());
            let _guard = in_flight.enter();
            rate.add(1, now);
            sketch.add(key, 1);
            top.add(key, 1, || ());
            let passes = bucket.take(&limit, 1, now).is_ok();
            if !allowance.spend(1) {
                allowance.lease(stock.lease(1, 8, 4));
            }
            stock.put_back(allowance.reclaim(now));
            assert!(passes || rate.count(now) > 0 || sketch.estimate(key) > 0 || top.counted(key).is_some());
        }
        sketch.decay();
        top.decay();
    });
    assert_eq!(count, 0);
}

#[test]
fn the_count_is_alive() {
    assert_eq!(allocations_in(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_cleared_set_keeps_what_it_allocated() {
    let far = EndpointId::new(Tried::INLINE as u32);
    let mut tried = Tried::default();
    assert_eq!(allocations_in(|| assert!(tried.insert(far))), 1);
    tried.clear();
    assert_eq!(allocations_in(|| assert!(tried.insert(far))), 0);
}

//! Once a picker is built, `pick` and `done` allocate nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use corelane_balancer::{EndpointId, Outcome, Picker, Policy, Rng, Tried};

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
    for policy in [Policy::RoundRobin, Policy::WeightedRoundRobin, Policy::Random, Policy::LeastRequest] {
        let mut picker = Picker::new(policy, &[3; 128], 1).unwrap();
        let mut rng = Rng::new(1);
        let count = allocations_in(|| {
            let mut tried = Tried::default();
            while let Some(id) = picker.pick(0, Duration::ZERO, &mut rng, &tried) {
                tried.insert(id);
                picker.done(id, Outcome::Unreachable, Duration::ZERO, Duration::ZERO);
            }
            assert_eq!(tried.len(), 128);
        });
        assert_eq!(count, 0, "{policy:?}");
    }
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

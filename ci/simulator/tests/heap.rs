//! Engines that come and go leave nothing in memory, whatever befell them.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, reason = "a counting allocator")]

mod support;

use corelane_engine::Cluster;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicIsize, Ordering},
};
use support::{Town, answers, gateway, get, ms, s};

struct Counting;

/// Bytes of the heap that are in use.
static BYTES: AtomicIsize = AtomicIsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size().cast_signed(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the first engines of a process leave for the next: tables, thread-locals.
const WARM: u64 = 100;
/// Engines after those.
const MORE: u64 = 1_000;
/// Less than an engine leaves if it leaves anything: a byte for each.
const SLACK_BYTES: isize = MORE.cast_signed() as isize;

/// An engine, some clients, and what goes wrong with them.
fn once(seed: u64) {
    let town = Town::new(seed, gateway(2, Cluster::round_robin(["10.1.0.1:80", "10.1.0.2:80"])));
    town.origin("10.1.0.1:80", |peer| answers(peer, "fine"));
    town.faults(|faults| {
        (faults.reset, faults.refuse, faults.no_descriptor) = (1_000, 500, 300);
        (faults.short, faults.late_wake, faults.vanish) = (1_000, 1_000, 300);
    });
    let asked: Vec<_> =
        (0..6).map(|_| town.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3) + &get("/"))).collect();
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let refused = town.ask(upgrade);
    let cut = town.ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nX");
    town.world.run(ms(5));
    if seed.is_multiple_of(4) {
        town.engine().end_lane(1);
    }
    town.world.run(s(1));
    town.faults(|_| {});
    if seed.is_multiple_of(3) {
        town.engine().reload(gateway(2, Cluster::round_robin(["10.1.0.1:80"]))).expect("it fits");
    }
    let is_over = |answer: &std::rc::Rc<support::Answer>| answer.took.get().is_some();
    town.until("all have an end", s(400), || asked.iter().chain([&refused, &cut]).all(is_over));
    town.end();
}

#[test]
fn a_thousand_engines_leave_nothing_in_memory() {
    // Whatever a panic's message takes is not theirs.
    (0..WARM).for_each(once);
    let before = BYTES.load(Ordering::Relaxed);
    (WARM..WARM + MORE).for_each(once);
    let grown = BYTES.load(Ordering::Relaxed) - before;
    assert!(grown < SLACK_BYTES, "{grown} bytes more after {MORE} engines");
}

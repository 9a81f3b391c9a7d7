//! A warm, proxied GET allocates nothing: counted on the lane's own thread, whatever other threads do.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, reason = "a counting allocator")]

mod support;

use corelane_engine::{Cluster, Driver, Engine};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};
use support::{Balancer, Client, Origin};

struct Counting;

/// Allocations of the threads that are lanes.
static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_LANE: Cell<Option<bool>> = const { Cell::new(None) };
}

fn count() {
    let is_lane = IS_LANE.try_with(|is_lane| {
        is_lane.get().unwrap_or_else(|| {
            // Asking for the name may allocate, so that is not counted and asked once.
            is_lane.set(Some(false));
            let lane = std::thread::current().name().is_some_and(|name| name.starts_with("corelane-"));
            is_lane.set(Some(lane));
            lane
        })
    });
    if is_lane == Ok(true) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Requests of one window.
const REQUESTS: u64 = 500;
/// Windows, of which the first is not counted.
const WINDOWS: u64 = 8;

fn warm_gets(driver: Driver) {
    let origin =
        Origin::start(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: now\r\nServer: x\r\n\r\nhello");
    let cluster = Cluster::round_robin([origin.address().to_string()]).resolve().expect("an address");
    let engine = Engine::builder()
        .lanes(1)
        .driver(driver)
        .serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster))))
        .spawn()
        .expect("it starts");
    let mut client = Client::connect(engine.addresses()[0].socket().expect("an IP address"));
    let mut get = |times: u64| {
        for _ in 0..times {
            let answer = client.exchange(
                b"GET /a/path?with=query HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n",
                b"hello",
            );
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
        }
    };
    get(REQUESTS);
    let windows: Vec<u64> = (1..WINDOWS)
        .map(|_| {
            let before = COUNT.load(Ordering::Relaxed);
            get(REQUESTS);
            COUNT.load(Ordering::Relaxed) - before
        })
        .collect();
    engine.stop();
    engine.join();
    // Requests allocate nothing. What the lane does once a second for its house may, in the window that it falls into.
    assert!(windows.contains(&0), "allocations in windows of {REQUESTS} on {driver:?}: {windows:?}");
    assert!(
        windows.iter().all(|count| *count < 16),
        "allocations in windows of {REQUESTS} on {driver:?}: {windows:?}"
    );
}

/// One test for both drivers, because the count is the process's.
#[test]
fn a_warm_get_allocates_nothing() {
    warm_gets(Driver::Epoll);
    warm_gets(Driver::Auto);
}

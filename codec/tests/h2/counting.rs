//! An allocator that counts what this thread holds.
#![allow(dead_code, reason = "every test binary uses its own part of this")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    pub static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    pub static LIVE: Cell<i64> = const { Cell::new(0) };
    pub static PEAK: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count(size: usize, freed: usize) {
        ALLOCATIONS.set(ALLOCATIONS.get() + u64::from(size > 0));
        LIVE.set(LIVE.get() + size as i64 - freed as i64);
        PEAK.set(PEAK.get().max(LIVE.get()));
    }
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size(), 0);
        // SAFETY: the caller's promises are the ones that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both are there while one is copied to the other.
        Self::count(size, 0);
        Self::count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

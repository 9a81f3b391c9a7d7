//! The engine's lock-free types, compiled from its own files against loom's atomics. Each function here is a model:
//! loom runs it once for each order in which its threads can see each other's writes.
#![allow(dead_code, reason = "a model uses what it is about")]

#[path = "../../../engine/src/shared"]
mod shared {
    pub(crate) mod atomic {
        pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    }
    pub(crate) mod count;
    pub(crate) mod limit;
}

use loom::{sync::Arc, thread};
use shared::{
    atomic::{AtomicU32, Ordering},
    count::Count,
    limit::Limit,
};

/// Two lanes want the only one there is: never have both one, and in the end it is free.
pub fn a_count_is_never_exceeded() {
    loom::model(|| {
        let (count, inside) = (Arc::new(Count::new(1, 2)), Arc::new(AtomicU32::new(0)));
        let lanes = [0, 1].map(|lane| {
            let (count, inside) = (count.clone(), inside.clone());
            thread::spawn(move || {
                if count.try_take(lane) {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two are in");
                    inside.fetch_sub(1, Ordering::SeqCst);
                    count.put_back(lane);
                }
            })
        });
        for lane in lanes {
            lane.join().expect("it found nothing wrong");
        }
        assert_eq!(count.taken(), 0);
    });
}

/// One lane gives back while another begins to wait: either the one that waits gets it, or it is called.
pub fn no_call_is_lost() {
    loom::model(|| {
        let limit = Arc::new(Limit::new(1, 1, 2));
        assert!(limit.connections.try_take(0));
        let waits = {
            let limit = limit.clone();
            thread::spawn(move || {
                limit.show_waiting(1, 1);
                limit.connections.try_take(1)
            })
        };
        limit.connections.put_back(0);
        let called = limit.longest_waiting() == Some(1);
        let took = waits.join().expect("it found nothing wrong");
        assert!(took || called, "it waits, and nobody calls");
    });
}

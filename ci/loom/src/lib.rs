//! The engine's lock-free types, compiled from its own files against loom's atomics. Each function here is a model:
//! loom runs it once for each order in which its threads can see each other's writes.
#![allow(dead_code, reason = "a model uses what it is about")]

#[path = "../../../engine/src/shared"]
mod shared {
    pub(crate) mod atomic {
        pub(crate) use loom::{
            hint::spin_loop,
            sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
        };
    }
    pub(crate) mod count;
    pub(crate) mod limit;
    pub(crate) mod rates;
    pub(crate) mod sources;
}

use loom::{sync::Arc, thread};
use shared::{
    atomic::{AtomicU32, Ordering},
    count::Count,
    limit::Limit,
    rates::{Batch, Rates},
    sources::Sources,
};
use std::time::Duration;

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

/// A second is long after any bucket of these models was full, and what follows takes no time.
const LATER: Duration = Duration::from_secs(1);

fn rates(burst: u32) -> Arc<Rates> {
    let limit = corelane_balancer::count::Limit::new(1000, Duration::from_secs(1), burst);
    Arc::new(Rates::new(limit.expect("a limit"), 1))
}

/// A key of its own, in the only set.
const fn key(tag: u64) -> u64 {
    tag << 48
}

fn take(rates: &Rates, tag: u64, most: u32, now: Duration) -> u32 {
    rates.take(key(tag), Batch { most, lanes: 0 }, now).unwrap_or(0)
}

/// Two lanes meet a key for the first time: it gets one bucket, and not one for each.
pub fn a_new_key_gets_one_bucket() {
    loom::model(|| {
        let rates = rates(2);
        let other = {
            let rates = rates.clone();
            thread::spawn(move || take(&rates, 1, 1, LATER))
        };
        let mine = take(&rates, 1, 1, LATER);
        let both = mine + other.join().expect("it found nothing wrong");
        assert_eq!(both + take(&rates, 1, 9, LATER), 2, "both came, and nothing else is left");
    });
}

/// The bucket of a key that has rested is wanted by another key just when somebody takes from it: neither gets more
/// than its own.
pub fn a_bucket_changes_hands_only_while_nobody_takes() {
    loom::model(|| {
        let rates = rates(2);
        assert_eq!(take(&rates, 1, 1, Duration::ZERO), 1);
        let takes = {
            let rates = rates.clone();
            thread::spawn(move || take(&rates, 1, 1, LATER))
        };
        let mine = take(&rates, 2, 1, LATER);
        let theirs = takes.join().expect("it found nothing wrong");
        assert!(theirs + take(&rates, 1, 9, LATER) <= 2, "the one that rested");
        assert!(mine + take(&rates, 2, 9, LATER) <= 2, "the other");
    });
}

/// What is put back late is not given to the key that has the bucket now.
pub fn what_is_put_back_is_given_to_nobody_else() {
    loom::model(|| {
        let rates = rates(2);
        assert_eq!(take(&rates, 1, 2, Duration::ZERO), 2);
        let puts_back = {
            let rates = rates.clone();
            thread::spawn(move || rates.put_back(key(1), 2))
        };
        let mine = take(&rates, 2, 2, LATER);
        puts_back.join().expect("it found nothing wrong");
        assert!(mine + take(&rates, 2, 9, LATER) <= 2);
    });
}

/// Two connections of one source come just when another source's last one goes, whose count either of them may find
/// free or not: never do both come in where only one may.
pub fn a_source_that_is_counted_twice_is_counted_right() {
    loom::model(|| {
        let (sources, inside) = (Arc::new(Sources::new(1, 1)), Arc::new(AtomicU32::new(0)));
        let (one, two) = (1 << 20, 2 << 20);
        let leaves = sources.try_take(one).expect("it is the first");
        let comes = {
            let (sources, inside) = (sources.clone(), inside.clone());
            thread::spawn(move || {
                sources.try_take(two).inspect(|_| {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two are in");
                })
            })
        };
        let goes = {
            let sources = sources.clone();
            thread::spawn(move || sources.put_back(leaves))
        };
        let mine = sources.try_take(two).inspect(|_| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two are in");
        });
        let theirs = comes.join().expect("it found nothing wrong");
        goes.join().expect("it found nothing wrong");
        for counted in [mine, theirs].into_iter().flatten() {
            sources.put_back(counted);
        }
        assert!(sources.try_take(two).is_some(), "all have gone");
    });
}

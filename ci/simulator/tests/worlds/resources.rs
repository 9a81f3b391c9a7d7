//! Peers that vanish, wakes that come late, nothing left to accept with, clocks that jump: the rows SLO and RES of
//! docs/bad-inputs.md.

use crate::support::{Town, answers, gateway, get, ms, ok, s};
use corelane_engine::{Cluster, Metric, Timeouts};
use std::{cell::Cell, rc::Rc, time::Duration};

const ORIGIN: &str = "10.1.0.1:80";

fn town(seed: u64, lanes: usize) -> Town {
    Town::new(seed, gateway(lanes, Cluster::round_robin([ORIGIN])))
}

/// An origin that answers a megabyte, and what it has open.
fn large(town: &Town) -> Rc<Cell<usize>> {
    let open = Rc::new(Cell::new(0));
    let counted = open.clone();
    town.origin(ORIGIN, move |mut peer| {
        let open = counted.clone();
        async move {
            open.set(open.get() + 1);
            while peer.head().await.is_some() {
                if !peer.send(ok(&"x".repeat(1_000_000))).await {
                    break;
                }
            }
            open.set(open.get() - 1);
        }
    });
    open
}

#[test]
fn slo_07_a_window_that_stays_shut_is_given_up() {
    let town = town(1, 1);
    let open = large(&town);
    town.client(async |peer| {
        peer.send(get("/")).await;
        // It is there, and never reads.
        peer.world.sleep(s(500)).await;
    });
    town.world.run(s(30));
    assert_eq!((town.value(Metric::RequestsOpen), open.get()), (1, 1), "it may still read");
    town.until("the origin is let go", s(35), || open.get() == 0);
    assert_eq!((town.value(Metric::RequestsOpen), town.value(Metric::ConnectionsOpen)), (0, 0));
    town.end();
}

#[test]
fn slo_07_peers_that_vanish_are_given_up_whichever_they_are() {
    for seed in 0..40 {
        let town = town(seed, 2);
        let open = large(&town);
        // Every connection, on either side, loses its way at some byte: most within a megabyte.
        town.faults(|faults| faults.vanish = 10_000);
        for _ in 0..10 {
            town.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        town.world.run(s(1));
        assert!(town.value(Metric::ConnectionsOpen) > 0, "nobody has noticed yet");
        // A minute without a byte, on either side, and a minute for one that is idle.
        town.world.run(s(130));
        let left = (town.value(Metric::RequestsOpen), town.value(Metric::ConnectionsOpen));
        assert_eq!(left, (0, 0), "seed {seed}: requests and connections are open");
        assert_eq!(town.value(Metric::UpstreamIdle), 0);
        // Those outside have nobody but the system to tell them.
        town.until("origins hear of it", s(310), || open.get() == 0);
        town.end();
    }
}

#[test]
fn slo_07_the_system_is_as_patient_as_the_engine() {
    let patient = |between_bytes| {
        let mut timeouts = Timeouts::default();
        timeouts.between_bytes = between_bytes;
        gateway(2, Cluster::round_robin([ORIGIN])).timeouts(timeouts)
    };
    let town = Town::new(2, patient(s(200)));
    large(&town);
    // A connection to the origin is there, and stays well; the client's loses its way within the answer, and then neither
    // we nor the system give it up before its time.
    let vanishes = |wait: Duration| {
        town.faults(|_| {});
        let warm = town.ask(get("/"));
        town.answered(&warm, s(5));
        town.faults(|faults| faults.vanish = 10_000);
        town.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        town.world.run(wait - s(20));
        assert_eq!(town.value(Metric::RequestsOpen), 1, "it is given up before {wait:?}");
        town.world.run(s(30));
        assert_eq!(town.value(Metric::RequestsOpen), 0, "it is not given up after {wait:?}");
    };
    vanishes(s(200));
    // Listeners that are there already are told, too.
    town.engine().reload(patient(s(500))).expect("it fits");
    vanishes(s(500));
    town.faults(|_| {});
    town.end();
}

#[test]
fn res_05_wakes_that_come_late_or_for_nothing_lose_nothing() {
    const REQUESTS: usize = 30;
    for seed in 0..30 {
        let town = town(100 + seed, 2);
        town.origin(ORIGIN, |peer| answers(peer, "fine"));
        town.faults(|faults| {
            (faults.late_wake, faults.spurious_wake, faults.disorder) = (10_000, 3_000, 5_000);
            (faults.short, faults.piece_bytes_max) = (3_000, 100);
        });
        let asked: Vec<_> = (0..10)
            .map(|_| town.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS - 1) + &get("/")))
            .collect();
        for answer in &asked {
            let text = town.answered(answer, s(120));
            assert_eq!(text.matches("\r\n\r\nfine").count(), REQUESTS, "seed {seed}: {text}");
        }
        town.faults(|_| {});
        town.end();
    }
}

#[test]
fn res_01_nothing_to_accept_with_neither_spins_nor_lasts() {
    let town = town(200, 2);
    town.origin(ORIGIN, |peer| answers(peer, "fine"));
    let stands = Rc::new(Cell::new(0));
    let counted = stands.clone();
    town.client(async move |mut peer| {
        for _ in 0..50 {
            peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            if peer.head().await.is_none_or(|head| !head.starts_with("HTTP/1.1 200 ")) || !peer.bytes(4).await
            {
                return;
            }
            counted.set(counted.get() + 1);
            peer.world.sleep(ms(100)).await;
        }
    });
    town.world.run(ms(500));
    town.faults(|faults| faults.failed_accept = 10_000);
    let waits: Vec<_> = (0..200).map(|_| town.ask(get("/"))).collect();
    let before = town.world.happened();
    town.world.run(s(3));
    let spent = town.world.happened() - before;
    assert!(spent < 40_000, "{spent} events in 3 s: it spins");
    assert!(town.value(Metric::AcceptErrors) > 0);
    assert!(stands.get() >= 30, "who is connected is served: {}", stands.get());
    town.faults(|_| {});
    let is_over = || waits.iter().all(|answer| answer.took.get().is_some());
    town.until("those who wait are served", s(1), is_over);
    let served = waits.iter().filter(|answer| answer.text.borrow().contains("fine")).count();
    assert!(served > 0, "somebody was still waiting");
    town.until("the other one has come to its end", s(5), || stands.get() == 50);
    town.end();
}

#[test]
fn res_02_no_descriptor_for_an_origin_is_503_and_over_at_once() {
    let town = town(300, 1);
    town.origin(ORIGIN, |peer| answers(peer, "fine"));
    let texts: Rc<Cell<[Option<String>; 2]>> = Rc::default();
    let told = texts.clone();
    let done = town.client(async move |mut peer| {
        let mut heads = [None, None];
        for head in &mut heads {
            peer.world.sleep(s(1)).await;
            peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            // Before the second there is the content of the first.
            *head = peer.head().await;
        }
        told.set(heads);
    });
    town.world.run(ms(500));
    town.faults(|faults| faults.no_descriptor = 10_000);
    town.world.run(ms(900));
    town.faults(|_| {});
    town.until("both are answered", s(130), || done.get());
    let [first, second] = texts.take().map(Option::unwrap_or_default);
    assert!(first.starts_with("HTTP/1.1 503 "), "{first:?}, then {second:?}");
    assert!(first.to_ascii_lowercase().contains("retry-after: 1"), "{first:?}");
    assert!(second.contains("HTTP/1.1 200 "), "{second:?}");
    town.end();
}

#[test]
fn res_12_a_clock_that_stood_still_is_nobodys_fault() {
    let mut longest = s(0);
    for seed in 0..40 {
        let town = town(400 + seed, 2);
        town.origin(ORIGIN, |mut peer| async move {
            while peer.head().await.is_some() {
                peer.world.sleep(ms(700)).await;
                peer.send(ok("fine")).await;
            }
        });
        let asked: Vec<_> = (0..20).map(|_| town.ask(get("/"))).collect();
        town.world.run(ms(100));
        // Some seconds later, everything stands still for up to two minutes.
        town.faults(|faults| faults.pause = 10_000);
        let before = town.world.now();
        town.world.run(ms(1_500));
        longest = longest.max(town.world.now().saturating_sub(before));
        town.faults(|_| {});
        town.until("all are answered", s(10), || asked.iter().all(|answer| answer.took.get().is_some()));
        for answer in &asked {
            let text = answer.text.borrow();
            assert!(text.starts_with("HTTP/1.1 200 "), "seed {seed}: {text:?}");
        }
        town.end();
    }
    assert!(longest > s(90), "no pause was longer than the deadlines: {longest:?}");
}

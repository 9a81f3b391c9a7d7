//! Origins that fail, in a world whose time is exact: the rows UP of docs/bad-inputs.md.

use crate::support::{Town, answers, gateway, get, ms, ok, s};
use corelane_engine::{Cluster, Metric, simulate::World};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

/// Nothing of a request is left behind.
fn is_idle(town: &Town) {
    town.until("no connection is left", s(70), || town.world.actors() <= 1);
    assert_eq!(town.value(Metric::RequestsOpen), 0);
}

fn one_origin(seed: u64) -> Town {
    Town::new(seed, gateway(1, Cluster::round_robin(["10.1.0.1:80"])))
}

#[test]
fn up_01_a_refused_connect_costs_a_moment_and_no_budget() {
    let town = Town::new(1, gateway(2, Cluster::round_robin(["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"])));
    town.origin("10.1.0.3:80", |peer| answers(peer, "third"));
    for _ in 0..20 {
        // By any method: nothing was sent.
        let answer = town.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert!(town.answered(&answer, s(1)).ends_with("third"));
        assert!(answer.took.get() < Some(ms(3)), "{:?}", answer.took);
    }
    town.end();
    let town = one_origin(2);
    let answer = town.ask(get("/"));
    assert!(town.answered(&answer, ms(5)).starts_with("HTTP/1.1 502 "), "nobody is there");
    town.end();
}

#[test]
fn up_02_a_connect_without_an_answer_ends_at_its_deadline() {
    let town = Town::new(3, gateway(1, Cluster::round_robin(["10.1.0.1:80", "10.1.0.2:80"])));
    town.faults(|faults| faults.silent_connect = 10_000);
    let answer = town.ask(get("/"));
    assert!(town.answered(&answer, s(10)).starts_with("HTTP/1.1 504 "), "{:?}", answer.text);
    let took = answer.took.get().expect("it was answered");
    assert!((s(6)..s(6) + ms(300)).contains(&took), "two endpoints, 3 s each: {took:?}");
    town.end();
}

#[test]
fn up_05_content_that_a_reset_cuts_is_never_whole() {
    for (head, seed) in [("Content-Length: 10", 4), ("Transfer-Encoding: chunked", 5), ("X-Until: close", 6)]
    {
        let town = one_origin(seed);
        town.origin("10.1.0.1:80", move |mut peer| async move {
            peer.head().await;
            peer.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n")).await;
            peer.send(if head.contains("chunked") { "5\r\nhello\r\n" } else { "hello" }).await;
            // A reset may take away what was not read yet.
            peer.world.sleep(ms(20)).await;
            peer.socket.reset();
        });
        let answer = town.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let text = town.answered(&answer, s(1));
        assert!(text.contains("hello") && !text.ends_with("0\r\n\r\n"), "{head}: {text:?}");
        is_idle(&town);
        town.end();
    }
}

#[test]
fn up_06_an_origin_that_says_nothing_is_given_up_and_not_kept() {
    let town = one_origin(7);
    let left = Rc::new(Cell::new(None));
    let told = left.clone();
    town.origin("10.1.0.1:80", move |mut peer| {
        let left = told.clone();
        async move {
            peer.head().await;
            peer.rest().await;
            left.set(Some(peer.world.now()));
        }
    });
    let answer = town.ask(get("/"));
    assert!(town.answered(&answer, s(61)).starts_with("HTTP/1.1 504 "));
    assert!(answer.took.get() >= Some(s(60)), "{:?}", answer.took);
    town.until("the origin is let go", ms(5), || left.get().is_some());
    town.end();
}

#[test]
fn up_07_an_origin_that_ends_its_half_is_read_to_its_end() {
    let town = one_origin(8);
    town.origin("10.1.0.1:80", |mut peer| async move {
        if peer.head().await.is_some_and(|head| head.contains("/answers")) {
            peer.send("HTTP/1.1 200 OK\r\n\r\nall of it").await;
        }
        peer.socket.end();
        peer.rest().await;
    });
    let answer = town.ask(get("/answers"));
    let text = town.answered(&answer, s(1));
    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.contains("all of it") && text.ends_with("0\r\n\r\n"),
        "{text:?}"
    );
    let answer = town.ask(get("/silent"));
    assert!(town.answered(&answer, s(1)).starts_with("HTTP/1.1 502 "), "{:?}", answer.text);
    is_idle(&town);
    town.end();
}

#[test]
fn up_08_an_upload_that_nobody_reads_stops_the_client() {
    const ROOM: usize = 4 << 10;
    let town = one_origin(9);
    town.faults(|faults| faults.room_bytes = ROOM);
    town.origin("10.1.0.1:80", |mut peer| async move {
        peer.head().await;
        // It keeps the connection, and reads no more.
        peer.world.sleep(s(200)).await;
    });
    let sent = Rc::new(Cell::new(0));
    let counted = sent.clone();
    let done = town.client(async move |peer| {
        peer.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n").await;
        while peer.send([b'x'; 1_000]).await {
            counted.set(counted.get() + 1_000);
        }
    });
    town.world.run(s(30));
    let early = sent.get();
    // Two sockets on either side of the engine, and what it holds.
    assert!(early <= 4 * ROOM + (128 << 10), "{early} bytes were taken");
    town.world.run(s(20));
    assert_eq!(sent.get(), early, "nothing moves");
    town.until("the client is let go", s(20), || done.get());
    assert_eq!(town.value(Metric::RequestsOpen), 0);
    town.end();
}

/// What is going on at an origin.
#[derive(Default)]
struct Busy {
    now: Cell<usize>,
    most: Cell<usize>,
    all: Cell<usize>,
}

#[test]
fn up_14_a_crowd_at_a_cold_origin_waits_in_a_queue_that_ends() {
    const CROWD: usize = 3_000;
    let cluster = Cluster::round_robin(["10.1.0.1:80"]).connections_max(Some(8)).queue(1_000, s(1));
    let town = Town::new(10, gateway(3, cluster));
    let busy = Rc::new(Busy::default());
    let counted = busy.clone();
    town.origin("10.1.0.1:80", move |mut peer| {
        let busy = counted.clone();
        async move {
            busy.now.set(busy.now.get() + 1);
            busy.most.set(busy.most.get().max(busy.now.get()));
            while peer.head().await.is_some() {
                peer.world.sleep(ms(100)).await;
                busy.all.set(busy.all.get() + 1);
                peer.send(ok("fine")).await;
            }
            busy.now.set(busy.now.get() - 1);
        }
    });
    let answers: Vec<_> = (0..CROWD).map(|_| town.ask(get("/"))).collect();
    town.until("all are answered", s(5), || answers.iter().all(|answer| answer.took.get().is_some()));
    let with =
        |status: &str| answers.iter().filter(|answer| answer.text.borrow().starts_with(status)).count();
    let (fine, refused) = (with("HTTP/1.1 200 "), with("HTTP/1.1 503 "));
    assert_eq!(fine + refused, CROWD, "everybody has an answer");
    assert_eq!(
        (fine, busy.most.get() <= 8),
        (busy.all.get(), true),
        "{} connections at once",
        busy.most.get()
    );
    assert!((60..=110).contains(&fine), "eight at a time, each 100 ms, for a second: {fine}");
    let at_once = |answer: &&Rc<crate::support::Answer>| answer.took.get() < Some(ms(900));
    let refused_at_once =
        answers.iter().filter(|it| it.text.borrow().contains(" 503 ")).filter(at_once).count();
    assert!(refused_at_once >= CROWD - 1_000 - 200, "the queue holds 1,000: {refused_at_once} did not wait");
    town.end();
}

#[test]
fn up_18_a_client_that_resets_takes_its_request_with_it() {
    let town = one_origin(11);
    let (begun, left) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(None)));
    let told = (begun.clone(), left.clone());
    town.origin("10.1.0.1:80", move |mut peer| {
        let (begun, left) = told.clone();
        async move {
            peer.head().await;
            *begun.borrow_mut() = Some(peer.world.now());
            peer.rest().await;
            left.set(Some(peer.world.now()));
        }
    });
    let reset: Rc<Cell<Option<Duration>>> = Rc::default();
    let told = reset.clone();
    town.client(async move |peer| {
        peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        peer.world.sleep(s(1)).await;
        peer.socket.reset();
        told.set(Some(peer.world.now()));
    });
    town.until("the origin hears of it", s(2), || left.get().is_some());
    let took = left.get().zip(reset.get()).map(|(left, reset)| left.saturating_sub(reset));
    assert!(took < Some(ms(10)), "{took:?}");
    town.end();
    World::end();
}

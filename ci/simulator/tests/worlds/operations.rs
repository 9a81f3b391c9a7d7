//! Drains, reloads and lanes that die under load: the rows OP of docs/bad-inputs.md.

use crate::support::{Peer, Town, answers, gateway, get, ms, ok, s};
use corelane_engine::{Cluster, Metric};
use std::{cell::Cell, rc::Rc};

/// Answers after so many milliseconds as the path says.
async fn takes_time(mut peer: Peer) {
    while let Some(head) = peer.head().await {
        let wait = head.split(['/', ' ']).nth(2).and_then(|word| word.parse().ok()).unwrap_or(0);
        peer.world.sleep(ms(wait)).await;
        if !peer.send(ok("fine")).await {
            return;
        }
    }
}

#[test]
fn op_08_a_drain_under_load_fails_nobody() {
    for seed in 0..20 {
        let town = Town::new(seed, gateway(3, Cluster::round_robin(["10.1.0.1:80", "10.1.0.2:80"])));
        for address in ["10.1.0.1:80", "10.1.0.2:80"] {
            town.origin(address, takes_time);
        }
        // Each asks again on the same connection until it is told that it is the last time.
        let outcomes: Vec<Rc<Cell<(usize, bool)>>> = (0..60).map(|_| Rc::default()).collect();
        let begin = |n: usize, outcome: Rc<Cell<(usize, bool)>>| {
            town.client(async move |mut peer| {
                loop {
                    let asked = peer.send(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", 50 + 13 * n)).await;
                    let head = if asked { peer.head().await } else { None };
                    let Some(head) = head.filter(|head| head.starts_with("HTTP/1.1 200 ")) else { return };
                    if !peer.bytes(4).await {
                        return;
                    }
                    let is_last = head.to_ascii_lowercase().contains("connection: close");
                    outcome.set((outcome.get().0 + 1, is_last));
                    if is_last {
                        return;
                    }
                }
            })
        };
        let done: Vec<_> = outcomes.iter().cloned().enumerate().map(|(n, it)| begin(n, it)).collect();
        town.world.run(s(2));
        town.engine().drain();
        town.until("all are told to go", s(2), || done.iter().all(|done| done.get()));
        for outcome in &outcomes {
            let (answers, was_told) = outcome.get();
            assert!(answers > 1 && was_told, "seed {seed}: {answers} answers, told: {was_told}");
        }
        town.until("it ends before its grace is over", s(3), || town.engine().is_finished());
        town.end();
    }
}

#[test]
fn op_09_a_drain_closes_idle_ones_at_once_and_cuts_the_long_ones_at_the_end() {
    let town = Town::new(30, gateway(2, Cluster::round_robin(["10.1.0.1:80"])));
    town.origin("10.1.0.1:80", |mut peer| async move {
        while let Some(head) = peer.head().await {
            if head.contains("websocket") {
                let switch =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
                peer.send(switch).await;
            }
            if !head.contains("GET / ") {
                peer.rest().await;
                return;
            }
            peer.send(ok("fine")).await;
        }
    });
    let connect = |count: usize, request: &'static str| -> Vec<Rc<Cell<_>>> {
        (0..count)
            .map(|_| {
                let ended = Rc::new(Cell::new(None));
                let told = ended.clone();
                town.client(async move |mut peer| {
                    peer.send(request).await;
                    peer.rest().await;
                    told.set(Some(peer.world.now()));
                });
                ended
            })
            .collect()
    };
    let idle = connect(1_000, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let long = connect(50, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    let tunnels =
        connect(50, "GET /t HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    town.world.run(s(5));
    assert_eq!((town.value(Metric::ConnectionsOpen), town.value(Metric::TunnelsOpen)), (1_100, 50));
    let began = town.world.now();
    town.engine().drain();
    town.until("it is drained", s(40), || town.engine().is_finished());
    town.until("all hear of it", s(1), || long.iter().chain(&tunnels).all(|ended| ended.get().is_some()));
    let after = |ended: &Rc<Cell<Option<std::time::Duration>>>| {
        ended.get().expect("it has ended").saturating_sub(began)
    };
    assert!(idle.iter().all(|ended| after(ended) < ms(1_100)), "an idle one stayed open");
    for ended in long.iter().chain(&tunnels) {
        let after = after(ended);
        assert!((s(29)..s(32)).contains(&after), "a long one was cut after {after:?}");
    }
    town.end();
}

#[test]
fn op_11_a_lane_that_dies_is_there_again_at_once() {
    for seed in 0..20 {
        let town = Town::new(50 + seed, gateway(2, Cluster::round_robin(["10.1.0.1:80"])));
        town.origin("10.1.0.1:80", takes_time);
        let (before, slow) = (town.ask(get("/0")), town.ask(get("/2000")));
        assert!(town.answered(&before, s(1)).ends_with("fine"));
        let lane = (seed % 2) as usize;
        let is_there = |lane: &corelane_engine::Snapshot| lane.value(Metric::RequestsOpen) > 0;
        let with_slow = town.engine().snapshots(s(3)).iter().position(is_there).expect("it is under way");
        town.engine().end_lane(lane);
        town.world.run(ms(100));
        // Whoever connects now is served, on whichever lane.
        let asked: Vec<_> = (0..40).map(|_| town.ask(get("/0"))).collect();
        town.until("all are served", ms(100), || asked.iter().all(|answer| answer.took.get().is_some()));
        assert!(asked.iter().all(|answer| answer.text.borrow().ends_with("fine")), "seed {seed}");
        town.until("the slow one ends", s(3), || slow.took.get().is_some());
        assert_eq!(slow.text.borrow().ends_with("fine"), lane != with_slow, "only the dead lane's are lost");
        town.end();
    }
}

#[test]
fn op_16_requests_end_where_they_began_although_their_origin_is_gone_from_the_plan() {
    let town = Town::new(90, gateway(2, Cluster::round_robin(["10.1.0.1:80"])));
    town.origin("10.1.0.1:80", takes_time);
    town.origin("10.1.0.2:80", |peer| answers(peer, "from another"));
    let asked: Vec<_> = (0..20).map(|_| town.ask(get("/1500"))).collect();
    town.world.run(ms(500));
    town.engine().reload(gateway(2, Cluster::round_robin(["10.1.0.2:80"]))).expect("it fits");
    let after = town.ask(get("/0"));
    assert!(town.answered(&after, s(1)).ends_with("from another"));
    for answer in &asked {
        assert!(town.answered(answer, s(3)).ends_with("fine"));
    }
    town.end();
}

//! What happens between lanes, at moments that no other test can choose.

use crate::support::{Town, answers, gateway, get, ms, s};
use corelane_engine::{Cluster, Metric};
use std::{cell::Cell, rc::Rc};

/// A lane dies while another lends it a connection; the one that is made in its place has nothing to do but this.
#[test]
fn what_is_lent_to_a_lane_that_was_rebuilt_meanwhile_is_closed_in_its_time() {
    let mut lent_late = 0;
    for seed in 0..60 {
        let town = Town::new(seed, gateway(2, Cluster::round_robin(["10.1.0.1:80"])));
        let open = Rc::new(Cell::new(0));
        let counted = open.clone();
        town.origin("10.1.0.1:80", move |peer| {
            let open = counted.clone();
            async move {
                open.set(open.get() + 1);
                answers(peer, "fine").await;
                open.set(open.get() - 1);
            }
        });
        town.answered(&town.ask(get("/")), s(1));
        let idle = |lane: &corelane_engine::Snapshot| lane.value(Metric::UpstreamIdle) > 0;
        let lender = town.engine().snapshots(s(3)).iter().position(idle).expect("somebody has it");
        // Letters take up to 10 ms now, and who asks by one waits for 5.
        town.faults(|faults| faults.late_wake = 10_000);
        let second = town.ask(get("/"));
        town.world.run(ms(town.world.below(12)));
        town.engine().end_lane(1 - lender);
        town.until("the second comes to its end", s(100), || second.took.get().is_some());
        town.faults(|_| {});
        let taken_in = town.engine().snapshots(s(3)).iter().any(|lane| {
            lane.lane != lender
                && lane.value(Metric::Connections) == 0
                && lane.value(Metric::UpstreamIdle) > 0
        });
        lent_late += u32::from(taken_in);
        town.until("nothing is kept longer than 50 s", s(55), || open.get() == 0);
        town.end();
    }
    assert!(lent_late > 0, "no lane was lent anything after its death: this tests nothing");
}

/// Gauges that are set by a sweep are right although a lane with nothing to do makes none.
#[test]
fn the_gauges_of_a_lane_without_anybody_are_zero() {
    let town = Town::new(1, gateway(1, Cluster::round_robin(["10.1.0.1:80"])));
    town.origin("10.1.0.1:80", |peer| answers(peer, "fine"));
    for _ in 0..50 {
        town.client(async |mut peer| {
            peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            peer.head().await;
            // Until its deadline has passed, which is the last that there is.
            peer.rest().await;
        });
    }
    town.world.run(s(30));
    assert_eq!(town.value(Metric::ConnectionsIdle), 50);
    town.world.run(s(150));
    for metric in [Metric::ConnectionsOpen, Metric::ConnectionsIdle, Metric::UpstreamIdle, Metric::Deadlines]
    {
        assert_eq!(town.value(metric), 0, "{}", metric.as_str());
    }
    assert!(town.value(Metric::BuffersKept) <= 8);
    town.end();
}

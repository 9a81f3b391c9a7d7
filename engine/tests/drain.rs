//! The end of an engine: who is finished, who is cut off, and how soon.

mod support;

use corelane_engine::{Driver, End, Engine, Event, Metric, Response, StatusCode, Timeouts, Tunnel};
use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use support::{
    alone,
    clock::{now, on_time, poll, timed, until},
    peer::{Over, Peer, Scripted},
    rig::{Fun, Rig, on_both},
};

/// Answers at once, except `/waits`: that, when the gate is open, or never.
fn gated(driver: Driver, timeouts: Timeouts, connections_max: Option<usize>) -> (Rig, Arc<AtomicBool>) {
    let gate = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&gate);
    let builder =
        Engine::builder().lanes(1).driver(driver).timeouts(timeouts).max_connections(connections_max);
    let rig = Rig::start(builder.serve("127.0.0.1:0", move |lane| {
        let (lane, gate) = (lane.clone(), Arc::clone(&gate));
        Ok(Fun(async move |request: corelane_engine::Request| {
            while request.path() == "/waits" && !gate.load(Ordering::SeqCst) {
                lane.sleep(Duration::from_millis(1)).await;
            }
            Ok(Response::text(StatusCode::OK, "done\n"))
        }))
    }));
    (rig, opened)
}

fn grace(grace: Duration) -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.drain_grace = grace;
    timeouts
}

const LONG: Duration = Duration::from_secs(60);

/// A client whose request is being handled.
fn in_flight(rig: &Rig) -> Peer {
    let open = rig.value(Metric::RequestsOpen);
    let mut client = Peer::connect(rig.address());
    client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
    until("it is handled", || rig.value(Metric::RequestsOpen) > open);
    client
}

/// That nobody listens any more. A connect that still reaches the queue is one that the listener's end resets.
fn refuses(address: SocketAddr) {
    until("connects are refused", || {
        TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    });
}

#[test]
fn idle_connections_are_closed_within_about_a_second() {
    on_both(|driver| {
        let (rig, _) = gated(driver, grace(LONG), None);
        let mut silent = Peer::connect(rig.address());
        let mut served = Peer::connect(rig.address());
        served.get("/");
        let mut slept = Peer::connect(rig.address());
        slept.get("/");
        until("all are there", || rig.value(Metric::ConnectionsOpen) == 3);
        // The third has been idle for so long that it has given its buffer up.
        until("they sleep", || rig.value(Metric::ConnectionsIdle) == 3);
        served.get("/");
        let ((), took) = timed(|| {
            rig.handle.drain();
            slept.ends();
            silent.ends();
            served.ends();
            rig.ended();
        });
        on_time(took, Duration::from_millis(500));
        assert!(rig.handle.is_draining());
        let cut = rig.event(|event| match event {
            Event::LaneEnded { cut, .. } => Some(*cut),
            _ => None,
        });
        assert_eq!(cut, 0);
    });
}

#[test]
fn what_is_in_flight_is_finished_and_says_that_it_is_the_last() {
    on_both(|driver| {
        let (rig, gate) = gated(driver, grace(LONG), None);
        let mut busy = in_flight(&rig);
        rig.handle.drain();
        rig.event(|event| matches!(event, Event::Draining { connections: 1, .. }).then_some(()));
        refuses(rig.address());
        gate.store(true, Ordering::SeqCst);
        let answer = busy.message();
        assert_eq!(answer.text(), "done\n");
        busy.ends_after(&answer);
        rig.ended();
        assert_eq!(rig.record().end, End::Done);
    });
}

#[test]
fn a_keep_alive_client_gets_its_next_answer_and_that_is_the_last() {
    on_both(|driver| {
        let (rig, gate) = gated(driver, grace(LONG), None);
        // Somebody keeps the lane from ending before the other has asked.
        let mut busy = in_flight(&rig);
        let mut client = Peer::connect(rig.address());
        client.get("/");
        rig.handle.drain();
        rig.event(|event| matches!(event, Event::Draining { .. }).then_some(()));
        let answer = client.get("/");
        assert_eq!(answer.text(), "done\n");
        client.ends_after(&answer);
        gate.store(true, Ordering::SeqCst);
        busy.message();
        rig.ended();
    });
}

#[test]
fn a_client_in_the_accept_queue_is_served() {
    on_both(|driver| {
        let (rig, gate) = gated(driver, grace(LONG), Some(1));
        let mut busy = in_flight(&rig);
        let mut queued: Vec<_> = (0..3).map(|_| Peer::connect(rig.address())).collect();
        for client in &mut queued {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        assert_eq!(rig.value(Metric::Connections), 1);
        rig.handle.drain();
        gate.store(true, Ordering::SeqCst);
        assert_eq!(busy.message().text(), "done\n");
        let mut served = 0;
        for mut client in queued {
            // As many as the maximum allows are taken from the queue; the others are reset when it is closed.
            match client.more(Duration::from_secs(5)) {
                Ok(true) => {
                    let answer = client.message();
                    assert_eq!(answer.text(), "done\n");
                    client.ends_after(&answer);
                    served += 1;
                }
                Ok(false) => panic!("it is forgotten"),
                Err(over) => assert_eq!(over, Over::Reset),
            }
        }
        assert!(served >= 1, "nobody was taken from the queue");
        rig.ended();
    });
}

#[test]
fn the_grace_cuts_off_what_takes_too_long() {
    const GRACE: Duration = Duration::from_millis(300);
    on_both(|driver| {
        let (rig, _) = gated(driver, grace(GRACE), None);
        let mut busy = in_flight(&rig);
        let ((), took) = timed(|| {
            rig.handle.drain();
            let (rest, _) = busy.rest();
            assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
            rig.ended();
        });
        on_time(took, GRACE);
        let cut = rig.event(|event| match event {
            Event::LaneEnded { cut, .. } => Some(*cut),
            _ => None,
        });
        assert_eq!(cut, 1);
        assert_eq!(rig.record().end, End::Drained);
    });
}

#[test]
fn a_transfer_that_is_cut_off_does_not_look_complete() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            peer.head();
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
            let (rest, _) = peer.rest();
            assert!(rest.is_empty());
        });
        let cluster = origin.cluster();
        let builder = Engine::builder().lanes(1).driver(driver).timeouts(grace(Duration::from_millis(100)));
        let rig = Rig::start(
            builder.serve("127.0.0.1:0", move |lane| Ok(support::Balancer(lane.upstream(&cluster)))),
        );
        // HTTP/1.0 knows an end by the close alone, so that must be a reset.
        let (mut new, mut old) = (Peer::connect(rig.address()), Peer::connect(rig.address()));
        new.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        old.send("GET / HTTP/1.0\r\n\r\n");
        for client in [&mut new, &mut old] {
            client.head();
            while !client.received().contains("hello") {
                assert_eq!(client.more(Duration::from_secs(5)), Ok(true));
            }
        }
        rig.handle.drain();
        rig.ended();
        let (rest, _) = new.rest();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
        let (_, over) = old.rest();
        assert_eq!(over, Over::Reset);
    });
}

#[test]
fn without_a_deadline_a_drain_waits() {
    on_both(|driver| {
        let (rig, gate) = gated(driver, grace(Duration::ZERO), None);
        let mut busy = in_flight(&rig);
        rig.handle.drain_without_deadline();
        assert_eq!(busy.more(Duration::from_millis(1500)), Ok(false), "it is neither answered nor cut off");
        assert!(!rig.handle.is_finished());
        gate.store(true, Ordering::SeqCst);
        assert_eq!(busy.message().text(), "done\n");
        rig.ended();
        assert_eq!(rig.record().end, End::Done);
    });
}

#[test]
fn a_drain_can_be_hurried_up() {
    on_both(|driver| {
        let (rig, _) = gated(driver, grace(Duration::from_millis(200)), None);
        let mut busy = in_flight(&rig);
        rig.handle.drain_without_deadline();
        assert_eq!(busy.more(Duration::from_millis(400)), Ok(false));
        let ((), took) = timed(|| {
            rig.handle.drain();
            rig.ended();
        });
        on_time(took, Duration::from_millis(200));
    });
}

#[test]
fn a_drain_is_not_slowed_down_by_another() {
    on_both(|driver| {
        const GRACE: Duration = Duration::from_millis(600);
        let (rig, _) = gated(driver, grace(GRACE), None);
        let _busy = in_flight(&rig);
        let began = now();
        rig.handle.drain();
        poll(GRACE - Duration::from_millis(100), || None::<()>);
        rig.handle.drain();
        rig.ended();
        let took = now().duration_since(began);
        assert!(took < GRACE + Duration::from_millis(400), "the second began from the start: {took:?}");
    });
}

#[test]
fn a_stop_is_a_stop_whatever_follows() {
    on_both(|driver| {
        for _ in 0..20 {
            let (rig, _) = gated(driver, grace(LONG), None);
            let _busy = in_flight(&rig);
            rig.handle.stop();
            rig.handle.drain();
            rig.ended();
        }
    });
}

#[test]
fn a_stop_is_at_once_and_everybody_sees_it() {
    on_both(|driver| {
        let (rig, _) = gated(driver, grace(LONG), None);
        let (mut busy, mut idle, mut silent) =
            (in_flight(&rig), Peer::connect(rig.address()), Peer::connect(rig.address()));
        idle.get("/");
        until("all are there", || rig.value(Metric::ConnectionsOpen) == 3);
        let ((), took) = timed(|| {
            rig.handle.stop();
            rig.ended();
        });
        assert!(took < Duration::from_secs(1), "{took:?}");
        busy.ends();
        idle.ends();
        silent.ends();
        refuses(rig.address());
        // Whatever is asked of what has ended is answered at once.
        rig.handle.drain();
        rig.handle.stop();
        rig.handle.join();
        let (snapshots, took) = timed(|| rig.handle.snapshots(Duration::from_millis(100)));
        assert!(snapshots.is_empty() && took < Duration::from_secs(1), "{snapshots:?} {took:?}");
    });
}

#[test]
fn pooled_connections_are_closed_with_the_engine() {
    on_both(|driver| {
        let (closed, is_closed) = std::sync::mpsc::channel();
        let origin = Scripted::start(move |peer| {
            while peer.try_message().is_some() {
                peer.send(support::peer::ok("there"));
            }
            closed.send(()).expect("the test listens");
        });
        let cluster = origin.cluster();
        let rig = Rig::serve(driver, move |lane| Ok(support::Balancer(lane.upstream(&cluster))));
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/").text(), "there");
        until("it is pooled", || rig.value(Metric::UpstreamIdle) == 1);
        rig.handle.drain();
        rig.ended();
        is_closed.recv_timeout(support::PATIENCE).expect("the origin sees the end");
    });
}

/// Answers at once; `/waits` never; `/tunnel` becomes one in which nothing is said.
fn patient(driver: Driver, timeouts: Timeouts) -> Rig {
    async fn silent(mut tunnel: Tunnel) -> corelane_engine::Result<()> {
        while tunnel.receive().await?.is_some() {}
        Ok(())
    }
    let builder = Engine::builder().lanes(2).driver(driver).timeouts(timeouts);
    Rig::start(builder.serve("127.0.0.1:0", |lane| {
        let lane = lane.clone();
        Ok(Fun(async move |request: corelane_engine::Request| match request.path() {
            "/waits" => {
                lane.sleep(LONG).await;
                Ok(Response::text(StatusCode::OK, "late\n"))
            }
            "/tunnel" => request.upgrade(silent),
            _ => Ok(Response::text(StatusCode::OK, "done\n")),
        }))
    }))
}

/// When each of these connections ended, whatever came before, in the order in which they did.
fn ends_of(mut connections: Vec<TcpStream>) -> Vec<Duration> {
    let (began, mut ends, mut piece) = (now(), Vec::new(), [0; 1024]);
    for connection in &connections {
        connection.set_nonblocking(true).expect("it can be");
    }
    let over = poll(LONG, || {
        connections.retain_mut(|connection| match connection.read(&mut piece) {
            Ok(count) if count > 0 => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => true,
            _ => {
                ends.push(now() - began);
                false
            }
        });
        connections.is_empty().then_some(())
    });
    assert!(over.is_some(), "{} are still open", connections.len());
    ends
}

#[test]
fn op_09_a_drain_spreads_the_ends_of_a_crowd_over_a_second_and_cuts_the_long_ones_at_its_own() {
    const NAME: &str =
        "op_09_a_drain_spreads_the_ends_of_a_crowd_over_a_second_and_cuts_the_long_ones_at_its_own";
    const CROWD: usize = 2000;
    const GRACE: Duration = Duration::from_secs(3);
    alone(NAME, || {
        for driver in [Driver::Auto, Driver::Epoll] {
            let rig = patient(driver, grace(GRACE));
            let open = |request: &str| {
                let mut stream = TcpStream::connect(rig.address()).expect("it listens");
                stream.write_all(request.as_bytes()).expect("there is room");
                stream
            };
            let idle: Vec<_> = (0..CROWD).map(|_| open("GET / HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
            until("all are served", || rig.value(Metric::Responses2xx) == CROWD as u64);
            let mut long: Vec<_> = (0..100).map(|_| open("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
            let upgrade = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            long.extend((0..20).map(|_| open(upgrade)));
            until("all are under way", || rig.value(Metric::RequestsOpen) == 120);
            rig.handle.drain();
            let ends = ends_of(idle);
            // A second, and what a busy machine adds.
            let last = ends[CROWD - 1];
            assert!(last <= Duration::from_millis(2000), "{last:?}");
            // Not all come back at one moment.
            for tenth in 0..20 {
                let (from, to) = (tenth * 100, tenth * 100 + 100);
                let count = ends.iter().filter(|end| (from..to).contains(&end.as_millis())).count();
                assert!(count <= CROWD / 2, "{count} of {CROWD} between {from} and {to} ms");
            }
            let (cut, took) = timed(|| ends_of(long));
            assert_eq!(cut.len(), 120);
            assert!(took >= Duration::from_millis(500) && took <= GRACE + Duration::from_secs(2), "{took:?}");
            assert!(last + cut[0] >= GRACE - Duration::from_millis(100), "{last:?} and {:?}", cut[0]);
            rig.ended();
            let ends: Vec<End> = rig.records.try_iter().map(|record| record.end).collect();
            assert_eq!(ends.iter().filter(|end| **end == End::Drained).count(), 120);
        }
    });
}

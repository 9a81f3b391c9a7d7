//! Peers that do not take what they are sent, or take it slowly.

use crate::support::{
    Balancer, PATIENCE,
    clock::{now, poll, timed, until},
    peer::{Peer, Scripted},
    rig::{Rig, on_both},
};
use corelane_engine::{Driver, End, Engine, Limits, Metric, Timeouts};
use std::{net::SocketAddr, time::Duration};

fn proxy(driver: Driver, origin: &Scripted, set: impl FnOnce(&mut Timeouts)) -> Rig {
    let (cluster, mut timeouts) = (origin.cluster(), Timeouts::default());
    set(&mut timeouts);
    let builder = Engine::builder().lanes(1).driver(driver).timeouts(timeouts);
    Rig::start(builder.serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))))
}

/// An origin whose answer has no end.
fn endless() -> Scripted {
    const CHUNK: usize = 64 << 10;
    Scripted::start(|peer| {
        if peer.try_head().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            let piece = format!("{CHUNK:x}\r\n{}\r\n", "x".repeat(CHUNK));
            while peer.try_send(&piece) {}
        }
    })
}

#[test]
fn b_31_a_client_that_does_not_read_is_closed_in_time() {
    const BETWEEN: Duration = Duration::from_secs(1);
    on_both(|driver| {
        let origin = endless();
        let rig = proxy(driver, &origin, |timeouts| {
            timeouts.between_bytes = BETWEEN;
            timeouts.linger = Duration::from_millis(50);
        });
        let mut stuck = Peer::connect(rig.address());
        let (record, took) = timed(|| {
            stuck.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            rig.record()
        });
        assert_eq!((record.end, record.status), (End::ClientTimeout, 200));
        // Nothing moves once the kernel's buffers are full, which they are at once.
        assert!(took >= BETWEEN && took < BETWEEN * 19 / 10, "{took:?}");
        let (rest, _) = stuck.rest();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{} bytes", rest.len());
        until("the origin is told", || rig.value(Metric::ConnectionsOpen) == 0);
    });
}

#[test]
fn b_31_a_client_that_reads_slowly_but_steadily_is_served() {
    const BETWEEN: Duration = Duration::from_millis(400);
    on_both(|driver| {
        let origin = endless();
        let rig = proxy(driver, &origin, |timeouts| timeouts.between_bytes = BETWEEN);
        let mut slow = Peer::connect(rig.address());
        slow.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        // So little that the kernel's buffers before it hold more than it reads between two deadlines.
        let began = now();
        while now().duration_since(began) < BETWEEN * 6 {
            assert_eq!(slow.more(PATIENCE), Ok(true));
            std::thread::park_timeout(Duration::from_millis(20));
        }
        assert!(rig.records.try_recv().is_err());
        slow.reset();
        assert_eq!(rig.record().end, End::ClientClosed);
    });
}

/// A connection over which hardly anything goes as long as nobody reads.
fn narrow(address: SocketAddr) -> Peer {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(2048).expect("a size");
    socket.connect(&address.into()).expect("it listens");
    Peer::of(socket.into())
}

#[test]
fn a_client_that_does_not_read_interim_responses_is_closed_too() {
    const BETWEEN: Duration = Duration::from_millis(400);
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            if peer.try_head().is_none() {
                return;
            }
            let hints = format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "a".repeat(60_000));
            // More in all than the kernel takes for somebody who reads nothing.
            while peer.try_send(&hints) {}
        });
        let (cluster, mut timeouts, mut limits) = (origin.cluster(), Timeouts::default(), Limits::default());
        (timeouts.between_bytes, timeouts.upstream_head) = (BETWEEN, BETWEEN);
        limits.interim_responses_max = u32::MAX;
        let builder = Engine::builder().lanes(1).driver(driver).timeouts(timeouts).limits(limits);
        let rig = Rig::start(builder.serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))));
        let mut stuck = narrow(rig.address());
        stuck.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let record = poll(Duration::from_secs(5), || rig.records.try_recv().ok());
        let record = record.expect("it does not wait for ever");
        assert_ne!(record.end, End::Done);
        until("it is gone", || rig.value(Metric::ConnectionsOpen) == 0);
    });
}

#[test]
fn an_origin_that_does_not_read_the_upload_is_a_504() {
    const BETWEEN: Duration = Duration::from_millis(400);
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            peer.try_head();
            // Without reading what comes behind it, and without leaving.
            std::thread::park_timeout(PATIENCE);
        });
        let rig = proxy(driver, &origin, |timeouts| timeouts.between_bytes = BETWEEN);
        let mut client = Peer::connect(rig.address());
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.stream.set_nonblocking(true).expect("a socket");
        let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let (record, took) = timed(|| {
            poll(PATIENCE, || {
                // Framing does not matter once nobody reads; only that there is always more.
                client.try_send(&piece);
                rig.records.try_recv().ok()
            })
        });
        let record = record.expect("it ends");
        assert_eq!((record.end, record.status), (End::UpstreamTimeout, 504), "{record:?}");
        assert!(took >= BETWEEN && took < BETWEEN * 2 + Duration::from_millis(1500), "{took:?}");
        assert!(record.request_bytes > 0);
    });
}

#[test]
fn a_client_that_resets_while_it_is_sent_content_ends_the_work_at_once() {
    on_both(|driver| {
        let origin = endless();
        let rig = proxy(driver, &origin, |_| {});
        for _ in 0..5 {
            let mut client = Peer::connect(rig.address());
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client.head();
            let left = now();
            client.reset();
            let record = rig.record();
            assert_eq!((record.end, record.status), (End::ClientClosed, 200));
            assert!(now().duration_since(left) < Duration::from_secs(1));
        }
        assert_eq!(rig.value(Metric::UpstreamIdle), 0);
    });
}

#[test]
fn one_that_reads_nothing_holds_nobody_else_up() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            while let Some(head) = peer.try_head() {
                if head.starts_with("GET /endless ") {
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
                    while peer.try_send("x".repeat(64 << 10)) {}
                    return;
                }
                peer.send(crate::support::peer::ok("there"));
            }
        });
        let rig = proxy(driver, &origin, |_| {});
        let greedy: Vec<_> = (0..4)
            .map(|_| {
                let mut client = Peer::connect(rig.address());
                client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
                client
            })
            .collect();
        // One reads as fast as it can, the others not at all.
        let mut greedy = greedy.into_iter();
        let mut fast = greedy.next().expect("there are four");
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || {
                let began = now();
                while now().duration_since(began) < Duration::from_millis(500) {
                    assert_eq!(fast.more(PATIENCE), Ok(true));
                }
                fast.reset();
            });
            let mut client = Peer::connect(rig.address());
            let mut slowest = Duration::ZERO;
            while !reading.is_finished() {
                let (answer, took) = timed(|| client.get("/"));
                assert_eq!(answer.text(), "there");
                slowest = slowest.max(took);
            }
            assert!(slowest < Duration::from_millis(500), "{slowest:?}");
        });
        assert_eq!(greedy.len(), 3);
    });
}

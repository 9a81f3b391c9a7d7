//! Every wait has an end: each of [`Timeouts`], met by a peer that would wait for ever.

use crate::support::{
    Balancer, PATIENCE,
    clock::{compute, now, on_time, poll, timed, until},
    peer::{Over, Peer, Scripted, ok},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Builder, Driver, End, Engine, Handle, Metric, Request, Response, StatusCode, Timeouts,
};
use std::{sync::mpsc::channel, time::Duration};

const SOON: Duration = Duration::from_millis(400);

fn builder(driver: Driver, set: impl FnOnce(&mut Timeouts)) -> Builder {
    let mut timeouts = Timeouts::default();
    set(&mut timeouts);
    Engine::builder().lanes(1).driver(driver).timeouts(timeouts)
}

/// Answers by itself.
fn local(driver: Driver, set: impl FnOnce(&mut Timeouts)) -> Rig {
    Rig::start(builder(driver, set).serve("127.0.0.1:0", |_| {
        Ok(Fun(async |mut request: Request| {
            let content = request.body_mut().collect(1 << 20).await?;
            Ok(Response::text(StatusCode::OK, format!("{}", content.len())))
        }))
    }))
}

/// Forwards to an origin.
fn proxy(driver: Driver, origin: &Scripted, set: impl FnOnce(&mut Timeouts)) -> Rig {
    let cluster = origin.cluster();
    Rig::start(builder(driver, set).serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))))
}

/// An origin that answers a request on each connection as the script says, and then waits for the other end.
fn answering(answer: &'static str) -> Scripted {
    Scripted::start(move |peer| {
        if peer.try_head().is_some() {
            peer.send(answer);
            peer.rest();
        }
    })
}

/// Sends a piece now and then, until something comes back or the connection ends.
fn trickle(client: &mut Peer, mut piece: impl FnMut() -> String) {
    let sent = poll(PATIENCE, || {
        client.try_send(piece());
        // That is the pace, too.
        (client.more(Duration::from_millis(40)) != Ok(false)).then_some(())
    });
    assert!(sent.is_some(), "it would take more for ever");
}

#[test]
fn b_32_a_head_that_trickles_in_has_one_deadline_in_all() {
    on_both(|driver| {
        let rig = local(driver, |timeouts| timeouts.client_head = SOON);
        for before in ["", "GET /whole HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let mut client = Peer::connect(rig.address());
            if !before.is_empty() {
                // Not only the first head of a connection.
                client.send(before);
                assert_eq!(client.message().status(), 200);
                assert_eq!(rig.record().end, End::Done);
            }
            let (answer, took) = timed(|| {
                client.send("G");
                let mut rest = "ET / HTTP/1.1\r\nX-Slow: ".chars().chain(std::iter::repeat('a'));
                trickle(&mut client, || rest.next().map(String::from).expect("it is endless"));
                client.message()
            });
            assert_eq!(answer.status(), 408, "{answer:?}");
            client.ends_after(&answer);
            on_time(took, SOON);
            let record = rig.record();
            assert_eq!((record.end, record.status), (End::ClientTimeout, 408));
        }
    });
}

#[test]
fn the_first_head_of_a_connection_is_timed_from_the_accept() {
    on_both(|driver| {
        let rig = local(driver, |timeouts| timeouts.client_head = SOON * 2);
        let mut client = Peer::connect(rig.address());
        let (answer, took) = timed(|| {
            assert_eq!(client.more(SOON * 3 / 2), Ok(false));
            client.send("G");
            client.message()
        });
        assert_eq!(answer.status(), 408);
        assert!(took < SOON * 3, "the first byte began it anew: {took:?}");
    });
}

#[test]
fn a_client_that_connects_and_says_nothing_is_closed_without_a_word() {
    on_both(|driver| {
        let rig = local(driver, |timeouts| timeouts.client_head = SOON);
        let mut silent = Peer::connect(rig.address());
        let mut blank = Peer::connect(rig.address());
        blank.send("\r\n");
        for client in [&mut silent, &mut blank] {
            let ((), took) = timed(|| client.ends());
            assert!(took <= SOON + Duration::from_millis(1500), "{took:?}");
        }
        let snapshot = rig.snapshot();
        assert_eq!((snapshot.value(Metric::Requests), snapshot.value(Metric::Connections)), (0, 2));
        assert!(rig.finish().is_empty());
    });
}

#[test]
fn a_connection_that_says_nothing_is_not_closed_early() {
    on_both(|driver| {
        let rig = local(driver, |timeouts| timeouts.client_head = SOON);
        let (mut client, took) = {
            let began = now();
            let mut client = Peer::connect(rig.address());
            client.ends();
            (client, now().duration_since(began))
        };
        on_time(took, SOON);
        assert!(!client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") || client.rest().0.is_empty());
    });
}

#[test]
fn an_idle_client_is_closed_without_a_word() {
    on_both(|driver| {
        // The second is idle for so long that it sleeps before.
        for idle in [SOON, Duration::from_millis(2600)] {
            let rig = local(driver, |timeouts| timeouts.client_idle = idle);
            let mut client = Peer::connect(rig.address());
            assert_eq!((client.get("/").status(), client.get("/").status()), (200, 200));
            // A clock that begins before the last request is not late, however busy the machine is.
            let ((), took) = timed(|| {
                assert_eq!(client.get("/").status(), 200);
                client.ends();
            });
            on_time(took, idle);
            until("it is gone", || rig.value(Metric::ConnectionsOpen) == 0);
            assert_eq!(rig.finish().len(), 3);
        }
    });
}

#[test]
fn b_24_an_origin_that_sends_no_head_in_time_is_a_504() {
    on_both(|driver| {
        let (left, is_left) = channel();
        let origin = Scripted::start(move |peer| {
            let Some(head) = peer.try_head() else { return };
            if head.starts_with("GET /interim ") {
                // Interim responses don't extend it.
                while peer.try_send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") {
                    if peer.more(Duration::from_millis(60)).is_err() {
                        break;
                    }
                }
            } else {
                peer.rest();
            }
            left.send(now()).expect("the test listens");
        });
        let rig = proxy(driver, &origin, |timeouts| timeouts.upstream_head = SOON);
        for path in ["/silent", "/interim"] {
            let mut client = Peer::connect(rig.address());
            let (answer, took) = timed(|| {
                client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
                loop {
                    let answer = client.message();
                    if answer.status() != 103 {
                        break answer;
                    }
                }
            });
            assert_eq!(answer.status(), 504, "{path}");
            on_time(took, SOON);
            is_left.recv_timeout(PATIENCE).expect("the request is cancelled");
            let record = rig.record();
            assert_eq!((record.end, record.status), (End::UpstreamTimeout, 504));
            // The client's connection is in order.
            client.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.message().status(), 504);
            is_left.recv_timeout(PATIENCE).expect("the request is cancelled");
            rig.record();
        }
    });
}

#[test]
fn an_origin_that_stalls_within_content_breaks_the_answer_off_and_the_client_can_tell() {
    on_both(|driver| {
        let known = answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        let chunked = answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        let until_close = answering("HTTP/1.1 200 OK\r\n\r\nhello");
        for origin in [known, chunked, until_close] {
            let rig = proxy(driver, &origin, |timeouts| timeouts.between_bytes = SOON);
            for version in ["1.1", "1.0"] {
                let mut client = Peer::connect(rig.address());
                client.send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
                let head = client.head().to_ascii_lowercase();
                let ((rest, over), took) = timed(|| client.rest());
                assert!(rest.windows(5).any(|window| window == b"hello"), "{rest:?}");
                assert!(took <= SOON + Duration::from_millis(1500), "{took:?}");
                let tells = if head.contains("content-length: 10") {
                    rest.len() < 10
                } else if head.contains("transfer-encoding: chunked") {
                    !rest.ends_with(b"0\r\n\r\n")
                } else {
                    over == Over::Reset
                };
                assert!(tells, "{version}: {head:?} {rest:?} {over:?}");
                let record = rig.record();
                assert_eq!((record.end, record.status), (End::UpstreamTimeout, 200));
                assert!(record.duration >= SOON, "{record:?}");
                assert_eq!(record.response_bytes, 5);
            }
        }
    });
}

#[test]
fn content_that_does_not_come_is_a_408() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| drop(peer.rest()));
        let through = proxy(driver, &origin, |timeouts| timeouts.between_bytes = SOON);
        let here = local(driver, |timeouts| timeouts.between_bytes = SOON);
        for rig in [&through, &here] {
            for framing in ["Content-Length: 10\r\n\r\nhel", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"] {
                let mut client = Peer::connect(rig.address());
                let (answer, took) = timed(|| {
                    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
                    client.message()
                });
                assert_eq!(answer.status(), 408);
                client.ends_after(&answer);
                on_time(took, SOON);
                let record = rig.record();
                assert_eq!((record.end, record.request_bytes), (End::ClientTimeout, 3));
            }
        }
    });
}

/// A client that is alive, but sends some 250 bytes a second where it must send a thousand.
fn too_slow(rig: &Rig) {
    let mut client = Peer::connect(rig.address());
    let (answer, took) = timed(|| {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        trickle(&mut client, || "0123456789".to_owned());
        client.message()
    });
    assert_eq!(answer.status(), 408);
    client.ends_after(&answer);
    on_time(took, SOON);
    let record = rig.record();
    assert_eq!((record.end, record.status), (End::ClientTimeout, 408));
    assert!(record.error.contains("below the minimum rate"), "{}", record.error);
}

fn least_rate(timeouts: &mut Timeouts) {
    timeouts.content_rate_min = 1000;
    timeouts.content_rate_grace = SOON;
}

#[test]
fn slo_02_content_on_its_way_to_an_origin_must_keep_the_least_rate() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| drop(peer.rest()));
        let rig = proxy(driver, &origin, least_rate);
        too_slow(&rig);
        // It is only measured where the length is known, and never against an origin that is slow.
        let mut client = Peer::connect(rig.address());
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..12 {
            client.send("1\r\na\r\n");
            assert_eq!(client.more(SOON / 4), Ok(false));
        }
    });
}

#[test]
fn slo_02_content_for_a_handler_must_keep_the_least_rate() {
    on_both(|driver| too_slow(&local(driver, least_rate)));
}

#[test]
fn slo_06_a_tunnel_on_which_both_are_silent_is_closed() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            let Some(head) = peer.try_head() else { return };
            assert!(head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
            peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            // Whatever comes goes back.
            while peer.more(PATIENCE) == Ok(true) {
                let bytes = peer.bytes(peer.received().len());
                peer.send(bytes);
            }
        });
        let rig = proxy(driver, &origin, |timeouts| {
            timeouts.tunnel_idle = SOON;
            timeouts.linger = Duration::from_millis(100);
        });
        let mut client = Peer::connect(rig.address());
        client.send(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert_eq!(client.head().lines().next(), Some("HTTP/1.1 101 Switching Protocols"));
        // Whoever moves something stays, however long.
        for _ in 0..5 {
            client.send("ping");
            assert_eq!(client.bytes(4), b"ping");
            assert_eq!(client.more(SOON / 2), Ok(false));
        }
        let ((), took) = timed(|| {
            client.send("last");
            assert_eq!(client.bytes(4), b"last");
            client.ends();
        });
        on_time(took, SOON);
        let record = rig.record();
        assert_eq!((record.status, record.end), (101, End::ClientTimeout));
        assert_eq!((record.request_bytes, record.response_bytes), (24, 24));
        assert_eq!(rig.value(Metric::TunnelsOpen), 0);
    });
}

#[test]
fn a_pooled_connection_that_is_idle_is_closed() {
    on_both(|driver| {
        let (closed, is_closed) = channel();
        let origin = Scripted::start(move |peer| {
            while peer.try_message().is_some() {
                peer.send(ok("there"));
            }
            closed.send(()).expect("the test listens");
        });
        let rig = proxy(driver, &origin, |timeouts| timeouts.upstream_idle = SOON);
        let mut client = Peer::connect(rig.address());
        for connections in 1..=2 {
            assert_eq!((client.get("/").text(), client.get("/").text()), ("there".into(), "there".into()));
            let ((), took) = timed(|| {
                assert_eq!(client.get("/").text(), "there");
                assert_eq!(origin.connections(), connections);
                is_closed.recv_timeout(PATIENCE).expect("it is closed");
            });
            // Such connections are looked at once a second.
            on_time(took, SOON);
            until("it is counted", || rig.value(Metric::UpstreamIdle) == 0);
        }
    });
}

#[test]
fn clients_beyond_the_maximum_wait_until_one_leaves() {
    on_both(|driver| {
        let base = builder(driver, |_| {}).max_connections(Some(2));
        let rig = Rig::start(
            base.serve("127.0.0.1:0", |_| Ok(Fun(async |_| Ok(Response::text(StatusCode::OK, "served\n"))))),
        );
        let (mut first, mut second) = (Peer::connect(rig.address()), Peer::connect(rig.address()));
        assert_eq!((first.get("/").status(), second.get("/").status()), (200, 200));
        let mut third = Peer::connect(rig.address());
        third.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(third.more(Duration::from_millis(300)), Ok(false), "it waits");
        assert_eq!(rig.value(Metric::ConnectionsOpen), 2);
        assert_eq!(first.get("/").status(), 200, "those who are in are served");
        drop(first);
        assert_eq!(third.message().text(), "served\n");
        assert_eq!(second.get("/").status(), 200);
    });
}

#[test]
fn a_request_that_takes_too_long_in_all_is_a_504() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| drop(peer.rest()));
        let through = proxy(driver, &origin, |timeouts| timeouts.request = Some(SOON));
        let base = builder(driver, |timeouts| timeouts.request = Some(SOON));
        let here = Rig::start(
            base.serve("127.0.0.1:0", |_| Ok(Fun(async |_: Request| std::future::pending().await))),
        );
        for rig in [&through, &here] {
            let mut client = Peer::connect(rig.address());
            for _ in 0..2 {
                let (answer, took) = timed(|| client.get("/"));
                assert_eq!(answer.status(), 504);
                on_time(took, SOON);
                let record = rig.record();
                assert_eq!((record.end, record.status), (End::UpstreamTimeout, 504));
            }
            assert_eq!(rig.value(Metric::Connections), 1);
        }
    });
}

#[test]
fn the_time_for_a_whole_exchange_holds_for_its_content_too() {
    on_both(|driver| {
        // An origin that never stops, and never pauses for long.
        let origin = Scripted::start(|peer| {
            if peer.try_head().is_some() {
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                while peer.try_send("1\r\na\r\n") {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            }
        });
        let rig = proxy(driver, &origin, |timeouts| timeouts.request = Some(SOON));
        let mut client = Peer::connect(rig.address());
        let began = now();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 200 "));
        let over = poll(SOON * 5, || client.more(Duration::from_millis(20)).err());
        assert!(over.is_some(), "it goes on: {} bytes so far", client.received().len());
        on_time(now().duration_since(began), SOON);
        assert!(!client.received().ends_with("0\r\n\r\n"));
        assert_eq!(rig.record().end, End::UpstreamTimeout);
    });
}

#[test]
fn a_wait_begins_when_it_begins_however_long_the_lane_was_kept() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            while peer.try_message().is_some() {
                std::thread::park_timeout(SOON / 2);
                peer.send(ok("there"));
            }
        });
        let cluster = origin.cluster();
        let base = builder(driver, |timeouts| {
            (timeouts.connect, timeouts.upstream_head) = (SOON, SOON);
        });
        let rig = Rig::start(base.serve("127.0.0.1:0", move |lane| {
            let origin = lane.upstream(&cluster);
            Ok(Fun(async move |request: Request| {
                compute(SOON * 2);
                origin.send(request).await
            }))
        }));
        let mut client = Peer::connect(rig.address());
        for _ in 0..2 {
            let answer = client.get("/");
            let record = rig.record();
            assert_eq!(answer.status(), 200, "it did not have all of its time: {record:?}");
        }
    });
}

#[test]
fn a_client_that_goes_on_sending_after_its_answer_is_closed() {
    on_both(|driver| {
        let rig = Rig::start(
            builder(driver, |timeouts| timeouts.linger = SOON)
                .serve("127.0.0.1:0", |_| Ok(Fun(async |_| Ok(Response::new(StatusCode::NO_CONTENT))))),
        );
        let mut client = Peer::connect(rig.address());
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 204 "));
        let ((), took) = timed(|| trickle(&mut client, || "a".to_owned()));
        assert!(took <= SOON * 2 + Duration::from_millis(1500), "{took:?}");
        until("it is gone", || rig.value(Metric::ConnectionsOpen) == 0);
    });
}

#[test]
fn what_is_in_force_can_be_asked_for() {
    let rig = local(Driver::Auto, |timeouts| timeouts.client_idle = SOON);
    let handle: &Handle = &rig.handle;
    assert_eq!(handle.settings().timeouts.client_idle, SOON);
    assert_eq!(handle.settings().limits.request_line_bytes_max, 8 << 10);
}

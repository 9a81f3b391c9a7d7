//! One record for each exchange, on every path, and counters that agree with them.

use crate::support::{
    PATIENCE,
    clock::{compute, now, poll, until},
    peer::{Peer, Scripted, nobody, ok},
    rig::{Fun, Rig, Seen, on_both},
};
use corelane_engine::{
    AttemptOutcome, Cluster, Driver, End, Engine, Metric, Phase, Request, Response, StatusCode, Timeouts,
};
use crossbeam_channel::unbounded;
use std::time::Duration;

/// Answers, or does what it must not, as the path says. The others go to an origin.
fn everything(driver: Driver, origin: &Scripted) -> Rig {
    let cluster = origin.cluster();
    let dead = Cluster::round_robin([nobody().to_string()]).name("dead").resolve().expect("an address");
    let mut timeouts = Timeouts::default();
    timeouts.drain_grace = Duration::from_millis(300);
    timeouts.upstream_head = Duration::from_millis(300);
    let builder = Engine::builder().lanes(1).driver(driver).timeouts(timeouts);
    Rig::start(builder.serve("127.0.0.1:0", move |lane| {
        let (origin, dead) = (lane.upstream(&cluster), lane.upstream(&dead));
        Ok(Fun(async move |mut request: Request| match request.path() {
            "/waits" => std::future::pending().await,
            "/panics" => panic!("for the record"),
            "/dead" => dead.send(request).await,
            "/reads" => {
                request.body_mut().collect(1000).await?;
                Ok(Response::new(StatusCode::NO_CONTENT))
            }
            "/local" => Ok(Response::text(StatusCode::OK, "here\n")),
            _ => origin.send(request).await,
        }))
    }))
}

fn origin() -> Scripted {
    Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            match request.head.split(' ').nth(1) {
                Some("/cut") => {
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel");
                    return;
                }
                Some("/closed") => return,
                Some("/garbage") => peer.send("220 mail.example.com ESMTP\r\n\r\n"),
                Some("/silent") => drop(peer.rest()),
                Some("/endless") => {
                    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
                    peer.rest();
                }
                _ => peer.send(ok("there")),
            }
        }
    })
}

/// Sends something on a connection of its own, and leaves in an orderly way once the record is there.
#[track_caller]
fn one(rig: &Rig, bytes: &str, leave: impl FnOnce(Peer)) -> Seen {
    let mut client = Peer::connect(rig.address());
    client.send(bytes);
    leave(client);
    rig.record()
}

#[test]
fn every_exchange_ends_in_exactly_one_record() {
    on_both(|driver| {
        let origin = origin();
        let rig = everything(driver, &origin);
        let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let stays = |mut client: Peer| drop(client.try_head());
        let reset = |client: Peer| {
            // It is handled before the client leaves.
            until("it is handled", || rig.value(Metric::RequestsOpen) == 1);
            client.reset();
        };
        // Who promised to send nothing more is watched later, but is watched.
        let last = "GET /waits HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let post = "POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel";
        let table: Vec<(Seen, End, u16)> = vec![
            (one(&rig, &get("/local"), stays), End::Done, 200),
            (one(&rig, &get("/there"), stays), End::Done, 200),
            (one(&rig, &get("/panics"), stays), End::Panicked, 500),
            (one(&rig, &get("/dead"), stays), End::UpstreamConnect, 502),
            (one(&rig, &get("/closed"), stays), End::UpstreamClosed, 502),
            (one(&rig, &get("/garbage"), stays), End::UpstreamProtocol, 502),
            (one(&rig, &get("/silent"), stays), End::UpstreamTimeout, 504),
            (one(&rig, &get("/cut"), stays), End::UpstreamClosed, 200),
            (one(&rig, &get("/waits"), reset), End::ClientClosed, 0),
            (one(&rig, last, reset), End::ClientClosed, 0),
            (one(&rig, post, reset), End::ClientClosed, 0),
            (one(&rig, post, |client| client.half_close()), End::ClientClosed, 0),
            (one(&rig, "GET / HTTP/1.1\r\nHo", |client| client.half_close()), End::ClientClosed, 0),
            (one(&rig, "GET / HTTP/1.1\r\n\r\n", stays), End::ClientProtocol, 400),
            (one(&rig, "GET /\r\n\r\n", stays), End::ClientProtocol, 400),
            (
                one(&rig, &format!("GET /{} HTTP/1.1\r\n", "a".repeat(10_000)), stays),
                End::ClientProtocol,
                414,
            ),
            (
                one(&rig, &get("/endless"), |mut client| {
                    client.head();
                    client.reset();
                }),
                End::ClientClosed,
                200,
            ),
        ];
        for (number, (seen, end, status)) in table.iter().enumerate() {
            let status_is_right = seen.status == *status || (*status == 0 && *end == End::ClientClosed);
            assert!(seen.end == *end && status_is_right, "{number}: {end:?} {status}, but {seen:?}");
            assert_eq!(seen.error.is_empty(), *end == End::Done, "{seen:?}");
            sane(seen);
        }
        // A connection that says nothing, or only empty lines, is no request.
        drop(Peer::connect(rig.address()));
        let mut client = Peer::connect(rig.address());
        client.send("\r\n");
        client.half_close();
        client.ends();
        let snapshot = rig.snapshot();
        assert_eq!(snapshot.value(Metric::Requests), table.len() as u64);
        assert_eq!(snapshot.value(Metric::RequestsOpen), 0);
        for end in End::ALL {
            let records = table.iter().filter(|(seen, ..)| seen.end == end).count();
            assert_eq!(snapshot.ended(end), records as u64, "{end:?}");
        }
        let statuses = |class| table.iter().filter(|(seen, ..)| seen.status / 100 == class).count() as u64;
        assert_eq!(snapshot.value(Metric::Responses2xx), statuses(2));
        assert_eq!(snapshot.value(Metric::Responses4xx), statuses(4));
        assert_eq!(snapshot.value(Metric::Responses5xx), statuses(5));
        assert_eq!(snapshot.histogram(Phase::Request).len(), table.len() as u64);
        let left = rig.finish();
        assert!(left.is_empty(), "{left:?}");
    });
}

/// The parts of an exchange lie within the whole.
#[track_caller]
fn sane(seen: &Seen) {
    let phases = seen.phases;
    let parts = [phases.route, phases.connect, phases.wait, phases.transfer, phases.behind];
    assert!(parts.iter().all(|part| *part <= seen.duration), "{seen:?}");
    assert!(phases.route + phases.connect + phases.wait + phases.transfer <= seen.duration, "{seen:?}");
}

#[test]
fn every_request_of_a_pipeline_has_its_record_in_order() {
    on_both(|driver| {
        let origin = origin();
        let rig = everything(driver, &origin);
        let mut client = Peer::connect(rig.address());
        let all: String = (0..16)
            .map(|number| match number % 2 {
                0 => format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"),
                _ => "GET /local HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            })
            .collect();
        client.send(all);
        for number in 0..16 {
            let content = if number % 2 == 0 { "there" } else { "here\n" };
            assert_eq!(client.message().text(), content);
            let record = rig.record();
            assert_eq!(record.end, End::Done);
            let target = if number % 2 == 0 { format!("/{number}") } else { "/local".to_owned() };
            assert_eq!((record.target, record.client), (target, client.stream.local_addr().unwrap().into()));
        }
        assert!(rig.finish().is_empty());
    });
}

#[test]
fn a_client_that_resets_in_the_middle_of_a_pipeline_leaves_whole_records() {
    on_both(|driver| {
        let origin = origin();
        let rig = everything(driver, &origin);
        for _ in 0..20 {
            let mut client = Peer::connect(rig.address());
            client.send("GET /there HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10));
            client.head();
            client.reset();
        }
        until("all have gone", || rig.value(Metric::ConnectionsOpen) == 0);
        let requests = rig.value(Metric::Requests);
        let records = rig.finish();
        assert_eq!(records.len() as u64, requests);
        assert!(records.iter().all(|record| matches!(record.end, End::Done | End::ClientClosed)));
        assert!(requests >= 20, "{requests}");
    });
}

#[test]
fn exchanges_that_the_end_of_a_drain_cuts_have_their_records() {
    on_both(|driver| {
        let origin = origin();
        let rig = everything(driver, &origin);
        let mut clients: Vec<_> = ["/waits", "/endless", "/waits"]
            .iter()
            .map(|path| {
                let mut client = Peer::connect(rig.address());
                client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
                client
            })
            .collect();
        clients[1].head();
        until("all are in flight", || rig.value(Metric::RequestsOpen) == 3);
        rig.handle.drain();
        rig.ended();
        let mut records: Vec<_> = poll(PATIENCE, || {
            let record = rig.records.try_recv().ok()?;
            Some(record.end)
        })
        .into_iter()
        .collect();
        records.extend(rig.records.try_iter().map(|record| record.end));
        assert_eq!(records, [End::Drained; 3]);
        for mut client in clients {
            client.rest();
        }
    });
}

#[test]
fn records_say_where_the_time_went() {
    const PAUSE: Duration = Duration::from_millis(60);
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            while peer.try_message().is_some() {
                std::thread::park_timeout(PAUSE);
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
                std::thread::park_timeout(PAUSE * 2);
                peer.send("lo");
            }
        });
        let cluster = origin.cluster();
        let rig = Rig::serve(driver, move |lane| {
            let (lane, origin) = (lane.clone(), lane.upstream(&cluster));
            Ok(Fun(async move |request: Request| {
                lane.sleep(PAUSE * 3).await;
                origin.send(request).await
            }))
        });
        let mut client = Peer::connect(rig.address());
        for reused in [false, true] {
            assert_eq!(client.get("/").text(), "hello");
            let seen = rig.record();
            sane(&seen);
            let phases = seen.phases;
            // The system's pauses are not to the microsecond, and what is seen late makes what follows shorter.
            let least = |part: Duration, pauses: u32| part + Duration::from_millis(2) >= PAUSE * pauses;
            assert!(least(phases.route, 3) && least(phases.wait, 1) && least(phases.transfer, 1), "{seen:?}");
            assert!(least(phases.wait + phases.transfer, 3), "{seen:?}");
            assert!(least(seen.duration, 6) && phases.queue < PAUSE, "{seen:?}");
            assert_eq!(phases.connect.is_zero(), reused, "{seen:?}");
            let attempt = &seen.attempts[0];
            assert_eq!((seen.attempts.len(), attempt.reused), (1, reused));
            assert_eq!(attempt.endpoint, origin.address);
            assert_eq!(attempt.outcome, AttemptOutcome::Status(200));
            assert_eq!(seen.response_bytes, 5);
        }
    });
}

#[test]
fn a_handler_that_computes_has_its_time_in_the_record() {
    const WORK: Duration = Duration::from_millis(50);
    on_both(|driver| {
        let cluster = Scripted::echo().cluster();
        let rig = Rig::serve(driver, move |lane| {
            let origin = lane.upstream(&cluster);
            Ok(Fun(async move |request: Request| match request.path() {
                "/before" => {
                    compute(WORK);
                    origin.send(request).await
                }
                "/after" => {
                    let response = origin.send(request).await;
                    compute(WORK);
                    response
                }
                _ => {
                    compute(WORK);
                    Ok(Response::text(StatusCode::OK, "computed\n"))
                }
            }))
        });
        let mut client = Peer::connect(rig.address());
        for path in ["/before", "/local", "/after"] {
            assert_eq!(client.get(path).status(), 200);
            let seen = rig.record();
            sane(&seen);
            assert!(seen.duration >= WORK, "{path}: {seen:?}");
            // What a handler does with an answer belongs to the transfer.
            let part = if path == "/after" { seen.phases.transfer } else { seen.phases.route };
            assert!(part >= WORK, "{path}: {seen:?}");
        }
    });
}

#[test]
fn counters_of_all_lanes_are_one() {
    on_both(|driver| {
        let builder = Engine::builder().driver(driver).lanes(2);
        let rig = Rig::start(builder.serve("127.0.0.1:0", |lane| {
            let (mine, shared) =
                (lane.counter(&format!("lane_{}_total", lane.id())), lane.counter("shared_total"));
            let again = lane.counter("shared_total");
            Ok(Fun(async move |_| {
                mine.add(1);
                shared.add(2);
                again.add(3);
                Ok(Response::new(StatusCode::NO_CONTENT))
            }))
        }));
        assert_eq!(rig.handle.driver().len(), 2);
        // The kernel spreads connections over the lanes, by their ports.
        let mut requests = 0;
        until("both lanes have served", || {
            requests += 1;
            let mut client = Peer::connect(rig.address());
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert!(client.head().starts_with("HTTP/1.1 204 "));
            let lanes = rig.handle.snapshots(PATIENCE);
            lanes.iter().all(|lane| lane.value(Metric::Requests) > 0)
        });
        let lanes = rig.handle.snapshots(PATIENCE);
        assert_eq!(lanes.iter().map(|lane| lane.lane).collect::<Vec<_>>(), [0, 1]);
        let all = rig.snapshot();
        assert_eq!(all.counters["shared_total"], 5 * requests);
        let mine = [&all.counters["lane_0_total"], &all.counters["lane_1_total"]];
        assert_eq!(mine[0] + mine[1], requests);
        for lane in &lanes {
            assert_eq!(lane.counters[&format!("lane_{}_total", lane.lane)], lane.value(Metric::Requests));
        }
        assert_eq!((all.value(Metric::Requests), all.ended(End::Done)), (requests, requests));
        assert_eq!(all.histogram(Phase::Request).len(), requests);
        let records = rig.finish();
        let of = |id| records.iter().filter(|record| record.lane == id).count() as u64;
        assert_eq!([of(0), of(1)], [*mine[0], *mine[1]]);
    });
}

#[test]
fn snapshots_do_not_wait_for_a_lane_that_is_stuck() {
    on_both(|driver| {
        let (stuck, is_stuck) = unbounded();
        let (free, freed) = unbounded::<()>();
        let rig = Rig::serve(driver, move |_| {
            let (stuck, freed) = (stuck.clone(), freed.clone());
            Ok(Fun(async move |_| {
                stuck.send(()).expect("the test listens");
                // A handler must not block: this one does.
                let _ = freed.recv_timeout(PATIENCE);
                Ok(Response::new(StatusCode::NO_CONTENT))
            }))
        });
        let mut client = Peer::connect(rig.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        is_stuck.recv_timeout(PATIENCE).expect("it is handled");
        let began = now();
        assert!(rig.handle.snapshots(Duration::from_millis(100)).is_empty());
        // Commands beyond those that fit are refused; nobody waits for them.
        for _ in 0..200 {
            assert!(rig.handle.snapshots(Duration::ZERO).is_empty());
        }
        assert!(now().duration_since(began) < Duration::from_secs(2));
        free.send(()).expect("it waits");
        assert!(client.head().starts_with("HTTP/1.1 204 "));
        until("it answers again", || rig.handle.snapshots(PATIENCE).len() == 1);
    });
}

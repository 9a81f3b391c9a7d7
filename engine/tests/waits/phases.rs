//! Where a request's time goes: each phase measures what it says, and the flight recorder keeps what was slow.

use crate::support::{
    PATIENCE,
    clock::{compute, until},
    peer::{Peer, Scripted, ok},
    rig::{Fun, Rig, Seen, on_both},
};
use corelane_engine::{
    Bytes, Cluster, Driver, Engine, FlightRecorder, Lane, Metric, Phase, Request, Response, Slow, StatusCode,
};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::{thread, time::Duration};

/// What is long: much longer than what else may happen on a busy machine.
const LONG: Duration = Duration::from_millis(150);
/// More than sockets hold.
const LARGE: usize = 32 << 20;
/// How long a handler keeps its lane.
const BLOCK: Duration = Duration::from_millis(60);

/// Sends what a path says: the head late, or the content late.
fn origin() -> Scripted {
    Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            match request.head.split(' ').nth(1) {
                Some("/late-head") => {
                    compute(LONG);
                    peer.send(ok("late"));
                }
                Some("/late-content") => {
                    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla");
                    compute(LONG);
                    peer.send("te");
                }
                _ => peer.send(ok("there")),
            }
        }
    })
}

/// Asks the origin, after what a path says.
fn proxy(driver: Driver, origin: &Scripted) -> Rig {
    let cluster = origin.cluster();
    Rig::serve(driver, move |lane: &Lane| {
        let (lane, origin) = (lane.clone(), lane.upstream(&cluster));
        // Made beforehand: that takes a time, which would be the handler's.
        let large = Bytes::from(vec![b'x'; LARGE]);
        Ok(Fun(async move |request: Request| match request.path() {
            "/late-handler" => {
                lane.sleep(LONG).await;
                origin.send(request).await
            }
            "/late-reader" => Ok(Response::new(StatusCode::OK).with_body(large.clone())),
            _ => origin.send(request).await,
        }))
    })
}

/// The record of a request that is the only one.
fn alone(rig: &Rig, target: &str) -> Seen {
    Peer::connect(rig.address()).get(target);
    rig.record()
}

#[test]
fn time_is_found_where_it_went() {
    on_both(|driver| {
        let origin = origin();
        let rig = proxy(driver, &origin);
        let quick = alone(&rig, "/");
        assert!(quick.phases.connect > Duration::ZERO && quick.phases.parse > Duration::ZERO, "{quick:?}");
        let late_head = alone(&rig, "/late-head");
        assert!(late_head.phases.wait >= LONG && late_head.phases.transfer < LONG, "{late_head:?}");
        let late_content = alone(&rig, "/late-content");
        assert!(late_content.phases.transfer >= LONG * 9 / 10, "{late_content:?}");
        assert!(late_content.phases.wait < LONG, "{late_content:?}");
        let late_handler = alone(&rig, "/late-handler");
        assert!(late_handler.phases.route >= LONG && late_handler.phases.wait < LONG, "{late_handler:?}");
        for seen in [quick, late_head, late_content, late_handler] {
            let phases = seen.phases;
            let parts = phases.route + phases.connect + phases.wait + phases.transfer;
            assert!(parts <= seen.duration, "{seen:?}");
            assert!(seen.duration - parts < LONG / 2, "the parts leave little: {seen:?}");
            assert!(phases.queue < LONG / 2 && phases.behind < LONG / 2, "nobody else was there: {seen:?}");
        }
    });
}

#[test]
fn a_client_that_reads_late_is_found_in_transfer_and_not_in_the_handlers_time() {
    on_both(|driver| {
        let origin = origin();
        let rig = proxy(driver, &origin);
        let mut client = Peer::connect(rig.address());
        client.send("GET /late-reader HTTP/1.1\r\nHost: a\r\n\r\n");
        client.head();
        compute(LONG);
        client.bytes(LARGE);
        let seen = rig.record();
        assert!(seen.phases.transfer >= LONG && seen.phases.route < LONG, "{seen:?}");
    });
}

#[test]
fn a_slow_clients_head_is_not_our_time() {
    on_both(|driver| {
        let origin = origin();
        let rig = proxy(driver, &origin);
        let mut client = Peer::connect(rig.address());
        for piece in ["GET / HT", "TP/1.1\r\nHo", "st: a\r\n"] {
            client.send(piece);
            compute(LONG);
        }
        client.send("\r\n");
        client.message();
        let seen = rig.record();
        assert!(seen.phases.parse > Duration::ZERO && seen.phases.parse < LONG, "{seen:?}");
        assert!(seen.phases.queue < LONG && seen.duration < LONG, "{seen:?}");
    });
}

#[test]
fn the_heads_of_a_pipeline_wait_for_the_lane_once() {
    on_both(|driver| {
        let origin = origin();
        let rig = proxy(driver, &origin);
        let mut client = Peer::connect(rig.address());
        client.send(
            "GET /late-head HTTP/1.1\r\nHost: a\r\n\r\n".to_owned() + "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        client.message();
        client.message();
        let (first, second) = (rig.record(), rig.record());
        assert!(first.phases.wait >= LONG, "{first:?}");
        assert!(second.phases.queue.is_zero(), "{second:?}");
        assert!(second.phases.parse > Duration::ZERO && second.phases.parse < LONG / 2, "{second:?}");
    });
}

/// A proxy on one lane. `/block` keeps the lane for a while, and `/gate` until it is let go, which says when it begins;
/// `/held` goes to an origin that answers when it is told to, and says when it has.
struct Blocking {
    rig: Rig,
    began: Receiver<()>,
    go: Sender<()>,
    asked: Receiver<()>,
    answer: Sender<()>,
    answered: Receiver<()>,
    _origin: Scripted,
}

impl Blocking {
    fn start(driver: Driver) -> Self {
        let ((begin, began), (go, gone), (ask, asked)) = (unbounded(), unbounded(), unbounded());
        let ((answer, answers), (sent, answered)) = (unbounded(), unbounded());
        let origin = Scripted::start(move |peer| {
            while peer.try_message().is_some() {
                ask.send(()).expect("the test listens");
                answers.recv_timeout(PATIENCE).expect("it is told to answer");
                peer.send(ok("held"));
                sent.send(()).expect("the test listens");
            }
        });
        let cluster = origin.cluster();
        let builder = Engine::builder()
            .lanes(1)
            .driver(driver)
            .flight_recorder(FlightRecorder { slower_than: BLOCK / 2, kept: 8 });
        let rig = Rig::start(builder.serve("127.0.0.1:0", move |lane| {
            let (origin, begin, gone) = (lane.upstream(&cluster), begin.clone(), gone.clone());
            Ok(Fun(async move |request: Request| match request.path() {
                "/gate" => {
                    begin.send(()).expect("the test listens");
                    gone.recv_timeout(PATIENCE).expect("it is let go");
                    Ok(Response::text(StatusCode::OK, "gone\n"))
                }
                "/block" => {
                    compute(BLOCK);
                    Ok(Response::text(StatusCode::OK, "done\n"))
                }
                _ => origin.send(request).await,
            }))
        }));
        Self { rig, began, go, asked, answer, answered, _origin: origin }
    }

    /// A client whose request has reached the lane's kernel, and maybe the lane.
    fn client(&self, target: &str) -> Peer {
        let mut client = Peer::connect(self.rig.address());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client
    }

    /// A connection that the lane knows and that waits for nothing but a request.
    fn known(&self) -> Peer {
        let mut client = Peer::connect(self.rig.address());
        client.get("/block");
        self.rig.record();
        client
    }

    fn records(&self, count: usize) -> Vec<Seen> {
        (0..count).map(|_| self.rig.record()).collect()
    }
}

#[test]
fn a_head_waits_behind_the_others_of_its_turn() {
    on_both(|driver| {
        let lane = Blocking::start(driver);
        let (mut first, mut second) = (lane.known(), lane.known());
        let mut blocker = lane.client("/gate");
        lane.began.recv_timeout(PATIENCE).unwrap();
        // The lane does not look at the kernel now; then it sees both at once, and each keeps it.
        first.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
        second.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
        lane.go.send(()).unwrap();
        for client in [&mut blocker, &mut first, &mut second] {
            client.message();
        }
        let records = lane.records(3);
        let queues: Vec<_> = records.iter().map(|seen| seen.phases.queue).collect();
        assert!(queues[0] < BLOCK && queues[1] < BLOCK, "{records:?}");
        assert!(queues[2] >= BLOCK && queues[2] < BLOCK * 3, "{records:?}");
        assert!(records[1..].iter().all(|seen| seen.phases.route >= BLOCK), "{records:?}");
        let snapshot = lane.rig.snapshot();
        let longest = Duration::from_micros(snapshot.histogram(Phase::Turn).max());
        assert!(longest >= BLOCK * 2, "two handlers in one turn: {longest:?}");
        assert!(snapshot.sum(Phase::Turn) >= BLOCK * 4, "{:?}", snapshot.sum(Phase::Turn));
        assert!(snapshot.sum(Phase::Queue) >= queues[2]);
    });
}

#[test]
fn an_answer_that_has_come_waits_behind_the_others_of_its_turn() {
    on_both(|driver| {
        let lane = Blocking::start(driver);
        let (mut first, mut second) = (lane.known(), lane.known());
        let mut held = lane.client("/held");
        lane.asked.recv_timeout(PATIENCE).unwrap();
        let mut blocker = lane.client("/gate");
        lane.began.recv_timeout(PATIENCE).unwrap();
        // One before the origin's answer and one after it: in either order the exchange is behind one of them.
        first.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
        lane.answer.send(()).unwrap();
        lane.answered.recv_timeout(PATIENCE).unwrap();
        second.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
        lane.go.send(()).unwrap();
        for client in [&mut blocker, &mut first, &mut second, &mut held] {
            client.message();
        }
        let records = lane.records(4);
        let held = records.iter().find(|seen| seen.target == "/held").unwrap();
        assert!(held.phases.behind >= BLOCK && held.phases.behind <= held.duration, "{held:?}");
        // On one driver the head waits, on the other what is sent to the client does.
        assert!(
            held.phases.wait + held.phases.transfer >= held.phases.behind,
            "it is a part of these: {held:?}"
        );
        assert!(held.phases.queue < BLOCK, "{held:?}");
        let slow = lane.rig.handle.slow(PATIENCE);
        let slow = slow[&0].iter().find(|slow| slow.path == b"/held").expect("it was slow");
        assert!(slow.longest_turn >= BLOCK, "{slow:?}");
        assert_eq!((slow.phases, slow.duration), (held.phases, held.duration));
    });
}

/// A lane for each of `lanes`, without a sink: nobody but the flight recorder reads records.
fn recorder(driver: Driver, lanes: usize, recorder: FlightRecorder, origin: &Scripted) -> Rig {
    let cluster: Cluster = origin.cluster();
    let builder = Engine::builder().lanes(lanes).driver(driver).flight_recorder(recorder);
    let builder = builder.serve("127.0.0.1:0", move |lane| {
        let origin = lane.upstream(&cluster);
        Ok(Fun(async move |request: Request| origin.send(request).await))
    });
    let ((_, records), (_, events)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
    Rig { handle: builder.spawn().expect("it starts"), records, events }
}

fn path(slow: &Slow) -> String {
    String::from_utf8_lossy(&slow.path).into_owned()
}

#[test]
fn the_last_slow_exchanges_are_kept_without_their_queries() {
    on_both(|driver| {
        let origin = origin();
        let rig = recorder(driver, 1, FlightRecorder { slower_than: Duration::ZERO, kept: 3 }, &origin);
        let mut client = Peer::connect(rig.address());
        for number in 0..5 {
            client.send(format!(
                "GET /{number}?token=secret HTTP/1.1\r\nHost: a\r\nX-Request-Id: n{number}\r\n\r\n"
            ));
            assert_eq!(client.message().status(), 200);
        }
        client.get("http://user:secret@example.com/absolute?secret");
        let mut refused = Peer::connect(rig.address());
        refused.send("GET /bad HTTP/1.1\r\n\r\n");
        refused.head();
        until("the last is kept", || rig.value(Metric::Slow) == rig.value(Metric::Requests));
        let slow = &rig.handle.slow(PATIENCE)[&0];
        assert_eq!(slow.len(), 3);
        let last = slow.last().unwrap();
        assert_eq!((path(last).as_str(), last.status), ("", 400), "it was no request");
        assert!(!format!("{slow:?}").contains("secret"), "{slow:?}");
        let answered = slow.iter().find(|slow| path(slow) == "/4").expect("it is among the last three");
        assert_eq!((answered.request_id.as_slice(), answered.method.as_slice()), (&b"n4"[..], &b"GET"[..]));
        assert_eq!((answered.status, answered.attempts, answered.lane), (200, 1, 0));
        assert_eq!(answered.endpoint.as_ref().unwrap().to_string(), origin.address.to_string());
        rig.finish();
    });
}

#[test]
fn what_is_quick_is_not_kept() {
    on_both(|driver| {
        let origin = origin();
        let settings = FlightRecorder { slower_than: LONG, kept: 3 };
        let rig = recorder(driver, 1, settings, &origin);
        assert_eq!(rig.handle.flight_recorder(), settings);
        let mut client = Peer::connect(rig.address());
        for target in ["/", "/late-head", "/"] {
            client.get(target);
        }
        until("all are over", || rig.snapshot().histogram(Phase::Request).len() == 3);
        let slow = &rig.handle.slow(PATIENCE)[&0];
        assert_eq!(slow.iter().map(path).collect::<Vec<_>>(), ["/late-head"]);
        assert!(slow[0].phases.wait >= LONG, "{slow:?}");
        assert_eq!(rig.value(Metric::Slow), 1);
        rig.finish();
    });
}

#[test]
fn each_lane_keeps_its_own() {
    on_both(|driver| {
        const CLIENTS: usize = 8;
        const REQUESTS: usize = 50;
        const KEPT: usize = 4;
        let origin = origin();
        let rig = recorder(driver, 3, FlightRecorder { slower_than: Duration::ZERO, kept: KEPT }, &origin);
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let address = rig.address();
                scope.spawn(move || {
                    for number in 0..REQUESTS {
                        let answer = Peer::connect(address).get(&format!("/{client}/{number}?q"));
                        assert_eq!(answer.text(), "there");
                    }
                });
            }
            // Whoever reads meanwhile gets whole exchanges.
            for _ in 0..20 {
                for (lane, slow) in rig.handle.slow(PATIENCE) {
                    assert!(slow.len() <= KEPT);
                    assert!(
                        slow.iter().all(|slow| slow.lane == lane && path(slow).matches('/').count() == 2)
                    );
                }
            }
        });
        until("all are over", || rig.value(Metric::Slow) == (CLIENTS * REQUESTS) as u64);
        let slow = rig.handle.slow(PATIENCE);
        assert_eq!(slow.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(slow.values().all(|slow| slow.len() == KEPT), "{slow:?}");
        rig.finish();
    });
}

//! What once went wrong, by what must hold instead.

mod support;

use corelane_engine::{
    Body, Bytes, Cluster, Driver, End, Engine, Event, Lane, Metric, Request, Response, Result, StatusCode,
    Timeouts, Upstream,
};
use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};
use support::{
    Balancer, PATIENCE, alone,
    clock::{compute, poll, timed, until},
    exhausted::{Exhausted, sheds_nothing},
    peer::{Message, Peer, Scripted, ok},
    rig::{Fun, Rig, on_both},
};

#[test]
fn deadlines_of_clients_that_have_left_are_used_again() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| Ok(Fun(async |_: Request| text("fine"))));
        for _ in 0..300 {
            assert_eq!(Peer::connect(rig.address()).get("/").status(), 200);
        }
        until("all have left", || rig.value(Metric::ConnectionsOpen) == 0);
        let left = rig.value(Metric::Deadlines);
        assert!(left < 30, "{left} for nobody");
    });
}

fn text(words: impl Into<String>) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, words))
}

/// A proxy for one origin, with timeouts of its own.
fn proxy(driver: Driver, origin: &Scripted, timeouts: Timeouts) -> Rig {
    let cluster = origin.cluster();
    let builder = Engine::builder().lanes(1).driver(driver).timeouts(timeouts);
    Rig::start(builder.serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))))
}

/// An engine with a handler that knows its lane and its way to the origin.
fn gateway<F>(driver: Driver, origin: &Scripted, timeouts: Timeouts, handler: F) -> Rig
where
    F: AsyncFn(&Lane, &Upstream, Request) -> Result<Response> + Clone + Send + Sync + 'static,
{
    let cluster = origin.cluster();
    let builder = Engine::builder().lanes(1).driver(driver).timeouts(timeouts);
    Rig::start(builder.serve("127.0.0.1:0", move |lane| {
        let (lane, upstream, handler) = (lane.clone(), lane.upstream(&cluster), handler.clone());
        Ok(Fun(async move |request| handler(&lane, &upstream, request).await))
    }))
}

/// Whatever it says is read only where a test asks for it.
fn heard<T>(receiver: &Receiver<T>, what: &str) -> T {
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("within {PATIENCE:?}: {what}"))
}

/// Waits on the lane until the test says so.
async fn wait_for(lane: &Lane, gate: &AtomicBool) {
    while !gate.load(Ordering::SeqCst) {
        lane.sleep(Duration::from_millis(1)).await;
    }
}

/// Waits in an origin until the test says so.
fn open(gate: &AtomicBool) -> bool {
    poll(PATIENCE, || gate.load(Ordering::SeqCst).then_some(())).is_some()
}

// ---- content and retries ----

/// A failed send takes the news of a reset away from the socket, and what is received behind it looks like an end.
#[test]
fn an_answer_that_a_reset_has_cut_is_never_whole_whoever_is_told_of_the_reset() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            let Some(_) = peer.try_head() else { return };
            // Only its close ends it, and that never comes: who closes with something unread resets.
            peer.try_send("HTTP/1.1 200 OK\r\n\r\nhalf of it");
            let mut one = [0];
            let has_come = || peer.stream.peek(&mut one).is_ok_and(|count| count > 0).then_some(());
            poll(PATIENCE, has_come).expect("the upload has begun");
        });
        let rig = proxy(driver, &origin, Timeouts::default());
        for _ in 0..20 {
            let mut client = Peer::connect(rig.address());
            client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
            let upload = client.stream.try_clone().expect("a descriptor");
            let writes = thread::spawn(move || while (&upload).write_all(&[b'x'; 65_536]).is_ok() {});
            while client.more(PATIENCE) == Ok(true) {}
            let received = client.received();
            assert!(!received.ends_with("0\r\n\r\n"), "it was cut: {received:?}");
            drop(client);
            writes.join().expect("it ends with the connection");
        }
    });
}

/// A complete request as one string of head and content, or `None` if the connection ends before it is complete.
fn whole(peer: &mut Peer) -> Option<(String, String)> {
    loop {
        let received = peer.received();
        if let Some((head, content)) = received.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            let complete = match length {
                Some(length) => content.len() >= length.parse().expect("a length"),
                None => content.ends_with("0\r\n\r\n"),
            };
            if complete {
                return Some((head.to_owned(), content.to_owned()));
            }
        }
        if peer.more(PATIENCE) != Ok(true) {
            return None;
        }
    }
}

#[test]
fn content_taken_for_a_send_that_wrote_nothing_is_not_lost() {
    const REQUESTS: usize = 400;
    on_both(|driver| {
        for chunked in [true, false] {
            let (says, seen) = channel();
            let origin = Scripted::start(move |peer| {
                let Some((head, content)) = whole(peer) else { return };
                let number: usize =
                    head.split(['/', ' ']).nth(2).and_then(|text| text.parse().ok()).expect("its number");
                says.send((number, content)).expect("the test listens");
                peer.try_send(ok("ok"));
                // Knuth's: as good as random, and the same each time.
                compute(Duration::from_micros(number.wrapping_mul(2_654_435_761) as u64 / 7 % 600));
                socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
            });
            let rig = proxy(driver, &origin, Timeouts::default());
            let mut client = Peer::connect(rig.address());
            let mut answered = Vec::new();
            for number in 0..REQUESTS {
                let content = format!("content of {number}");
                let framed = match chunked {
                    true => {
                        format!(
                            "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{content}\r\n0\r\n\r\n",
                            content.len()
                        )
                    }
                    false => format!("Content-Length: {}\r\n\r\n{content}", content.len()),
                };
                client.send(format!("POST /{number} HTTP/1.1\r\nHost: a\r\n{framed}"));
                let answer = client.message();
                match answer.status() {
                    200 => answered.push(number),
                    502 => {}
                    _ => panic!("{number}: {answer:?}"),
                }
                if answer.field("connection").is_some() {
                    client = Peer::connect(rig.address());
                }
            }
            let mut whole = BTreeMap::new();
            for (number, content) in seen.try_iter() {
                let sent = format!("content of {number}");
                let framed = format!("{:x}\r\n{sent}\r\n0\r\n\r\n", sent.len());
                let expected = if chunked { &framed } else { &sent };
                assert_eq!(content, *expected, "of {number}, chunked: {chunked}");
                assert_eq!(whole.insert(number, content), None, "{number} came twice");
            }
            for number in &answered {
                assert!(whole.contains_key(number), "{number} was answered for, and is not there");
            }
            assert!(!answered.is_empty());
        }
    });
}

// ---- the pool ----

/// An origin that answers before it has all of the content, and then does what it is told when the gate opens.
fn early(then: &'static str, gate: &Arc<AtomicBool>) -> (Scripted, Receiver<Option<String>>) {
    let (says, said) = channel();
    let (gate, first) = (Arc::clone(gate), AtomicBool::new(true));
    let origin = Scripted::start(move |peer| {
        while let Some(head) = peer.try_head() {
            let early = head.starts_with("POST ");
            peer.send(ok(if early { "early" } else { "other" }));
            if early {
                assert_eq!(peer.bytes(10), b"helloworld");
            }
            if first.swap(false, Ordering::SeqCst) && open(&gate) {
                if then.is_empty() {
                    return;
                }
                peer.send(then);
                says.send(Some(then.to_owned())).expect("the test listens");
                // What comes next on this connection, if anything does.
                says.send(peer.try_head()).expect("the test listens");
                return;
            }
        }
    });
    (origin, said)
}

/// Has a client get its answer before it has sent all of its content.
fn answered_early(rig: &Rig) -> Peer {
    let mut client = Peer::connect(rig.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(client.message().text(), "early");
    client.send("world");
    until("it is pooled", || rig.value(Metric::UpstreamIdle) == 1);
    client
}

/// Lets the lane's house-keeping come by an idle connection so often that it holds no buffer any more.
fn let_it_sleep(rig: &Rig) {
    until("the client's connection gives its buffer back", || rig.value(Metric::ConnectionsIdle) == 1);
}

#[test]
fn a_pooled_connection_on_which_stray_bytes_come_is_not_used_again() {
    on_both(|driver| {
        for (asleep, swept) in [(false, false), (false, true), (true, true)] {
            let gate = Arc::default();
            let (origin, said) = early("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", &gate);
            let rig = proxy(driver, &origin, Timeouts::default());
            let mut client = answered_early(&rig);
            if asleep {
                let_it_sleep(&rig);
            }
            gate.store(true, Ordering::SeqCst);
            assert!(heard(&said, "the stray bytes").is_some());
            // A sweep finds them, or the next request does.
            if swept {
                until("it leaves the pool", || rig.value(Metric::UpstreamIdle) == 0);
            }
            assert_eq!(client.get("/next").text(), "other");
            assert_eq!(heard(&said, "its end"), None, "it was used again");
            assert_eq!(origin.connections(), 2);
        }
    });
}

#[test]
fn a_pooled_connection_that_its_origin_closes_leaves_the_pool() {
    on_both(|driver| {
        for asleep in [false, true] {
            let gate = Arc::default();
            let (origin, _) = early("", &gate);
            let rig = proxy(driver, &origin, Timeouts::default());
            let mut client = answered_early(&rig);
            if asleep {
                let_it_sleep(&rig);
            }
            gate.store(true, Ordering::SeqCst);
            let gone = poll(Duration::from_secs(3), || (rig.value(Metric::UpstreamIdle) == 0).then_some(()));
            assert!(gone.is_some(), "it is still in the pool; asleep: {asleep}");
            assert_eq!(client.get("/next").text(), "other");
        }
    });
}

// ---- tasks that outlive their request ----

/// Hands on every request that it gets, and answers when the gate is open.
fn telling(gate: &Arc<AtomicBool>) -> (Scripted, Receiver<Message>) {
    let ((says, said), gate) = (channel(), Arc::clone(gate));
    let origin = Scripted::start(move |peer| {
        while let Some(request) = peer.try_message() {
            says.send(request).expect("the test listens");
            if !open(&gate) || !peer.try_send(ok("late")) {
                return;
            }
        }
    });
    (origin, said)
}

/// Answers at once, and sends the request in the background.
async fn accepts(lane: &Lane, upstream: &Upstream, request: Request) -> Result<Response> {
    let (upstream, done) = (upstream.clone(), lane.counter("sent_total"));
    lane.spawn(async move {
        if upstream.send(request).await.is_ok_and(|response| response.status() == StatusCode::OK) {
            done.add(1);
        }
    });
    Ok(Response::text(StatusCode::ACCEPTED, "later\n"))
}

#[test]
fn a_task_that_sends_a_request_after_its_answer_says_where_it_comes_from() {
    on_both(|driver| {
        let gate = Arc::new(AtomicBool::new(true));
        let (origin, said) = telling(&gate);
        let rig = gateway(driver, &origin, Timeouts::default(), accepts);
        let mut client = Peer::connect(rig.address());
        // A client that gives an id of its own, and one that does not; both on the same connection.
        for id in ["", "X-Request-Id: its-own\r\n"] {
            client.send(format!(
                "GET /later HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\n\
                 X-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\n{id}\r\n"
            ));
            let answer = client.message();
            assert_eq!((answer.status(), answer.text().as_str()), (202, "later\n"));
            let request = heard(&said, "the request");
            assert!(request.head.starts_with("GET /later HTTP/1.1\r\n"), "{request:?}");
            assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"), "{request:?}");
            assert_eq!(request.field("x-forwarded-proto"), Some("http"), "{request:?}");
            assert_eq!(request.field("x-forwarded-host"), Some("a"), "{request:?}");
            assert!(request.field("via").is_some_and(|via| via.starts_with("1.1 ")), "{request:?}");
            assert!(request.field("x-request-id").is_some_and(|id| id.len() >= 7), "{request:?}");
            assert!(!request.head.contains("6.6.6.6") && !request.head.contains("evil"), "{request:?}");
        }
        until("both are sent", || rig.snapshot().counters.get("sent_total") == Some(&2));
        assert_eq!(rig.value(Metric::RequestsOpen), 0);
        assert_eq!(rig.value(Metric::Connections), 1);
        for _ in 0..2 {
            let record = rig.record();
            assert_eq!((record.end, record.status), (End::Done, 202));
        }
    });
}

/// A client whose request a task still works at, or has done with; the connection's idle timeout is `IDLE`.
fn accepted(driver: Driver, gate: &Arc<AtomicBool>) -> (Rig, Peer) {
    let (origin, said) = telling(gate);
    let mut timeouts = Timeouts::default();
    timeouts.client_idle = IDLE;
    let rig = gateway(driver, &origin, timeouts, async |lane, upstream, request| {
        if request.path() == "/now" { text("now\n") } else { accepts(lane, upstream, request).await }
    });
    let mut client = Peer::connect(rig.address());
    assert_eq!(client.get("/later").status(), 202);
    heard(&said, "the request");
    until("it is over", || rig.value(Metric::RequestsOpen) == 0);
    (rig, client)
}

const IDLE: Duration = Duration::from_millis(1500);

/// That the connection is closed when it has been idle for long enough.
#[track_caller]
fn ends_idly(rig: &Rig, client: &mut Peer) {
    let ((), took) = timed(|| client.ends());
    assert!(took >= IDLE * 9 / 10 && took < IDLE * 2 + Duration::from_secs(1), "{took:?}");
    until("it is closed", || rig.value(Metric::ConnectionsOpen) == 0);
}

#[test]
fn a_task_that_has_sent_a_request_leaves_its_clients_connection_alone() {
    on_both(|driver| {
        let gate = Arc::default();
        let (rig, mut client) = accepted(driver, &gate);
        // The origin has not answered yet: the connection is the client's all the same.
        assert_eq!(client.get("/now").text(), "now\n");
        gate.store(true, Ordering::SeqCst);
        until("the task ends", || rig.snapshot().counters.get("sent_total") == Some(&1));
        // What the task waited for has not taken the place of what the connection waits for.
        ends_idly(&rig, &mut client);
        assert_eq!(rig.value(Metric::RequestsOpen), 0);
        assert_eq!(rig.value(Metric::Requests), 2);
    });
}

#[test]
fn a_task_that_waits_for_an_answer_does_not_keep_its_clients_connection_open() {
    on_both(|driver| {
        let gate = Arc::default();
        let (rig, mut client) = accepted(driver, &gate);
        ends_idly(&rig, &mut client);
        gate.store(true, Ordering::SeqCst);
        until("the task ends, too", || rig.snapshot().counters.get("sent_total") == Some(&1));
        assert_eq!(rig.value(Metric::RequestsOpen), 0);
    });
}

#[test]
fn content_that_is_kept_beyond_the_answer_is_not_that_of_the_next_request() {
    on_both(|driver| {
        let origin = Scripted::echo();
        let (gate, (says, said)) = (Arc::<AtomicBool>::default(), channel());
        let opened = Arc::clone(&gate);
        let handler = async move |lane: &Lane, _: &Upstream, mut request: Request| {
            if request.path() == "/read" {
                // The one that was kept is polled while this content comes.
                let chunk = request.body_mut().chunk().await?.map_or(0, |chunk| chunk.len());
                gate.store(true, Ordering::SeqCst);
                let rest = request.body_mut().collect(1000).await?;
                return text(format!("{chunk} {}", String::from_utf8_lossy(&rest)));
            }
            let mut kept = std::mem::take(request.body_mut());
            let (task, gate, says) = (lane.clone(), Arc::clone(&gate), says.clone());
            lane.spawn(async move {
                wait_for(&task, &gate).await;
                let result = kept.chunk().await;
                says.send(
                    result.map(|chunk| chunk.map(|chunk| chunk.to_vec())).map_err(|error| error.to_string()),
                )
                .expect("the test listens");
            });
            text("kept\n")
        };
        let rig = gateway(driver, &origin, Timeouts::default(), handler);
        let mut client = Peer::connect(rig.address());
        client.send("POST /keep HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.message().text(), "kept\n");
        client.send("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabcd");
        until("the first piece is read", || opened.load(Ordering::SeqCst));
        let kept: Result<Option<Vec<u8>>, String> = heard(&said, "what came of it");
        assert!(kept.is_err(), "{kept:?}");
        client.send("efghij");
        assert_eq!(client.message().text(), "4 efghij");
        assert_eq!(rig.value(Metric::RequestsOpen), 0);
        assert_eq!(rig.value(Metric::Connections), 1);
    });
}

#[test]
fn a_task_uploads_from_memory_without_being_pushed() {
    const BYTES: usize = 4 << 20;
    on_both(|driver| {
        let (says, said) = channel();
        let origin = Scripted::start(move |peer| {
            while let Some(request) = peer.try_head() {
                assert!(request.contains(&format!("Content-Length: {BYTES}\r\n")), "{request}");
                let content = peer.bytes(BYTES);
                says.send(content.iter().all(|byte| *byte == b'x')).expect("the test listens");
                peer.send(ok("all"));
            }
        });
        let content = Bytes::from(vec![b'x'; BYTES]);
        let handler = async move |lane: &Lane, upstream: &Upstream, mut request: Request| {
            *request.body_mut() = Body::from(content.clone());
            accepts(lane, upstream, request).await
        };
        let rig = gateway(driver, &origin, Timeouts::default(), handler);
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/").status(), 202);
        // Nobody else says anything, and nobody asks the lane for its numbers, which would wake it.
        assert!(said.recv_timeout(Duration::from_secs(5)).expect("it comes by itself"));
        until("the task has its answer", || rig.snapshot().counters.get("sent_total") == Some(&1));
    });
}

// ---- what is not read ----

#[test]
fn content_that_nobody_asked_for_is_not_taken_for_a_request() {
    on_both(|driver| {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let rig = Rig::serve(driver, move |_| {
            let calls = Arc::clone(&counted);
            Ok(Fun(async move |_| {
                calls.fetch_add(1, Ordering::SeqCst);
                text("called\n")
            }))
        });
        let head = "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nExpect: 100-continue\r\n\
                    Content-Length: 34\r\n\r\n";
        let content = "GET /victim HTTP/1.1\r\nHost: a\r\nX: ";
        assert_eq!(content.len(), 34);
        let behind = "GET /behind HTTP/1.1\r\nHost: b\r\n\r\n";
        for later in [false, true] {
            let mut client = Peer::connect(rig.address());
            if later {
                client.send(head);
            } else {
                client.send(format!("{head}{content}{behind}"));
            }
            let answer = client.message();
            assert_eq!((answer.status(), answer.content.len()), (204, 0), "{answer:?}");
            assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
            if later {
                client.try_send(format!("{content}{behind}"));
            }
            client.ends();
            let record = rig.record();
            assert_eq!((record.end, record.target.as_str()), (End::Done, "*"));
        }
        until("both are closed", || rig.value(Metric::ConnectionsOpen) == 0);
        assert_eq!(rig.value(Metric::Requests), 2);
        assert_eq!(calls.load(Ordering::SeqCst), 0);
        assert!(rig.records.try_recv().is_err());
    });
}

// ---- what a handler has read or replaced ----

#[test]
fn what_is_sent_is_what_the_handler_leaves_of_the_content() {
    on_both(|driver| {
        let gate = Arc::new(AtomicBool::new(true));
        let (origin, said) = telling(&gate);
        let read = Arc::new(AtomicUsize::new(0));
        let reads = Arc::clone(&read);
        let handler = async move |_: &Lane, upstream: &Upstream, mut request: Request| {
            match request.path() {
                "/replaced" => {
                    let content = request.body_mut().collect(1000).await?;
                    *request.body_mut() = format!("<{}>", String::from_utf8_lossy(&content)).into();
                }
                "/emptied" => {
                    request.body_mut().collect(1000).await?;
                }
                _ => {
                    let chunk = request.body_mut().chunk().await?.expect("a piece");
                    reads.store(chunk.len(), Ordering::SeqCst);
                }
            }
            upstream.send(request).await
        };
        let rig = gateway(driver, &origin, Timeouts::default(), handler);
        let mut client = Peer::connect(rig.address());
        for chunked in [false, true] {
            for path in ["/replaced", "/emptied", "/rest"] {
                read.store(0, Ordering::SeqCst);
                let (framing, first, second) = match chunked {
                    true => ("Transfer-Encoding: chunked", "5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n"),
                    false => ("Content-Length: 10", "hello", "world"),
                };
                client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{first}"));
                if path == "/rest" {
                    until("a piece is read", || read.load(Ordering::SeqCst) > 0);
                    assert_eq!(read.load(Ordering::SeqCst), 5);
                }
                client.send(second);
                assert_eq!(client.message().status(), 200, "{path}, chunked: {chunked}");
                let request = heard(&said, "the request");
                let (content, length) = match path {
                    "/replaced" => ("<helloworld>", Some("12")),
                    "/emptied" => ("", Some("0")),
                    _ => ("world", Some("5").filter(|_| !chunked)),
                };
                assert_eq!(request.text(), content, "{path}: {request:?}");
                // A request without content need not say so.
                assert!(
                    request.field("content-length") == length
                        || content.is_empty() && request.field("content-length").is_none(),
                    "{path}: {request:?}"
                );
                assert_eq!(request.field("transfer-encoding").is_some(), chunked && path == "/rest");
            }
        }
        // Whatever was sent, both connections are still in step.
        assert_eq!(rig.value(Metric::Connections), 1);
        assert_eq!(origin.connections(), 1);
    });
}

#[test]
fn what_a_handler_leaves_of_a_response_is_what_its_client_gets() {
    on_both(|driver| {
        let gates: Vec<_> = (0..3).map(|_| Arc::<AtomicBool>::default()).collect();
        let opened = gates.clone();
        let origin = Scripted::start(move |peer| {
            while let Some(head) = peer.try_head() {
                let number: usize = head[5..6].parse().expect("its number");
                match number {
                    0 => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
                    _ => peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
                }
                open(&opened[number]);
                peer.send(if number == 0 { "world" } else { "5\r\nworld\r\n0\r\n\r\n" });
            }
        });
        let opens = gates.clone();
        let handler = async move |_: &Lane, upstream: &Upstream, request: Request| {
            let number: usize = request.path()[1..].parse().expect("its number");
            let mut response = upstream.send(request).await?;
            let chunk = response.body_mut().chunk().await?.expect("a piece");
            assert_eq!(&*chunk, b"hello");
            opens[number].store(true, Ordering::SeqCst);
            if number == 2 {
                let rest = response.body_mut().collect(100).await?;
                response.set_body(format!("{}!", String::from_utf8_lossy(&rest)));
            }
            Ok(response)
        };
        let rig = gateway(driver, &origin, Timeouts::default(), handler);
        let mut client = Peer::connect(rig.address());
        for (number, content, length) in
            [(0, "world", Some("5")), (1, "world", None), (2, "world!", Some("6"))]
        {
            let answer = client.get(&format!("/{number}"));
            assert_eq!((answer.status(), answer.text().as_str()), (200, content), "{answer:?}");
            assert_eq!(answer.field("content-length"), length, "{answer:?}");
            assert_eq!(answer.field("transfer-encoding").is_some(), length.is_none(), "{answer:?}");
        }
        until("all is over", || rig.value(Metric::RequestsOpen) == 0);
        assert_eq!(rig.value(Metric::Connections), 1);
    });
}

#[test]
fn a_status_that_cannot_be_sent_is_a_500() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| {
                let status = request.path()[1..].parse().expect("a number");
                Ok(Response::text(StatusCode::from_u16(status).expect("a status"), "text\n"))
            }))
        });
        for status in [100, 101, 103, 799] {
            let mut client = Peer::connect(rig.address());
            let answer = client.get(&format!("/{status}"));
            assert_eq!(answer.status(), 500, "{status}: {answer:?}");
            let record = rig.record();
            assert_eq!((record.end, record.status), (End::Handler, 500), "{status}");
            // A client that may go on can.
            if answer.field("connection").is_none() {
                assert_eq!(client.get("/200").text(), "text\n");
                rig.record();
            } else {
                client.ends();
            }
        }
        assert_eq!(rig.value(Metric::EnginePanics), 0);
    });
}

// ---- what there is only so much of ----

/// The most memory that this process has had, in KiB.
fn memory_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim_end_matches("kB").trim().parse().expect("a number")
}

/// Sends `blob` so many times without waiting for answers, and gives the bytes of these. They are not read until
/// nothing more can be sent for a while, and slowly at first.
fn flood(peer: &mut Peer, blob: &[u8], times: usize) -> usize {
    const QUIET: Duration = Duration::from_millis(300);
    let (total, mut sent, mut received, mut reads) = (blob.len() * times, 0, 0, 0);
    let (mut piece, mut reading) = ([0; 32 << 10], false);
    peer.stream.set_nonblocking(true).expect("a socket");
    let would_block = |error: &std::io::Error| error.kind() == ErrorKind::WouldBlock;
    loop {
        let moved = poll(if reading { PATIENCE } else { QUIET }, || {
            let mut moved = false;
            if sent < total {
                match peer.stream.write(&blob[sent % blob.len()..]) {
                    Ok(count) => (sent, moved) = (sent + count, true),
                    Err(error) => assert!(would_block(&error), "{error}"),
                }
                if sent == total {
                    peer.half_close();
                }
            }
            if reading {
                let room = if reads < 500 { 100 } else { piece.len() };
                match peer.stream.read(&mut piece[..room]) {
                    Ok(0) => return Some(false),
                    Ok(count) => (received, reads, moved) = (received + count, reads + 1, true),
                    Err(error) => assert!(would_block(&error), "{error}"),
                }
            }
            moved.then_some(true)
        });
        match moved {
            Some(true) => {}
            Some(false) => return received,
            None if reading => panic!("nothing moves after {sent} and {received} bytes"),
            None => reading = true,
        }
    }
}

/// On one driver after the other, because memory is the process's.
#[test]
fn pipelined_requests_do_not_make_buffers_grow() {
    alone("pipelined_requests_do_not_make_buffers_grow", || {
        const GROWTH_KIB_MAX: u64 = 4 << 10;
        const TIMES: usize = 400;
        for driver in [Driver::Auto, Driver::Epoll] {
            // Without records, which the test would keep.
            let builder = Engine::builder().lanes(1).driver(driver);
            let engine =
                builder.serve("127.0.0.1:0", |_| Ok(Fun(async |_| text("x")))).spawn().expect("it starts");
            let address = engine.addresses()[0].socket().expect("an IP address");
            let request = format!("GET /flood HTTP/1.1\r\nHost: a\r\nX-Padding: {}\r\n\r\n", "x".repeat(46));
            // No whole number of requests fits into a buffer, nor into a send.
            let blob = request.repeat(503);
            let answer = {
                let mut client = Peer::connect(address);
                client.send(&request);
                let message = client.message();
                message.head.len() + message.content.len()
            };
            flood(&mut Peer::connect(address), blob.as_bytes(), 20);
            let before = memory_peak();
            let received = flood(&mut Peer::connect(address), blob.as_bytes(), TIMES);
            let growth = memory_peak() - before;
            assert_eq!(received, answer * 503 * TIMES, "on {driver:?}");
            assert!(growth < GROWTH_KIB_MAX, "{growth} KiB on {driver:?}");
            engine.stop();
            engine.join();
        }
    });
}

/// An origin that says its name. It goes on when it runs out of descriptors itself, which [`Scripted`] does not.
fn named(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => drop(thread::spawn(move || {
                    let mut peer = Peer::of(stream);
                    while peer.try_message().is_some() && peer.try_send(ok(name)) {}
                })),
                Err(_) => thread::park_timeout(Duration::from_millis(1)),
            }
        }
    });
    address
}

/// On one driver after the other, because descriptors are the process's.
#[test]
fn res_02_running_out_of_descriptors_says_nothing_of_an_endpoint() {
    alone("res_02_running_out_of_descriptors_says_nothing_of_an_endpoint", || {
        for driver in [Driver::Auto, Driver::Epoll] {
            let cluster = Cluster::round_robin([named("a").to_string(), named("b").to_string()]);
            let cluster = cluster.resolve().expect("addresses");
            let builder = Engine::builder().lanes(1).driver(driver).overload(sheds_nothing());
            let rig =
                Rig::start(builder.serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))));
            let mut client = Peer::connect(rig.address());
            until("it is accepted", || rig.value(Metric::ConnectionsOpen) == 1);
            // Nobody can be asked.
            let exhausted = Exhausted::now();
            let answer = client.get("/");
            assert_eq!(answer.status(), 503, "{answer:?}");
            assert_eq!(answer.field("retry-after"), Some("1"), "{answer:?}");
            drop(exhausted);
            assert_eq!(rig.value(Metric::UpstreamConnectErrors), 2);
            // One can be, over a connection that there is.
            let first = client.get("/").text();
            let exhausted = Exhausted::now();
            for _ in 0..4 {
                assert_eq!(client.get("/").text(), first);
            }
            drop(exhausted);
            assert!(rig.value(Metric::UpstreamConnectErrors) > 2);
            // And the other has its share at once.
            let others = (0..4).filter(|_| client.get("/").text() != first).count();
            assert_eq!(others, 2, "on {driver:?}");
            let failures: Vec<_> =
                rig.snapshot().clusters.values().flatten().map(|endpoint| endpoint.failures).collect();
            assert_eq!(failures, [0, 0]);
            let said = rig.events.try_iter().find(|event| matches!(event, Event::Unreachable { .. }));
            assert!(said.is_none(), "{said:?}");
            // Its descriptors come back before the next one begins.
            rig.finish();
        }
    });
}

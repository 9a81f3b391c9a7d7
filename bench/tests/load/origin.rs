//! `corelane-bench origin` does as it is told.

use crate::support::{Origin, Peer, Running, field, program, timed};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::time::Duration;

#[test]
fn sizes() {
    let origin = Origin::start(&["--size", "1000"]);
    for (path, size) in
        [("/", 1000), ("/any/path", 1000), ("/?size=0", 0), ("/?size=16k", 16 << 10), ("/?size=3m", 3 << 20)]
    {
        let (head, content) = origin.get(path);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(field(&head, "content-length"), Some(size.to_string()), "{path}");
        assert_eq!(content.len(), size, "{path}");
    }
}

#[test]
fn chunks_and_trailers() {
    let origin = Origin::start(&["--chunked", "--size", "40000"]);
    for path in ["/", "/?size=40000"] {
        let (head, content) = origin.get(path);
        assert_eq!(field(&head, "transfer-encoding").as_deref(), Some("chunked"));
        assert_eq!((field(&head, "content-length"), content.len()), (None, 40_000));
    }
    for (origin, path) in
        [(Origin::start(&["--trailers"]), "/?size=5"), (Origin::start(&[]), "/?trailers&size=5")]
    {
        let mut peer = origin.connect();
        peer.send(
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n")
                .as_bytes(),
        );
        let all = String::from_utf8(peer.rest()).expect("text");
        assert!(all.contains("\r\n\r\n5\r\nxxxxx\r\n0\r\nx-content-length: 5\r\n\r\n"), "{all}");
    }
    // RFC 9110 §6.5.1: not to those who don't ask for them.
    let (_, content) = Origin::start(&["--trailers"]).get("/?size=5");
    assert_eq!(content, b"xxxxx");
}

#[test]
fn echoes() {
    let always = Origin::start(&["--echo"]);
    let asked = Origin::start(&[]);
    let content: Vec<u8> = (0..1_000_000u32).map(|at| (at % 253) as u8).collect();
    for (origin, path) in [(&always, "/"), (&asked, "/echo")] {
        let mut peer = origin.connect();
        peer.send(
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", content.len())
                .as_bytes(),
        );
        let mut writer = peer.stream.try_clone().expect("a socket");
        let sent = content.clone();
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &sent));
        let (head, back) = peer.answer();
        writing.join().expect("it writes").expect("all of it");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && back == content, "{head}");
    }
    let (_, content) = asked.get("/echo");
    assert_eq!(content, b"");
}

#[test]
fn what_a_head_was() {
    let origin = Origin::start(&[]);
    let mut peer = origin.connect();
    peer.send(b"PUT /head?size=5 HTTP/1.1\r\nHost: a.example\r\nX-One: 1\r\nContent-Length: 2\r\n\r\nhi");
    let (_, content) = peer.answer();
    let text = String::from_utf8(content).expect("text").to_ascii_lowercase();
    assert!(text.starts_with("put /head http/1.1\n"), "{text}");
    for line in ["host: a.example\n", "x-one: 1\n", "content-length: 2\n"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn queries_ask_for_more() {
    let origin = Origin::start(&["--delay", "1h"]);
    let (head, content) = origin.get("/?delay=0ms&status=404&size=7");
    assert!(head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{head}");
    assert_eq!(content.len(), 7);
    let (_, took) = timed(|| origin.get("/?delay=80ms"));
    assert!(took >= Duration::from_millis(80), "{took:?}");
    for (query, says) in [
        ("size=x", "is not a size"),
        ("size=2000g", "at most"),
        ("delay=5", "is not a duration"),
        ("delay=longtail:0ms", "longtail:0ms"),
        ("status=99", "is not a status"),
        ("status=101", "is not a status"),
        ("sise=1", "is not one of"),
    ] {
        let (head, content) = origin.get(&format!("/?{query}"));
        assert!(head.starts_with("HTTP/1.1 400 "), "{query}: {head}");
        assert!(String::from_utf8(content).expect("text").contains(says), "{query}");
    }
}

#[test]
fn a_stall_keeps_answers_back() {
    // There is a microsecond between two of them.
    let origin = Origin::start(&["--stall", "100ms/100.001ms"]);
    let (_, took) = timed(|| (0..4).for_each(|_| drop(origin.get("/"))));
    assert!(took >= Duration::from_millis(250), "{took:?}");
}

#[test]
fn a_pace() {
    let origin = Origin::start(&["--size", "20k", "--pace", "100k"]);
    let ((_, content), took) = timed(|| origin.get("/"));
    assert_eq!(content.len(), 20 << 10);
    assert!(took >= Duration::from_millis(190), "{took:?}");
    let ((_, content), took) = timed(|| origin.get("/?chunked"));
    assert_eq!(content.len(), 20 << 10);
    assert!(took >= Duration::from_millis(190), "{took:?}");
}

#[test]
fn requests_per_connection() {
    let origin = Origin::start(&["--requests-per-connection", "2"]);
    let mut peer = origin.connect();
    let ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    peer.send(ask);
    assert_eq!(field(&peer.answer().0, "connection"), None);
    peer.send(ask);
    assert_eq!(field(&peer.answer().0, "connection").as_deref(), Some("close"));
    assert_eq!(peer.rest(), b"");
}

#[test]
fn failures_and_resets() {
    let never = Origin::start(&["--fail", "0", "--reset", "0%"]);
    (0..50).for_each(|_| assert!(never.get("/").0.starts_with("HTTP/1.1 200 ")));
    let fails = Origin::start(&["--fail", "100%"]);
    (0..20).for_each(|_| assert!(fails.get("/").0.starts_with("HTTP/1.1 503 ")));
    let fails = Origin::start(&["--fail", "1", "--fail-status", "429"]);
    assert!(fails.get("/").0.starts_with("HTTP/1.1 429 "));
    let resets = Origin::start(&["--reset", "1.0"]);
    for _ in 0..20 {
        let mut peer = resets.connect();
        peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(peer.rest(), b"");
    }
}

/// A frame of a client with a mask that changes nothing.
fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("short");
    [&[first, 0x80 | length, 0, 0, 0, 0][..], content].concat()
}

fn websocket(origin: &Origin) -> Peer {
    let mut peer = origin.connect();
    let key = BASE64_STANDARD.encode([7; 16]);
    peer.send(
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        .as_bytes(),
    );
    let head = peer.take_to(b"\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    peer
}

#[test]
fn a_websocket() {
    let origin = Origin::start(&[]);
    let mut peer = websocket(&origin);
    peer.send(&frame(0x81, b"hello"));
    assert_eq!(peer.take(7), b"\x81\x05hello");
    // In pieces, with a ping between them, byte by byte.
    let bytes = [frame(0x02, b"one"), frame(0x89, b"ping"), frame(0x80, b"two")].concat();
    bytes.iter().for_each(|byte| peer.send(&[*byte]));
    assert_eq!(peer.take(16), b"\x02\x03one\x8a\x04ping\x80\x03two");
    peer.send(&frame(0x8a, b"a pong"));
    peer.send(&frame(0x88, &[3, 0xe8]));
    assert_eq!(peer.rest(), [0x88, 2, 3, 0xe8]);
    // RFC 6455 §5.1: a client masks; whoever does not is no client.
    let mut peer = websocket(&origin);
    peer.send(b"\x81\x05hello");
    assert_eq!(peer.rest(), b"");
    let mut peer = origin.connect();
    peer.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(peer.answer().0.starts_with("HTTP/1.1 400 "));
}

#[test]
fn wrong_flags() {
    for (flags, says) in [
        (&["--size", "1024g", "--size", "x"][..], "cannot be used multiple times"),
        (&["--size", "2000g"], "at most"),
        (&["--pace", "0"], "at least 1 byte"),
        (&["--fail", "101%"], "is not a part"),
        (&["--delay", "uniform:1ms,2ms"], "not a distribution"),
        (&["--delay", "longtail:0ms"], "longtail:0ms"),
        (&["--stall", "1s/1s"], "shorter than its period"),
        (&["--echo", "--size", "5"], "cannot be used with"),
        (&["--listen", "nowhere"], "--listen"),
        (&["--fail-status", "100"], "200..=599"),
    ] {
        let outcome = Running::start(program(&["origin"]).args(flags)).finish();
        assert_eq!(outcome.code(), 2, "{outcome:?}");
        assert!(outcome.stderr.contains(says), "{says}: {outcome:?}");
    }
    let other = Origin::start(&[]);
    let listen = other.address.to_string();
    let outcome = Running::start(&mut program(&["origin", "--listen", &listen])).finish();
    assert_eq!(outcome.code(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains(&listen), "{outcome:?}");
}

#[test]
fn an_end_that_was_asked_for() {
    let origin = Origin::start(&[]);
    // Also with a client that has not left.
    let _idle = origin.connect();
    assert!(origin.terminate().success());
}

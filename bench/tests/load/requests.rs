//! Exactly what was asked for is sent.

use crate::support::{Directory, OK, Origin, Server, counts, load, load_at_rate, load_json, timed};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

fn ok_server() -> Server {
    Server::answering(|_, _| OK.to_vec())
}

#[test]
fn as_many_as_asked_for() {
    for more in [
        &["--connections", "1"][..],
        &["--connections", "7"],
        &["--connections", "64", "--lanes", "3"],
        &["--connections", "4", "--pipeline", "8"],
        &["--connections", "6", "--lanes", "2", "--pipeline", "3"],
        &["--rate", "5000"],
        &["--rate", "5000", "--pipeline", "4", "--connections", "3"],
        &["--rate", "5000", "--arrivals", "poisson", "--lanes", "2"],
        // Due all at once: every connection is busy, and all are parked at the end.
        &["--rate", "10000000", "--pipeline", "5", "--connections", "3"],
    ] {
        let server = ok_server();
        let url = server.url("/");
        let json = load_at_rate(&[&[url.as_str(), "--requests", "997"], more].concat());
        assert_eq!(counts(&json), (997, vec![]), "{more:?}");
        assert_eq!(server.requests(), 997, "{more:?}");
    }
}

#[test]
fn fewer_requests_than_connections_and_lanes() {
    let server = ok_server();
    let json = load_json(0, &[&server.url("/"), "--requests", "1", "--connections", "8", "--lanes", "4"]);
    assert_eq!((counts(&json), server.requests()), ((1, vec![]), 1));
}

#[test]
fn several_addresses_get_their_parts() {
    let (one, two) = (ok_server(), ok_server());
    let urls = [format!("3={}", one.url("/a")), two.url("/b")];
    for more in [&["--connections", "8"][..], &["--lanes", "2", "--connections", "8"], &["--rate", "10000"]] {
        let (before_one, before_two) = (one.requests(), two.requests());
        let json = load_at_rate(&[&[urls[0].as_str(), &urls[1], "--requests", "1000"], more].concat());
        assert_eq!(counts(&json), (1000, vec![]), "{more:?}");
        let each = (one.requests() - before_one, two.requests() - before_two);
        assert_eq!(each, (750, 250), "{more:?}");
    }
}

#[test]
fn urls_on_one_address_get_their_parts() {
    let often = Arc::<AtomicUsize>::default();
    let counted = often.clone();
    let server = Server::answering(move |message, _| {
        counted.fetch_add(usize::from(message.head.starts_with("GET /often ")), Ordering::SeqCst);
        OK.to_vec()
    });
    let often_url = format!("4={}", server.url("/often"));
    load_json(0, &[&often_url, &server.url("/seldom"), "--requests", "2000", "--connections", "4"]);
    assert_eq!(server.requests(), 2000);
    assert!((1450..1750).contains(&often.load(Ordering::SeqCst)), "{often:?}");
}

#[test]
fn warm_up_comes_on_top_and_does_not_count() {
    let server = ok_server();
    let json = load_json(0, &[&server.url("/"), "--requests", "50", "--warmup", "1s", "--connections", "2"]);
    assert_eq!(counts(&json), (50, vec![]));
    assert!(server.requests() > 50, "{}", server.requests());
}

#[test]
fn a_connection_for_each() {
    for more in [&["--connections", "3"][..], &["--rate", "2000"]] {
        let closes = Arc::<AtomicUsize>::default();
        let counted = closes.clone();
        let server = Server::answering(move |message, _| {
            let says = message.field("connection").as_deref() == Some("close");
            counted.fetch_add(usize::from(says), Ordering::SeqCst);
            // Whatever the server says, the connection is not used again.
            OK.to_vec()
        });
        let url = server.url("/");
        let json = load_at_rate(&[&[url.as_str(), "--new-connection", "--requests", "60"], more].concat());
        assert_eq!(counts(&json), (60, vec![]));
        assert_eq!((server.requests(), server.connections(), closes.load(Ordering::SeqCst)), (60, 60, 60));
    }
}

#[test]
fn connections_are_kept() {
    let server = ok_server();
    load_json(0, &[&server.url("/"), "--requests", "500", "--connections", "5"]);
    assert_eq!(server.connections(), 5);
    let server = ok_server();
    load_at_rate(&[&server.url("/"), "--requests", "100", "--connections", "1", "--rate", "1000"]);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_closes_after_some() {
    let origin = Origin::start(&["--requests-per-connection", "3"]);
    let json = load_json(0, &[&origin.url("/"), "--requests", "100", "--connections", "2"]);
    assert_eq!(counts(&json), (100, vec![]));
    // Requests that were behind the last answer have none; all are accounted for.
    let outcome = load(&[
        &origin.url("/"),
        "--requests",
        "100",
        "--connections",
        "2",
        "--pipeline",
        "4",
        "--json",
        "-",
    ]);
    let (requests, errors) = counts(&outcome.json());
    let sum: u64 = errors.iter().map(|(_, count)| count).sum();
    assert_eq!(requests + sum, 100, "{outcome:?}");
    assert!(errors.iter().all(|(kind, _)| kind == "reset"), "{errors:?}");
}

#[test]
fn content_arrives_as_it_was() {
    let directory = Directory::new("content");
    let file = directory.file("content");
    let content: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    std::fs::write(&file, &content).expect("a file");
    let big = "x".repeat(5 << 20).into_bytes();
    for (more, expected) in [
        (&["--body", "hello"][..], b"hello".to_vec()),
        (&["--body-file", &file], content),
        (&["--body-size", "5m"], big),
        (&["--body-size", "70k", "--pipeline", "4"], vec![b'x'; 70 << 10]),
    ] {
        let wrong = Arc::<AtomicUsize>::default();
        let counted = wrong.clone();
        let server = Server::answering(move |message, _| {
            let same = message.head.starts_with("POST / HTTP/1.1\r\n") && message.content == expected;
            counted.fetch_add(usize::from(!same), Ordering::SeqCst);
            OK.to_vec()
        });
        let url = server.url("/");
        let json = load_json(0, &[&[url.as_str(), "--requests", "12", "--connections", "2"], more].concat());
        assert_eq!((counts(&json), server.requests()), ((12, vec![]), 12), "{more:?}");
        assert_eq!(wrong.load(Ordering::SeqCst), 0, "{more:?}");
    }
}

#[test]
fn an_answer_before_the_content_was_read() {
    let server = Server::start(|peer, _| {
        while peer.take_to(b"\r\n\r\n").is_some() {
            peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(peer.take(4 << 20).len(), 4 << 20);
        }
    });
    let arguments = ["--requests", "6", "--connections", "2", "--body-size", "4m", "--expect-status", "413"];
    let json = load_json(0, &[&[server.url("/").as_str()], &arguments[..]].concat());
    assert_eq!(counts(&json), (6, vec![]));
    assert_eq!(server.connections(), 2);
}

#[test]
fn an_answer_before_the_content_was_read_and_the_end() {
    let server = Server::start(|peer, _| {
        peer.take_to(b"\r\n\r\n");
        peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        // Closing before everything was read would be a reset, which may overtake the answer.
        let _ = peer.stream.shutdown(std::net::Shutdown::Write);
        peer.rest();
    });
    let arguments = ["--requests", "6", "--connections", "2", "--body-size", "4m", "--expect-status", "413"];
    let json = load_json(0, &[&[server.url("/").as_str()], &arguments[..]].concat());
    assert_eq!(counts(&json), (6, vec![]));
}

#[test]
fn headers_and_methods() {
    let server = Server::answering(|message, _| {
        let as_asked = message.head.starts_with("DELETE /a?b=c HTTP/1.1\r\n")
            && message.field("x-one").as_deref() == Some("1: and more")
            && message.field("host").as_deref() == Some("other.example")
            && message.field("authorization").as_deref() == Some("Bearer x")
            && message.head.to_ascii_lowercase().matches("host:").count() == 1;
        if as_asked { OK.to_vec() } else { b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n".to_vec() }
    });
    let arguments = [
        "-X",
        "DELETE",
        "-H",
        "X-One: 1: and more",
        "-H",
        "Host: other.example",
        "-H",
        "Authorization: Bearer x",
    ];
    let url = server.url("/a?b=c");
    let json = load_json(0, &[&[url.as_str(), "--requests", "5"], &arguments[..]].concat());
    assert_eq!(counts(&json), (5, vec![]));
    let server = Server::answering(|message, _| {
        let length = message.field("content-length");
        let empty = message.head.starts_with("POST ") && length.as_deref() == Some("0");
        if empty { OK.to_vec() } else { b"HTTP/1.1 411 No\r\nContent-Length: 0\r\n\r\n".to_vec() }
    });
    // RFC 9110 §8.6: a POST without content says so.
    let json = load_json(0, &[&server.url("/"), "--requests", "2", "-X", "POST"]);
    assert_eq!(counts(&json), (2, vec![]));
}

#[test]
fn a_backlog_that_cannot_be_sent_ends_with_the_time() {
    let origin = Origin::start(&["--delay", "200ms"]);
    let arguments = ["--rate", "1000", "--connections", "1", "--duration", "1s", "--warmup", "0s"];
    let (json, took) = timed(|| load_json(3, &[&[origin.url("/").as_str()], &arguments[..]].concat()));
    let (requests, errors) = counts(&json);
    assert!((1..=12).contains(&requests) && errors.is_empty(), "{json}");
    assert_eq!(json["unsent"].as_u64().expect("a number") + requests, 1000, "{json}");
    // At five a second the other 995 would take more than three minutes.
    assert!(took.as_secs() < 15, "{took:?}");
}

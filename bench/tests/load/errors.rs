//! Each kind of error, counted as what it is, and not among the latencies.

use crate::support::{OK, Origin, Server, counts, load, load_json, only};
use std::{
    net::{TcpListener, TcpStream},
    thread,
};

/// Somebody who accepts a connection, the one that looks whether there is somebody, and is gone a moment later: behind a
/// warm-up's worth of attempts.
fn gone() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    thread::spawn(move || drop(listener.accept()));
    url
}

#[test]
fn no_connection() {
    let json = load_json(1, &[&gone(), "--requests", "3", "--connections", "1", "--warmup", "300ms"]);
    assert_eq!(counts(&json), (0, only("connect", 3)));
    assert_eq!(json["latency_us"]["max"], 0.0);
    let outcome = load(&[&gone(), "--requests", "3", "--connections", "1", "--warmup", "300ms"]);
    assert_eq!(outcome.code(), 1);
    assert!(outcome.stdout.contains("connect 3"), "{outcome:?}");
    assert!(outcome.stderr.contains("nothing was measured: 3 requests failed"), "{outcome:?}");
    assert!(outcome.stderr.contains("refuses connections"), "{outcome:?}");
}

#[test]
fn an_open_loop_without_a_target_fails_at_its_rate() {
    let url = gone();
    let arguments = ["--requests", "200", "--rate", "1000", "--connections", "2", "--warmup", "300ms"];
    let json = load_json(1, &[&[url.as_str()], &arguments[..]].concat());
    assert_eq!(counts(&json), (0, only("connect", 200)));
    // Nothing is gained by waiting before the next attempt: the rate is the limit.
    assert!(json["duration_s"].as_f64().expect("a number") < 2.0, "{json}");
}

#[test]
fn a_connection_that_is_reset_or_closed() {
    let reset = Origin::start(&["--reset", "100%"]);
    let json = load_json(1, &[&reset.url("/"), "--requests", "20", "--connections", "2"]);
    assert_eq!(counts(&json), (0, only("reset", 20)));
    for half in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd"] {
        let server = Server::start(move |peer, _| {
            peer.message();
            peer.send(half.as_bytes());
        });
        let json = load_json(1, &[&server.url("/"), "--requests", "3", "--connections", "1"]);
        assert_eq!(counts(&json), (0, only("reset", 3)), "{half}");
        assert_eq!(server.connections(), 3);
    }
}

#[test]
fn chunks_that_end_with_the_connection_are_cut_off() {
    let server = Server::start(|peer, _| {
        peer.message();
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    });
    let json = load_json(1, &[&server.url("/"), "--requests", "1", "--connections", "1"]);
    assert_eq!(counts(&json), (0, only("reset", 1)));
}

#[test]
fn no_answer_in_time() {
    let server = Server::start(|peer, number| {
        // The first is never answered, and its connection is kept until the other side gives it up.
        while peer.message().is_some() {
            if number > 0 {
                peer.send(OK);
            }
        }
    });
    let json =
        load_json(1, &[&server.url("/"), "--requests", "20", "--connections", "1", "--timeout", "400ms"]);
    assert_eq!(counts(&json), (19, only("timeout", 1)));
    assert!(json["latency_us"]["max"].as_f64().expect("a number") < 400e3, "{json}");
    assert!(json["samples"][0].as_str().expect("a sentence").contains("no answer in 400ms"), "{json}");
}

#[test]
fn an_answer_after_its_time_is_no_answer() {
    let origin = Origin::start(&["--delay", "100ms"]);
    // The end of the wait is not looked for more often than every 20 ms.
    let json =
        load_json(1, &[&origin.url("/"), "--requests", "6", "--connections", "2", "--timeout", "99ms"]);
    assert_eq!(counts(&json), (0, only("timeout", 6)));
}

#[test]
fn half_an_answer_in_time() {
    let server = Server::start(|peer, _| {
        peer.message();
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd");
        peer.rest();
    });
    let arguments = ["--requests", "2", "--connections", "2", "--timeout", "200ms"];
    let json = load_json(1, &[&[server.url("/").as_str()], &arguments[..]].concat());
    assert_eq!(counts(&json), (0, only("timeout", 2)));
}

#[test]
fn another_status() {
    let origin = Origin::start(&["--fail", "1.0"]);
    let json = load_json(1, &[&origin.url("/"), "--requests", "20", "--connections", "2"]);
    assert_eq!(counts(&json), (0, only("status", 20)));
    let arguments = ["--requests", "20", "--connections", "2", "--expect-status", "503"];
    let json = load_json(0, &[&[origin.url("/").as_str()], &arguments[..]].concat());
    assert_eq!(counts(&json), (20, vec![]));
    let fine = Origin::start(&[]);
    let json = load_json(1, &[&fine.url("/"), "--requests", "5", "--expect-status", "201"]);
    assert_eq!(counts(&json), (0, only("status", 5)));
}

#[test]
fn another_content_or_none_that_makes_sense() {
    let origin = Origin::start(&["--size", "100"]);
    let json = load_json(1, &[&origin.url("/"), "--requests", "5", "--expect-size", "101"]);
    assert_eq!(counts(&json), (0, only("body", 5)));
    let json = load_json(0, &[&origin.url("/"), "--requests", "5", "--expect-size", "100"]);
    assert_eq!(counts(&json), (5, vec![]));
    for wrong in [
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length : 1\r\n\r\nx",
    ] {
        let server = Server::answering(move |_, _| wrong.as_bytes().to_vec());
        let json = load_json(1, &[&server.url("/"), "--requests", "3", "--connections", "1"]);
        assert_eq!(counts(&json), (0, only("body", 3)), "{wrong}: {}", json["samples"]);
        assert_eq!(server.requests(), 3);
    }
}

#[test]
fn a_head_without_end_is_given_up() {
    let server = Server::start(|peer, _| {
        peer.message();
        peer.send(b"HTTP/1.1 200 OK\r\n");
        while std::io::Write::write_all(&mut peer.stream, b"X-Field: value\r\n").is_ok() {}
    });
    let json = load_json(1, &[&server.url("/"), "--requests", "2", "--connections", "1"]);
    assert_eq!(counts(&json), (0, only("body", 2)));
}

#[test]
fn kinds_are_told_apart() {
    let server = Server::start(|peer, number| {
        peer.message();
        match number {
            0 => peer.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            1 => peer.send(b"what?\r\n\r\n"),
            2 => {}
            3 => drop(peer.rest()),
            _ => {
                peer.send(OK);
                while peer.message().is_some() {
                    peer.send(OK);
                }
            }
        }
    });
    let arguments = ["--requests", "10", "--connections", "1", "--timeout", "1s"];
    let json = load_json(1, &[&[server.url("/").as_str()], &arguments[..]].concat());
    let each = ["reset", "timeout", "status", "body"].map(|kind| (kind.to_owned(), 1));
    let (requests, mut errors) = counts(&json);
    errors.sort();
    let mut expected = each.to_vec();
    expected.sort();
    assert_eq!((requests, errors), (6, expected));
    assert_eq!(json["samples"].as_array().map(Vec::len), Some(4));
}

#[test]
fn a_target_that_dies_in_the_middle() {
    let origin = Origin::start(&[]);
    let url = origin.url("/");
    let watched = origin.address;
    let run =
        thread::spawn(move || load(&[&url, "--duration", "2s", "--warmup", "0s", "--connections", "4"]));
    // It serves us, too, so it is up; and then it is not.
    drop(TcpStream::connect(watched));
    crate::support::until("half a second of it", {
        let mut left = 250;
        move || {
            left -= 1;
            (left == 0).then_some(())
        }
    });
    origin.kill();
    let outcome = run.join().expect("it ran");
    assert_eq!(outcome.code(), 1, "{outcome:?}");
    assert!(
        outcome.stdout.contains("requests   ") && !outcome.stdout.contains("requests   0 "),
        "{outcome:?}"
    );
    assert!(outcome.stdout.contains("refuses connections"), "{outcome:?}");
    assert!(outcome.stderr.contains("requests failed"), "{outcome:?}");
}

#[test]
fn a_target_that_is_gone_ends_a_run_that_counts_requests() {
    let url = gone();
    // At a second between attempts this would take days.
    let arguments = ["--requests", "1000000", "--connections", "2", "--timeout", "500ms"];
    let outcome = load(&[&[url.as_str()], &arguments[..]].concat());
    assert_eq!(outcome.code(), 1, "{outcome:?}");
    assert!(outcome.stdout.contains("warning: it ended early"), "{outcome:?}");
}

//! Answers of every form.

use crate::support::{OK, Server, counts, load_json};

const FORMS: [&str; 6] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
     HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
];

#[test]
fn every_form_split_at_every_byte() {
    for form in FORMS {
        let closes = form.contains("Connection: close");
        let server = Server::start(move |peer, number| {
            let mut cut = if closes { number } else { 0 };
            while peer.message().is_some() {
                let (front, back) = form.as_bytes().split_at(cut % form.len());
                peer.send(front);
                // Mostly they are received one by one; the unit test of the same is exact.
                std::thread::yield_now();
                peer.send(back);
                cut += 1;
                if closes {
                    break;
                }
            }
        });
        let requests = form.len().to_string();
        let arguments = ["--requests", &requests, "--connections", "1", "--expect-size", "5"];
        let json = load_json(0, &[&[server.url("/").as_str()], &arguments[..]].concat());
        assert_eq!(counts(&json), (form.len() as u64, vec![]), "{form}");
        assert_eq!(server.connections(), if closes { form.len() } else { 1 }, "{form}");
    }
}

#[test]
fn answers_that_come_together() {
    let server = Server::start(|peer, _| {
        while peer.message().is_some() {
            for _ in 1..4 {
                peer.message();
            }
            peer.send(&[OK, OK, OK, OK].concat());
        }
    });
    let arguments = ["--requests", "40", "--connections", "1", "--pipeline", "4"];
    let json = load_json(0, &[&[server.url("/").as_str()], &arguments[..]].concat());
    assert_eq!(counts(&json), (40, vec![]));
}

#[test]
fn an_answer_to_head_has_no_content() {
    let server = Server::answering(|message, _| {
        assert!(message.head.starts_with("HEAD "));
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".to_vec()
    });
    let arguments = ["-X", "HEAD", "--requests", "10", "--connections", "1", "--expect-size", "0"];
    let json = load_json(0, &[&[server.url("/").as_str()], &arguments[..]].concat());
    assert_eq!((counts(&json), server.connections()), ((10, vec![]), 1));
}

#[test]
fn answers_without_content() {
    let server = Server::answering(|_, _| b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let json = load_json(0, &[&server.url("/"), "--requests", "10", "--connections", "1"]);
    assert_eq!((counts(&json), server.connections()), ((10, vec![]), 1));
    let server = Server::answering(|_, _| b"HTTP/1.0 304 Not Modified\r\n\r\n".to_vec());
    let arguments = ["--requests", "4", "--connections", "1", "--expect-status", "304"];
    let json = load_json(0, &[&[server.url("/").as_str()], &arguments[..]].concat());
    assert_eq!((counts(&json), server.connections()), ((4, vec![]), 4));
}

#[test]
fn something_that_nobody_asked_for() {
    // Behind the answer, or while the connection is idle: it is not taken for an answer to the next request.
    let late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(move |peer, number| {
        while peer.message().is_some() {
            peer.send(&[OK, if number < 3 { late } else { b"" }].concat());
        }
    });
    let json = load_json(0, &[&server.url("/"), "--requests", "10", "--connections", "1"]);
    assert_eq!((counts(&json), server.connections()), ((10, vec![]), 4));
}

#[test]
fn large_answers() {
    let server = Server::answering(|_, _| {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n".to_vec();
        answer.resize(answer.len() + (8 << 20), b'y');
        answer
    });
    let arguments = ["--requests", "6", "--connections", "2", "--expect-size", "8m"];
    let json = load_json(0, &[&[server.url("/").as_str()], &arguments[..]].concat());
    assert_eq!(counts(&json), (6, vec![]));
    assert!(json["bytes"].as_u64().expect("a number") > 6 * (8 << 20), "{json}");
}

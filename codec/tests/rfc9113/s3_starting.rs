//! RFC 9113 §3: starting HTTP/2.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code, Config, Role, is_preface};
use std::time::Duration;

/// §3.3: "A client that knows that a server supports HTTP/2 can establish a TCP connection and send the connection
/// preface".
#[test]
fn s3_3_prior_knowledge_is_told_from_http_1() {
    for (input, told) in [
        (&b""[..], None),
        (b"P", None),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", None),
        (PREFACE, Some(true)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Some(true)),
        (b"GET / HTTP/1.1\r\n", Some(false)),
        (b"PO", Some(false)),
        (b"PRI * HTTP/1.1\r\n", Some(false)),
        (b"\x16\x03\x01", Some(false)),
    ] {
        assert_eq!(is_preface(input), told, "{input:?}");
    }
}

/// §3.4: "The client connection preface starts with a sequence of 24 octets … This sequence MUST be followed by a
/// SETTINGS frame (Section 6.5), which MAY be empty."
#[test]
fn s3_4_a_client_sends_the_octets_and_settings_first() {
    let mut client = Side::new(Role::Client, Config::default(), Cut::Whole);
    client.transmit();
    assert!(client.out.starts_with(PREFACE));
    let sent = client.sent();
    assert_eq!((sent[0].kind, sent[0].flags, sent[0].stream), (SETTINGS, 0, 0));
}

/// §3.4: "The server connection preface consists of a potentially empty SETTINGS frame (Section 6.5) that MUST be the
/// first frame the server sends in the HTTP/2 connection."
#[test]
fn s3_4_a_server_sends_settings_first() {
    let mut server = Side::new(Role::Server, Config::default(), Cut::Whole);
    let sent = server.sent();
    assert_eq!((sent[0].kind, sent[0].flags, sent[0].stream), (SETTINGS, 0, 0));
}

/// §3.4: "The SETTINGS frames received from a peer as part of the connection preface MUST be acknowledged".
#[test]
fn s3_4_settings_of_the_preface_are_acknowledged() {
    every_split(|cut| {
        let mut server = Side::new(Role::Server, Config::default(), cut);
        server.sent();
        server.feed([PREFACE, &settings(&[])].concat());
        let sent = server.sent();
        assert_eq!((sent.len(), sent[0].kind, sent[0].flags), (1, SETTINGS, ACK));
        server
    });
    every_split(|cut| {
        let mut client = Side::new(Role::Client, Config::default(), cut);
        client.sent();
        client.feed(settings(&[]));
        let sent = client.sent();
        assert_eq!((sent.len(), sent[0].kind, sent[0].flags), (1, SETTINGS, ACK));
        client
    });
}

/// §3.4: "To avoid unnecessary latency, clients are permitted to send additional frames to the server immediately
/// after sending the client connection preface".
#[test]
fn s3_4_requests_may_come_before_settings_are_acknowledged() {
    every_split(|cut| {
        let mut server = Side::new(Role::Server, Config::default(), cut);
        server.feed([PREFACE, &settings(&[]), &headers(1, GET, END_STREAM)].concat());
        assert_eq!(server.requests().len(), 1);
        server
    });
    let mut client = Side::new(Role::Client, Config::default(), Cut::Whole);
    assert_eq!(client.ask("/"), 1);
    let kinds: Vec<_> = client.sent().iter().map(|sent| sent.kind).collect();
    assert_eq!(kinds, [SETTINGS, WINDOW_UPDATE, HEADERS]);
}

/// §3.4: "Clients and servers MUST treat an invalid connection preface as a connection error (Section 5.4.1) of type
/// PROTOCOL_ERROR."
#[test]
fn s3_4_h2_33_a_wrong_preface_is_a_connection_error() {
    for wrong in [
        &b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r ",
        b"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"\0",
        b"pri * http/2.0\r\n\r\nsm\r\n\r\n",
    ] {
        every_split(|cut| {
            let mut server = Side::new(Role::Server, Config::default(), cut);
            server.feed(wrong);
            assert_eq!(server.ended(), Some((Code::PROTOCOL_ERROR, Cause::Preface)));
            server.assert_connection_error(Code::PROTOCOL_ERROR);
            server
        });
    }
}

/// As above: what follows the octets, and what a server begins with, is a SETTINGS frame and no acknowledgement.
#[test]
fn s3_4_h2_33_the_first_frame_is_settings() {
    let firsts = [
        headers(1, GET, END_STREAM),
        settings_ack(),
        ping(0, [0; 8]),
        window_update(0, 1),
        frame(0xfa, 0, 0, b"unknown"),
        go_away(0, Code::NO_ERROR),
    ];
    for first in firsts {
        every_split(|cut| {
            let mut server = Side::new(Role::Server, Config::default(), cut);
            server.feed([PREFACE, &first].concat());
            server.assert_connection_error(Code::PROTOCOL_ERROR);
            server
        });
        every_split(|cut| {
            let mut client = Side::new(Role::Client, Config::default(), cut);
            client.feed(&first);
            client.assert_connection_error(Code::PROTOCOL_ERROR);
            client
        });
    }
}

/// The preface has ten seconds, however its octets drip.
#[test]
fn s3_4_h2_33_a_slow_preface_ends_the_connection() {
    for part in [0, 1, 23, 24, 30] {
        let mut server = Side::new(Role::Server, Config::default(), Cut::Whole);
        let hello = [PREFACE, &settings(&[(3, 1)])].concat();
        server.feed(&hello[..part]);
        server.wait(Duration::from_millis(9_999));
        server.assert_alive();
        server.wait(Duration::from_millis(1));
        assert_eq!(server.ended(), Some((Code::PROTOCOL_ERROR, Cause::PrefaceTimeout)));
        server.assert_connection_error(Code::PROTOCOL_ERROR);
    }
    let mut client = Side::new(Role::Client, Config::default(), Cut::Whole);
    client.wait(Duration::from_secs(10));
    client.assert_connection_error(Code::PROTOCOL_ERROR);
}

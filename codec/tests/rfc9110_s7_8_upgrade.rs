//! RFC 9110 §7.8 (Upgrade), §10.1.1 (Expect) and §15.2 (interim responses).

mod wire;

use corelane_codec::h1::{Client, Event, Server};
use corelane_codec::{Error, Fields, Kind, Length, Limits, RequestHead, ResponseHead, Upgrade};
use http::StatusCode;
use wire::{Ask, Said, answer, client, get_with, one_request, post_with, server};

#[test]
fn s7_8_only_a_websocket_is_switched_to() {
    let websocket = Some(Upgrade::WebSocket);
    for (fields, upgrade) in [
        ("Connection: upgrade\r\nUpgrade: websocket", websocket),
        ("Upgrade: WebSocket\r\nConnection: keep-alive, Upgrade", websocket),
        ("Connection: upgrade\r\nUpgrade: h2c, websocket", websocket),
        ("Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket", websocket),
        ("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0", websocket),
        ("Upgrade: websocket", None),
        ("Connection: upgrade", None),
        ("Connection: upgrade\r\nUpgrade: h2c", None),
        ("Connection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x", None),
        ("Connection: upgrade\r\nUpgrade: foo", None),
        ("Connection: upgrade\r\nUpgrade: websocket/13", None),
        ("Connection: upgrade\r\nUpgrade: xwebsocket", None),
    ] {
        let head = one_request(get_with(fields));
        assert_eq!(head.upgrade, upgrade, "{fields}");
        assert_eq!(head.fields.len(), 1, "{fields}");
    }
    let fields = "Host: a\r\nConnection: upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(one_request(format!("POST / HTTP/1.1\r\n{fields}")).upgrade, None);
    assert_eq!(one_request(format!("GET / HTTP/1.0\r\n{fields}")).upgrade, None);
}

#[test]
fn h1q_45_a_websocket_with_content_is_refused() {
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let bytes = get_with(&format!("Connection: upgrade\r\nUpgrade: websocket\r\n{framing}"));
        assert_eq!(server(bytes).kind(), Some(Kind::UpgradeWithContent));
    }
    // Not an upgrade at all, so it's content like any other.
    assert_eq!(
        one_request(post_with("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1", "x")).upgrade,
        None
    );
}

#[test]
fn h1q_44_h1q_46_bytes_behind_an_upgrade_that_is_not_taken_are_the_next_request() {
    let transcript = wire::before_canary(get_with("Connection: upgrade\r\nUpgrade: foo"));
    assert_eq!(transcript.requests()[0].upgrade, None);
}

fn switching(fields: &str) -> String {
    format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n\x01\x05hello")
}

#[test]
fn s15_2_2_b_40_a_101_that_was_asked_for() {
    let transcript = client(
        &[Ask::websocket()],
        switching("Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\n"),
    );
    assert_eq!(transcript.error, None);
    let head = transcript.responses()[0];
    assert_eq!(
        (head.status, head.upgrade, head.content),
        (StatusCode::SWITCHING_PROTOCOLS, Some(Upgrade::WebSocket), Length::None)
    );
    assert_eq!(head.fields.len(), 1);
    assert_eq!(transcript.rest, b"\x01\x05hello", "what follows is not HTTP's");
    assert!(!transcript.reusable);
}

#[test]
fn s15_2_2_h1r_13_a_101_that_was_not_asked_for() {
    let right = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    for (ask, fields) in [
        (Ask::get(), right),
        (Ask::websocket(), "Connection: upgrade\r\nUpgrade: h2c\r\n"),
        (Ask::websocket(), "Upgrade: websocket\r\n"),
        (Ask::websocket(), "Connection: upgrade\r\n"),
        (Ask::websocket(), ""),
    ] {
        let transcript = client(&[ask], switching(fields));
        assert_eq!(transcript.kind(), Some(Kind::SwitchingProtocols), "{fields}");
    }
    let old = client(&[Ask::websocket()], switching(right).replace("HTTP/1.1", "HTTP/1.0"));
    assert_eq!(old.kind(), Some(Kind::SwitchingProtocols));
}

#[test]
fn b_40_a_refused_upgrade_is_an_ordinary_response() {
    let transcript =
        client(&[Ask::websocket(), Ask::get()], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    assert_eq!((transcript.content(), transcript.responses()[0].upgrade), (b"no".to_vec(), None));
}

#[test]
fn a_server_switches_only_where_it_was_asked_to() {
    let limits = Limits::default();
    let switch = ResponseHead {
        status: StatusCode::SWITCHING_PROTOCOLS,
        upgrade: Some(Upgrade::WebSocket),
        ..Default::default()
    };
    for (fields, expected) in [
        ("Connection: upgrade\r\nUpgrade: websocket", Ok(())),
        ("Upgrade: websocket", Err(Error::us(Kind::SwitchingProtocols))),
    ] {
        let (mut server, mut head, mut out) = (Server::new(&limits), RequestHead::new(), Vec::new());
        server.receive(&limits, &get_with(fields), &mut head).unwrap();
        assert_eq!(server.send_head(&switch, &mut out), expected);
        if expected.is_err() {
            assert!(out.is_empty() && !server.response_begun());
            continue;
        }
        assert_eq!(
            out,
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        );
        server.send_end(None, &mut out).unwrap();
        assert_eq!(server.receive(&limits, b"\x81\x00", &mut head).unwrap().event, Event::End);
        let after = server.receive(&limits, b"\x81\x00", &mut head).unwrap();
        assert_eq!((after.event, after.consumed), (Event::NeedMore, 0));
        assert!(!server.may_reuse() && !server.sends_content());
    }
}

#[test]
fn s10_1_1_h1q_42_expectations() {
    let one = |fields: &str| one_request(post_with(&format!("{fields}\r\nContent-Length: 1"), "x"));
    for fields in [
        "Expect: 100-continue",
        "Expect: 100-Continue",
        "Expect: 100-continue\r\nExpect: 100-continue",
        "Expect: 100-continue, 100-continue",
    ] {
        let head = one(fields);
        assert!(head.expects_continue && !head.fields.contains("expect"), "{fields}");
    }
    for value in [
        "100-continue, x",
        "y 100-continue",
        "x",
        "",
        "100-continue;a=b",
        "100-continue\r\nExpect: x",
        "\"100-continue\"",
        "200-ok",
        "100",
    ] {
        let kind = server(post_with(&format!("Expect: {value}\r\nContent-Length: 1"), "x")).kind();
        assert_eq!(kind, Some(Kind::Expectation), "{value}");
        assert_eq!(kind.unwrap().status(), 417);
    }
    assert!(!one_request(get_with("Expect: 100-continue")).expects_continue, "no content");
    assert!(
        !one_request(get_with("Expect: 100-continue\r\nContent-Length: 0")).expects_continue,
        "no content"
    );
    for value in ["100-continue", "x"] {
        let head = one_request(format!("POST / HTTP/1.0\r\nExpect: {value}\r\nContent-Length: 1\r\n\r\nx"));
        assert!(!head.expects_continue && head.fields.is_empty(), "HTTP/1.0 has no expectations");
    }
}

#[test]
fn s15_2_b_04_interim_responses_come_before_the_final_one() {
    let bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let transcript = answer(bytes);
    let Said::Interim(hints) = &transcript.said[1] else { panic!("{transcript:?}") };
    assert_eq!((hints.status, hints.fields.get("link")), (StatusCode::EARLY_HINTS, Some(&b"</a>"[..])));
    assert_eq!((transcript.interims(), transcript.content(), transcript.reusable), (2, b"hi".to_vec(), true));
}

#[test]
fn s15_2_h1r_12_interim_responses_are_limited() {
    let bytes = |n: usize| {
        format!("{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 103 x\r\n\r\n".repeat(n))
    };
    assert_eq!(answer(bytes(16)).interims(), 16);
    for n in [17, 10_000] {
        let transcript = answer(bytes(n));
        assert_eq!((transcript.kind(), transcript.interims()), (Some(Kind::TooManyInterim), 16));
    }
}

#[test]
fn s15_2_h1r_07_an_interim_response_has_no_content() {
    let bytes =
        "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let transcript = answer(bytes);
    assert_eq!((transcript.interims(), transcript.error, transcript.reusable), (1, None, false));
    let transcript = answer("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(transcript.kind(), Some(Kind::StatusLine));
}

#[test]
fn s15_2_a_server_sends_interim_responses_only_where_they_are_understood() {
    let (limits, mut head) = (Limits::default(), RequestHead::new());
    let mut hints = Fields::new();
    hints.append("Link", "</a>");
    let mut out = Vec::new();
    let mut server = Server::new(&limits);
    assert!(!server.send_interim(StatusCode::CONTINUE, &hints, &mut out), "no request has come");
    server.receive(&limits, &get_with("A: b"), &mut head).unwrap();
    assert!(server.send_interim(StatusCode::EARLY_HINTS, &hints, &mut out));
    assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    out.clear();
    assert!(!server.send_interim(StatusCode::OK, &hints, &mut out));
    assert!(!server.send_interim(StatusCode::SWITCHING_PROTOCOLS, &hints, &mut out));
    server.send_head(&ResponseHead::new(), &mut Vec::new()).unwrap();
    assert!(!server.send_interim(StatusCode::CONTINUE, &hints, &mut out), "the final head has gone");
    let mut old = Server::new(&limits);
    old.receive(&limits, b"GET / HTTP/1.0\r\n\r\n", &mut head).unwrap();
    assert!(!old.send_interim(StatusCode::CONTINUE, &hints, &mut out) && out.is_empty());
    assert_eq!(
        Server::new(&limits)
            .send_head(&ResponseHead { status: StatusCode::CONTINUE, ..Default::default() }, &mut out),
        Err(Error::us(Kind::Order))
    );
}

#[test]
fn a_client_remakes_what_concerns_the_next_connection() {
    let mut out = Vec::new();
    let mut head = RequestHead {
        target: b"/".to_vec(),
        accepts_trailers: true,
        upgrade: Some(Upgrade::WebSocket),
        ..Default::default()
    };
    head.fields.append("Host", "a");
    Client::new().send_head(&head, &mut out).unwrap();
    assert_eq!(
        out,
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nTE: trailers\r\nConnection: upgrade, te\r\n\r\n"
    );
}

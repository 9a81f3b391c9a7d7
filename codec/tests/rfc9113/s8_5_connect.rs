//! RFC 9113 §8.5: the CONNECT method; and RFC 8441: bootstrapping WebSockets with HTTP/2.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code, Config};
use corelane_codec::{Kind, Length, RequestHead, Upgrade};
use http::Method;

const CONNECT: (&str, &str) = (":method", "CONNECT");
const SCHEME: (&str, &str) = (":scheme", "https");
const PATH: (&str, &str) = (":path", "/chat?x");
const AUTHORITY: (&str, &str) = (":authority", "example.com:443");
const PROTOCOL: (&str, &str) = (":protocol", "websocket");

fn extended(cut: Cut) -> Side {
    let mut config = Config::default();
    config.connect_protocol = true;
    Side::server_with(config, cut)
}

/// §8.5: "The ":scheme" and ":path" pseudo-header fields MUST be omitted. The ":authority" pseudo-header field contains
/// the host and port to connect to". "A CONNECT request that does not conform to these restrictions is malformed".
#[test]
fn s8_5_connect_has_an_authority_and_nothing_else() {
    for (fields, kind) in [
        (&[CONNECT, SCHEME, PATH, AUTHORITY][..], Kind::PseudoField),
        (&[CONNECT, SCHEME, AUTHORITY], Kind::PseudoField),
        (&[CONNECT, PATH, AUTHORITY], Kind::PseudoField),
        (&[CONNECT], Kind::PseudoField),
        (&[CONNECT, ("host", "example.com:443")], Kind::PseudoField),
        (&[CONNECT, (":authority", "example.com")], Kind::Target),
        (&[CONNECT, (":authority", "example.com:")], Kind::Target),
        (&[CONNECT, (":authority", "u@example.com:443")], Kind::Host),
    ] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(headers(1, fields, 0));
            server.assert_malformed(1, kind);
            server
        });
    }
}

/// §8.3.1: "a Host header field that identifies an entity that differs from the entity in the ":authority"
/// pseudo-header field". Without a scheme there is no default port: a `Host` without one says nothing of it, as in the
/// example of RFC 9112 §3.2.3.
#[test]
fn s8_5_h2_25_the_host_of_a_connect() {
    for host in ["example.com:443", "example.com", "EXAMPLE.com", "example.com:"] {
        let mut server = Side::server(Cut::Whole);
        server.feed(headers(1, &[CONNECT, AUTHORITY, ("host", host)], 0));
        server.assert_alive();
        assert_eq!(server.requests()[0].target, b"example.com:443", "{host}");
        assert_eq!(server.requests()[0].authority(), b"example.com:443", "{host}");
    }
    for host in ["example.com:80", "example.org", "example.org:443"] {
        let mut server = Side::server(Cut::Whole);
        server.feed(headers(1, &[CONNECT, AUTHORITY, ("host", host)], 0));
        server.assert_malformed(1, Kind::HostMismatch);
    }
}

/// §8.5: "After the initial HEADERS frame sent by each peer, all subsequent DATA frames correspond to data sent on the
/// TCP connection."
#[test]
fn s8_5_a_tunnel_carries_bytes_both_ways() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[CONNECT, AUTHORITY], 0));
        let head = server.requests()[0];
        assert_eq!((&head.method, head.target.as_slice()), (&Method::CONNECT, &b"example.com:443"[..]));
        assert_eq!((head.content, head.upgrade), (Length::None, None));
        let ended = server.connection.send_response(id(1), &response(200, Length::None), &mut server.out);
        assert_eq!(ended, Ok(false));
        server.feed([data(1, b"to the", 0), data(1, b" server", 0)].concat());
        assert_eq!(server.content(1), (b"to the server".to_vec(), false));
        assert_eq!(server.send(1, b"to the client", false), 13);
        // "The END_STREAM flag on a DATA frame is treated as being equivalent to the TCP FIN bit."
        server.feed(data(1, b"", END_STREAM));
        assert_eq!(server.content(1), (b"to the server".to_vec(), true));
        server.connection.send_end(id(1), &mut server.out).unwrap();
        server
    });
    every_split(|cut| {
        let mut client = Side::client(cut);
        let head = RequestHead {
            method: Method::CONNECT,
            target: b"example.com:443".to_vec(),
            ..RequestHead::new()
        };
        client.connection.send_request(&head, &mut client.out).unwrap();
        let sent = client.sent_of(HEADERS);
        assert_eq!(sent[0].flags, END_HEADERS);
        client.feed([headers(1, OK, 0), data(1, b"to the client", 0)].concat());
        assert_eq!(client.content(1), (b"to the client".to_vec(), false));
        assert_eq!(client.send(1, b"to the server", true), 13);
        client.feed(data(1, b"", END_STREAM));
        assert!(client.content(1).1);
        client
    });
}

/// §8.5: "Frame types other than DATA or stream management frames (RST_STREAM, WINDOW_UPDATE, and PRIORITY) MUST NOT be
/// sent on a connected stream and MUST be treated as a stream error (Section 5.4.2) if received."
#[test]
fn s8_5_a_tunnel_has_no_trailers() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[CONNECT, AUTHORITY], 0));
        server.connection.send_response(id(1), &response(200, Length::None), &mut server.out).unwrap();
        server.feed([window_update(1, 1), frame(PRIORITY, 0, 1, &[0; 5])].concat());
        server.assert_alive();
        server.feed(headers(1, &[("a", "b")], END_STREAM));
        server.assert_stream_error(1, Code::PROTOCOL_ERROR);
        server
    });
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, &[CONNECT, AUTHORITY], 0));
    server.connection.send_response(id(1), &response(200, Length::None), &mut server.out).unwrap();
    server.sent();
    let mut trailers = corelane_codec::Fields::new();
    trailers.append("a", "b");
    server.connection.send_trailers(id(1), &trailers, &mut server.out).unwrap();
    let sent = server.sent();
    assert_eq!((sent.len(), sent[0].kind, sent[0].flags), (1, DATA, END_STREAM));
}

/// A CONNECT that is refused is answered like any request.
#[test]
fn s8_5_a_tunnel_that_is_refused() {
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, &[CONNECT, AUTHORITY], 0));
    let ended = server.connection.send_response(id(1), &response(405, Length::None), &mut server.out);
    assert_eq!(ended, Ok(true));
    let mut client = Side::client(Cut::Whole);
    let head =
        RequestHead { method: Method::CONNECT, target: b"example.com:443".to_vec(), ..RequestHead::new() };
    client.connection.send_request(&head, &mut client.out).unwrap();
    client.feed(
        [headers(1, &[(":status", "405"), ("content-length", "2")], 0), data(1, b"no", END_STREAM)].concat(),
    );
    assert_eq!((client.responses()[0].content, client.content(1).1), (Length::Known(2), true));
}

/// RFC 8441 §3: a server says that it takes extended CONNECT; §4: without that, `:protocol` is a pseudo-field like any
/// that is not known.
#[test]
fn rfc8441_s4_h2_38_without_the_setting_it_is_malformed() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[CONNECT, PROTOCOL, SCHEME, PATH, AUTHORITY], 0));
        server.assert_malformed(1, Kind::PseudoField);
        server
    });
    let mut config = Config::default();
    config.connect_protocol = true;
    let mut server = Side::new(corelane_codec::h2::Role::Server, config, Cut::Whole);
    assert!(server.sent()[0].payload.chunks(6).any(|setting| setting == [0, 8, 0, 0, 0, 1]));
}

/// RFC 8441 §4: "On requests that contain the :protocol pseudo-header field, the :scheme and :path pseudo-header fields
/// of the target URI MUST also be included." And what else it must be.
#[test]
fn rfc8441_s4_h2_38_what_is_no_websocket() {
    for (fields, kind) in [
        (&[CONNECT, PROTOCOL, PATH, AUTHORITY][..], Kind::PseudoField),
        (&[CONNECT, PROTOCOL, SCHEME, AUTHORITY], Kind::PseudoField),
        (&[CONNECT, PROTOCOL, SCHEME, PATH], Kind::HostCount),
        (&[(":method", "GET"), PROTOCOL, SCHEME, PATH, AUTHORITY], Kind::PseudoField),
        (&[CONNECT, PROTOCOL, PROTOCOL, SCHEME, PATH, AUTHORITY], Kind::PseudoField),
        (&[CONNECT, (":protocol", ""), SCHEME, PATH, AUTHORITY], Kind::PseudoField),
        (&[CONNECT, (":protocol", "web socket"), SCHEME, PATH, AUTHORITY], Kind::PseudoField),
        (&[CONNECT, (":protocol", "connect-udp"), SCHEME, PATH, AUTHORITY], Kind::Protocol),
        (&[CONNECT, PROTOCOL, SCHEME, PATH, AUTHORITY, ("content-length", "3")], Kind::UpgradeWithContent),
    ] {
        every_split(|cut| {
            let mut server = extended(cut);
            server.feed(headers(1, fields, 0));
            server.assert_malformed(1, kind);
            server
        });
    }
}

/// RFC 8441 §5: an extended CONNECT is what an upgrade is in HTTP/1.1, and its 200 what is a 101 there.
#[test]
fn rfc8441_s5_a_websocket() {
    every_split(|cut| {
        let mut server = extended(cut);
        let fields = [CONNECT, PROTOCOL, SCHEME, PATH, AUTHORITY, ("sec-websocket-version", "13")];
        server.feed(headers(1, &fields, 0));
        let head = server.requests()[0].clone();
        assert_eq!((&head.method, head.target.as_slice()), (&Method::GET, &b"/chat?x"[..]));
        assert_eq!((head.upgrade, head.content), (Some(Upgrade::WebSocket), Length::None));
        let mut answer = response(101, Length::None);
        let out = &mut server.out;
        assert!(server.connection.send_response(id(1), &answer, out).is_err(), "to which protocol?");
        assert!(server.connection.send_response(id(1), &response(200, Length::None), out).is_err());
        answer.upgrade = Some(Upgrade::WebSocket);
        answer.fields.append("Sec-WebSocket-Accept", "x");
        answer.fields.append("Sec-WebSocket-Protocol", "chat");
        assert_eq!(server.connection.send_response(id(1), &answer, out), Ok(false));
        let sent = server.sent_of(HEADERS).remove(0);
        server.feed(data(1, b"\x81\x02hi", 0));
        assert_eq!(server.content(1), (b"\x81\x02hi".to_vec(), false));

        let mut client = Side::client(cut);
        let mut head = RequestHead { fields: Default::default(), ..head };
        head.fields.append("Host", "example.com");
        head.fields.append("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let error = client.connection.send_request(&head, &mut client.out).unwrap_err();
        assert_eq!(error.cause, Cause::ConnectProtocol);
        assert!(!client.connection.peer_takes_websocket());
        client.feed(settings(&[(8, 1)]));
        assert!(client.connection.peer_takes_websocket());
        client.connection.send_request(&head, &mut client.out).unwrap();
        let asked = client.sent_of(HEADERS).remove(0);
        assert_eq!(asked.flags, END_HEADERS);
        client.feed(frame(HEADERS, sent.flags, 1, &sent.payload));
        let head = client.responses()[0];
        assert_eq!((head.status.as_u16(), head.upgrade), (101, Some(Upgrade::WebSocket)));
        assert_eq!(texts(&head.fields), [("sec-websocket-protocol".into(), "chat".into())]);
        assert_eq!(client.send(1, b"\x82\x00", false), 2);
        // What the client sent is what a server understands.
        let mut other = extended(cut);
        other.feed(frame(HEADERS, asked.flags, 1, &asked.payload));
        let head = other.requests()[0];
        assert_eq!(head.upgrade, Some(Upgrade::WebSocket));
        assert!(!head.fields.contains("sec-websocket-key"));
        server
    });
}

/// A WebSocket that is refused is answered like any request.
#[test]
fn rfc8441_s5_a_websocket_that_is_refused() {
    let mut server = extended(Cut::Whole);
    server.feed(headers(1, &[CONNECT, PROTOCOL, SCHEME, PATH, AUTHORITY], 0));
    let ended = server.connection.send_response(id(1), &response(403, Length::None), &mut server.out);
    assert_eq!(ended, Ok(true));
    let sent = server.sent_of(HEADERS).remove(0);
    let mut client = Side::client(Cut::Whole);
    client.feed(settings(&[(8, 1)]));
    let head = RequestHead { upgrade: Some(Upgrade::WebSocket), ..request("/chat") };
    client.connection.send_request(&head, &mut client.out).unwrap();
    client.feed(frame(HEADERS, sent.flags, 1, &sent.payload));
    let head = client.responses()[0];
    assert_eq!((head.status.as_u16(), head.upgrade), (403, None));
    assert!(client.content(1).1);
}

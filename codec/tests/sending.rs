//! What is written, for every combination of what there is to say and of who hears it.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod wire;

use corelane_codec::h1::{Client, Event, Server};
use corelane_codec::{Error, Fields, Kind, Length, Limits, RequestHead, ResponseHead};
use http::{Method, StatusCode};
use wire::get_with;

/// A server that has received this request, and the request's end unless it has content.
fn asked(request: impl AsRef<[u8]>) -> Server {
    let (limits, mut head) = (Limits::default(), RequestHead::new());
    let mut server = Server::new(&limits);
    let received = server.receive(&limits, request.as_ref(), &mut head).unwrap();
    assert_eq!(received.event, Event::Head);
    server
}

fn response(status: u16, content: Length) -> ResponseHead {
    ResponseHead { status: StatusCode::from_u16(status).unwrap(), content, ..Default::default() }
}

/// The content as a sender writes it, in two pieces.
fn send(server: &mut Server, head: &ResponseHead, content: &[u8]) -> String {
    let mut out = Vec::new();
    server.send_head(head, &mut out).unwrap();
    if server.sends_content() {
        for piece in content.chunks(content.len().div_ceil(2).max(1)) {
            let wrap = server.send_data(piece.len()).unwrap();
            out.extend([wrap.before(), piece, wrap.after()].concat());
        }
    }
    server.send_end(None, &mut out).unwrap();
    assert!(server.response_ended());
    String::from_utf8(out).unwrap()
}

const GET11: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET10: &str = "GET / HTTP/1.0\r\n\r\n";
const KEEP10: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const HEAD11: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn the_framing_of_a_response() {
    let (none, known, chunked, close) = (Length::None, Length::Known(5), Length::Chunked, Length::UntilClose);
    let last = "Connection: close\r\n";
    let keep = "Connection: keep-alive\r\n";
    for (request, content, fields, body) in [
        (GET11, none, "Content-Length: 0\r\n".to_owned(), ""),
        (GET11, Length::Known(0), "Content-Length: 0\r\n".to_owned(), ""),
        (GET11, known, "Content-Length: 5\r\n".to_owned(), "hello"),
        (GET11, chunked, "Transfer-Encoding: chunked\r\n".to_owned(), "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        (GET11, close, "Transfer-Encoding: chunked\r\n".to_owned(), "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        (GET10, known, format!("Content-Length: 5\r\n{last}"), "hello"),
        (GET10, chunked, last.to_owned(), "hello"),
        (KEEP10, known, format!("Content-Length: 5\r\n{keep}"), "hello"),
        (KEEP10, none, format!("Content-Length: 0\r\n{keep}"), ""),
        (KEEP10, chunked, last.to_owned(), "hello"),
        (KEEP10, close, last.to_owned(), "hello"),
        (HEAD11, none, String::new(), ""),
        (HEAD11, known, "Content-Length: 5\r\n".to_owned(), ""),
        (HEAD11, chunked, String::new(), ""),
    ] {
        let mut server = asked(request);
        let content_bytes: &[u8] = if content.is_empty() { b"" } else { b"hello" };
        let sent = send(&mut server, &response(200, content), content_bytes);
        assert_eq!(sent, format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}"), "{request:?} {content:?}");
        assert_eq!(server.may_reuse(), !fields.contains(last));
    }
}

#[test]
fn rfc9110_s8_6_b_03_lengths_where_no_content_follows() {
    let declared = |status| ResponseHead { declared_length: Some(7), ..response(status, Length::None) };
    for (request, head, fields) in [
        (HEAD11, declared(200), "Content-Length: 7\r\n"),
        (HEAD11, declared(304), "Content-Length: 7\r\n"),
        (HEAD11, declared(204), ""),
        (GET11, declared(304), "Content-Length: 7\r\n"),
        (GET11, declared(204), ""),
        (GET11, response(204, Length::Known(5)), ""),
        (GET11, response(204, Length::Chunked), ""),
        (GET11, response(304, Length::None), ""),
        (GET11, response(205, Length::None), "Content-Length: 0\r\n"),
        (GET11, response(205, Length::Known(5)), "Content-Length: 0\r\n"),
        (GET11, response(205, Length::Chunked), "Content-Length: 0\r\n"),
        (KEEP10, response(205, Length::UntilClose), "Content-Length: 0\r\nConnection: keep-alive\r\n"),
    ] {
        let mut server = asked(request);
        let status = head.status;
        let sent = send(&mut server, &head, b"");
        assert_eq!(
            sent,
            format!("HTTP/1.1 {} {}\r\n{fields}\r\n", status.as_str(), status.canonical_reason().unwrap())
        );
        assert!(!server.sends_content());
        assert!(server.may_reuse());
    }
    let mut server = asked(HEAD11);
    server.send_head(&response(200, Length::Known(5)), &mut Vec::new()).unwrap();
    assert_eq!(server.send_data(5), Err(Error::us(Kind::Length)));
    assert!(!server.may_reuse());
}

#[test]
fn content_that_is_not_as_long_as_was_said() {
    let mut out = Vec::new();
    let mut server = asked(GET11);
    server.send_head(&response(200, Length::Known(5)), &mut out).unwrap();
    server.send_data(4).unwrap();
    assert_eq!(server.send_end(None, &mut out), Err(Error::us(Kind::Length)));
    assert!(!server.response_ended() && !server.may_reuse());
    assert_eq!(server.send_end(None, &mut out), Err(Error::us(Kind::Order)), "it can't be mended");
    let mut server = asked(GET11);
    server.send_head(&response(200, Length::Known(5)), &mut out).unwrap();
    server.send_data(3).unwrap();
    assert_eq!(server.send_data(3), Err(Error::us(Kind::Length)));
    assert!(server.send_data(1).is_err() && server.send_end(None, &mut out).is_err());
}

#[test]
fn no_bytes_are_no_chunk() {
    let mut out = Vec::new();
    let mut server = asked(GET11);
    server.send_head(&response(200, Length::Chunked), &mut out).unwrap();
    let wrap = server.send_data(0).unwrap();
    assert_eq!((wrap.before(), wrap.after()), (&b""[..], &b""[..]));
    let wrap = server.send_data(usize::MAX).unwrap();
    assert_eq!((wrap.before(), wrap.after()), (&b"ffffffffffffffff\r\n"[..], &b"\r\n"[..]));
}

#[test]
fn out_of_order_is_an_error() {
    let mut out = Vec::new();
    let mut server = asked(GET11);
    assert_eq!(server.send_data(1), Err(Error::us(Kind::Order)));
    let mut server = asked(GET11);
    server.send_head(&response(200, Length::None), &mut out).unwrap();
    assert_eq!(server.send_head(&response(200, Length::None), &mut out), Err(Error::us(Kind::Order)));
    server.send_end(None, &mut out).unwrap();
    assert_eq!(server.send_end(None, &mut out), Err(Error::us(Kind::Order)));
    let mut client = Client::new();
    assert_eq!(client.send_end(None, &mut out), Err(Error::us(Kind::Order)));
}

#[test]
fn fields_of_the_connection_are_not_the_applications_to_say() {
    let mut head = response(200, Length::Known(2));
    for (name, value) in [
        ("A", "b"),
        ("Content-Length", "99"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Keep-Alive", "5"),
        ("Upgrade", "h2c"),
        ("Trailer", "x"),
        ("C", "d"),
        ("content-length", "98"),
        ("TE", "x"),
        ("Expect", "x"),
    ] {
        head.fields.append(name, value);
    }
    let sent = send(&mut asked(GET11), &head, b"hi");
    assert_eq!(sent, "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nContent-Length: 2\r\n\r\nhi");
}

#[test]
fn statuses_without_a_reason_keep_the_space() {
    assert_eq!(
        send(&mut asked(GET11), &response(299, Length::None), b""),
        "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n"
    );
    assert!(asked(GET11).send_head(&response(600, Length::None), &mut Vec::new()).is_err());
    let connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    assert!(asked(connect).send_head(&response(200, Length::None), &mut Vec::new()).is_err());
    assert!(asked(connect).send_head(&response(405, Length::None), &mut Vec::new()).is_ok());
}

#[test]
fn h1q_34_trailers_go_to_a_client_that_takes_them() {
    let mut trailers = Fields::new();
    trailers.append("X-Sum", "1");
    trailers.append("Set-Cookie", "a=b");
    trailers.append("Content-Length", "5");
    for (request, content, takes, end) in [
        (get_with("TE: trailers"), Length::Chunked, true, "0\r\nX-Sum: 1\r\n\r\n"),
        (get_with("A: b"), Length::Chunked, false, "0\r\n\r\n"),
        (get_with("TE: trailers"), Length::Known(0), false, ""),
        (b"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n".to_vec(), Length::Chunked, false, ""),
    ] {
        let (mut server, mut out) = (asked(request), Vec::new());
        server.send_head(&response(200, content), &mut Vec::new()).unwrap();
        assert_eq!(server.takes_trailers(), takes);
        server.send_end(Some(&trailers), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), end);
    }
    let (mut client, mut out) = (Client::new(), Vec::new());
    let head = RequestHead { target: b"/".to_vec(), content: Length::Chunked, ..Default::default() };
    client.send_head(&head, &mut Vec::new()).unwrap();
    client.send_end(Some(&trailers), &mut out).unwrap();
    assert_eq!(out, b"0\r\nX-Sum: 1\r\n\r\n");
}

fn request(method: Method, content: Length) -> RequestHead {
    let mut head = RequestHead { method, target: b"/p?q".to_vec(), content, ..Default::default() };
    head.fields.append("Host", "a");
    head
}

#[test]
fn the_framing_of_a_request() {
    for (method, content, fields, wrap) in [
        (Method::GET, Length::None, "", ""),
        (Method::DELETE, Length::None, "", ""),
        (Method::POST, Length::None, "Content-Length: 0\r\n", ""),
        (Method::PUT, Length::None, "Content-Length: 0\r\n", ""),
        (Method::GET, Length::Known(0), "Content-Length: 0\r\n", ""),
        (Method::GET, Length::Known(5), "Content-Length: 5\r\n", ""),
        (Method::POST, Length::Chunked, "Transfer-Encoding: chunked\r\n", "5\r\n"),
        (Method::POST, Length::UntilClose, "Transfer-Encoding: chunked\r\n", "5\r\n"),
    ] {
        let (mut client, mut out) = (Client::new(), Vec::new());
        let mut head = request(method.clone(), content);
        head.expects_continue = true;
        client.send_head(&head, &mut out).unwrap();
        let expect = if content.is_empty() { "" } else { "Expect: 100-continue\r\n" };
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("{method} /p?q HTTP/1.1\r\nHost: a\r\n{fields}{expect}\r\n")
        );
        if !content.is_empty() {
            assert_eq!(client.send_data(5).unwrap().before(), wrap.as_bytes());
        }
        client.send_end(None, &mut Vec::new()).unwrap();
        assert!(client.request_ended());
    }
}

#[test]
fn requests_that_are_not_sent() {
    let refused = |head: &RequestHead| {
        let mut out = Vec::new();
        let kind = Client::new().send_head(head, &mut out).unwrap_err().kind;
        assert!(out.is_empty());
        kind
    };
    for target in ["", "a", "http://h/", "/ x", "/\r\nA: b", "/#", "/\\", "/\u{e9}", "*", "/\0"] {
        let head = RequestHead { target: target.into(), ..request(Method::GET, Length::None) };
        assert_eq!(refused(&head), Kind::Target, "{target:?}");
    }
    assert_eq!(
        refused(&RequestHead { target: b"a:1".to_vec(), ..request(Method::CONNECT, Length::None) }),
        Kind::Method
    );
    let mut head = request(Method::GET, Length::None);
    head.fields.append("host", "b");
    assert_eq!(refused(&head), Kind::HostCount);
    assert_eq!(refused(&request(Method::TRACE, Length::Chunked)), Kind::TraceWithContent);
    let upgrade = Some(corelane_codec::Upgrade::WebSocket);
    assert_eq!(
        refused(&RequestHead { upgrade, ..request(Method::GET, Length::Known(1)) }),
        Kind::UpgradeWithContent
    );
    let mut out = Vec::new();
    Client::new()
        .send_head(&RequestHead { target: b"*".to_vec(), ..request(Method::OPTIONS, Length::None) }, &mut out)
        .unwrap();
    assert!(out.starts_with(b"OPTIONS * HTTP/1.1\r\n"));
}

#[test]
fn rfc9112_s3_2_a_request_always_has_a_host() {
    let mut out = Vec::new();
    Client::new().send_head(&RequestHead { target: b"/".to_vec(), ..Default::default() }, &mut out).unwrap();
    assert_eq!(out, b"GET / HTTP/1.1\r\nHost: \r\n\r\n");
}

#[test]
fn a_request_from_http_1_0_goes_on_as_http_1_1() {
    let head = wire::one_request("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let mut out = Vec::new();
    Client::new().send_head(&head, &mut out).unwrap();
    assert_eq!(out, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

//! RFC 9113 §8.2: HTTP fields.

use crate::h2::*;
use corelane_codec::{Kind, Length, RequestHead, Underscores};

/// Runs a field through the head of a request, the head of a response, and the trailers of both.
fn everywhere(field: (&str, &str), kind: Kind) {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[GET, &[field]].concat(), END_STREAM));
        server.assert_malformed(1, kind);
        assert_eq!(server.requests().len(), 0, "nothing reaches the application");
        server
    });
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(headers(1, &[OK, &[field]].concat(), END_STREAM));
        client.assert_malformed(1, kind);
        assert_eq!(client.responses().len(), 0);
        client
    });
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(headers(1, &[field], END_STREAM));
            side.assert_malformed(1, kind);
        }
        server
    });
}

/// §8.2: "Field names MUST be converted to lowercase when constructing an HTTP/2 message."
#[test]
fn s8_2_names_are_sent_in_lower_case() {
    let mut head = request("/");
    let long = "X-".to_owned() + &"LoNg".repeat(40);
    head.fields.append("User-Agent", "Test");
    head.fields.append(&long, "Value");
    let mut client = Side::client(Cut::Whole);
    client.connection.send_request(&head, &mut client.out).unwrap();
    let block = client.sent_of(HEADERS).remove(0).payload;
    let mut server = Side::server(Cut::Whole);
    server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    let fields = texts(&server.requests()[0].fields);
    assert_eq!(fields[1], ("user-agent".into(), "Test".into()));
    assert_eq!(fields[2], (long.to_lowercase(), "Value".into()));
}

/// §8.2.1: "A field name MUST NOT contain characters in the ranges 0x00-0x20, 0x41-0x5a, or 0x7f-0xff". "field names MUST
/// NOT include a colon".
#[test]
fn s8_2_1_h2_26_names_are_tokens_in_lower_case() {
    for name in [
        "", "X-a", "x-A", "x a", " x", "x ", "x\t", "x\0", "x\r", "x\n", "x\r\ny", "x:", "x:y", "x\u{7f}",
        "x\u{e4}", "x(", "x/y", "\"x\"", "x,y", "x;", "x=", "x@", "[x]", "x\\", "{x}",
    ] {
        everywhere((name, "v"), Kind::Field);
    }
    everywhere((":", "v"), Kind::PseudoField);
}

/// §8.2.1: "A field value MUST NOT contain the zero value (ASCII NUL, 0x00), line feed (ASCII LF, 0x0a), or carriage
/// return (ASCII CR, 0x0d) at any position." "A field value MUST NOT start or end with an ASCII whitespace character".
#[test]
fn s8_2_1_h2_26_values_have_no_control_characters_and_no_space_around_them() {
    for value in [
        "\0",
        "a\0",
        "a\nb",
        "a\r",
        "\r\n",
        "a\r\nx: y",
        " a",
        "a ",
        "\ta",
        "a\t",
        " ",
        "a\u{7f}b",
        "\u{1b}[0m",
    ] {
        everywhere(("x", value), Kind::Field);
        everywhere(("cookie", value), Kind::Field);
    }
    every_split(|cut| {
        let mut server = Side::server(cut);
        let fields =
            [("x", ""), ("x", "a b\tc"), ("x", "\u{fc}ber"), ("x", "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~")];
        server.feed(headers(1, &[GET, &fields].concat(), END_STREAM));
        server.assert_alive();
        let got = texts(&server.requests()[0].fields);
        assert!(got[1..].iter().zip(fields).all(|(got, sent)| (&*got.0, &*got.1) == sent), "{got:?}");
        server
    });
}

/// §8.2.2: "Any message containing connection-specific header fields MUST be treated as malformed".
#[test]
fn s8_2_2_h2_27_fields_of_a_connection_are_malformed() {
    for field in [
        ("connection", "close"),
        ("connection", ""),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
    ] {
        everywhere(field, Kind::ConnectionField);
    }
}

/// §8.2.2: "The only exception to this is the TE header field, which MAY be present in an HTTP/2 request; when it is, it
/// MUST NOT contain any value other than "trailers"."
#[test]
fn s8_2_2_h2_27_te_says_trailers_or_nothing() {
    for value in ["", "gzip", "trailers, gzip", "trailers;q=1", "chunked"] {
        everywhere(("te", value), Kind::ConnectionField);
    }
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[GET, &[("te", "trailers")]].concat(), END_STREAM));
        let head = server.requests()[0];
        assert!(head.accepts_trailers && !head.fields.contains("te"));
        server
    });
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(headers(1, &[OK, &[("te", "trailers")]].concat(), END_STREAM));
        client.assert_malformed(1, Kind::ConnectionField);
        client
    });
}

/// §8.2.2: "An endpoint MUST NOT generate an HTTP/2 message containing connection-specific header fields."
#[test]
fn s8_2_2_fields_of_a_connection_are_not_sent() {
    let names =
        ["Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "HTTP2-Settings"];
    let mut head = RequestHead { accepts_trailers: true, content: Length::Known(3), ..request("/") };
    let mut answer = response(200, Length::Known(3));
    for fields in [&mut head.fields, &mut answer.fields] {
        names.iter().for_each(|name| fields.append(name, "x"));
        fields.append("Content-Length", "77");
        fields.append("TE", "gzip");
        fields.append("X-Mine", "1");
    }
    let (mut client, mut server) = (Side::client(Cut::Whole), Side::server(Cut::Whole));
    client.connection.send_request(&head, &mut client.out).unwrap();
    let sent = client.sent_of(HEADERS).remove(0);
    server.feed(frame(HEADERS, sent.flags, 1, &sent.payload));
    server.assert_alive();
    let got = server.requests()[0];
    assert_eq!((got.content, got.accepts_trailers), (Length::Known(3), true));
    assert_eq!(texts(&got.fields), [("host".into(), "example.com".into()), ("x-mine".into(), "1".into())]);
    server.connection.send_response(id(1), &answer, &mut server.out).unwrap();
    let sent = server.sent_of(HEADERS).remove(0);
    client.feed(frame(HEADERS, sent.flags, 1, &sent.payload));
    let got = client.responses()[0];
    assert_eq!((texts(&got.fields), got.content), (vec![("x-mine".into(), "1".into())], Length::Known(3)));
}

/// §8.2.3: "If there are multiple Cookie header fields after decompression, these MUST be concatenated into a single
/// octet string using the two-octet delimiter of 0x3b, 0x20 (the ASCII string "; ")".
#[test]
fn s8_2_3_crumbs_become_one_cookie() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        let fields = [("cookie", "a=b"), ("x", "y"), ("cookie", "c=d; e=f"), ("cookie", "g=h")];
        server.feed(headers(1, &[GET, &fields].concat(), END_STREAM));
        let head = server.requests()[0];
        let cookies: Vec<_> = head.fields.get_all("cookie").collect();
        assert_eq!(cookies, [b"a=b; c=d; e=f; g=h"]);
        let fields = [("cookie", "a=b"), ("cookie", "c=d"), ("cookie", "e=f"), ("x", "y")];
        server.feed(headers(3, &[GET, &fields].concat(), END_STREAM));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let all = [pair("host", "example.com"), pair("cookie", "a=b; c=d; e=f"), pair("x", "y")];
        assert_eq!(texts(&server.requests()[1].fields), all);
        server
    });
}

/// Each crumb is a field, and all of them are a list.
#[test]
fn s8_2_3_h2_05_crumbs_are_counted() {
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, &[GET, &vec![("cookie", "a"); 125][..]].concat(), END_STREAM));
    assert!(matches!(&server.said[..], [Said::Refused(1, error)]
        if error.cause == corelane_codec::h2::Cause::Message(Kind::TooManyFields)));
    server.feed(headers(3, &[GET, &vec![("cookie", "a"); 124][..]].concat(), END_STREAM));
    assert_eq!(server.requests()[0].fields.get("cookie").unwrap().len(), 124 * 3 - 2);
}

/// A field that no table may hold is passed on as one (RFC 7541 §6.2.3).
#[test]
fn s8_2_what_is_never_indexed_stays_so() {
    let secret = [&[0x10, 5][..], b"x-pin", &[4], b"1234"].concat();
    let mut server = Side::server(Cut::Whole);
    server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[block(GET), secret].concat()));
    let head = server.connection.request_mut().clone();
    let mut client = Side::client(Cut::Whole);
    for _ in 0..2 {
        client.connection.send_request(&head, &mut client.out).unwrap();
        let block = client.sent_of(HEADERS).remove(0).payload;
        let name: Vec<u8> =
            block.windows(2).flat_map(|pair| (pair[0] == 0x10).then_some(pair[1] & 0x7f)).collect();
        assert!(!name.is_empty(), "a literal never indexed with a name of its own: {block:x?}");
    }
}

/// Underscores in names, as in HTTP/1: refused, dropped or passed.
#[test]
fn s8_2_underscores_are_as_in_http_1() {
    everywhere_in_requests("x_y", Kind::FieldUnderscore);
    for (underscores, count) in [(Underscores::Drop, 1), (Underscores::Pass, 2)] {
        let mut config = corelane_codec::h2::Config::default();
        config.limits.underscores = underscores;
        let mut server = Side::server_with(config.clone(), Cut::Whole);
        server.feed(headers(1, &[GET, &[("x_y", "z")]].concat(), END_STREAM));
        assert_eq!(server.requests()[0].fields.len(), count);
        if underscores == Underscores::Pass {
            server.feed(headers(3, &[GET, &[("content_length", "5")]].concat(), END_STREAM));
            server.assert_malformed(3, Kind::FieldUnderscore);
        }
    }
    let mut client = Side::asking(Cut::Whole);
    client.feed(headers(1, &[OK, &[("x_y", "z")]].concat(), END_STREAM));
    assert_eq!(client.responses()[0].fields.len(), 1);
}

fn everywhere_in_requests(name: &str, kind: Kind) {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[GET, &[(name, "v")]].concat(), END_STREAM));
        server.assert_malformed(1, kind);
        server.feed([headers(3, POST, 0), headers(3, &[(name, "v")], END_STREAM)].concat());
        server.assert_malformed(3, kind);
        server
    });
}

//! RFC 9110 §7.6 (Connection, Max-Forwards, Via) and RFC 7239: what goes on and what is added.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod wire;

use corelane_codec::forward::{self, Hop, Trusted};
use corelane_codec::trail::{Client, Trail};
use corelane_codec::{Blame, Kind, RequestHead, ResponseHead, Scope, Version};
use http::Method;
use wire::{answer, get_with, one_request, server, texts};

fn names(fields: &str) -> Vec<String> {
    texts(&one_request(get_with(fields)).fields).into_iter().map(|field| field.0).collect()
}

#[test]
fn s7_6_1_h1q_49_nominated_fields_end_here() {
    assert_eq!(names("Connection: close, X-Real-IP\r\nX-Real-IP: 1\r\nX-Other: 2"), ["Host", "X-Other"]);
    assert_eq!(
        names("X-A: 1\r\nConnection: x-a , X-B\r\nX-B: 2\r\nConnection: x-c\r\nx-A: 3\r\nX-C: 4"),
        ["Host"]
    );
    assert_eq!(
        names("Connection: Authorization, Cookie\r\nAuthorization: x\r\nCookie: y\r\nA: b"),
        ["Host", "A"]
    );
    assert_eq!(names("Connection: not-there\r\nA: b"), ["Host", "A"]);
    let response =
        answer("HTTP/1.1 200 OK\r\nConnection: X-A\r\nX-A: b\r\nX-B: c\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(texts(&response.responses()[0].fields), [("X-B".to_owned(), "c".to_owned())]);
}

#[test]
fn s7_6_1_h1q_49_nominations_that_are_refused() {
    for option in [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Via",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "Forwarded",
        "X-Request-Id",
    ] {
        for option in
            [option.to_owned(), option.to_lowercase(), format!("close, {option}"), format!("a,,{option} ,b")]
        {
            let kind = server(get_with(&format!("Connection: {option}"))).kind();
            assert_eq!(kind, Some(Kind::Connection), "{option}");
            let kind = answer(format!("HTTP/1.1 200 OK\r\nConnection: {option}\r\n\r\n")).kind();
            assert_eq!(kind, Some(Kind::Connection), "{option}");
        }
    }
    let row = "Connection: close, X-Real-IP, Authorization, Content-Length";
    assert_eq!(server(get_with(row)).kind(), Some(Kind::Connection));
    for value in ["a b", "\"close\"", "a;b", "close;", "(x)", "a=b", "\u{e9}"] {
        assert_eq!(
            server(get_with(&format!("Connection: {value}"))).kind(),
            Some(Kind::Connection),
            "{value}"
        );
    }
}

#[test]
fn s7_6_1_nominations_are_limited() {
    let list = |n: usize| (0..n).map(|i| format!("n{i}")).collect::<Vec<_>>().join(",");
    assert_eq!(server(get_with(&format!("Connection: {}", list(64)))).kind(), None);
    assert_eq!(server(get_with(&format!("Connection: {}", list(65)))).kind(), Some(Kind::Connection));
}

#[test]
fn s7_6_1_h1q_50_h1q_47_fields_of_one_connection_end_here() {
    for field in [
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: gzip",
        "TE: trailers",
        "Trailer: X-Sum",
        "Upgrade: h2c",
        "Upgrade: websocket",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "Content-Length: 0",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x",
    ] {
        assert_eq!(names(field), ["Host"], "{field}");
        assert_eq!(names(&field.to_uppercase()), ["Host"], "{field}");
    }
    let response = "HTTP/1.1 200 OK\r\nConnection: x\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nTrailer: a\r\nContent-Length: 0\r\nProxy-Connection: x\r\n\r\n";
    assert!(answer(response).responses()[0].fields.is_empty());
}

#[test]
fn s10_1_4_te_says_whether_trailers_are_taken() {
    for (te, takes) in [
        ("TE: trailers", true),
        ("TE: gzip;q=0.5, Trailers", true),
        ("TE: gzip\r\nTE: trailers", true),
        ("TE: trailersx", false),
        ("TE: ", false),
        ("A: b", false),
        ("Connection: te\r\nTE: trailers", true),
    ] {
        assert_eq!(one_request(get_with(te)).accepts_trailers, takes, "{te}");
    }
}

const HOP: Hop<'_> = Hop {
    peer: Some(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1))),
    scheme: "http",
    via: "corelane",
    request_id: "fresh-id",
    trusted: None,
};

fn forwarded(fields: &str, hop: &Hop<'_>) -> Vec<(String, String)> {
    let mut head = one_request(format!("GET / HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n").as_bytes());
    forward::request(&mut head, hop).unwrap();
    let mut added = texts(&head.fields);
    assert_eq!(added.remove(0).0, "Host");
    added
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let mut named = fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
    let value = named.next().map(|field| field.1.as_str()).unwrap_or("");
    assert!(named.next().is_none(), "{name} twice in {fields:?}");
    value
}

#[test]
fn h1q_68_b_12_what_an_untrusted_client_says_is_replaced() {
    let spoofed = "X-Forwarded-For: 6.6.6.6, 7.7.7.7\r\nx-forwarded-for: 8.8.8.8\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\nForwarded: for=7.7.7.7\r\nA: b\r\n";
    for fields in ["A: b\r\n", spoofed] {
        let fields = forwarded(fields, &HOP);
        assert_eq!(value(&fields, "X-Forwarded-For"), "192.0.2.1");
        assert_eq!(value(&fields, "X-Forwarded-Proto"), "http");
        assert_eq!(value(&fields, "X-Forwarded-Host"), "example.com");
        assert_eq!(value(&fields, "Forwarded"), "for=192.0.2.1;host=example.com;proto=http");
        assert_eq!(value(&fields, "X-Request-Id"), "fresh-id");
        assert_eq!(value(&fields, "Via"), "1.1 corelane");
        assert_eq!(fields.len(), 7);
    }
}

fn trusted(trail: Trail, client: Option<(&str, Option<&'static str>)>) -> Option<Trusted> {
    let client = client.map(|(ip, scheme)| Client { ip: ip.parse().unwrap(), port: None, scheme });
    Some(Trusted { trail, client })
}

const SAID: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: wss\r\nX-Forwarded-For: 7.7.7.7\r\n\
                    X-Forwarded-Host: front\r\nForwarded: for=8.8.8.8\r\nForwarded: for=9.9.9.9;proto=https\r\n";

#[test]
fn b_12_b_70_what_a_trusted_proxy_says_is_extended() {
    let hop = Hop { trusted: trusted(Trail::XForwardedFor, Some(("7.7.7.7", None))), ..HOP };
    let fields = forwarded(SAID, &hop);
    assert_eq!(value(&fields, "X-Forwarded-For"), "6.6.6.6, 7.7.7.7, 192.0.2.1");
    assert_eq!(value(&fields, "X-Forwarded-Proto"), "wss");
    assert_eq!(value(&fields, "X-Forwarded-Host"), "front");
    let hop = Hop { trusted: trusted(Trail::XForwardedFor, None), scheme: "https", ..HOP };
    let fields = forwarded("", &hop);
    assert_eq!(value(&fields, "X-Forwarded-For"), "192.0.2.1");
    assert_eq!(value(&fields, "X-Forwarded-Proto"), "https");
    assert_eq!(value(&fields, "X-Forwarded-Host"), "example.com");
    assert_eq!(value(&fields, "Forwarded"), "for=192.0.2.1;host=example.com;proto=https");

    let hop = Hop { trusted: trusted(Trail::Forwarded, Some(("9.9.9.9", Some("https")))), ..HOP };
    let fields = forwarded(SAID, &hop);
    let list = "for=8.8.8.8, for=9.9.9.9;proto=https, for=192.0.2.1;host=example.com;proto=http";
    assert_eq!(value(&fields, "Forwarded"), list);
    assert_eq!(value(&fields, "X-Forwarded-Proto"), "https", "it says so");
    let hop = Hop { trusted: trusted(Trail::Forwarded, None), ..HOP };
    assert_eq!(value(&forwarded("", &hop), "Forwarded"), "for=192.0.2.1;host=example.com;proto=http");
}

#[test]
fn h1q_68_the_list_that_a_trusted_proxy_does_not_keep_is_written_anew() {
    // It may have passed what a stranger wrote.
    let hop = Hop { trusted: trusted(Trail::XForwardedFor, Some(("2001:db8::7", None))), ..HOP };
    let fields = forwarded(SAID, &hop);
    let list = "for=\"[2001:db8::7]\", for=192.0.2.1;host=example.com;proto=http";
    assert_eq!(value(&fields, "Forwarded"), list);
    let hop = Hop { trusted: trusted(Trail::Forwarded, Some(("9.9.9.9", None))), ..HOP };
    let fields = forwarded(SAID, &hop);
    assert_eq!(value(&fields, "X-Forwarded-For"), "9.9.9.9, 192.0.2.1");
    assert_eq!(value(&fields, "X-Forwarded-Proto"), "http");
    assert_eq!(value(&fields, "X-Forwarded-Host"), "example.com");
    // And of a proxy on a unix socket.
    assert_eq!(value(&forwarded(SAID, &Hop { peer: None, ..hop }), "X-Forwarded-For"), "9.9.9.9");
}

#[test]
fn rfc7239_s6_2_a_client_without_an_address_is_unknown() {
    let stranger = Hop { peer: None, ..HOP };
    let trusted = Hop { trusted: trusted(Trail::XForwardedFor, None), ..stranger };
    let said = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n";
    for (fields, hop, list, forwarded_for) in [
        ("", &stranger, "", "for=unknown"),
        (said, &stranger, "", "for=unknown"),
        ("", &trusted, "", "for=unknown"),
        (said, &trusted, "6.6.6.6", "for=unknown"),
    ] {
        let fields = forwarded(fields, hop);
        assert_eq!(value(&fields, "X-Forwarded-For"), list);
        assert_eq!(value(&fields, "Forwarded"), format!("{forwarded_for};host=example.com;proto=http"));
    }
}

#[test]
fn rfc7239_s6_addresses_and_hosts_are_quoted_when_they_must_be() {
    for (client, host, forwarded_for, expected) in [
        ("2001:db8::1", "h:8080", "2001:db8::1", "for=\"[2001:db8::1]\";host=\"h:8080\";proto=http"),
        ("::ffff:192.0.2.7", "h", "192.0.2.7", "for=192.0.2.7;host=h;proto=http"),
        (
            "255.255.255.255",
            "[::1]:80",
            "255.255.255.255",
            "for=255.255.255.255;host=\"[::1]:80\";proto=http",
        ),
        (
            "1111:2222:3333:4444:5555:6666:7777:8888",
            "h",
            "1111:2222:3333:4444:5555:6666:7777:8888",
            "for=\"[1111:2222:3333:4444:5555:6666:7777:8888]\";host=h;proto=http",
        ),
    ] {
        let mut head = one_request(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        forward::request(&mut head, &Hop { peer: client.parse().ok(), ..HOP }).unwrap();
        assert_eq!(head.fields.get("forwarded").unwrap(), expected.as_bytes());
        assert_eq!(head.fields.get("x-forwarded-for").unwrap(), forwarded_for.as_bytes());
    }
}

#[test]
fn a_request_without_a_host_says_none() {
    let mut head = one_request("GET / HTTP/1.0\r\nX-Forwarded-Host: evil\r\n\r\n");
    forward::request(&mut head, &HOP).unwrap();
    assert!(!head.fields.contains("x-forwarded-host"));
    assert_eq!(head.fields.get("forwarded"), Some(&b"for=192.0.2.1;proto=http"[..]));
    assert_eq!(head.fields.get("via"), Some(&b"1.0 corelane"[..]));
}

#[test]
fn s7_6_3_via_is_appended_and_a_loop_is_seen() {
    let head = |via: &str| one_request(get_with(via));
    let mut other = head("Via: 1.0 fred, 1.1 p.example.net (x)\r\nVia: HTTP/1.1 corelane2, corelane x");
    forward::request(&mut other, &HOP).unwrap();
    assert_eq!(other.fields.get_all("via").last(), Some(&b"1.1 corelane"[..]));
    assert_eq!(other.fields.get_all("via").count(), 3);
    for via in [
        "Via: 1.1 corelane",
        "Via: 1.0 fred, 1.1 CORELANE (c)",
        "Via: 1.0 fred\r\nVia: HTTP/1.1\tcorelane",
        "via: 2 corelane",
    ] {
        let error = forward::request(&mut head(via), &HOP).unwrap_err();
        assert_eq!((error.kind, error.scope, error.blame), (Kind::Loop, Scope::Stream, Blame::Peer), "{via}");
        assert_eq!(error.status(), 508);
    }
    // Twice through us is a loop.
    let mut once = head("A: b");
    forward::request(&mut once, &HOP).unwrap();
    assert_eq!(forward::request(&mut once, &HOP).unwrap_err().kind, Kind::Loop);
}

#[test]
fn s7_6_3_via_of_responses() {
    let mut head = ResponseHead { version: Version::Http10, ..Default::default() };
    head.fields.append("Via", "1.1 origin");
    forward::response(&mut head, "corelane");
    assert_eq!(head.fields.get_all("via").collect::<Vec<_>>(), [&b"1.1 origin"[..], b"1.0 corelane"]);
}

#[test]
fn b_70_a_request_id_is_kept_if_it_is_acceptable() {
    let longest = "x".repeat(128);
    for id in ["a", "0af7651916cd43dd8448eb211c80319c", "A-Z.a_z~0+9/=:@", &longest] {
        let fields = format!("X-Request-ID: {id}\r\n");
        assert_eq!(forward::request_id(&one_request(get_with(fields.trim_end()))), Some(id.as_bytes()));
        assert_eq!(value(&forwarded(&fields, &HOP), "x-request-id"), id);
    }
    for id in ["", "a b", "a\"b", "a,b", "<x>", "\u{e9}", "a;b", &"x".repeat(129)] {
        let fields = format!("X-Request-ID: {id}\r\n");
        assert_eq!(forward::request_id(&one_request(get_with(fields.trim_end()))), None, "{id}");
        assert_eq!(value(&forwarded(&fields, &HOP), "x-request-id"), "fresh-id");
    }
    let twice = forwarded("X-Request-Id: a\r\nB: c\r\nX-Request-Id: b\r\n", &HOP);
    assert_eq!(value(&twice, "x-request-id"), "a");
}

#[test]
fn s7_6_2_max_forwards_of_trace_and_options() {
    let head =
        |method: &str, fields: &str| one_request(format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    for (text, expected, forwarded) in
        [("1", 1, "0"), ("10", 10, "9"), ("007", 7, "6"), ("99999999999999", u32::MAX, "4294967294")]
    {
        for method in ["TRACE", "OPTIONS"] {
            let mut head = head(method, &format!("Max-Forwards: {text}\r\n"));
            assert_eq!(forward::max_forwards(&head), Ok(Some(expected)));
            forward::request(&mut head, &HOP).unwrap();
            assert_eq!(head.fields.get("max-forwards"), Some(forwarded.as_bytes()));
        }
        let mut get = head("GET", &format!("Max-Forwards: {text}\r\n"));
        assert_eq!(forward::max_forwards(&get), Ok(None));
        forward::request(&mut get, &HOP).unwrap();
        assert_eq!(get.fields.get("max-forwards"), Some(text.as_bytes()));
    }
    for text in ["", "-1", "1x", "1, 2", "1\r\nMax-Forwards: 1"] {
        let head = head("TRACE", &format!("Max-Forwards: {text}\r\n"));
        assert_eq!(forward::max_forwards(&head).unwrap_err().kind, Kind::MaxForwards, "{text}");
    }
    assert_eq!(forward::max_forwards(&head("TRACE", "")), Ok(None));
    let mut none_left = head("OPTIONS", "Max-Forwards: 0\r\n");
    assert_eq!(forward::max_forwards(&none_left), Ok(Some(0)));
    assert_eq!(forward::request(&mut none_left, &HOP).unwrap_err().kind, Kind::MaxForwards);
}

#[test]
fn our_own_words_are_checked_too() {
    let mut head = RequestHead { method: Method::GET, ..Default::default() };
    for hop in [Hop { request_id: "a\r\nb", ..HOP }, Hop { via: "a\nb", ..HOP }, Hop { scheme: "\0", ..HOP }]
    {
        let error = forward::request(&mut head, &hop).unwrap_err();
        assert_eq!((error.kind, error.blame), (Kind::Field, Blame::Us));
    }
}

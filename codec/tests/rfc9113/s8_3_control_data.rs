//! RFC 9113 §8.3: HTTP control data.

use crate::h2::*;
use corelane_codec::h2::{Cause, Config, Scheme};
use corelane_codec::{Kind, Length, RequestHead, Version};
use http::Method;

const METHOD: (&str, &str) = (":method", "GET");
const SCHEME: (&str, &str) = (":scheme", "http");
const PATH: (&str, &str) = (":path", "/");
const AUTHORITY: (&str, &str) = (":authority", "a");

#[track_caller]
fn refused(fields: &[(&str, &str)], kind: Kind) {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, fields, END_STREAM));
        server.assert_malformed(1, kind);
        assert_eq!(server.requests().len(), 0, "nothing reaches the application");
        server
    });
}

#[track_caller]
fn taken(fields: &[(&str, &str)]) -> RequestHead {
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, fields, END_STREAM));
    assert_eq!(server.requests().len(), 1, "{fields:?}: {:?}", server.said);
    server.requests()[0].clone()
}

#[track_caller]
fn bad_response(fields: &[(&str, &str)], kind: Kind) {
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(headers(1, fields, END_STREAM));
        client.assert_malformed(1, kind);
        assert_eq!(client.responses().len(), 0);
        client
    });
}

/// §8.3: "Pseudo-header fields defined for requests MUST NOT appear in responses; pseudo-header fields defined for
/// responses MUST NOT appear in requests. … Endpoints MUST treat a request or response that contains undefined or invalid
/// pseudo-header fields as malformed".
#[test]
fn s8_3_h2_24_pseudo_fields_that_do_not_belong() {
    for name in [":status", ":foo", ":Method", ":", "::", ":method ", ":protocol", ":host"] {
        refused(&[METHOD, SCHEME, PATH, AUTHORITY, (name, "x")], Kind::PseudoField);
    }
    for field in [METHOD, SCHEME, PATH, AUTHORITY, (":foo", "x"), (":protocol", "websocket")] {
        bad_response(&[(":status", "200"), field], Kind::PseudoField);
    }
}

/// §8.3: "All pseudo-header fields MUST appear in a field block before all regular field lines. Any request or response
/// that contains a pseudo-header field that appears in a field block after a regular field line MUST be treated as
/// malformed".
#[test]
fn s8_3_h2_24_pseudo_fields_come_first() {
    refused(&[METHOD, SCHEME, AUTHORITY, ("x", "y"), PATH], Kind::PseudoField);
    refused(&[("x", "y"), METHOD, SCHEME, AUTHORITY, PATH], Kind::PseudoField);
    bad_response(&[("x", "y"), (":status", "200")], Kind::PseudoField);
}

/// §8.3: "The same pseudo-header field name MUST NOT appear more than once in a field block."
#[test]
fn s8_3_h2_24_pseudo_fields_are_not_repeated() {
    for twice in [METHOD, SCHEME, PATH, AUTHORITY] {
        refused(&[METHOD, SCHEME, PATH, AUTHORITY, twice], Kind::PseudoField);
    }
    bad_response(&[(":status", "200"), (":status", "200")], Kind::PseudoField);
}

/// §8.3.1: "All HTTP/2 requests MUST include exactly one valid value for the ":method", ":scheme", and ":path"
/// pseudo-header fields, unless they are CONNECT requests".
#[test]
fn s8_3_1_h2_24_method_scheme_and_path_are_there() {
    refused(&[SCHEME, PATH, AUTHORITY], Kind::PseudoField);
    refused(&[METHOD, PATH, AUTHORITY], Kind::PseudoField);
    refused(&[METHOD, SCHEME, AUTHORITY], Kind::PseudoField);
    refused(&[("x", "y")], Kind::PseudoField);
    refused(&[], Kind::PseudoField);
}

#[test]
fn s8_3_1_h2_24_the_method_is_a_token() {
    for method in ["", "GET ", " GET", "G ET", "GET\r\nx: y", "G\0", "G/1", &"A".repeat(33)] {
        let kind = Kind::Method;
        refused(&[(":method", method), SCHEME, PATH, AUTHORITY], kind);
    }
    assert_eq!(taken(&[(":method", "PROPFIND"), SCHEME, PATH, AUTHORITY]).method, "PROPFIND");
    assert_eq!(taken(&[(":method", "get"), SCHEME, PATH, AUTHORITY]).method, "get");
}

#[test]
fn s8_3_1_h2_24_the_scheme_is_http_or_https() {
    for scheme in ["", "ftp", "http:", "http://", "http ", "https://evil/?", "h\0"] {
        refused(&[METHOD, (":scheme", scheme), PATH, AUTHORITY], Kind::Scheme);
    }
    for scheme in ["http", "https", "HTTPS"] {
        taken(&[METHOD, (":scheme", scheme), PATH, AUTHORITY]);
    }
}

/// §8.3.1: "This pseudo-header field MUST NOT be empty for "http" or "https" URIs".
#[test]
fn s8_3_1_h2_24_the_path_is_one() {
    for path in [
        "",
        "*",
        "a",
        "http://a/",
        "//\r\nx: y",
        "/ x",
        "/\0",
        "/#x",
        "/\\x",
        "/x HTTP/1.1",
        "/\u{e4}",
        "?x",
        "/\tx",
    ] {
        refused(&[METHOD, SCHEME, AUTHORITY, (":path", path)], Kind::Target);
    }
    for path in ["/", "//", "/a/../b?c=d&e", "/%00"] {
        let head = taken(&[METHOD, SCHEME, AUTHORITY, (":path", path)]);
        assert_eq!(head.target, path.as_bytes());
    }
}

/// §8.3.1: "an OPTIONS request for an "http" or "https" URI that does not include a path component; these MUST include a
/// ":path" pseudo-header field with a value of '*'".
#[test]
fn s8_3_1_an_asterisk_is_for_options() {
    let head = taken(&[(":method", "OPTIONS"), SCHEME, AUTHORITY, (":path", "*")]);
    assert_eq!((head.method, head.target), (Method::OPTIONS, b"*".to_vec()));
    refused(&[(":method", "POST"), SCHEME, AUTHORITY, (":path", "*")], Kind::Target);
}

/// §8.3.1: "A server SHOULD treat a request as malformed if it contains a Host header field that identifies an entity
/// that differs from the entity in the ":authority" pseudo-header field. … other servers MUST perform scheme-based
/// normalization".
#[test]
fn s8_3_1_h2_25_authority_and_host_name_one_entity() {
    for (authority, host) in [("a", "b"), ("a", "a:81"), ("a.b", "a"), ("a", "a.")] {
        let fields = [METHOD, SCHEME, PATH, (":authority", authority), ("host", host)];
        refused(&fields, Kind::HostMismatch);
    }
    for (authority, host) in [("a", "a"), ("A", "a"), ("a:80", "a"), ("a", "a:80"), ("a:", "a")] {
        let head = taken(&[METHOD, SCHEME, PATH, (":authority", authority), ("host", host)]);
        assert_eq!(
            texts(&head.fields),
            [("host".into(), authority.into())],
            ":authority is what is passed on"
        );
    }
}

/// §8.3.1: ""`:authority`" MUST NOT include the deprecated userinfo subcomponent for "http" or "https" schemed URIs."
#[test]
fn s8_3_1_h2_25_an_authority_is_a_host_and_a_port() {
    for authority in [
        "",
        "user@a",
        "user:pass@a",
        "a,b",
        "a b",
        "a/b",
        "a:x",
        "a:99999",
        "[::1",
        "[x]",
        "a\r\nb",
        "a?",
        "a#",
        ":80",
    ] {
        refused(&[METHOD, SCHEME, PATH, (":authority", authority)], Kind::Host);
    }
    for host in ["", "user@a", "a/b", "a:x"] {
        refused(&[METHOD, SCHEME, PATH, ("host", host)], Kind::Host);
        refused(&[METHOD, SCHEME, PATH, AUTHORITY, ("host", host)], Kind::Host);
    }
}

/// Without an authority the `Host` is one; without either there is nothing to route by.
#[test]
fn s8_3_1_h2_25_one_of_authority_and_host_is_there() {
    assert_eq!(taken(&[METHOD, SCHEME, PATH, ("host", "a:8080")]).authority(), b"a:8080");
    assert_eq!(taken(&[METHOD, SCHEME, PATH, (":authority", "[::1]:8080")]).authority(), b"[::1]:8080");
    refused(&[METHOD, SCHEME, PATH], Kind::HostCount);
    refused(&[METHOD, SCHEME, PATH, ("host", "a"), ("host", "a")], Kind::HostCount);
    refused(&[METHOD, SCHEME, PATH, AUTHORITY, ("host", "a"), ("host", "a")], Kind::HostCount);
}

/// §8.3.1: "Clients that generate HTTP/2 requests directly MUST use the ":authority" pseudo-header field to convey
/// authority information, unless there is no authority information to convey (in which case it MUST NOT generate
/// ":authority")."
#[test]
fn s8_3_1_a_client_writes_the_authority() {
    let sent = |config: Config, head: &RequestHead| {
        let mut client = Side::client_with(config, Cut::Whole);
        client.connection.send_request(head, &mut client.out).unwrap();
        let mut fields = Vec::new();
        let mut decoder = corelane_codec::hpack::Decoder::new(4096);
        decoder.begin(Default::default());
        let block = client.sent_of(HEADERS).remove(0).payload;
        decoder
            .decode(&block, true, |field| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                fields.push((text(field.name), text(field.value)));
            })
            .unwrap();
        fields
    };
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut config = Config::default();
    config.scheme = Scheme::Https;
    let mut head = RequestHead { method: Method::DELETE, ..request("/a?b") };
    head.fields.append("Accept", "*/*");
    let all = [
        (":method", "DELETE"),
        (":scheme", "https"),
        (":path", "/a?b"),
        (":authority", "example.com"),
        ("accept", "*/*"),
    ];
    assert_eq!(sent(config, &head), all.map(pair));
    let head = RequestHead { method: Method::OPTIONS, target: b"*".to_vec(), ..RequestHead::new() };
    let all = [(":method", "OPTIONS"), (":scheme", "http"), (":path", "*")];
    assert_eq!(sent(Config::default(), &head), all.map(pair));
    let head = RequestHead { method: Method::POST, ..request("/") };
    let fields = sent(Config::default(), &head);
    assert!(fields.contains(&pair(("content-length", "0"))), "{fields:?}");
}

/// Heads that an application may have put together and that nobody may send.
#[test]
fn s8_3_1_a_client_refuses_what_is_malformed() {
    let with = |change: &dyn Fn(&mut RequestHead)| {
        let mut head = request("/");
        change(&mut head);
        head
    };
    for (head, kind) in [
        (with(&|head| head.target = b"".to_vec()), Kind::Target),
        (with(&|head| head.target = b"a".to_vec()), Kind::Target),
        (with(&|head| head.target = b"*".to_vec()), Kind::Target),
        (with(&|head| head.target = b"/ a".to_vec()), Kind::Target),
        (with(&|head| head.target = b"/\r\n".to_vec()), Kind::Target),
        (with(&|head| head.method = Method::CONNECT), Kind::Target),
        (with(&|head| head.fields.append("host", "b")), Kind::HostCount),
        (
            with(&|head| {
                head.method = Method::TRACE;
                head.content = Length::Known(1);
            }),
            Kind::TraceWithContent,
        ),
    ] {
        let mut client = Side::client(Cut::Whole);
        client.sent();
        let error = client.connection.send_request(&head, &mut client.out).unwrap_err();
        assert_eq!(error.cause, Cause::Message(kind));
        assert_eq!((client.sent(), client.connection.streams()), (vec![], 0));
    }
}

/// §8.3.1: "All HTTP/2 requests implicitly have a protocol version of "2.0"."
#[test]
fn s8_3_1_the_version_is_2() {
    let head = taken(&[METHOD, SCHEME, PATH, AUTHORITY]);
    assert_eq!((head.version, head.version.as_str()), (Version::Http2, "HTTP/2.0"));
}

/// §8.3.2: "This pseudo-header field MUST be included in all responses, including interim responses; otherwise, the
/// response is malformed".
#[test]
fn s8_3_2_h2_36_a_response_has_a_status() {
    bad_response(&[], Kind::PseudoField);
    bad_response(&[("server", "x")], Kind::PseudoField);
    for status in
        ["", "2", "20", "2000", "abc", "99", "099", "600", "999", " 200", "200 ", "200 OK", "2\x005", "+20"]
    {
        bad_response(&[(":status", status)], Kind::StatusLine);
    }
    for status in ["200", "299", "599", "404"] {
        let mut client = Side::asking(Cut::Whole);
        client.feed(headers(1, &[(":status", status)], END_STREAM));
        assert_eq!(client.responses()[0].status.as_str(), status);
    }
}

/// §8.6: "HTTP/2 removes support for the 101 (Switching Protocols) informational status code".
#[test]
fn s8_6_h2_36_no_protocols_are_switched() {
    bad_response(&[(":status", "101")], Kind::SwitchingProtocols);
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(headers(1, &[(":status", "101"), ("x", "y")], 0));
        client.assert_malformed(1, Kind::SwitchingProtocols);
        client
    });
}

/// A `TRACE` has no content (RFC 9110 §9.3.8).
#[test]
fn s8_3_1_a_trace_has_no_content() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[(":method", "TRACE"), SCHEME, PATH, AUTHORITY], 0));
        server.assert_malformed(1, Kind::TraceWithContent);
        server
    });
}

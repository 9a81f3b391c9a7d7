//! RFC 9112 §3: request line, method, target, Host.

mod wire;

use corelane_codec::{Kind, Length};
use wire::{get_with, one_request, refused, server};

fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: a\r\n\r\n").into_bytes()
}

#[track_caller]
fn line_refused(text: &str, kind: Kind) {
    refused(&[(text, &line(text), kind)]);
}

#[test]
fn s3_h1q_54_exactly_one_space_between_exactly_three_parts() {
    for text in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/1.1 x",
        "GET /a b HTTP/1.1",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET /",
        "GET",
        "GET ",
        "GET  ",
        "GET HTTP/1.1",
        "GET  HTTP/1.1",
    ] {
        line_refused(text, Kind::RequestLine);
    }
    line_refused("GET / \tHTTP/1.1", Kind::Version);
    line_refused("GET /\x0b HTTP/1.1", Kind::Target);
}

#[test]
fn s3_1_h1q_57_a_method_is_a_token_of_at_most_32_bytes() {
    for method in ["GET", "get", "M-SEARCH", "PROPFIND", "VERSION-CONTROL", "!#$%&'*+-.^_`|~09azAZ", "X"] {
        assert_eq!(one_request(line(&format!("{method} / HTTP/1.1"))).method.as_str(), method);
    }
    let longest = "M".repeat(32);
    assert_eq!(one_request(line(&format!("{longest} / HTTP/1.1"))).method.as_str(), longest);
    for method in
        ["M".repeat(33), "M".repeat(8192), "G=\":<>".into(), "GE(T".into(), "G\u{e9}T".into(), "GET,".into()]
    {
        line_refused(&format!("{method} / HTTP/1.1"), Kind::Method);
    }
}

#[test]
fn s3_2_1_origin_form_goes_on_as_it_came() {
    for target in [
        "/",
        "/a/b?c=d&e",
        "//",
        "/../%2e%2E/%00%0d%0a%ff",
        "/?",
        "/;x",
        "/\"<>^`{|}",
        "/%zz%",
        "/a//b/./c",
        "/~'()*!@:",
    ] {
        assert_eq!(one_request(line(&format!("GET {target} HTTP/1.1"))).target, target.as_bytes());
    }
}

#[test]
fn s3_2_h1q_55_bytes_that_no_target_has() {
    for target in ["/a#b", "/#", "/a\\b", "/\x01", "/\x7f", "/\u{e9}", "/\u{fffd}", "/\x1b[0m"] {
        line_refused(&format!("GET {target} HTTP/1.1"), Kind::Target);
    }
    refused(&[
        ("0x80", b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", Kind::Target),
        ("overlong", b"GET /\xc0\xaf HTTP/1.1\r\nHost: a\r\n\r\n", Kind::Target),
    ]);
}

#[test]
fn s3_2_2_h1q_52_the_authority_of_absolute_form_replaces_host() {
    let head = one_request("GET http://evil.example:81/p?q HTTP/1.1\r\nHost: good.example\r\nA: b\r\n\r\n");
    assert_eq!((&head.target[..], head.authority()), (&b"/p?q"[..], &b"evil.example:81"[..]));
    assert_eq!(head.fields.get_all("host").count(), 1);
    // In the place where Host stood.
    assert_eq!(head.fields.iter().next().unwrap().0, b"Host");
}

#[test]
fn s3_2_2_h1q_53_absolute_form_becomes_origin_form() {
    for (target, expected, host) in [
        ("http://h/", "/", "h"),
        ("http://h", "/", "h"),
        ("http://h?q", "/?q", "h"),
        ("HTTP://h/a", "/a", "h"),
        ("https://h:443/a?b", "/a?b", "h:443"),
        ("HtTpS://[::1]:8/x", "/x", "[::1]:8"),
    ] {
        let head = one_request(line(&format!("GET {target} HTTP/1.1")));
        assert_eq!((&head.target[..], head.authority()), (expected.as_bytes(), host.as_bytes()), "{target}");
    }
    let head = one_request("GET http://h/ HTTP/1.0\r\n\r\n");
    assert_eq!(head.authority(), b"h");
}

#[test]
fn s3_2_2_absolute_form_of_other_schemes_or_with_a_bad_authority_is_refused() {
    for target in [
        "ftp://h/",
        "http:/h/",
        "http:h",
        "http:///",
        "http://",
        "http://a@b/",
        "http://a:b@c/",
        "http://a,b/",
        "ws://h/",
        "http://h:99999/",
        "http://[::1/",
        "http://h:x/",
        "http://%zz/",
        "h/",
        "a",
        "?q",
        "http",
        "http://?q",
    ] {
        line_refused(&format!("GET {target} HTTP/1.1"), Kind::Target);
    }
}

#[test]
fn s3_2_3_authority_form_is_for_connect_alone() {
    let head = one_request(line("CONNECT example.com:443 HTTP/1.1"));
    assert_eq!(head.target, b"example.com:443");
    for target in ["/", "*", "example.com", "example.com:", "a@b:1", ":80", "http://h:1/", "h:65536", "h:1/"]
    {
        line_refused(&format!("CONNECT {target} HTTP/1.1"), Kind::Target);
    }
    line_refused("GET example.com:443 HTTP/1.1", Kind::Target);
}

#[test]
fn s3_2_4_asterisk_form_is_for_options_alone() {
    assert_eq!(one_request(line("OPTIONS * HTTP/1.1")).target, b"*");
    assert_eq!(one_request(line("OPTIONS /a HTTP/1.1")).target, b"/a");
    assert_eq!(one_request(line("OPTIONS http://h HTTP/1.1")).target, b"*");
    assert_eq!(one_request(line("OPTIONS http://h/ HTTP/1.1")).target, b"/");
    assert_eq!(one_request(line("OPTIONS http://h?q HTTP/1.1")).target, b"/?q");
    line_refused("GET * HTTP/1.1", Kind::Target);
    line_refused("OPTIONS ** HTTP/1.1", Kind::Target);
}

#[test]
fn s3_2_h1q_51_a_request_has_exactly_one_host() {
    refused(&[
        ("none", b"GET / HTTP/1.1\r\n\r\n", Kind::HostCount),
        ("none, absolute-form", b"GET http://h/ HTTP/1.1\r\n\r\n", Kind::HostCount),
        ("two", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Kind::HostCount),
        ("two equal", b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Kind::HostCount),
        ("two in 1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", Kind::HostCount),
        ("two, absolute-form", b"GET http://h/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Kind::HostCount),
    ]);
    assert_eq!(one_request("GET / HTTP/1.0\r\n\r\n").authority(), b"");
}

#[test]
fn s3_2_h1q_51_host_is_a_uri_host_and_a_port() {
    let with = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for host in [
        "a",
        "example.com",
        "EXAMPLE.com:80",
        "192.0.2.1:8080",
        "[2001:db8::1]",
        "[::1]:0",
        "[::ffff:192.0.2.1]:65535",
        "a_b",
        "xn--bcher-kva.example",
        "a%41b",
        "a:",
        "a!$&'()*+;=b",
        "-",
        "a:00080",
        "1.2.3.4.5",
    ] {
        assert_eq!(one_request(with(host)).authority(), host.as_bytes());
    }
    for host in [
        "",
        " ",
        "a, b",
        "a,b",
        "a b",
        "a@b",
        "user:pw@a",
        "a/b",
        "http://a",
        "a:99999",
        "a:65536",
        "a:8x",
        "a:-1",
        "a:+1",
        "a:80:80",
        ":80",
        ":",
        "[::1",
        "::1",
        "[::1]x",
        "[::g]",
        "[]",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "[1.2.3.4]",
        "a%4",
        "a%zz",
        "a\"b",
        "a<b>",
        "a\\b",
        "a?b",
        "a#b",
        "\u{e4}.example",
        "a\tb",
        "a[b]",
    ] {
        assert_eq!(server(with(host)).kind(), Some(Kind::Host), "{host:?}");
    }
    assert_eq!(server(with("a\0.b")).kind(), Some(Kind::Nul));
    assert_eq!(server(get_with("Host : b")).kind(), Some(Kind::Field));
    // Ignored for routing (RFC 9112 §3.2.2), but still a malformed message.
    assert_eq!(server("GET http://h/ HTTP/1.1\r\nHost: a@b\r\n\r\n").kind(), Some(Kind::Host));
}

#[test]
fn a_request_without_framing_has_no_content() {
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"] {
        assert_eq!(one_request(line(&format!("{method} / HTTP/1.1"))).content, Length::None);
    }
}

//! RFC 9112 §2: message format, parsing, version.

mod wire;

use corelane_codec::{Kind, Limits, Version};
use wire::{CANARY, answer, before_canary, get_with, one_request, refused, server, server_with};

#[test]
fn s2_1_a_request_is_a_start_line_fields_and_an_empty_line() {
    let head = one_request("GET /a?b HTTP/1.1\r\nHost: example.com\r\nX-Y: z\r\n\r\n");
    assert_eq!((head.method.as_str(), head.path(), head.query()), ("GET", &b"/a"[..], Some(&b"b"[..])));
    assert_eq!(head.authority(), b"example.com");
    assert_eq!(head.version, Version::Http11);
    assert_eq!(
        wire::texts(&head.fields),
        [("Host".to_owned(), "example.com".to_owned()), ("X-Y".to_owned(), "z".to_owned())]
    );
}

#[test]
fn s2_2_h1q_20_a_bare_lf_is_no_line_end() {
    refused(&[
        ("whole head", b"GET / HTTP/1.1\nHost: a\n\n", Kind::BareLf),
        ("start line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", Kind::BareLf),
        ("field", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", Kind::BareLf),
        ("last field", b"GET / HTTP/1.1\r\nHost: a\n\r\n", Kind::BareLf),
        ("end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", Kind::BareLf),
        ("first", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Kind::BareLf),
        ("method", b"GE\nT / HTTP/1.1\r\nHost: a\r\n\r\n", Kind::BareLf),
    ]);
    for response in
        ["HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\n"]
    {
        assert_eq!(answer(response).kind(), Some(Kind::BareLf), "{response:?}");
    }
}

#[test]
fn s2_2_h1q_21_a_bare_cr_is_refused_wherever_it_stands() {
    refused(&[
        ("target", b"GET /\ra HTTP/1.1\r\nHost: a\r\n\r\n", Kind::BareCr),
        ("version", b"GET / HTTP/1.1\rHost: a\r\n\r\n", Kind::BareCr),
        ("method", b"GE\rT / HTTP/1.1\r\nHost: a\r\n\r\n", Kind::RequestLine),
        ("value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Kind::BareCr),
        ("value end", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n", Kind::BareCr),
        ("name", b"GET / HTTP/1.1\r\nHost: a\r\nX\rY: a\r\n\r\n", Kind::BareCr),
        ("end", b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", Kind::BareCr),
        ("terminators", b"GET / HTTP/1.1\rHost: a\r\r", Kind::BareCr),
        ("first", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Kind::BareCr),
    ]);
    for response in ["HTTP/1.1 200 O\rK\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n"] {
        assert_eq!(answer(response).kind(), Some(Kind::BareCr), "{response:?}");
    }
}

#[test]
fn s2_2_nul_is_refused_wherever_it_stands() {
    refused(&[
        ("first", b"\0GET / HTTP/1.1\r\nHost: a\r\n\r\n", Kind::Nul),
        ("target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", Kind::Nul),
        ("value", b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", Kind::Nul),
        ("name", b"GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n", Kind::Nul),
    ]);
    assert_eq!(answer("HTTP/1.1 200 O\0K\r\n\r\n").kind(), Some(Kind::Nul));
}

#[test]
fn s2_2_h1q_60_two_empty_lines_before_a_request_are_ignored_and_more_are_not() {
    let request = get_with("A: b");
    for lines in 0..3 {
        before_canary(["\r\n".repeat(lines).as_bytes(), &request].concat());
    }
    for lines in [3, 4, 10_000] {
        let bytes = ["\r\n".repeat(lines).as_bytes(), &request].concat();
        assert_eq!(server(bytes).kind(), Some(Kind::EmptyLines), "{lines}");
    }
    // Between two requests as well.
    let twice = [&request[..], b"\r\n\r\n", CANARY].concat();
    assert_eq!(server(twice).requests().len(), 2);
    let thrice = [&request[..], b"\r\n\r\n\r\n", CANARY].concat();
    assert_eq!(server(thrice).kind(), Some(Kind::EmptyLines));
    let none = Limits::default();
    assert_eq!(none.leading_empty_lines_max, 2);
}

#[test]
fn s2_2_h1q_60_a_line_of_whitespace_is_not_empty() {
    refused(&[
        ("space", b" \r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Kind::RequestLine),
        ("tab", b"\t\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Kind::RequestLine),
    ]);
}

#[test]
fn s2_2_a_response_has_no_empty_line_before_it() {
    assert_eq!(answer("\r\nHTTP/1.1 200 OK\r\n\r\n").kind(), Some(Kind::StatusLine));
}

#[test]
fn s2_2_h1q_19_whitespace_between_the_start_line_and_the_first_field_is_refused() {
    refused(&[
        ("H1Q-19 tab", b"GET / HTTP/1.1\r\n\tContent-Length: 1\r\nHost: a\r\n\r\n", Kind::Field),
        ("H1Q-19 space", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", Kind::Field),
        ("H1Q-36", b"GET / HTTP/1.1\r\n Content-Length: 5\r\nHost: a\r\n\r\nhello", Kind::Field),
    ]);
    assert_eq!(answer("HTTP/1.1 200 OK\r\n A: b\r\n\r\n").kind(), Some(Kind::Field));
}

#[test]
fn s2_3_h1q_54_the_version_is_case_sensitive_and_1_0_or_1_1() {
    let request = |version: &str| format!("GET / {version}\r\nHost: a\r\n\r\n");
    assert_eq!(one_request(request("HTTP/1.0")).version, Version::Http10);
    assert_eq!(one_request(request("HTTP/1.1")).version, Version::Http11);
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0", "HTTP/9.9"] {
        let kind = server(request(version)).kind();
        assert_eq!(kind, Some(Kind::VersionNotSupported), "{version}");
        assert_eq!(kind.unwrap().status(), 505);
    }
    for version in
        ["http/1.1", "HTTP/1.10", "HTTP/01.1", "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/1,1", "HTTP/1.1x"]
    {
        assert_eq!(server(request(version)).kind(), Some(Kind::Version), "{version}");
    }
    for version in ["HTTP/+1.1", "HTCPCP/1.0", "XTTP/1.1", "HTTP", "H", "HTTP/a.b", "\x0bHTTP/1.1"] {
        assert_eq!(server(request(version)).kind(), Some(Kind::Version), "{version}");
    }
}

#[test]
fn s2_3_a_response_of_another_version_is_refused() {
    assert_eq!(answer("HTTP/2.0 200 OK\r\n\r\n").kind(), Some(Kind::VersionNotSupported));
    assert_eq!(answer("http/1.1 200 OK\r\n\r\n").kind(), Some(Kind::StatusLine));
}

#[test]
fn h1q_61_other_protocols_are_refused_by_their_first_bytes() {
    let first_bytes: &[(&str, &[u8], Kind)] = &[
        ("TLS ClientHello", b"\x16\x03\x01", Kind::Tls),
        ("TLS ClientHello, first byte", b"\x16", Kind::Tls),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n", Kind::RequestLine),
        ("SSH with a comment", b"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3\r\n", Kind::RequestLine),
        ("PROXY v1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Kind::RequestLine),
        ("PROXY v2", b"\r\n\r\n\0\r\nQUIT\n", Kind::Nul),
        ("h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Kind::Http2Preface),
        ("h2 preface, first line", b"PRI * HTTP/2.0\r\n", Kind::Http2Preface),
        ("SOCKS 5", b"\x05\x01\x00", Kind::Method),
        ("high bytes", b"\xff\xfe", Kind::Method),
        ("JSON", b"{\"a\":1}", Kind::Method),
        ("a response", b"HTTP/1.1 200 OK\r\n", Kind::Method),
    ];
    refused(first_bytes);
}

#[test]
fn h1r_15_garbage_for_a_response_is_refused_by_its_first_bytes() {
    for bytes in
        [&b"\x15\x03\x03\0\x02\x02"[..], b"SSH-2.0-x\r\n", b"<html>", b"H", b"HTTQ", b"ICY 200 OK\r\n"]
    {
        let transcript = answer(bytes);
        let expected = if bytes == b"H" { None } else { Some(Kind::StatusLine) };
        assert_eq!(transcript.kind(), expected, "{bytes:?}");
    }
}

#[test]
fn h1q_64_a_valid_request_is_the_same_however_it_is_cut() {
    let request = "POST /path?query HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
                   X-A: one\r\n\r\n5;a=\"b\"\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n";
    let transcript = before_canary(request);
    assert_eq!(transcript.content(), b"hello world");
    assert_eq!(transcript.trailers(), [("X-Sum".to_owned(), "1".to_owned())]);
}

#[test]
fn h1q_66_a_byte_behind_a_request_belongs_to_the_next() {
    let bytes = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\0";
    let transcript = server(bytes);
    assert_eq!((transcript.ends(), transcript.kind()), (1, Some(Kind::Nul)));
}

#[test]
fn h1q_59_limits_are_exact_and_nothing_is_looked_at_beyond_them() {
    let request = get_with("A: bcdef");
    for (spare, expected) in [(0, None), (1, None)] {
        let mut limits = Limits::default();
        limits.request_head_bytes_max = request.len() + spare;
        assert_eq!(server_with(&limits, &request).kind(), expected);
    }
    for missing in 1..20 {
        let mut limits = Limits::default();
        limits.request_head_bytes_max = request.len() - missing;
        let transcript = server_with(&limits, &request);
        assert_eq!(transcript.kind(), Some(Kind::HeadTooLarge), "{missing}");
        assert_eq!(transcript.kind().unwrap().status(), 431);
        // A fault beyond the limit isn't seen.
        let faulty = [&request[..request.len() - missing], b"\0"].concat();
        assert_eq!(server_with(&limits, faulty).kind(), Some(Kind::HeadTooLarge), "{missing}");
    }
}

#[test]
fn h1q_59_a_field_too_many() {
    let mut limits = Limits::default();
    limits.request_fields_max = 5;
    let request =
        |fields: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(fields - 1));
    assert_eq!(server_with(&limits, request(5)).kind(), None);
    let kind = server_with(&limits, request(6)).kind();
    assert_eq!((kind, kind.unwrap().status().as_u16()), (Some(Kind::TooManyFields), 431));
    for fields in [1, 16, 17, 32, 33, 128] {
        assert_eq!(one_request(request(fields)).fields.len(), fields);
    }
    assert_eq!(server(request(129)).kind(), Some(Kind::TooManyFields));
}

#[test]
fn h1q_59_a_request_line_over_its_limit() {
    let mut limits = Limits::default();
    let request = "GET /abcdef HTTP/1.1\r\nHost: a\r\n\r\n";
    limits.request_line_bytes_max = "GET /abcdef HTTP/1.1".len();
    assert_eq!(server_with(&limits, request).kind(), None);
    limits.request_line_bytes_max -= 1;
    let kind = server_with(&limits, request).kind();
    assert_eq!((kind, kind.unwrap().status().as_u16()), (Some(Kind::RequestLineTooLong), 414));
    // Without an end in sight as well, and before any fault behind it.
    let long = format!("GET /{}", "a".repeat(9000));
    assert_eq!(server(&long).kind(), Some(Kind::RequestLineTooLong));
    let long = format!("GET /{}\n", "a".repeat(9000));
    assert_eq!(server(&long).kind(), Some(Kind::RequestLineTooLong));
    let one_field = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(40_000));
    assert_eq!(server(&one_field).kind(), Some(Kind::HeadTooLarge));
}

#[test]
fn h1r_14_a_response_head_over_its_limits() {
    let limits = Limits::default();
    let large = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "b".repeat(limits.response_head_bytes_max));
    assert_eq!(answer(&large).kind(), Some(Kind::HeadTooLarge));
    let many = |n: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(n));
    assert_eq!(answer(many(256)).kind(), None);
    assert_eq!(answer(many(257)).kind(), Some(Kind::TooManyFields));
    assert_eq!(answer("HTTP/1.1 200 ".to_owned() + &"x".repeat(70_000)).kind(), Some(Kind::HeadTooLarge));
}

//! RFC 9112 §4: status line.

mod wire;

use corelane_codec::{Kind, Version};
use wire::answer;

#[test]
fn s4_a_status_line_is_version_status_and_reason() {
    for (line, status) in [
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 404 Not  Found\t!", 404),
        ("HTTP/1.1 599 x", 599),
        ("HTTP/1.1 299 caf\u{e9}", 299),
        ("HTTP/1.0 302 Found", 302),
    ] {
        let transcript = answer(format!("{line}\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(transcript.error, None, "{line}");
        assert_eq!(transcript.responses()[0].status.as_u16(), status);
    }
    let old = answer("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(old.responses()[0].version, Version::Http10);
}

#[test]
fn s4_h1r_11_malformed_status_lines() {
    for line in [
        "HTTP/1.1 099 x",
        "HTTP/1.1 1000 x",
        "HTTP/1.1 20 x",
        "HTTP/1.1 2 00",
        "HTTP/1.1 200OK",
        "HTTP/1.1 200",
        "HTTP/1.1",
        "HTTP/1.1 ",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1 000 x",
        "HTTP/1.1 600 x",
        "HTTP/1.1 999 x",
        "HTTP/1.1 200\tOK",
        "ICY 200 OK",
        "HTTP/1.10 200 OK",
        "HTTP/1 200 OK",
        "200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1 200 a\x01b",
        "HTTP/1.1 200 a\x7fb",
        "HTTP/x.y 200 OK",
    ] {
        let transcript = answer(format!("{line}\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(transcript.kind(), Some(Kind::StatusLine), "{line}");
        assert!(transcript.said.is_empty());
    }
}

#[test]
fn s4_h1r_11_http_0_9_is_no_response() {
    assert_eq!(answer("<html>hello</html>").kind(), Some(Kind::StatusLine));
}

#[test]
fn s4_h1r_09_nothing_splits_a_response() {
    for (response, kind) in [
        ("HTTP/1.1 200 OK\r\nA: b\rSet-Cookie: c\r\n\r\n", Kind::BareCr),
        ("HTTP/1.1 200 OK\r\nA: b\nSet-Cookie: c\r\n\r\n", Kind::BareLf),
        ("HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n", Kind::Nul),
        ("HTTP/1.1 200 O\nK\r\n\r\n", Kind::BareLf),
    ] {
        assert_eq!(answer(response).kind(), Some(kind), "{response:?}");
    }
}

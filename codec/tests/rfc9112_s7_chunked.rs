//! RFC 9112 §7: the chunked transfer coding, in both directions.

mod wire;

use corelane_codec::{Kind, Limits};
use wire::{
    Ask, Transcript, answer, before_canary, client_with, post_with, server, server_in_pieces, server_with,
};

fn request(content: &[u8]) -> Vec<u8> {
    [&post_with("Transfer-Encoding: chunked", "")[..], content].concat()
}

fn response(content: &[u8]) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", content].concat()
}

/// The same as a request and as a response, and neither is ever complete.
#[track_caller]
fn both_refuse(id: &str, content: &[u8], kind: Kind) {
    let text = String::from_utf8_lossy(content).into_owned();
    for transcript in [server(request(content)), answer(response(content))] {
        assert_eq!(transcript.kind(), Some(kind), "{id}: {text:?}");
        assert_eq!(transcript.ends(), 0, "{id}: {text:?}");
        assert!(!transcript.reusable);
    }
}

/// The same as a request, with a canary behind it, and as a response.
#[track_caller]
fn both_accept(content: &[u8], data: &[u8]) -> Transcript {
    let transcript = before_canary(request(content));
    assert_eq!(transcript.content(), data);
    let transcript = answer(response(content));
    assert_eq!((transcript.error, transcript.ends(), transcript.reusable), (None, 1, true));
    assert_eq!(transcript.content(), data);
    transcript
}

#[test]
fn s7_1_chunks() {
    both_accept(b"0\r\n\r\n", b"");
    both_accept(b"5\r\nhello\r\n0\r\n\r\n", b"hello");
    both_accept(b"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", b"hello world");
    both_accept(b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789");
    both_accept(b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", b"hello");
    both_accept(b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n");
    both_accept(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n");
    let large = [b"1F40\r\n", &[b'x'; 8000][..], b"\r\n0\r\n\r\n"].concat();
    both_accept(&large, &[b'x'; 8000]);
}

#[test]
fn s7_1_h1q_25_h1r_20_a_size_is_hexadecimal_digits() {
    for size in [
        "0x5", "+5", "-0", "-5", " 5", "5 ", "5_0", "5\t", "", "g", "5g", "5.", "5,", "\"5\"", "\u{665}",
        "\x0b5", "5\x0b",
    ] {
        let content = format!("{size}\r\nhello\r\n0\r\n\r\n");
        both_refuse("H1Q-25", content.as_bytes(), Kind::ChunkSize);
    }
    both_refuse("H1Q-25 NUL", b"5\0\r\nhello\r\n0\r\n\r\n", Kind::ChunkSize);
}

#[test]
fn s7_1_h1q_26_a_size_never_wraps() {
    for size in [
        "ffffffffffffffff",
        "10000000000000005",
        "00000000000000005",
        "8000000000000000",
        "fffffffffffffffff",
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF0",
    ] {
        both_refuse("H1Q-26", format!("{size}\r\nhello\r\n0\r\n\r\n").as_bytes(), Kind::ChunkSize);
    }
    let transcript = server(request(b"7fffffffffffffff\r\nhello"));
    assert_eq!((transcript.error, transcript.content()), (None, b"hello".to_vec()));
}

#[test]
fn s7_1_h1q_27_data_is_followed_by_crlf() {
    for content in [
        "5\r\nhelloXX",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\rX",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
    ] {
        both_refuse("H1Q-27", content.as_bytes(), Kind::ChunkEnd);
    }
    let transcript = server(request(b"5\r\nhelloXX"));
    assert_eq!(transcript.content(), b"hello");
}

#[test]
fn s7_1_h1q_28_lines_end_with_crlf_and_nothing_else() {
    for (content, kind) in [
        ("5\nhello\r\n0\r\n\r\n", Kind::ChunkSize),
        ("5\rhello\r\n0\r\n\r\n", Kind::ChunkSize),
        ("5\r\r;a\nhello\r\n0\r\n\r\n", Kind::ChunkSize),
        ("5;a\nhello\r\n0\r\n\r\n", Kind::ChunkExtension),
        ("0\r\n\n", Kind::Trailer),
        ("0\n\r\n", Kind::ChunkSize),
        ("0\r\n\r\r\n", Kind::Trailer),
        ("0\r\n\rX", Kind::Trailer),
        ("0\r\nA: b\n\r\n", Kind::Trailer),
        ("0\r\nA: b\r\r\n\r\n", Kind::Trailer),
    ] {
        both_refuse("H1Q-28", content.as_bytes(), kind);
    }
}

#[test]
fn s7_1_1_extensions_are_checked_and_dropped() {
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b\"",
        ";a;b;c=d",
        " ; a = b",
        "\t;a",
        ";a\t=\tb",
        ";a=\"\"",
        ";a=\"\\\\\"",
        ";a=\"x\ty\" ;b",
        ";a=\"\u{e9}\"",
        " ;a",
    ] {
        both_accept(format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n").as_bytes(), b"hello");
    }
    both_accept(b"5;a=\"b;c\\\"d\"\r\nhello\r\n0\r\n\r\n", b"hello");
}

#[test]
fn s7_1_1_h1q_29_malformed_extensions() {
    for extension in [
        ";\nhello",
        ";",
        ";;a",
        ";a;",
        ";a=",
        ";=b",
        ";a=b=c",
        ";a b",
        ";a=\"b",
        ";a=\"b\"c",
        ";a=\"\\\r\"",
        ";a=(b)",
        ";a\u{e9}",
        ";a\x01",
        ";a=\"\x01\"",
        ";a=\"\x7f\"",
        ";a\0",
        ";a \r",
        ";a= ",
        "; ",
    ] {
        both_refuse("H1Q-29", format!("5{extension}\r\nhello\r\n0\r\n\r\n").as_bytes(), Kind::ChunkExtension);
    }
    both_refuse("H1Q-29", b"5;a=b \r\nhello\r\n0\r\n\r\n", Kind::ChunkSize);
}

#[test]
fn s7_1_1_h1q_30_extensions_have_a_budget() {
    let mut limits = Limits::default();
    limits.chunk_extension_bytes_max = 10;
    limits.chunk_extension_bytes_per_chunk = 2;
    let one =
        |extension: usize| request(format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(extension - 1)).as_bytes());
    assert_eq!(server_with(&limits, one(12)).kind(), None);
    assert_eq!(server_with(&limits, one(13)).kind(), Some(Kind::ChunkExtensionsTooLarge));
    // Two bytes for each chunk that has come, forever; and not three.
    let many = |extension: &str| {
        request(format!("{}0\r\n\r\n", format!("1{extension}\r\nx\r\n").repeat(300)).as_bytes())
    };
    assert_eq!(server_with(&limits, many(";e")).kind(), None);
    let transcript = server_with(&limits, many(";ee"));
    assert_eq!(transcript.kind(), Some(Kind::ChunkExtensionsTooLarge));
    assert_eq!(transcript.content().len(), 10, "the eleventh extension is over it");
    // 8 KiB of extension with each byte of data are over before the first byte.
    let flood = format!("1;{}\r\nx\r\n", "e".repeat(8192)).repeat(3);
    let transcript = server(request(flood.as_bytes()));
    assert_eq!((transcript.kind(), transcript.content().len()), (Some(Kind::ChunkExtensionsTooLarge), 0));
}

#[test]
fn h1q_31_a_byte_per_chunk_costs_two_calls_per_chunk() {
    use corelane_codec::RequestHead;
    use corelane_codec::h1::{Event, Server};
    let chunks = 100_000;
    let bytes = request(format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(chunks)).as_bytes());
    let (limits, mut head) = (Limits::default(), RequestHead::new());
    let mut server = Server::new(&limits);
    let (mut at, mut calls, mut data) = (0, 0, 0);
    loop {
        calls += 1;
        // The window is that of a receive buffer, so that a call that looked at all of its input would show.
        let window = &bytes[at..bytes.len().min(at + 16_384)];
        let received = server.receive(&limits, window, &mut head).unwrap();
        at += received.consumed;
        match received.event {
            Event::Data(range) => data += range.len(),
            Event::End => break,
            Event::Head => assert!(server.trailers().is_none()),
            event => assert_eq!(event, Event::NeedMore),
        }
    }
    assert_eq!((at, data), (bytes.len(), chunks));
    assert!(calls <= 2 * chunks + 3, "{calls}");
}

#[test]
fn s7_1_2_trailers() {
    let transcript = both_accept(b"1\r\nx\r\n0\r\nX-Sum: 5\r\nb:\tc \r\n\r\n", b"x");
    assert_eq!(
        transcript.trailers(),
        [("X-Sum", "5"), ("b", "c")].map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
}

#[test]
fn rfc9110_s6_5_1_h1q_34_h1r_21_trailers_that_are_dropped() {
    let forbidden = [
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Host: evil",
        "Authorization: Basic x",
        "Cookie: a=b",
        "Set-Cookie: a=b",
        "Connection: close",
        "Keep-Alive: 5",
        "Proxy-Connection: x",
        "TE: gzip",
        "Trailer: x",
        "Upgrade: websocket",
        "Expect: x",
        "If-Match: x",
        "If-None-Match: x",
        "If-Modified-Since: x",
        "If-Unmodified-Since: x",
        "If-Range: x",
        "Range: bytes=0-1",
        "Content-Type: text/html",
        "Content-Encoding: gzip",
        "Content-Range: x",
        "Cache-Control: x",
        "Max-Forwards: 1",
        "Proxy-Authorization: x",
        "WWW-Authenticate: x",
        "Proxy-Authenticate: x",
        "Age: 1",
        "Expires: x",
        "Date: x",
        "Location: /",
        "Retry-After: 1",
        "Vary: x",
        "Via: 1.1 x",
        "X-Forwarded-For: 1",
        "Forwarded: for=x",
        "X-Request-Id: 1",
        "X-Real-IP: 1",
    ];
    for field in forbidden {
        for field in [field.to_owned(), field.to_uppercase(), field.to_lowercase()] {
            let transcript = both_accept(format!("0\r\nA: b\r\n{field}\r\nC: d\r\n\r\n").as_bytes(), b"");
            let kept = [("A", "b"), ("C", "d")].map(|(n, v)| (n.to_owned(), v.to_owned()));
            assert_eq!(transcript.trailers(), kept, "{field}");
            let transcript = both_accept(format!("0\r\n{field}\r\n\r\n").as_bytes(), b"");
            assert!(transcript.trailers().is_empty(), "{field}");
        }
    }
    for field in
        ["ETag: \"x\"", "Digest: x", "Content-Digest: sha-256=:x:", "Server-Timing: a", "grpc-status: 0"]
    {
        let transcript = both_accept(format!("0\r\n{field}\r\n\r\n").as_bytes(), b"");
        assert_eq!(transcript.trailers().len(), 1, "{field}");
    }
}

#[test]
fn s7_1_2_malformed_trailers() {
    for content in [
        "0\r\nno colon\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA: \x01\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
        "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        both_refuse("trailer", content.as_bytes(), Kind::Trailer);
    }
    assert_eq!(server(request(b"0\r\nX_Real_IP: b\r\n\r\n")).kind(), Some(Kind::FieldUnderscore));
}

#[test]
fn h1q_35_trailers_have_limits() {
    let fields = |n: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(n)).into_bytes();
    both_accept(&fields(16), b"");
    both_refuse("H1Q-35", &fields(17), Kind::TrailersTooLarge);
    both_refuse("H1Q-35", &fields(10_000)[..3000], Kind::TrailersTooLarge);
    let mut limits = Limits::default();
    limits.trailer_bytes_max = 20;
    let bytes = |n: usize| format!("0\r\nA: {}\r\n\r\n", "x".repeat(n - 5)).into_bytes();
    for (n, kind) in [(20, None), (21, Some(Kind::TrailersTooLarge)), (1 << 20, Some(Kind::TrailersTooLarge))]
    {
        if n < 1000 {
            assert_eq!(server_with(&limits, request(&bytes(n))).kind(), kind, "{n}");
            assert_eq!(client_with(&limits, &[Ask::get()], response(&bytes(n))).kind(), kind, "{n}");
        } else {
            assert_eq!(server_in_pieces(&limits, &[&request(&bytes(n))]).kind(), kind, "{n}");
        }
    }
    assert_eq!(Kind::TrailersTooLarge.status(), 431);
}

#[test]
fn s8_h1q_33_h1r_20_without_a_last_chunk_nothing_is_complete() {
    for content in [
        "",
        "5",
        "5\r",
        "5\r\n",
        "5\r\nhello",
        "5\r\nhello\r\n",
        "5\r\nhello\r\n0",
        "0\r\n",
        "0\r\n\r",
        "0\r\nA: b\r\n",
    ] {
        for transcript in [server(request(content.as_bytes())), answer(response(content.as_bytes()))] {
            assert_eq!(transcript.error, None, "{content:?}");
            assert_eq!(
                transcript.end.map(|end| end.map_err(|e| e.kind)),
                Some(Err(Kind::Truncated)),
                "{content:?}"
            );
            assert_eq!((transcript.ends(), transcript.reusable), (0, false));
        }
    }
}

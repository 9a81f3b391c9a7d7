//! RFC 9112 §6: where a message ends.

mod wire;

use corelane_codec::{Error, Kind, Length};
use wire::{Ask, answer, before_canary, client, get_with, one_request, post_with, refused, server};

#[track_caller]
fn post_refused(id: &str, fields: &str, kind: Kind) {
    refused(&[(id, &post_with(fields, "0\r\n\r\nG"), kind)]);
}

#[test]
fn s6_1_h1q_01_h1q_02_both_content_length_and_transfer_encoding() {
    let kind = Kind::ContentLengthAndTransferEncoding;
    post_refused("H1Q-01", "Content-Length: 6\r\nTransfer-Encoding: chunked", kind);
    post_refused("H1Q-01, reversed", "Transfer-Encoding: chunked\r\nContent-Length: 6", kind);
    let smuggled = post_with("Content-Length: 3\r\nTransfer-Encoding: chunked", "8\r\nSMUGGLED\r\n0\r\n\r\n");
    refused(&[("H1Q-02", &smuggled, kind)]);
    post_refused("with an unknown coding", "Content-Length: 6\r\nTransfer-Encoding: xchunked", kind);
}

#[test]
fn s6_1_transfer_encodings_that_are_refused() {
    for (id, value, kind) in [
        ("H1Q-03 twice in a list", "chunked, chunked", Kind::TransferEncoding),
        ("H1Q-03 twice", "chunked\r\nTransfer-Encoding: chunked", Kind::TransferEncoding),
        ("H1Q-03 split", "gzip\r\nTransfer-Encoding: chunked", Kind::TransferCoding),
        ("H1Q-04 not last", "chunked, identity", Kind::TransferEncoding),
        ("H1Q-04 not last, split", "chunked\r\nTransfer-Encoding: identity", Kind::TransferEncoding),
        ("H1Q-04 identity", "identity", Kind::TransferEncoding),
        ("H1Q-04 gzip", "gzip", Kind::TransferEncoding),
        ("H1Q-04 another before", "gzip, chunked", Kind::TransferCoding),
        ("H1Q-04 identity before", "identity, chunked", Kind::TransferCoding),
        ("H1Q-05", "xchunked", Kind::TransferEncoding),
        ("H1Q-05", "chunked-false", Kind::TransferEncoding),
        ("H1Q-05", "\"chunked\"", Kind::TransferEncoding),
        ("H1Q-05", "chunke", Kind::TransferEncoding),
        ("H1Q-05", "chunked chunked", Kind::TransferEncoding),
        ("H1Q-07", "\u{a0}chunked", Kind::TransferEncoding),
        ("H1Q-07", "chunked\u{85}", Kind::TransferEncoding),
        ("H1Q-07", "\x0bchunked", Kind::Field),
        ("H1Q-07", "\x0cchunked", Kind::Field),
        ("H1Q-07", "\0chunked", Kind::Nul),
        ("H1Q-08", ",chunked", Kind::TransferEncoding),
        ("H1Q-08", "chunked,", Kind::TransferEncoding),
        ("H1Q-08", "", Kind::TransferEncoding),
        ("H1Q-08", ",", Kind::TransferEncoding),
        ("H1Q-08 empty, then chunked", "\r\nTransfer-Encoding: chunked", Kind::TransferEncoding),
        ("H1Q-09", "chunked;q=1", Kind::TransferEncoding),
        ("H1Q-09", "chunked;a=b", Kind::TransferEncoding),
        ("H1Q-09", "chunked;", Kind::TransferEncoding),
    ] {
        post_refused(&format!("{id} {value:?}"), &format!("Transfer-Encoding: {value}"), kind);
    }
    post_refused("H1Q-06", "Transfer-Encoding : chunked", Kind::Field);
    refused(&[
        (
            "H1Q-07",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \xa0chunked\r\n\r\n",
            Kind::TransferEncoding,
        ),
        (
            "H1Q-07",
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\x85\r\n\r\n",
            Kind::TransferEncoding,
        ),
    ]);
    assert_eq!(Kind::TransferCoding.status(), 501);
}

#[test]
fn s6_1_h1q_10_codings_are_case_insensitive() {
    let transcript = before_canary(post_with("TrAnSfEr-EnCoDiNg: \tCHUNKED ", "3\r\nabc\r\n0\r\n\r\n"));
    assert_eq!(transcript.requests()[0].content, Length::Chunked);
    assert_eq!(transcript.content(), b"abc");
    assert!(!transcript.requests()[0].fields.contains("transfer-encoding"));
}

#[test]
fn s6_1_h1q_11_no_transfer_encoding_in_http_1_0() {
    let kind = Kind::TransferEncodingInHttp10;
    refused(&[
        ("alone", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", kind),
        (
            "with length",
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            kind,
        ),
    ]);
    for fields in ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5"] {
        let transcript = answer(format!("HTTP/1.0 200 OK\r\n{fields}\r\n\r\n0\r\n\r\n"));
        assert_eq!(transcript.kind(), Some(kind));
    }
}

#[test]
fn s6_3_h1q_12_a_request_never_lasts_until_the_connection_closes() {
    for keep_alive in ["", "Connection: keep-alive\r\n"] {
        let request = format!("POST / HTTP/1.0\r\n{keep_alive}\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n");
        let transcript = server(request);
        assert_eq!(transcript.requests().len(), 1, "what follows is no request");
        assert_eq!(transcript.requests()[0].content, Length::None);
        assert!(!transcript.reusable);
        assert_eq!(transcript.content(), b"");
    }
}

#[test]
fn s6_3_content_lengths_that_are_refused() {
    for (id, value) in [
        ("H1Q-14 list", "5, 5"),
        ("H1Q-13 list", "0, 31"),
        ("H1Q-15", "+5"),
        ("H1Q-15", "-1"),
        ("H1Q-15", "-0"),
        ("H1Q-15", "0x10"),
        ("H1Q-15", "1_0"),
        ("H1Q-15", "5 5"),
        ("H1Q-15", "5;"),
        ("H1Q-15", "5.0"),
        ("H1Q-15", "\"5\""),
        ("H1Q-15", "\u{665}"),
        ("H1Q-15", "5,"),
        ("H1Q-15", ",5"),
        ("H1Q-15", "1e3"),
        ("H1Q-15", "five"),
        ("H1Q-16", ""),
        ("H1Q-16 empty first", "\r\nContent-Length: 59"),
        ("H1Q-17", "9223372036854775808"),
        ("H1Q-17", "18446744073709551616"),
        ("H1Q-17", "18446744073709551621"),
        ("H1Q-17", "1111111111111111111111111111111111111111"),
        ("H1Q-17", "000000000000000000000000000000000000005"),
    ] {
        post_refused(&format!("{id} {value:?}"), &format!("Content-Length: {value}"), Kind::ContentLength);
    }
    let kind = Kind::ContentLengthRepeated;
    post_refused("H1Q-13", "Content-Length: 0\r\nContent-Length: 31", kind);
    post_refused("H1Q-14", "Content-Length: 5\r\nContent-Length: 5", kind);
    post_refused("H1Q-36", "Content-Length: 5\r\nA: b\r\ncontent-length: 0", kind);
    post_refused("H1Q-36", "Content-Length:\r\n 5", Kind::Field);
    post_refused("H1Q-36", "Content-Length: \x005", Kind::Nul);
}

#[test]
fn s6_3_h1q_17_the_greatest_length() {
    let head = one_request(post_with("Content-Length: 9223372036854775807", ""));
    assert_eq!(head.content, Length::Known(9_223_372_036_854_775_807));
}

#[test]
fn s6_3_h1q_18_leading_zeros() {
    let transcript = before_canary(post_with("Content-Length: 0005", "hello"));
    assert_eq!(
        (transcript.requests()[0].content, &transcript.content()[..]),
        (Length::Known(5), &b"hello"[..])
    );
}

#[test]
fn s6_3_h1q_37_any_method_may_have_content() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "QUERY"] {
        let transcript =
            before_canary(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
        assert_eq!(transcript.content(), b"hello", "{method}");
        assert_eq!(transcript.requests()[0].content, Length::Known(5));
    }
    let transcript = before_canary(get_with("Content-Length: 0"));
    assert_eq!(transcript.requests()[0].content, Length::Known(0));
}

#[test]
fn rfc9110_s9_3_8_a_trace_has_no_content() {
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let bytes = format!("TRACE / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        assert_eq!(server(bytes).kind(), Some(Kind::TraceWithContent));
    }
    before_canary("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn h1q_36_content_never_hides_a_request() {
    let transcript =
        before_canary(post_with("Content-Length: 39", "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n!"));
    assert_eq!(transcript.requests().len(), 2);
    assert_eq!(transcript.content().len(), 39);
}

#[test]
fn s6_3_h1r_01_h1r_02_h1r_03_responses_with_faulty_framing() {
    for (id, fields, kind) in [
        ("H1R-01", "Content-Length: 5\r\nTransfer-Encoding: chunked", Kind::ContentLengthAndTransferEncoding),
        ("H1R-02", "Content-Length: 5, 6", Kind::ContentLength),
        ("H1R-02", "Content-Length: 5\r\nContent-Length: 6", Kind::ContentLengthRepeated),
        ("H1R-02", "Content-Length: 5\r\nContent-Length: 5", Kind::ContentLengthRepeated),
        ("H1R-02", "Content-Length: +5", Kind::ContentLength),
        ("H1R-02", "Content-Length:", Kind::ContentLength),
        ("H1R-03", "Transfer-Encoding: gzip", Kind::TransferEncoding),
        ("H1R-03", "Transfer-Encoding: chunked, gzip", Kind::TransferEncoding),
        ("H1R-03", "Transfer-Encoding: identity", Kind::TransferEncoding),
        ("H1R-03", "Transfer-Encoding: gzip, chunked", Kind::TransferCoding),
    ] {
        for ask in [Ask::get(), Ask::head()] {
            let transcript = client(&[ask], format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nhello"));
            assert_eq!(transcript.kind(), Some(kind), "{id} {fields}");
            assert!(transcript.said.is_empty(), "{id}");
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[test]
fn s6_3_the_content_of_a_response() {
    let known = answer(format!("{OK}Content-Length: 5\r\n\r\nhello"));
    assert_eq!((known.content(), known.reusable, known.ends()), (b"hello".to_vec(), true, 1));
    assert_eq!(known.responses()[0].content, Length::Known(5));
    let chunked = answer(format!("{OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
    assert_eq!((chunked.content(), chunked.reusable, chunked.ends()), (b"hello".to_vec(), true, 1));
    let until_close = answer(format!("{OK}\r\nhello"));
    assert_eq!(
        (until_close.content(), until_close.reusable, until_close.ends()),
        (b"hello".to_vec(), false, 1)
    );
    assert_eq!(until_close.end, Some(Ok(true)));
    let empty = answer(format!("{OK}\r\n"));
    assert_eq!((empty.responses()[0].content, empty.ends()), (Length::UntilClose, 1));
}

#[test]
fn s6_3_h1r_07_a_response_to_head_has_no_content() {
    for fields in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""] {
        let transcript =
            client(&[Ask::head(), Ask::get()], format!("{OK}{fields}\r\n{OK}Content-Length: 2\r\n\r\nhi"));
        assert_eq!(transcript.error, None);
        assert_eq!(transcript.responses()[0].content, Length::None);
        assert_eq!(transcript.content(), b"hi", "{fields:?}");
    }
    let transcript = client(&[Ask::head()], format!("{OK}Content-Length: 5\r\n\r\nhello"));
    assert_eq!(transcript.responses()[0].declared_length, Some(5));
    assert_eq!(transcript.rest, b"hello", "content that must not be there is nobody's");
}

#[test]
fn s6_3_h1r_07_h1r_08_statuses_without_content() {
    for (status, fields, reusable) in [
        ("204 No Content", "", true),
        ("204 No Content", "Content-Length: 0\r\n", true),
        ("204 No Content", "Content-Length: 5\r\n", false),
        ("204 No Content", "Transfer-Encoding: chunked\r\n", false),
        ("304 Not Modified", "", true),
        ("304 Not Modified", "Content-Length: 5\r\n", true),
        ("205 Reset Content", "Content-Length: 0\r\n", true),
        ("205 Reset Content", "Content-Length: 5\r\n", false),
        ("205 Reset Content", "Transfer-Encoding: chunked\r\n", false),
        ("205 Reset Content", "", false),
    ] {
        let transcript = answer(format!("HTTP/1.1 {status}\r\n{fields}\r\nhello"));
        assert_eq!(transcript.error, None);
        assert_eq!(transcript.responses()[0].content, Length::None);
        assert_eq!(
            (transcript.reusable, &transcript.rest[..]),
            (reusable, &b"hello"[..]),
            "{status} {fields}"
        );
        assert_eq!(transcript.ends(), 1);
    }
}

#[test]
fn s6_3_h1r_05_bytes_behind_a_response_are_not_consumed() {
    let transcript = answer(format!("{OK}Content-Length: 2\r\n\r\nhi{OK}Content-Length: 9\r\n\r\n"));
    assert_eq!((transcript.content(), transcript.responses().len()), (b"hi".to_vec(), 1));
    assert!(transcript.rest.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn s8_h1r_04_h1q_33_a_truncated_message_is_never_complete() {
    let truncated = Some(Err(Error::peer(Kind::Truncated)));
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n",
        "HTTP",
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let transcript = answer(response);
        assert_eq!((transcript.end, transcript.ends()), (truncated, 0), "{response:?}");
        assert!(!transcript.reusable);
    }
    for request in [
        &post_with("Content-Length: 5", "hell")[..],
        &post_with("Content-Length: 5", ""),
        &post_with("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        &post_with("Transfer-Encoding: chunked", "0\r\n"),
        b"G",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
    ] {
        let transcript = server(request);
        assert_eq!((transcript.end, transcript.ends()), (truncated, 0), "{request:?}");
    }
    for request in [&b""[..], b"\r", b"\r\n", &get_with("A: b")] {
        assert_eq!(server(request).end, Some(Ok(true)), "{request:?}");
    }
}

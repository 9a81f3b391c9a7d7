//! RFC 9112 §5 and RFC 9110 §5: field syntax.

mod wire;

use corelane_codec::{Kind, Limits, Underscores};
use wire::{answer, get_with, one_request, server, server_with, texts};

/// As the only field of a request, and of a response.
#[track_caller]
fn both_refuse(field: &[u8], kind: Kind) {
    let text = String::from_utf8_lossy(field).into_owned();
    let request = [b"GET / HTTP/1.1\r\nHost: a\r\n", field, b"\r\n\r\n"].concat();
    assert_eq!(server(request).kind(), Some(kind), "request with {text:?}");
    let response = [b"HTTP/1.1 200 OK\r\n", field, b"\r\n\r\n"].concat();
    assert_eq!(answer(response).kind(), Some(kind), "response with {text:?}");
}

#[test]
fn s5_1_h1q_06_h1q_19_no_space_before_the_colon() {
    for field in ["Transfer-Encoding : chunked", "Content-Length : 34", "X\t: y", "Host : b", "X : y"] {
        both_refuse(field.as_bytes(), Kind::Field);
    }
}

#[test]
fn s5_1_h1q_24_a_field_has_a_name_and_a_colon() {
    for field in [": x", ":", "no colon", "x", "=", "\"x\": y", "a b: c", "(x): y", "x/y: z", "{x}: y"] {
        both_refuse(field.as_bytes(), Kind::Field);
    }
}

/// Longer than a length in our list of fields can say.
#[test]
fn s5_1_a_name_of_64_kib_is_refused_whatever_the_limits_are() {
    let mut limits = Limits::default();
    (limits.request_head_bytes_max, limits.response_head_bytes_max) = (1 << 20, 1 << 20);
    for (len, kind) in [(65_535, None), (65_536, Some(Kind::Field)), (100_000, Some(Kind::Field))] {
        let name = "n".repeat(len);
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{name}: v\r\n\r\n");
        assert_eq!(server_with(&limits, request).kind(), kind, "{len}");
    }
}

#[test]
fn s5_1_whitespace_around_a_value_is_no_part_of_it() {
    let head = one_request(get_with("A:b\r\nB:  c\t\r\nC: \t d e \t \r\nD:\r\nE: \t \r\nF::\r\nG: a:b"));
    let expected = [("A", "b"), ("B", "c"), ("C", "d e"), ("D", ""), ("E", ""), ("F", ":"), ("G", "a:b")];
    assert_eq!(texts(&head.fields)[1..], expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    // And they are written anew as if they had come that way.
    let mut out = Vec::new();
    head.fields.write_h1(&mut out);
    assert_eq!(out, b"Host: a\r\nA: b\r\nB: c\r\nC: d e\r\nD: \r\nE: \r\nF: :\r\nG: a:b\r\n");
}

#[test]
fn s5_2_h1q_22_h1r_10_folded_lines() {
    for field in [
        "X: a\r\n b",
        "X: a\r\n\tb",
        "Transfer-Encoding:\r\n chunked",
        "Content-Length:\r\n 5",
        "X:\r\n y",
        "X: a\r\n \r\nY: b",
    ] {
        both_refuse(field.as_bytes(), Kind::Field);
    }
    assert_eq!(server("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n").kind(), Some(Kind::Field));
}

#[test]
fn s5_5_h1q_23_bytes_of_names_and_values() {
    for byte in (1..0x20).chain([0x7f]).filter(|b| !b"\t\r\n".contains(b)) {
        both_refuse(&[b"X: a", &[byte][..], b"b"].concat(), Kind::Field);
        both_refuse(&[b"X: ", &[byte][..]].concat(), Kind::Field);
        both_refuse(&[b"X", &[byte][..], b": b"].concat(), Kind::Field);
    }
    for byte in 0x80..=0xff {
        both_refuse(&[b"X", &[byte][..], b": b"].concat(), Kind::Field);
        let request = [b"GET / HTTP/1.1\r\nHost: a\r\nX: a", &[byte][..], b"b\r\n\r\n"].concat();
        assert_eq!(one_request(request).fields.get("x"), Some(&[b'a', byte, b'b'][..]));
    }
    both_refuse(b"X: a\0b", Kind::Nul);
    both_refuse(b"X\0: b", Kind::Nul);
}

#[test]
fn s5_3_order_and_case_are_kept() {
    let head = one_request(get_with("b: 1\r\nA: 2\r\nB: 3\r\nx-Y-z: 4"));
    let names: Vec<_> = texts(&head.fields).into_iter().map(|f| f.0).collect();
    assert_eq!(names, ["Host", "b", "A", "B", "x-Y-z"]);
    assert_eq!(head.fields.get_all("B").collect::<Vec<_>>(), [b"1", b"3"]);
}

#[test]
fn h1q_58_underscores_in_names_of_requests() {
    for field in ["Content_Length: 5", "Transfer_Encoding: chunked", "X_Real_IP: 1", "_: 1", "a_: b"] {
        assert_eq!(server(get_with(field)).kind(), Some(Kind::FieldUnderscore), "{field}");
    }
    assert_eq!(server(get_with("A: b_c")).kind(), None);
    let transcript = answer("HTTP/1.1 200 OK\r\nX_Y: z\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(transcript.responses()[0].fields.get("x_y"), Some(&b"z"[..]));
}

#[test]
fn h1q_58_underscores_may_be_dropped_or_passed() {
    let with = |underscores| {
        let mut limits = Limits::default();
        limits.underscores = underscores;
        limits
    };
    let request = "POST / HTTP/1.1\r\nHost: a\r\nX_Real_IP: 1\r\nA: b_c\r\nTransfer-Encoding: chunked\r\n_: 2\r\n\r\n\
                   0\r\napi_key: 3\r\nb: c\r\n\r\n";
    let dropped = server_with(&with(Underscores::Drop), request);
    assert_eq!(texts(&dropped.requests()[0].fields), [("Host", "a"), ("A", "b_c")].map(owned));
    assert_eq!(dropped.trailers(), [owned(("b", "c"))]);
    let passed = server_with(&with(Underscores::Pass), request);
    let fields = [("Host", "a"), ("X_Real_IP", "1"), ("A", "b_c"), ("_", "2")].map(owned);
    assert_eq!(texts(&passed.requests()[0].fields), fields);
    assert_eq!(passed.trailers(), [("api_key", "3"), ("b", "c")].map(owned));

    // What they hide frames nothing, whatever becomes of it.
    for field in [
        "Content_Length: 5",
        "content_length: 5",
        "Transfer_Encoding: chunked",
        "Keep_Alive: 1",
        "X_Forwarded_For: 6.6.6.6",
        "X_Forwarded-Proto: https",
        "X_Request_Id: a",
    ] {
        let drops = server_with(&with(Underscores::Drop), get_with(field));
        let heads = drops.requests();
        assert_eq!((heads.len(), heads[0].fields.len()), (1, 1), "{field}");
        assert!(heads[0].content.is_empty() && drops.reusable, "{field}");
        let passes = server_with(&with(Underscores::Pass), get_with(field));
        assert_eq!(passes.kind(), Some(Kind::FieldUnderscore), "{field}");
    }
    let long = format!("{}: x", "_".repeat(100));
    assert_eq!(server_with(&with(Underscores::Pass), get_with(&long)).requests()[0].fields.len(), 2);
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

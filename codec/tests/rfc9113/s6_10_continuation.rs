//! RFC 9113 §6.10: CONTINUATION.

use crate::h2::*;
use corelane_codec::h2::{Cause, Charge, Code};
use corelane_codec::{Length, RequestHead};
use std::time::Duration;

/// §6.10: "If a CONTINUATION frame is received with a Stream Identifier field of 0x00, the recipient MUST respond with a
/// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_10_continuation_on_stream_0_is_a_connection_error() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(frame(HEADERS, END_STREAM, 1, &block(GET)));
        server.feed(frame(CONTINUATION, END_HEADERS, 0, &[]));
        server.assert_connection_error(Code::PROTOCOL_ERROR);
        server
    });
}

/// §6.10: "A CONTINUATION frame MUST be preceded by a HEADERS, PUSH_PROMISE or CONTINUATION frame without the END_HEADERS
/// flag set. A recipient that observes violation of this rule MUST respond with a connection error (Section 5.4.1) of
/// type PROTOCOL_ERROR."
#[test]
fn s6_10_h2_21_continuation_of_nothing_is_a_connection_error() {
    for stream in [1, 3, 2] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(CONTINUATION, END_HEADERS, stream, &block(&[("a", "b")])));
                side.assert_connection_error(Code::PROTOCOL_ERROR);
                assert_eq!(side.ended().unwrap().1, Cause::Continuation);
            }
            server
        });
    }
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, POST, 0));
        server.feed([data(1, b"x", 0), frame(CONTINUATION, END_HEADERS, 1, &[])].concat());
        server.assert_connection_error(Code::PROTOCOL_ERROR);
        server
    });
}

/// §6.10: "If the END_HEADERS flag is not set, this frame MUST be followed by another CONTINUATION frame. A receiver MUST
/// treat the receipt of any other type of frame or a frame on a different stream as a connection error (Section 5.4.1)
/// of type PROTOCOL_ERROR."
#[test]
fn s6_10_h2_21_nothing_comes_between_continuations() {
    for bytes in [
        ping(0, [0; 8]),
        headers(1, GET, END_STREAM),
        frame(CONTINUATION, 0, 3, &[0]),
        frame(0x99, 0, 0, &[]),
    ] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(frame(HEADERS, END_STREAM, 1, &block(GET)[..3]));
            server.feed(frame(CONTINUATION, 0, 1, &block(GET)[3..9]));
            server.feed(&bytes);
            server.assert_connection_error(Code::PROTOCOL_ERROR);
            server
        });
    }
}

/// A block may be cut anywhere.
#[test]
fn s6_10_a_block_in_pieces_is_the_same_block() {
    let block = block(&[GET, &[("cookie", "a=b"), ("x-long", &"y".repeat(300))]].concat());
    for size in [50, 100, 199, 1_000] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            let mut pieces = block.chunks(size).peekable();
            let mut kind = HEADERS;
            while let Some(piece) = pieces.next() {
                let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
                let end = if kind == HEADERS { END_STREAM } else { 0 };
                server.feed(frame(kind, flags | end, 1, piece));
                kind = CONTINUATION;
            }
            server.assert_alive();
            let head = server.requests()[0];
            assert_eq!(head.fields.get("x-long").map(<[u8]>::len), Some(300));
            assert_eq!(server.content(1), (vec![], true));
            server
        });
    }
}

/// A block that never ends: by frames, by octets, by time.
#[test]
fn s6_10_h2_03_a_block_has_an_end() {
    let last = |side: &Side| side.ended().map(|(_, cause)| cause);
    // By frames, however small.
    for piece in [&[][..], &[0x82], &[0x00, 0x01, b'a', 0x00]] {
        for mut side in [Side::server(Cut::Whole), Side::asking(Cut::Whole)] {
            side.feed(frame(HEADERS, 0, 1, &[0x00, 0x01, b'a', 0x00]));
            for _ in 0..8 {
                side.feed(frame(CONTINUATION, 0, 1, piece));
                side.assert_alive();
            }
            side.feed(frame(CONTINUATION, 0, 1, piece));
            side.assert_connection_error(Code::ENHANCE_YOUR_CALM);
            assert_eq!(last(&side), Some(Cause::Budget(Charge::Continuations)));
        }
    }
    // By octets: twice the list's limit, Huffman-coded or not, in a string that has not ended or in fields.
    let string = [&[0x00, 0x01, b'a', 0x7f, 0xff, 0xff, 0x7f], &[b'x'; 16_377][..]].concat();
    let huffman = [&[0x00, 0x01, b'a', 0xff, 0xff, 0xff, 0x7f], &[b'x'; 16_377][..]].concat();
    for first in [string, huffman, vec![0x82; 16_384]] {
        let mut server = Side::server(Cut::Whole);
        server.feed(frame(HEADERS, 0, 1, &first));
        let rest = if first[1] == 0x82 { vec![0x82; 16_384] } else { vec![0x67; 16_384] };
        for _ in 0..3 {
            server.feed(frame(CONTINUATION, 0, 1, &rest));
            server.assert_alive();
        }
        assert!(server.connection.heap_bytes() < 64 << 10, "{}", server.connection.heap_bytes());
        server.feed(&frame(CONTINUATION, 0, 1, &[0x82])[..9]);
        server.assert_connection_error(Code::ENHANCE_YOUR_CALM);
        assert_eq!(last(&server), Some(Cause::Budget(Charge::BlockBytes)));
    }
    // By time.
    for mut side in [Side::server(Cut::Whole), Side::asking(Cut::Whole)] {
        side.feed(frame(HEADERS, 0, 1, &[0x00, 0x01, b'a', 0x00]));
        for _ in 0..5 {
            side.wait(Duration::from_millis(1_999));
            side.feed(frame(CONTINUATION, 0, 1, &[0x00, 0x01, b'a', 0x00]));
            side.assert_alive();
        }
        side.wait(Duration::from_millis(5));
        side.assert_connection_error(Code::ENHANCE_YOUR_CALM);
        assert_eq!(last(&side), Some(Cause::BlockTimeout));
    }
}

/// What a stream is may change while a block for it is coming: it is looked up once more at its end, so that nothing is
/// said of a stream that is over, and no other stream that has its place gets its fields.
#[test]
fn s6_10_h2_32_a_stream_is_given_up_in_the_middle_of_its_block() {
    // A response, trailers, and what is refused behind the end.
    let before: [(&str, Vec<u8>); 3] = [
        ("a response", vec![]),
        ("trailers", headers(1, OK, 0)),
        ("behind the end", headers(1, OK, END_STREAM)),
    ];
    for (what, before) in before {
        for closes in [false, true] {
            let mut client = Side::client(Cut::Whole);
            let head = RequestHead { content: Length::Chunked, ..request("/") };
            client.connection.send_request(&head, &mut client.out).unwrap();
            client.feed(before.as_slice());
            let (first, rest) = (&[0x88][..], &[0x40, 1, b'a', 1, b'b'][..]);
            client.feed(frame(HEADERS, END_STREAM, 1, if what == "a response" { first } else { &[] }));
            client.said.clear();
            match closes {
                true => client.connection.close(id(1)),
                false => client.connection.reset(id(1), Code::CANCEL),
            }
            // It has the place that the first one had.
            let next = client.ask("/");
            client.sent();
            client.feed(frame(CONTINUATION, END_HEADERS, 1, rest));
            client.assert_alive();
            assert_eq!(client.said, [], "{what}, {closes}");
            assert_eq!(client.sent(), [], "{what}, {closes}");
            assert!(!client.connection.receiving_ended(id(next)));
            // HPACK is in step all the same.
            client.feed(frame(HEADERS, END_HEADERS, next, &[0x88, 0xbe]));
            assert_eq!(client.responses()[0].fields.get("a"), Some(&b"b"[..]));
            client.feed(data(next, b"mine", END_STREAM));
            assert_eq!(client.content(next), (b"mine".to_vec(), true));
        }
    }
    for closes in [false, true] {
        for ended in [false, true] {
            let mut server = Side::server(Cut::Whole);
            server.feed(headers(1, POST, if ended { END_STREAM } else { 0 }));
            server.feed(frame(HEADERS, END_STREAM, 1, &[0x40, 1, b'a', 1, b'b']));
            server.said.clear();
            match closes {
                true => server.connection.close(id(1)),
                false => server.connection.reset(id(1), Code::CANCEL),
            }
            server.sent();
            server.feed(frame(CONTINUATION, END_HEADERS, 1, &[]));
            server.assert_alive();
            assert_eq!((server.said.len(), server.sent().len()), (0, 0));
            server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 3, &[block(GET), vec![0xbe]].concat()));
            assert_eq!(server.requests()[0].fields.get("a"), Some(&b"b"[..]));
        }
    }
}

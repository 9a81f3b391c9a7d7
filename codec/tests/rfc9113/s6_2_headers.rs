//! RFC 9113 §6.2: HEADERS.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code};

/// §6.2: "If a HEADERS frame is received whose Stream Identifier field is 0x00, the recipient MUST respond with a
/// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_2_headers_on_stream_0_are_a_connection_error() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(0, GET, END_STREAM));
        server.assert_connection_error(Code::PROTOCOL_ERROR);
        server
    });
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(headers(0, OK, END_STREAM));
        client.assert_connection_error(Code::PROTOCOL_ERROR);
        client
    });
}

/// §6.2: "A HEADERS frame without the END_HEADERS flag set MUST be followed by a CONTINUATION frame for the same stream.
/// A receiver MUST treat the receipt of any other type of frame or a frame on a different stream as a connection error
/// (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_2_h2_21_nothing_comes_between_headers_and_continuation() {
    let between = [
        data(1, b"x", 0),
        headers(1, &[("a", "b")], END_STREAM),
        headers(3, GET, END_STREAM),
        frame(PRIORITY, 0, 1, &[0; 5]),
        reset(1, Code::CANCEL),
        settings(&[]),
        settings_ack(),
        ping(0, [0; 8]),
        go_away(0, Code::NO_ERROR),
        window_update(0, 1),
        window_update(1, 1),
        frame(CONTINUATION, END_HEADERS, 3, &[]),
    ];
    for bytes in between {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(frame(HEADERS, END_STREAM, 1, &block(GET)));
            server.assert_alive();
            server.feed(&bytes);
            server.assert_connection_error(Code::PROTOCOL_ERROR);
            assert_eq!(server.ended().unwrap().1, Cause::Interleaved);
            server
        });
        every_split(|cut| {
            let mut client = Side::asking(cut);
            client.feed(frame(HEADERS, END_STREAM, 1, &block(OK)));
            client.feed(&bytes);
            client.assert_connection_error(Code::PROTOCOL_ERROR);
            client
        });
    }
}

/// §6.2: "If the length of the padding is the length of the frame payload or greater, the recipient MUST treat this as a
/// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_2_h2_20_padding_beyond_the_frame_is_a_connection_error() {
    for (flags, payload) in [
        (PADDED, &[1][..]),
        (PADDED, &[9, 0x82, 0, 0]),
        (PADDED | WITH_PRIORITY, &[1, 0, 0, 0, 0, 0]),
        (PADDED | WITH_PRIORITY, &[3, 0, 0, 0, 0, 0, 0x82, 0]),
    ] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(frame(HEADERS, flags | END_HEADERS | END_STREAM, 1, payload));
            server.assert_connection_error(Code::PROTOCOL_ERROR);
            assert_eq!(server.ended().unwrap().1, Cause::Padding);
            server
        });
        every_split(|cut| {
            let mut client = Side::asking(cut);
            client.feed(frame(HEADERS, flags | END_HEADERS | END_STREAM, 1, payload));
            client.assert_connection_error(Code::PROTOCOL_ERROR);
            client
        });
    }
}

/// Padding and the deprecated priority stand around the field block, in one frame and with more to follow.
#[test]
fn s6_2_padding_and_priority_are_skipped() {
    let block = block(GET);
    for (padding, priority) in [(Some(0), false), (Some(255), false), (None, true), (Some(3), true)] {
        for cut_at in [block.len(), 0, 5] {
            every_split(|cut| {
                let mut server = Side::server(cut);
                let mut payload = if priority { vec![0x80, 0, 0, 9, 200] } else { vec![] };
                payload.extend(&block[..cut_at]);
                let mut flags = END_STREAM | if priority { WITH_PRIORITY } else { 0 };
                if let Some(padding) = padding {
                    payload = padded(&payload, padding);
                    flags |= PADDED;
                }
                if cut_at == block.len() {
                    flags |= END_HEADERS;
                }
                server.feed(frame(HEADERS, flags, 1, &payload));
                if cut_at < block.len() {
                    server.feed(frame(CONTINUATION, END_HEADERS, 1, &block[cut_at..]));
                }
                server.assert_alive();
                assert_eq!(server.requests()[0].path(), b"/");
                assert_eq!(server.content(1), (vec![], true));
                server
            });
        }
    }
}

/// A HEADERS frame on which its stream depends by the priority of RFC 7540: that is no error any more.
#[test]
fn s6_2_h2_02_a_stream_may_depend_on_itself() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        let payload = [&[0, 0, 0, 1, 7], &block(GET)[..]].concat();
        server.feed(frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, &payload));
        server.feed(frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 7]));
        server.assert_alive();
        assert_eq!((server.requests().len(), server.sent().len()), (1, 0));
        server
    });
}

/// Field blocks without a fragment are of no use.
#[test]
fn s6_2_h2_12_a_flood_of_empty_headers_ends_the_connection() {
    let mut server = Side::server(Cut::Whole);
    for n in 0..200 {
        server.feed(headers(2 * n + 1, &[], END_STREAM));
    }
    server.assert_connection_error(Code::ENHANCE_YOUR_CALM);
}

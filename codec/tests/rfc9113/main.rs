//! RFC 9113, a file for each section: a test for each MUST and MUST NOT that concerns an endpoint, with what it says.
//!
//! A test runs with all that is fed whole, byte by byte, and cut in two at every place, in each role that it concerns.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../h2/mod.rs"]
mod h2;

mod s3_starting;
mod s4_frames;
mod s5_1_states;
mod s5_4_errors;
mod s6_10_continuation;
mod s6_1_data;
mod s6_2_headers;
mod s6_3_priority;
mod s6_4_rst_stream;
mod s6_5_settings;
mod s6_6_push_promise;
mod s6_7_ping;
mod s6_8_goaway;
mod s6_9_window_update;
mod s7_error_codes;
mod s8_1_messages;
mod s8_2_fields;
mod s8_3_control_data;
mod s8_5_connect;
mod s8_7_reliability;

use corelane_codec::h2::Code;
use h2::*;

/// A conversation with frames of every type, cut in two at every place and byte by byte: what is heard is the same.
#[test]
fn h2_40_a_conversation_cut_everywhere() {
    let priority = frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9]);
    let update = frame(PRIORITY_UPDATE, 0, 0, &[&1_u32.to_be_bytes()[..], b"u=1, i"].concat());
    let (first, rest) = (&block(POST)[..7], &block(POST)[7..]);
    let common = [
        settings(&[(4, 70_000), (1, 100), (0x55, 5)]),
        ping(0, *b"12345678"),
        priority,
        window_update(0, 1_000),
        frame(0x0c, 0, 0, b"origin"),
    ]
    .concat();
    let up = [
        common.clone(),
        frame(HEADERS, PADDED | WITH_PRIORITY, 1, &padded(&[&[0, 0, 0, 0, 1], first].concat(), 4)),
        frame(CONTINUATION, END_HEADERS, 1, rest),
        frame(DATA, PADDED, 1, &padded(b"hello", 9)),
        update,
        window_update(1, 7),
        data(1, b"world", 0),
        headers(1, &[("x-sum", "10")], END_STREAM),
        headers(3, GET, END_STREAM),
        reset(3, Code::CANCEL),
        go_away(0, Code::NO_ERROR),
    ]
    .concat();
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(&up);
        server.assert_alive();
        assert_eq!((server.said.len(), server.content(1)), (6, (b"helloworld".to_vec(), true)));
        server
    });
    let down = [
        common,
        headers(1, &[(":status", "103"), ("link", "</a>")], 0),
        frame(HEADERS, PADDED, 1, &padded(&block(OK)[..3], 1)),
        frame(CONTINUATION, END_HEADERS, 1, &block(OK)[3..]),
        frame(DATA, PADDED, 1, &padded(b"hello", 0)),
        window_update(1, 7),
        headers(1, &[("x-sum", "5")], END_STREAM),
        reset(3, Code::REFUSED_STREAM),
        go_away(1, Code::NO_ERROR),
    ]
    .concat();
    every_split(|cut| {
        let mut client = Side::client(cut);
        for _ in 0..3 {
            client.ask("/");
        }
        client.feed(&down);
        client.assert_alive();
        assert_eq!((client.said.len(), client.content(1)), (7, (b"hello".to_vec(), true)));
        client
    });
}

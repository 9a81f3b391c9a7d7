//! RFC 9113 §6.1: DATA.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code};

/// §6.1: "If a DATA frame is received whose Stream Identifier field is 0x00, the recipient MUST respond with a
/// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_1_data_on_stream_0_is_a_connection_error() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(data(0, b"abc", 0));
            side.assert_connection_error(Code::PROTOCOL_ERROR);
        }
        server
    });
}

/// §6.1: "If a DATA frame is received whose stream is not in the "open" or "half-closed (local)" state, the recipient
/// MUST respond with a stream error (Section 5.4.2) of type STREAM_CLOSED."
#[test]
fn s6_1_h2_02_data_behind_the_end_is_a_stream_error() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(data(1, b"abc", END_STREAM));
            side.feed(data(1, b"abc", 0));
            side.assert_stream_error(1, Code::STREAM_CLOSED);
        }
        server
    });
}

/// §6.1: "If the length of the padding is the length of the frame payload or greater, the recipient MUST treat this as a
/// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_1_h2_20_padding_as_long_as_its_frame_is_a_connection_error() {
    for payload in [&[1][..], &[2, 0], &[255, 0, 0], &[4, b'a', b'b', 0]] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(DATA, PADDED, 1, payload));
                side.assert_connection_error(Code::PROTOCOL_ERROR);
                assert_eq!(side.ended().unwrap().1, Cause::Padding);
            }
            server
        });
    }
}

/// Padding is no content, whatever its octets are.
#[test]
fn s6_1_padding_is_left_out() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(frame(DATA, PADDED, 1, &padded(b"abc", 0)));
            side.feed(frame(DATA, PADDED, 1, &padded(b"def", 7)));
            side.feed(frame(DATA, PADDED, 1, b"\x03ghi\xff\xff\xff"));
            side.feed(frame(DATA, PADDED | END_STREAM, 1, &padded(b"jkl", 255)));
            side.assert_alive();
            assert_eq!(side.content(1), (b"abcdefghijkl".to_vec(), true));
        }
        server
    });
}

/// §6.1: "The entire DATA frame payload is included in flow control, including the Pad Length and Padding fields if
/// present." The padding is given back at once.
#[test]
fn s6_1_padding_counts_for_flow_control() {
    let [mut server, mut client] = Side::both(Cut::Whole);
    for side in [&mut server, &mut client] {
        side.releases = false;
        side.sent();
        let mut updates = 0;
        for _ in 0..300 {
            side.feed(frame(DATA, PADDED, 1, &padded(b"x", 255)));
            updates += side.sent_of(WINDOW_UPDATE).len();
        }
        side.assert_alive();
        assert_eq!(updates, 2 + 1, "for the stream and for the connection");
    }
    // More than the window at once, all of it but an octet of padding.
    let [mut server, mut client] = Side::both(Cut::Whole);
    for side in [&mut server, &mut client] {
        side.releases = false;
        for _ in 0..3 {
            side.feed(data(1, &[b'x'; 16_384], 0));
        }
        side.feed(frame(DATA, PADDED, 1, &padded(&[b'x'; 16_382 - 254], 255)));
        side.assert_stream_error(1, Code::FLOW_CONTROL_ERROR);
    }
}

/// An empty frame may carry the end.
#[test]
fn s6_1_an_empty_frame_ends_a_message() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed([data(1, b"abc", 0), data(1, b"", END_STREAM)].concat());
            assert_eq!(side.content(1), (b"abc".to_vec(), true));
        }
        server
    });
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(frame(DATA, PADDED | END_STREAM, 1, &padded(b"", 9)));
            assert_eq!(side.said, [Said::Data(1, vec![], true)]);
        }
        server
    });
}

/// Frames that are empty for nothing have an end, padded ones too.
#[test]
fn s6_1_h2_12_a_flood_of_empty_frames_ends_the_connection() {
    for payload in [vec![], padded(b"", 200)] {
        let [mut server, mut client] = Side::both(Cut::Whole);
        for side in [&mut server, &mut client] {
            let bytes = frame(DATA, if payload.is_empty() { 0 } else { PADDED }, 1, &payload);
            for _ in 0..100 {
                side.feed(&bytes);
                side.assert_alive();
            }
            assert_eq!(side.said, []);
            side.feed(&bytes);
            side.assert_connection_error(Code::ENHANCE_YOUR_CALM);
        }
    }
}

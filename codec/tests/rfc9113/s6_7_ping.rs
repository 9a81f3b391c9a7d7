//! RFC 9113 §6.7: PING.

use crate::h2::*;
use corelane_codec::h2::Code;
use std::time::Duration;

/// §6.7: "Receivers of a PING frame that does not include an ACK flag MUST send a PING frame with the ACK flag set in
/// response, with an identical frame payload."
#[test]
fn s6_7_a_ping_is_answered() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.sent();
            side.feed(ping(0, *b"\0\x01abc\xff\xfe\x80"));
            let sent = side.sent();
            assert_eq!((sent.len(), sent[0].kind, sent[0].flags, sent[0].stream), (1, PING, ACK, 0));
            assert_eq!(sent[0].payload, *b"\0\x01abc\xff\xfe\x80");
            assert_eq!(side.said, []);
        }
        server
    });
}

/// §6.7: "An endpoint MUST NOT respond to PING frames containing this flag."
#[test]
fn s6_7_an_answer_is_not_answered() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.connection.ping(*b"12345678");
            let sent = side.sent_of(PING);
            assert_eq!((sent.len(), sent[0].flags, sent[0].payload.as_slice()), (1, 0, &b"12345678"[..]));
            side.feed(ping(ACK, *b"12345678"));
            side.feed(ping(ACK, *b"12345678"));
            assert_eq!(side.said, [Said::Pong(*b"12345678")], "the second answers nothing");
            assert_eq!(side.sent(), []);
        }
        server
    });
}

/// §6.7: "If a PING frame is received with a Stream Identifier field value other than 0x00, the recipient MUST respond
/// with a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_7_h2_11_a_ping_on_a_stream_is_a_connection_error() {
    for flags in [0, ACK] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(PING, flags, 1, &[0; 8]));
                side.assert_connection_error(Code::PROTOCOL_ERROR);
            }
            server
        });
    }
}

/// §6.7: "Receipt of a PING frame with a length field value other than 8 MUST be treated as a connection error
/// (Section 5.4.1) of type FRAME_SIZE_ERROR."
#[test]
fn s6_7_h2_11_a_wrong_length_is_a_connection_error() {
    for len in [0, 7, 9, 16] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(PING, 0, 0, &vec![0; len]));
                side.assert_connection_error(Code::FRAME_SIZE_ERROR);
            }
            server
        });
    }
}

/// A flood ends; as many as a client may need do not.
#[test]
fn s6_7_h2_11_a_flood_of_pings_ends_the_connection() {
    let [mut server, mut client] = Side::both(Cut::Whole);
    for side in [&mut server, &mut client] {
        for _ in 0..100 {
            side.feed(ping(0, [0; 8]));
            side.assert_alive();
        }
        side.feed(ping(0, [0; 8]));
        side.assert_connection_error(Code::ENHANCE_YOUR_CALM);
    }
    let [mut server, mut client] = Side::both(Cut::Whole);
    for side in [&mut server, &mut client] {
        for _ in 0..2_000 {
            side.feed(ping(0, [0; 8]));
            side.now += Duration::from_millis(50);
        }
        for _ in 0..2_000 {
            side.feed([data(1, &[0; 1000], 0), ping(0, [0; 8])].concat());
        }
        side.assert_alive();
    }
}

//! RFC 9113 §6.3: PRIORITY.

use crate::h2::*;
use corelane_codec::h2::Code;

/// §6.3: "If a PRIORITY frame is received with a stream identifier of 0x00, the recipient MUST respond with a connection
/// error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_3_priority_on_stream_0_is_a_connection_error() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(frame(PRIORITY, 0, 0, &[0; 5]));
            side.assert_connection_error(Code::PROTOCOL_ERROR);
        }
        server
    });
}

/// §6.3: "A PRIORITY frame with a length other than 5 octets MUST be treated as a stream error (Section 5.4.2) of type
/// FRAME_SIZE_ERROR."
#[test]
fn s6_3_h2_02_a_wrong_length_is_a_stream_error() {
    for len in [0, 4, 6, 100] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(PRIORITY, 0, 1, &vec![0; len]));
                side.assert_stream_error(1, Code::FRAME_SIZE_ERROR);
                // The rest of the frame was skipped.
                side.feed(ping(0, [1; 8]));
                assert_eq!(side.sent_of(PING).len(), 1);
                // On a closed stream there is nothing to reset.
                side.connection.close(id(1));
                side.feed(frame(PRIORITY, 0, 1, &vec![0; len]));
                side.assert_alive();
            }
            server
        });
        // An idle stream can't be reset (§6.4).
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(frame(PRIORITY, 0, 1, &vec![0; len]));
            server.assert_connection_error(Code::FRAME_SIZE_ERROR);
            server
        });
    }
}

/// §6.3: "Sending or receiving a PRIORITY frame does not affect the state of any stream".
#[test]
fn s6_3_priority_opens_nothing() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(frame(PRIORITY, 0, 99, &[0; 5]));
        server.feed(headers(1, GET, END_STREAM));
        assert_eq!((server.requests().len(), server.connection.streams()), (1, 1));
        server
    });
}

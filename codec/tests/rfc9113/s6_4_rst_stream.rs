//! RFC 9113 §6.4: RST_STREAM.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code};

/// §6.4: "If a RST_STREAM frame is received with a stream identifier of 0x00, the recipient MUST treat this as a
/// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_4_a_reset_of_stream_0_is_a_connection_error() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(reset(0, Code::CANCEL));
            side.assert_connection_error(Code::PROTOCOL_ERROR);
        }
        server
    });
}

/// §6.4: "If a RST_STREAM frame identifying an idle stream is received, the recipient MUST treat this as a connection
/// error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_4_h2_17_a_reset_of_an_idle_stream_is_a_connection_error() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(reset(3, Code::CANCEL));
            side.assert_connection_error(Code::PROTOCOL_ERROR);
            assert_eq!(side.ended().unwrap().1, Cause::Idle);
        }
        server
    });
}

/// §6.4: "A RST_STREAM frame with a length other than 4 octets MUST be treated as a connection error (Section 5.4.1) of
/// type FRAME_SIZE_ERROR."
#[test]
fn s6_4_a_wrong_length_is_a_connection_error() {
    for len in [0, 3, 5, 8] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(RST_STREAM, 0, 1, &vec![0; len]));
                side.assert_connection_error(Code::FRAME_SIZE_ERROR);
            }
            server
        });
    }
}

/// §6.4: "After receiving a RST_STREAM on a stream, the receiver MUST NOT send additional frames for that stream, except
/// for PRIORITY." What was offered is forgotten.
#[test]
fn s6_4_content_that_waited_is_not_sent() {
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, GET, END_STREAM));
    assert_eq!(server.answer(1, &[b'x'; 100_000]), 65_535);
    server.sent();
    server.connection.offer(id(1), 34_465, server.now).unwrap();
    server.feed([reset(1, Code::CANCEL), window_update(0, 100_000), window_update(1, 100_000)].concat());
    assert_eq!(server.connection.next_data(server.now), None);
    assert_eq!(server.sent(), []);
    assert!(server.connection.sending_ended(id(1)) && server.connection.receiving_ended(id(1)));
}

/// §6.4: "RST_STREAM frames MUST NOT be sent for a stream in the "idle" state."
#[test]
fn s6_4_an_idle_stream_is_not_reset() {
    let mut server = Side::server(Cut::Whole);
    server.connection.reset(id(1), Code::CANCEL);
    server.connection.close(id(3));
    assert_eq!(server.sent(), []);
}

/// The code is the one of the peer, and REFUSED_STREAM says that nothing was done.
#[test]
fn s6_4_h2_37_the_code_tells_whether_a_request_was_processed() {
    for (code, unprocessed) in [(Code::REFUSED_STREAM, true), (Code::CANCEL, false), (Code::NO_ERROR, false)]
    {
        every_split(|cut| {
            let mut client = Side::asking(cut);
            client.feed(reset(1, code));
            let Said::Reset(1, error) = client.said[0] else { panic!("{:?}", client.said) };
            assert_eq!((error.code, error.is_unprocessed()), (code, unprocessed));
            client
        });
    }
}

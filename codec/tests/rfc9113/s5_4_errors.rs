//! RFC 9113 §5.4 and §5.5: error handling, and extending HTTP/2.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code, Role};
use corelane_codec::{Blame, Length, Scope};

/// §5.4.1: "An endpoint that encounters a connection error SHOULD first send a GOAWAY frame (Section 6.8) with the
/// stream identifier of the last stream that it successfully received from its peer. … After sending the GOAWAY frame
/// for an error condition, the endpoint MUST close the TCP connection."
#[test]
fn s5_4_1_a_connection_error_is_the_end_of_everything() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(7, GET, END_STREAM));
        server.sent();
        server.feed(data(0, b"x", 0));
        let sent = server.sent();
        assert_eq!((sent.len(), sent[0].kind, sent[0].number()), (1, GOAWAY, 7));
        assert_eq!(sent[0].code(), Code::PROTOCOL_ERROR);
        // Nothing is read, sent or waited for any more.
        let said = server.said.clone();
        server.feed(headers(9, GET, END_STREAM));
        assert_eq!(server.said, said);
        assert!(
            server.connection.send_response(id(7), &response(200, Length::None), &mut server.out).is_err()
        );
        assert_eq!((server.sent(), server.connection.next_timeout()), (vec![], None));
        assert!(server.connection.is_drained());
        assert!(server.connection.handle_timeout(server.now).is_err());
        server
    });
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(data(0, b"x", 0));
        let sent = client.sent();
        assert_eq!((sent.len(), sent[0].kind, sent[0].number()), (1, GOAWAY, 0));
        assert!(client.connection.send_request(&request("/"), &mut client.out).is_err());
        client
    });
}

/// §5.4.1: GOAWAY is the last frame, and §6.8: "Endpoints MUST NOT increase the value they send in the last stream
/// identifier". Whatever the application still says of its streams and of the connection, nothing follows.
#[test]
fn s5_4_1_nothing_follows_the_goaway_of_an_error() {
    for way in ["a fault", "the application", "the end of the transport"] {
        let [mut server, mut client] = Side::both(Cut::Whole);
        for side in [&mut server, &mut client] {
            side.releases = false;
            // So much is held that giving it back is worth an update of the connection's window.
            for n in 0..8 {
                side.feed(data(1, &[b'x'; 8_000], if n == 7 { END_STREAM } else { 0 }));
            }
            if side.connection.role() == Role::Server {
                side.feed(headers(3, POST, 0));
            } else {
                side.ask("/");
                side.feed(headers(3, OK, 0));
            }
            side.feed([data(3, &[b'x'; 16_000], 0), data(3, &[b'x'; 16_000], 0)].concat());
            side.sent();
            match way {
                "a fault" => side.feed(data(0, b"x", 0)),
                "the application" => side.connection.abort(Code::INTERNAL_ERROR),
                _ => side.connection.receive_end(),
            }
            assert_eq!(side.sent().len(), usize::from(way != "the end of the transport"));
            let now = side.now;
            side.connection.go_away(now);
            side.connection.go_away(now);
            side.connection.abort(Code::CANCEL);
            side.connection.ping([0; 8]);
            side.connection.release(id(1), 64_000);
            side.connection.reset(id(1), Code::CANCEL);
            side.connection.close(id(1));
            side.connection.close(id(3));
            assert_eq!(side.sent(), [], "{way}");
            assert_eq!(side.connection.streams(), 0);
        }
    }
}

/// §5.4.2: "An endpoint that detects a stream error sends a RST_STREAM frame (Section 6.4) that contains the stream
/// identifier of the stream where the error occurred." Others go on.
#[test]
fn s5_4_2_a_stream_error_concerns_one_stream() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed([headers(1, POST, 0), headers(3, POST, 0)].concat());
        server.feed(window_update(1, 0));
        server.assert_stream_error(1, Code::PROTOCOL_ERROR);
        server.feed(data(3, b"abc", END_STREAM));
        assert_eq!(server.content(3), (b"abc".to_vec(), true));
        assert_eq!(server.answer(3, b"fine"), 4);
        server
    });
}

/// §5.4.2: "To avoid looping, an endpoint MUST NOT send a RST_STREAM in response to a RST_STREAM frame."
#[test]
fn s5_4_2_a_reset_is_not_answered_by_a_reset() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.sent();
            side.feed(reset(1, Code::INTERNAL_ERROR));
            side.feed(reset(1, Code::INTERNAL_ERROR));
            side.connection.close(id(1));
            side.feed(reset(1, Code::INTERNAL_ERROR));
            assert_eq!(side.sent(), []);
            let error = corelane_codec::h2::Error {
                scope: Scope::Stream,
                blame: Blame::Peer,
                code: Code::INTERNAL_ERROR,
                cause: Cause::Reset,
            };
            assert_eq!(side.said, [Said::Reset(1, error)]);
        }
        server
    });
}

/// §5.4.2: "Normally, an endpoint SHOULD NOT send more than one RST_STREAM frame for any stream."
#[test]
fn s5_4_2_one_reset_for_a_stream() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, POST, 0));
        server.sent();
        server.feed([window_update(1, 0), window_update(1, 0), data(1, b"x", 0)].concat());
        server.connection.reset(id(1), Code::CANCEL);
        server.connection.close(id(1));
        server.feed(data(1, b"x", END_STREAM));
        server.assert_alive();
        assert_eq!(server.sent_of(RST_STREAM).len(), 1);
        server
    });
}

/// §5.4.3: "If the TCP connection is closed or reset while streams remain in the "open" or "half-closed" states, then
/// the affected streams cannot be automatically retried". And what is truncated is told.
#[test]
fn s5_4_3_the_end_of_the_transport_ends_what_is_open() {
    let mut client = Side::client(Cut::Whole);
    for _ in 0..3 {
        client.ask("/");
    }
    client.feed([headers(1, OK, END_STREAM), headers(3, OK, 0), data(3, b"abc", 0)].concat());
    client.connection.receive_end();
    let ended: Vec<_> = std::iter::from_fn(|| client.connection.poll_event()).collect();
    assert_eq!(ended.len(), 2);
    for (event, stream) in ended.iter().zip([3, 5]) {
        let corelane_codec::h2::Event::Reset { stream: reset, error } = event else { panic!("{event:?}") };
        assert_eq!((reset.number(), error.is_unprocessed()), (stream, false));
        assert_eq!(error.cause, Cause::Message(corelane_codec::Kind::Truncated));
    }
    assert!(client.connection.receive(b"", client.now).is_err());
}

/// §5.5: "extension frames that appear in the middle of a field block (Section 4.3) are not permitted; these MUST be
/// treated as a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s5_5_h2_21_no_extension_frame_within_a_field_block() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(frame(HEADERS, END_STREAM, 1, &block(GET)));
        server.feed(frame(0x77, 0, 1, b"x"));
        server.assert_connection_error(Code::PROTOCOL_ERROR);
        server
    });
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(frame(HEADERS, END_STREAM, 1, &block(OK)));
        client.feed(frame(0x77, 0, 0, b""));
        client.assert_connection_error(Code::PROTOCOL_ERROR);
        client
    });
}

/// §5.5: "Implementations MUST ignore unknown or unsupported values in all extensible protocol elements."
#[test]
fn s5_5_unknown_settings_and_codes_are_ignored() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.sent();
            side.feed(settings(&[(0x0a0a, 1), (0, 7), (0xffff, u32::MAX), (7, 3)]));
            side.feed(reset(1, Code(0xdead_beef)));
            side.assert_alive();
            assert_eq!(side.sent().len(), 1, "an acknowledgement");
            let Said::Reset(1, error) = side.said[0] else { panic!("{:?}", side.said) };
            assert_eq!((error.code, error.is_unprocessed()), (Code(0xdead_beef), false));
            side.feed(go_away(5, Code(0xbabe)));
            side.assert_alive();
        }
        server
    });
}

/// ALTSVC (RFC 7838) and ORIGIN (RFC 8336) mean nothing to a gateway that pools by address.
#[test]
fn s5_5_altsvc_and_origin_are_ignored() {
    every_split(|cut| {
        let mut client = Side::asking(cut);
        assert_eq!(client.connection.role(), Role::Client);
        client.feed(frame(0x0a, 0, 0, b"\0\x05https\"h3=\":443\""));
        client.feed(frame(0x0a, 0, 1, b"\0\0h2=\":8000\""));
        client.feed(frame(0x0c, 0, 0, b"\0\x13https://example.com"));
        client.assert_alive();
        assert_eq!((client.said.len(), client.sent().len()), (0, 0));
        client
    });
}

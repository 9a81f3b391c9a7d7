//! RFC 9113 §6.5: SETTINGS.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code, Config, Role};
use std::time::Duration;

fn both(cut: Cut) -> [Side; 2] {
    [Side::server(cut), Side::client(cut)]
}

/// §6.5: "Receipt of a SETTINGS frame with the ACK flag set and a length field value other than 0 MUST be treated as a
/// connection error (Section 5.4.1) of type FRAME_SIZE_ERROR."
#[test]
fn s6_5_h2_10_an_acknowledgement_has_no_payload() {
    for len in [1, 6, 12] {
        every_split(|cut| {
            let [mut server, mut client] = both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(SETTINGS, ACK, 0, &vec![0; len]));
                side.assert_connection_error(Code::FRAME_SIZE_ERROR);
            }
            server
        });
    }
}

/// §6.5: "If an endpoint receives a SETTINGS frame whose Stream Identifier field is anything other than 0x00, the
/// endpoint MUST respond with a connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_5_h2_10_settings_on_a_stream_are_a_connection_error() {
    for flags in [0, ACK] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(SETTINGS, flags, 1, &[]));
                side.assert_connection_error(Code::PROTOCOL_ERROR);
            }
            server
        });
    }
}

/// §6.5: "A SETTINGS frame with a length other than a multiple of 6 octets MUST be treated as a connection error
/// (Section 5.4.1) of type FRAME_SIZE_ERROR."
#[test]
fn s6_5_h2_10_a_length_that_is_no_multiple_of_6() {
    for len in [1, 5, 7, 13] {
        every_split(|cut| {
            let [mut server, mut client] = both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(SETTINGS, 0, 0, &vec![0; len]));
                side.assert_connection_error(Code::FRAME_SIZE_ERROR);
            }
            server
        });
    }
}

/// §6.5.2, ENABLE_PUSH: "Any value other than 0 or 1 MUST be treated as a connection error (Section 5.4.1) of type
/// PROTOCOL_ERROR. … A client MUST treat receipt of a SETTINGS frame with SETTINGS_ENABLE_PUSH set to 1 as a connection
/// error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_5_2_enable_push() {
    every_split(|cut| {
        let [mut server, mut client] = both(cut);
        server.feed(settings(&[(2, 1), (2, 0)]));
        server.assert_alive();
        client.feed(settings(&[(2, 0)]));
        client.assert_alive();
        client.feed(settings(&[(2, 1)]));
        client.assert_connection_error(Code::PROTOCOL_ERROR);
        server.feed(settings(&[(2, 2)]));
        server.assert_connection_error(Code::PROTOCOL_ERROR);
        server
    });
}

/// §6.5.2, ENABLE_PUSH: "A server MUST NOT explicitly set this value to 1." A client of ours sets it to 0.
#[test]
fn s6_5_2_push_is_not_wanted() {
    let said = |role| {
        let payload = Side::new(role, Config::default(), Cut::Whole).sent().remove(0).payload;
        payload.chunks(6).map(|s| (s[1], u32::from_be_bytes(s[2..6].try_into().unwrap()))).collect::<Vec<_>>()
    };
    assert_eq!(said(Role::Client), [(2, 0), (6, 64 << 10), (9, 1)]);
    assert_eq!(said(Role::Server), [(3, 100), (6, 32 << 10), (9, 1)]);
}

/// §6.5.2, INITIAL_WINDOW_SIZE: "Values above the maximum flow-control window size of 2^31-1 MUST be treated as a
/// connection error (Section 5.4.1) of type FLOW_CONTROL_ERROR."
#[test]
fn s6_5_2_h2_23_a_window_beyond_the_maximum() {
    for value in [1 << 31, u32::MAX] {
        every_split(|cut| {
            let [mut server, mut client] = both(cut);
            for side in [&mut server, &mut client] {
                side.feed(settings(&[(4, 0x7fff_ffff)]));
                side.assert_alive();
                side.feed(settings(&[(4, value)]));
                side.assert_connection_error(Code::FLOW_CONTROL_ERROR);
            }
            server
        });
    }
}

/// §6.5.2, MAX_FRAME_SIZE: "The value advertised by an endpoint MUST be between this initial value and the maximum
/// allowed frame size (2^24-1 or 16,777,215 octets), inclusive. Values outside this range MUST be treated as a
/// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_5_2_max_frame_size_has_a_range() {
    for value in [0, 16_383, 1 << 24, u32::MAX] {
        every_split(|cut| {
            let [mut server, mut client] = both(cut);
            for side in [&mut server, &mut client] {
                side.feed(settings(&[(5, 16_384), (5, (1 << 24) - 1)]));
                side.assert_alive();
                side.feed(settings(&[(5, value)]));
                side.assert_connection_error(Code::PROTOCOL_ERROR);
            }
            server
        });
    }
}

/// §6.5.2: "An endpoint that receives a SETTINGS frame with any unknown or unsupported identifier MUST ignore that
/// setting." §6.5.3: "The values in the SETTINGS frame MUST be processed in the order they appear … Once all values have
/// been processed, the recipient MUST immediately emit a SETTINGS frame with the ACK flag set."
#[test]
fn s6_5_3_settings_are_applied_in_order_and_acknowledged() {
    every_split(|cut| {
        let [mut server, mut client] = both(cut);
        for side in [&mut server, &mut client] {
            side.feed(settings(&[(0x1234, 5), (4, 10), (3, 1), (4, 20), (6, 99), (3, 7)]));
            side.assert_alive();
            let sent = side.sent();
            assert_eq!((sent.len(), sent[0].kind, sent[0].flags), (1, SETTINGS, ACK));
            assert_eq!(sent[0].payload, []);
        }
        server.feed(headers(1, GET, END_STREAM));
        assert_eq!(server.answer(1, &[b'x'; 50]), 20, "the last of the two windows");
        assert_eq!(client.connection.streams_available(), 7);
        server
    });
}

/// §6.5.3: a SETTINGS frame that has not come to its end changes nothing.
#[test]
fn s6_5_3_half_a_frame_is_not_applied() {
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, GET, END_STREAM));
    let bytes = settings(&[(4, 10), (1, 0)]);
    server.feed(&bytes[..15]);
    assert_eq!(server.answer(1, &[b'x'; 50]), 50);
    assert!(server.sent().iter().all(|sent| sent.kind != SETTINGS));
    server.feed(&bytes[15..]);
    assert_eq!(server.sent()[0].kind, SETTINGS);
}

/// §6.5.3: "If the sender of a SETTINGS frame does not receive an acknowledgment within a reasonable amount of time, it
/// MAY issue a connection error (Section 5.4.1) of type SETTINGS_TIMEOUT."
#[test]
fn s6_5_3_h2_10_settings_that_are_not_acknowledged_end_the_connection() {
    for role in [Role::Server, Role::Client] {
        let mut side = Side::new(role, Config::default(), Cut::Whole);
        if role == Role::Server {
            side.feed(PREFACE);
        }
        side.feed(settings(&[]));
        side.wait(Duration::from_millis(9_999));
        side.assert_alive();
        side.wait(Duration::from_millis(1));
        side.assert_connection_error(Code::SETTINGS_TIMEOUT);
        assert_eq!(side.ended().unwrap().1, Cause::SettingsTimeout);
    }
    let [server, client] = both(Cut::Whole);
    for mut side in [server, client] {
        assert_eq!(side.connection.next_timeout(), None);
        side.wait(Duration::from_secs(3600));
        side.assert_alive();
    }
}

/// An acknowledgement of nothing.
#[test]
fn s6_5_3_h2_10_an_acknowledgement_too_many_is_a_connection_error() {
    every_split(|cut| {
        let [mut server, mut client] = both(cut);
        for side in [&mut server, &mut client] {
            side.feed(settings_ack());
            side.assert_connection_error(Code::PROTOCOL_ERROR);
            assert_eq!(side.ended().unwrap().1, Cause::SettingsAck);
        }
        server
    });
}

/// Floods: of frames, of frames whose acknowledgements don't go out, of settings in a frame.
#[test]
fn s6_5_h2_10_floods_of_settings_end_the_connection() {
    let [server, client] = both(Cut::Whole);
    for mut side in [server, client] {
        // One came with the preface.
        for _ in 0..31 {
            side.feed(settings(&[]));
            side.assert_alive();
        }
        side.feed(settings(&[]));
        side.assert_connection_error(Code::ENHANCE_YOUR_CALM);
    }
    let [server, client] = both(Cut::Whole);
    for mut side in [server, client] {
        let many = settings(&[]).repeat(17);
        let mut at = 0;
        while at < many.len() && side.error.is_none() {
            match side.connection.receive(&many[at..], side.now) {
                Ok(received) => at += received.consumed,
                Err(error) => side.error = Some(error),
            }
        }
        side.assert_connection_error(Code::ENHANCE_YOUR_CALM);
    }
    let [server, client] = both(Cut::Whole);
    for mut side in [server, client] {
        side.feed(settings(&[(4, 1000); 64]));
        side.assert_alive();
        side.feed(settings(&[(4, 1000); 65]));
        side.assert_connection_error(Code::ENHANCE_YOUR_CALM);
    }
}

/// RFC 8441 §3: "A sender MUST NOT send a SETTINGS_ENABLE_CONNECT_PROTOCOL parameter with the value of 0 after
/// previously sending a value of 1." RFC 9218 §2.1: "Endpoints MUST NOT change … Receivers MUST treat … as a connection
/// error of type PROTOCOL_ERROR."
#[test]
fn s6_5_2_settings_of_extensions() {
    for (id, first, second) in [(8, 1, 0), (8, 2, 2), (9, 0, 1), (9, 1, 0), (9, 2, 2)] {
        every_split(|cut| {
            let [mut server, mut client] = both(cut);
            for side in [&mut server, &mut client] {
                side.feed(settings(&[(id, first)]));
                side.feed(settings(&[(id, second)]));
                side.assert_connection_error(Code::PROTOCOL_ERROR);
            }
            server
        });
    }
}

/// The size of a list as §6.5.2 counts it.
fn list_bytes(payload: &[u8], decoder: &mut corelane_codec::hpack::Decoder) -> u64 {
    decoder.begin(Default::default());
    decoder.decode(payload, true, |_| {}).unwrap();
    decoder.charged().bytes
}

/// §6.5.2, MAX_HEADER_LIST_SIZE: "informs a peer of the maximum field section size that the sender is prepared to accept,
/// in units of octets. The value is based on the uncompressed size of field lines, including the length of the name and
/// value in units of octets plus an overhead of 32 octets for each field line." What is longer is not sent, to the octet,
/// and not encoded either: both tables stay the same.
#[test]
fn s6_5_2_a_client_keeps_the_peers_list_size() {
    let (mut head, mut decoder) = (request("/path"), corelane_codec::hpack::Decoder::new(4096));
    head.fields.append("X-Long", "y".repeat(900));
    let mut client = Side::client(Cut::Whole);
    assert_eq!(client.connection.peer_list_bytes_max(), u32::MAX);
    client.connection.send_request(&head, &mut client.out).unwrap();
    let bytes = list_bytes(&client.sent_of(HEADERS)[0].payload, &mut decoder) as u32;
    head.fields.append("X-Other", "z");
    for (limit, fits) in [(bytes + 39, false), (bytes + 40, true), (bytes + 5_000, true), (0, false)] {
        client.feed(settings(&[(6, limit)]));
        client.sent();
        assert_eq!(client.connection.peer_list_bytes_max(), limit);
        let asked = client.connection.send_request(&head, &mut client.out);
        assert_eq!(asked.err().map(|error| error.cause), (!fits).then_some(Cause::ListTooLong), "{limit}");
        let sent = client.sent_of(HEADERS);
        assert_eq!(sent.len(), usize::from(fits));
        sent.iter()
            .for_each(|sent| assert_eq!(list_bytes(&sent.payload, &mut decoder), u64::from(bytes) + 40));
    }
    client.feed(settings(&[(6, u32::MAX)]));
    assert_eq!(client.ask("/"), 7, "what was not sent has opened no stream");
}

/// The same of a server, which may then send another head.
#[test]
fn s6_5_2_a_server_keeps_the_peers_list_size() {
    let mut server = Side::server(Cut::Whole);
    let get = [GET, &[("te", "trailers")]].concat();
    server.feed([settings(&[(6, 120)]), headers(1, &get, END_STREAM)].concat());
    server.sent();
    let too_long = |result: Result<(), corelane_codec::h2::Error>| {
        assert_eq!(result.map_err(|error| error.cause), Err(Cause::ListTooLong));
    };
    let mut fields = corelane_codec::Fields::new();
    fields.append("x", "y".repeat(90));
    assert!(!server.connection.inform(id(1), http::StatusCode::EARLY_HINTS, &fields, &mut server.out));
    let mut head = response(200, corelane_codec::Length::Chunked);
    head.fields.append("x", "y".repeat(46));
    too_long(server.connection.send_response(id(1), &head, &mut server.out).map(drop));
    head.fields.set("x", "y".repeat(45));
    assert_eq!(server.sent(), []);
    assert_eq!(server.connection.send_response(id(1), &head, &mut server.out), Ok(false));
    fields.set("x", "y".repeat(88));
    too_long(server.connection.send_trailers(id(1), &fields, &mut server.out));
    fields.set("x", "y".repeat(87));
    server.connection.send_trailers(id(1), &fields, &mut server.out).unwrap();
    let mut decoder = corelane_codec::hpack::Decoder::new(4096);
    let all: Vec<u64> =
        server.sent_of(HEADERS).iter().map(|sent| list_bytes(&sent.payload, &mut decoder)).collect();
    assert_eq!(all, [120, 120]);
}

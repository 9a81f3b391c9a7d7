//! RFC 9113 §5.1: stream states.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code, Config};

/// §5.1, idle: "Receiving any frame other than HEADERS or PRIORITY on a stream in this state MUST be treated as a
/// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s5_1_h2_17_frames_on_an_idle_stream_are_a_connection_error() {
    for stream in [1, 3, 2, 0x7fff_ffff] {
        for bytes in [data(stream, b"abc", 0), reset(stream, Code::CANCEL), window_update(stream, 1)] {
            for side in [Side::server as fn(Cut) -> Side, Side::client] {
                every_split(|cut| {
                    let mut side = side(cut);
                    side.feed(&bytes);
                    side.assert_connection_error(Code::PROTOCOL_ERROR);
                    assert_eq!(side.ended().unwrap().1, Cause::Idle);
                    side
                });
            }
        }
    }
}

/// §5.1: "Note that PRIORITY can be sent and received in any stream state."
#[test]
fn s5_1_priority_is_taken_in_any_state() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        let priority = |stream| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 1]);
        server.feed(priority(9));
        server.feed(headers(1, GET, END_STREAM));
        server.feed(priority(1));
        server.answer(1, b"");
        server.feed(priority(1));
        server.connection.close(id(1));
        server.feed(priority(1));
        server.feed(priority(2));
        server.assert_alive();
        assert_eq!(server.said.len(), 1);
        server
    });
}

/// §5.1, idle: "If this stream is initiated by the server … then receiving a HEADERS frame MUST also be treated as a
/// connection error (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s5_1_a_server_opens_no_stream_by_headers() {
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(headers(2, OK, END_STREAM));
        client.assert_connection_error(Code::PROTOCOL_ERROR);
        client
    });
    // Nor does it answer what nobody asked.
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(headers(3, OK, END_STREAM));
        client.assert_connection_error(Code::PROTOCOL_ERROR);
        client
    });
}

/// §5.1, half-closed (remote): "If an endpoint receives additional frames, other than WINDOW_UPDATE, PRIORITY, or
/// RST_STREAM, for a stream that is in this state, it MUST respond with a stream error (Section 5.4.2) of type
/// STREAM_CLOSED."
#[test]
fn s5_1_h2_02_frames_behind_end_stream_are_a_stream_error() {
    for bytes in [data(1, b"x", 0), data(1, b"", END_STREAM), headers(1, &[("a", "b")], END_STREAM)] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(headers(1, GET, END_STREAM));
            server.feed(&bytes);
            server.assert_stream_error(1, Code::STREAM_CLOSED);
            server
        });
        every_split(|cut| {
            let mut client = Side::client(cut);
            let head =
                corelane_codec::RequestHead { content: corelane_codec::Length::Chunked, ..request("/") };
            client.connection.send_request(&head, &mut client.out).unwrap();
            client.feed(headers(1, OK, END_STREAM));
            client.feed(&bytes);
            client.assert_stream_error(1, Code::STREAM_CLOSED);
            client
        });
    }
}

/// §5.1, half-closed (remote): WINDOW_UPDATE, PRIORITY and RST_STREAM are taken.
#[test]
fn s5_1_small_frames_behind_end_stream_are_fine() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, GET, END_STREAM));
        server.feed([window_update(1, 9), frame(PRIORITY, 0, 1, &[0; 5])].concat());
        server.assert_alive();
        server.feed(reset(1, Code::CANCEL));
        server.assert_alive();
        assert!(matches!(server.said[1], Said::Reset(1, error) if error.code == Code::CANCEL));
        server
    });
}

/// §5.1, half-closed (local): "An endpoint can receive any type of frame in this state."
#[test]
fn s5_1_the_peer_goes_on_after_our_end() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, POST, 0));
        server.answer(1, b"done");
        server.feed(window_update(1, 10));
        server.feed(data(1, b"more", 0));
        server.feed(headers(1, &[("a", "b")], END_STREAM));
        server.assert_alive();
        assert_eq!(server.content(1), (b"more".to_vec(), true));
        server
    });
}

/// §5.1, closed: "An endpoint MUST NOT send frames other than PRIORITY on a closed stream."
#[test]
fn s5_1_nothing_is_sent_on_a_closed_stream() {
    let [mut server, mut client] = Side::both(Cut::Whole);
    for side in [&mut server, &mut client] {
        side.feed(reset(1, Code::CANCEL));
        side.sent();
        let now = side.now;
        assert!(side.connection.send_data(id(1), 1, false, now).is_err());
        assert!(side.connection.offer(id(1), 1, now).is_err());
        assert!(side.connection.send_end(id(1), &mut side.out).is_err());
        assert!(side.connection.send_trailers(id(1), &Default::default(), &mut side.out).is_err());
        side.connection.reset(id(1), Code::CANCEL);
        side.connection.release(id(1), 1000);
        side.connection.close(id(1));
        assert_eq!(side.sent(), []);
    }
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, GET, END_STREAM));
    server.answer(1, b"x");
    server.sent();
    let head = response(200, corelane_codec::Length::None);
    assert!(server.connection.send_response(id(1), &head, &mut server.out).is_err());
    assert!(!server.connection.inform(
        id(1),
        http::StatusCode::CONTINUE,
        &Default::default(),
        &mut server.out
    ));
    assert_eq!(server.sent(), []);
}

/// §5.1, closed: "An endpoint MAY treat receipt of any other type of frame on a closed stream as a connection error
/// (Section 5.4.1) of type STREAM_CLOSED". We do where both sides came to their ends or the peer reset the stream, and
/// whether the application has closed it or not.
#[test]
fn s5_1_content_on_a_stream_that_has_ended_is_a_connection_error() {
    for bytes in [data(1, b"x", 0), headers(1, &[("a", "b")], END_STREAM)] {
        for closes in [false, true] {
            every_split(|cut| {
                let mut server = Side::server(cut);
                server.feed(headers(1, GET, END_STREAM));
                server.answer(1, b"x");
                if closes {
                    server.connection.close(id(1));
                }
                server.feed(&bytes);
                server.assert_connection_error(Code::STREAM_CLOSED);
                server
            });
            every_split(|cut| {
                let mut client = Side::asking(cut);
                client.feed(headers(1, OK, END_STREAM));
                if closes {
                    client.connection.close(id(1));
                }
                client.feed(&bytes);
                client.assert_connection_error(Code::STREAM_CLOSED);
                client
            });
            every_split(|cut| {
                let [mut server, mut client] = Side::both(cut);
                for side in [&mut server, &mut client] {
                    side.feed(reset(1, Code::CANCEL));
                    if closes {
                        side.connection.close(id(1));
                    }
                    side.feed(&bytes);
                    side.assert_connection_error(Code::STREAM_CLOSED);
                }
                server
            });
        }
    }
}

/// §5.1, closed: "An endpoint that sends a frame with the END_STREAM flag set or a RST_STREAM frame might receive a
/// WINDOW_UPDATE or RST_STREAM frame from its peer in the time before the peer receives and processes the frame that
/// closes the stream."
#[test]
fn s5_1_small_frames_on_a_closed_stream_are_ignored() {
    for closes in [false, true] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(headers(1, GET, END_STREAM));
            server.answer(1, b"x");
            if closes {
                server.connection.close(id(1));
            }
            server.said.clear();
            server.sent();
            for bytes in
                [window_update(1, 1), window_update(1, 0), reset(1, Code::CANCEL), reset(1, Code::CANCEL)]
            {
                server.feed(bytes);
            }
            server.assert_alive();
            assert_eq!((server.said.len(), server.sent().len()), (0, 0));
            server
        });
    }
}

/// §5.1, closed: after RST_STREAM "An endpoint MUST minimally process and then discard any frames it receives in this
/// state. This means updating header compression state for HEADERS … Additionally, the content of DATA frames counts
/// toward the connection flow-control window."
#[test]
fn s5_1_h2_32_what_was_under_way_when_we_reset_is_processed_and_discarded() {
    for closes in [false, true] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(headers(1, POST, 0));
            server.connection.reset(id(1), Code::CANCEL);
            if closes {
                server.connection.close(id(1));
            }
            server.said.clear();
            server.sent();
            // More than the connection's window in all: it is given back.
            for _ in 0..20 {
                server.feed(data(1, &[b'x'; 10_000], 0));
            }
            let credit: u32 =
                server.sent().iter().filter(|sent| sent.kind == WINDOW_UPDATE).map(Sent::number).sum();
            assert!(credit >= 128 << 10, "{credit}");
            // Trailers that fill the table, and a request that refers to it.
            let trailers = [&[0x40, 1, b'a', 1], &b"b"[..]].concat();
            server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers));
            assert_eq!(server.said, []);
            let indexed = [block(GET), vec![0xbe]].concat();
            server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 3, &indexed));
            server.assert_alive();
            assert_eq!(server.requests()[0].fields.get("a"), Some(&b"b"[..]));
            server
        });
    }
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.connection.close(id(1));
        client.sent();
        client.feed([headers(1, OK, 0), data(1, b"late", END_STREAM)].concat());
        client.assert_alive();
        assert_eq!((client.said.len(), client.sent().len()), (0, 0));
        client
    });
}

/// A frame is cut, and the stream is given up between its pieces: nothing of it is delivered, all of it is given back.
#[test]
fn s5_1_h2_32_a_reset_in_the_middle_of_a_frame() {
    let [mut server, mut client] = Side::both(Cut::Whole);
    for side in [&mut server, &mut client] {
        side.releases = false;
        for round in 0..30_u32 {
            let stream = match side.connection.role() {
                corelane_codec::h2::Role::Server if round > 0 => {
                    side.feed(headers(1 + 2 * round, POST, 0));
                    1 + 2 * round
                }
                corelane_codec::h2::Role::Client if round > 0 => {
                    let stream = side.ask("/");
                    side.feed(headers(stream, OK, 0));
                    stream
                }
                _ => 1,
            };
            side.said.clear();
            let bytes = data(stream, &[b'x'; 16_000], 0);
            side.feed(&bytes[..5_000]);
            side.connection.close(id(stream));
            side.feed(&bytes[5_000..]);
            side.assert_alive();
            assert_eq!(side.content(stream).0.len(), 5_000 - 9);
        }
    }
}

/// §5.1.1: "Streams initiated by a client MUST use odd-numbered stream identifiers … The identifier of a newly
/// established stream MUST be numerically greater than all streams that the initiating endpoint has opened … An
/// endpoint that receives an unexpected stream identifier MUST respond with a connection error (Section 5.4.1) of type
/// PROTOCOL_ERROR."
#[test]
fn s5_1_1_h2_17_identifiers_of_a_client_are_odd_and_grow() {
    for (first, second) in [(1, 2), (5, 3), (5, 1), (7, 4), (1, 0)] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(headers(first, GET, END_STREAM));
            server.assert_alive();
            server.feed(headers(second, GET, END_STREAM));
            server.assert_connection_error(Code::PROTOCOL_ERROR);
            server
        });
    }
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(2, GET, END_STREAM));
        server.assert_connection_error(Code::PROTOCOL_ERROR);
        server
    });
}

/// §5.1.1: "Stream identifiers cannot be reused."
#[test]
fn s5_1_1_h2_17_an_identifier_is_not_used_again() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, GET, END_STREAM));
        server.answer(1, b"");
        server.connection.close(id(1));
        server.feed(headers(1, GET, END_STREAM));
        server.assert_connection_error(Code::STREAM_CLOSED);
        server
    });
    let mut client = Side::client(Cut::Whole);
    for expected in [1, 3, 5, 7] {
        assert_eq!(client.ask("/"), expected);
        client.connection.close(id(expected));
    }
}

/// §5.1.1: "When a stream transitions out of the "idle" state, all streams in the "idle" state that might have been
/// opened by the peer with a lower-valued stream identifier immediately transition to "closed"."
#[test]
fn s5_1_1_streams_that_were_passed_over_are_closed() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(9, GET, END_STREAM));
        server.feed(window_update(3, 1));
        server.feed(reset(5, Code::CANCEL));
        server.assert_alive();
        server.feed(headers(7, GET, END_STREAM));
        server.assert_connection_error(Code::PROTOCOL_ERROR);
        server
    });
}

/// §5.1.1: "A server that is unable to establish a new stream identifier can send a GOAWAY frame so that the client is
/// forced to open a new connection for new streams." Ours does for the client that has none left.
#[test]
fn s5_1_1_h2_19_the_last_identifier_is_followed_by_goaway() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(0x7fff_ffff, GET, END_STREAM));
        assert_eq!(server.requests().len(), 1);
        server.assert_alive();
        let sent = server.sent_of(GOAWAY);
        assert_eq!((sent[0].number(), sent[0].code()), (0x7fff_ffff, Code::NO_ERROR));
        assert_eq!(server.answer(0x7fff_ffff, b"hello"), 5);
        server
    });
}

/// §5.1.2: "An endpoint that receives a HEADERS frame that causes its advertised concurrent stream limit to be exceeded
/// MUST treat this as a stream error (Section 5.4.2) of type PROTOCOL_ERROR or REFUSED_STREAM."
#[test]
fn s5_1_2_h2_18_streams_beyond_the_limit_are_refused() {
    let few = |cut| {
        let mut config = Config::default();
        config.streams_max = 2;
        Side::server_with(config, cut)
    };
    every_split(|cut| {
        let mut server = few(cut);
        server.feed([headers(1, GET, END_STREAM), headers(3, POST, 0)].concat());
        let indexed = [block(POST), vec![0x40, 1, b'a', 1, b'b']].concat();
        server.feed(frame(HEADERS, END_HEADERS, 5, &indexed));
        server.assert_stream_error(5, Code::REFUSED_STREAM);
        assert_eq!(server.requests().len(), 2);
        // What follows on it is ignored, and its fields are in the table.
        server.feed(data(5, b"abc", END_STREAM));
        server.assert_alive();
        server.answer(1, b"");
        server.connection.close(id(1));
        server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 7, &[block(GET), vec![0xbe]].concat()));
        assert_eq!(server.requests()[2].fields.get("a"), Some(&b"b"[..]));
        server
    });
    let mut server = Side::new(corelane_codec::h2::Role::Server, Config::default(), Cut::Whole);
    let sent = server.sent();
    assert!(sent[0].payload.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 100]), "{sent:?}");
}

/// As above; whoever goes on and on is told to calm down.
#[test]
fn s5_1_2_h2_18_refusals_have_an_end() {
    let mut config = Config::default();
    config.streams_max = 1;
    let mut server = Side::server_with(config, Cut::Whole);
    server.feed(headers(1, GET, END_STREAM));
    for n in 1..=200 {
        server.feed(headers(2 * n + 1, GET, END_STREAM));
        server.assert_alive();
    }
    server.feed(headers(403, GET, END_STREAM));
    server.assert_connection_error(Code::ENHANCE_YOUR_CALM);
}

/// A stream counts until the application has closed it, however it ended.
#[test]
fn s5_1_2_h2_01_a_reset_stream_counts_until_its_work_has_stopped() {
    let mut config = Config::default();
    config.streams_max = 2;
    let mut server = Side::server_with(config, Cut::Whole);
    server.feed([headers(1, GET, END_STREAM), reset(1, Code::CANCEL)].concat());
    server.feed([headers(3, GET, END_STREAM), reset(3, Code::CANCEL)].concat());
    server.feed(headers(5, GET, END_STREAM));
    server.assert_stream_error(5, Code::REFUSED_STREAM);
    server.connection.close(id(1));
    server.feed(headers(7, GET, END_STREAM));
    assert_eq!(server.requests().len(), 3);
}

/// §5.1.2: "Endpoints MUST NOT exceed the limit set by their peer."
#[test]
fn s5_1_2_a_client_keeps_to_the_servers_limit() {
    let mut client = Side::new(corelane_codec::h2::Role::Client, Config::default(), Cut::Whole);
    assert_eq!(client.connection.streams_available(), 100);
    client.feed([settings(&[(3, 2)]), settings_ack()].concat());
    assert_eq!(client.connection.streams_available(), 2);
    let first = client.ask("/");
    client.ask("/");
    client.sent();
    let error = client.connection.send_request(&request("/"), &mut client.out).unwrap_err();
    assert_eq!(error.cause, Cause::StreamsBusy);
    assert_eq!(client.sent(), []);
    client.feed(headers(first, OK, END_STREAM));
    assert_eq!(client.connection.streams_available(), 1);
    client.feed(settings(&[(3, 0)]));
    assert_eq!(client.connection.streams_available(), 0);
    client.feed(settings(&[(3, 50)]));
    assert_eq!(client.connection.streams_available(), 49);
}

/// §5.1: "An endpoint that sends a RST_STREAM frame on a stream … MUST be prepared to receive any frames that the peer
/// might have sent": of all streams that may be refused at once, and of all that are open at a time.
#[test]
fn s5_1_h2_18_late_frames_of_a_burst_of_refused_streams() {
    let config = Config::default();
    let (open, refused) = (config.streams_max, config.budgets.refused_streams.burst);
    let mut server = Side::server_with(config, Cut::Whole);
    for n in 0..open + refused {
        server.feed(headers(2 * n + 1, POST, 0));
    }
    assert_eq!(server.requests().len(), open as usize);
    for n in 0..open {
        server.connection.reset(id(2 * n + 1), Code::CANCEL);
        server.connection.close(id(2 * n + 1));
    }
    for n in 0..open + refused {
        server.feed([data(2 * n + 1, b"late", 0), headers(2 * n + 1, &[("a", "b")], END_STREAM)].concat());
        server.assert_alive();
    }
}

//! RFC 9113 §6.9 and §5.2: WINDOW_UPDATE and flow control.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code, Config, Role};
use corelane_codec::{Length, RequestHead};

/// A client that uploads on stream 1, or a server that answers on it, after the peer's settings.
fn senders(cut: Cut, said: &[(u16, u32)]) -> [Side; 2] {
    let mut server = Side::new(Role::Server, Config::default(), cut);
    server.feed([PREFACE, &settings(said), &settings_ack(), &headers(1, GET, END_STREAM)].concat());
    let head = response(200, Length::Chunked);
    server.connection.send_response(id(1), &head, &mut server.out).unwrap();
    let mut client = Side::new(Role::Client, Config::default(), cut);
    client.feed([settings(said), settings_ack()].concat());
    let head = RequestHead { content: Length::Chunked, ..request("/") };
    client.connection.send_request(&head, &mut client.out).unwrap();
    [server, client].map(|mut side| {
        side.sent();
        side
    })
}

/// §6.9: "A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a flow-control window increment of 0 as a
/// stream error (Section 5.4.2) of type PROTOCOL_ERROR; errors on the connection flow-control window MUST be treated as
/// a connection error (Section 5.4.1)."
#[test]
fn s6_9_h2_02_an_increment_of_0() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(window_update(1, 0));
            side.assert_stream_error(1, Code::PROTOCOL_ERROR);
            side.feed(window_update(0, 0));
            side.assert_connection_error(Code::PROTOCOL_ERROR);
            assert_eq!(side.ended().unwrap().1, Cause::WindowZero);
        }
        server
    });
}

/// §6.9: "a receiver could receive a WINDOW_UPDATE frame on a stream in a "half-closed (remote)" or "closed" state. A
/// receiver MUST NOT treat this as an error".
#[test]
fn s6_9_an_update_behind_the_end_is_fine() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed([data(1, b"x", END_STREAM), window_update(1, 1)].concat());
            side.connection.close(id(1));
            side.feed(window_update(1, 1));
            side.assert_alive();
        }
        server
    });
}

/// §6.9: "A receiver that receives a flow-controlled frame MUST always account for its contribution against the
/// connection flow-control window, unless the receiver treats this as a connection error (Section 5.4.1). This is
/// necessary even if the frame is in error."
#[test]
fn s6_9_a_frame_in_error_counts_for_the_connection() {
    let mut server = Side::server(Cut::Whole);
    server.releases = false;
    // Content that is longer than it was said to be, twenty times: more than the connection's window in all, so it
    // must have been given back, and never more than what came.
    let mut credit = 0;
    for n in 0..20 {
        let stream = 2 * n + 1;
        server.feed(headers(stream, &[POST, &[("content-length", "5")]].concat(), 0));
        server.feed(data(stream, &[b'x'; 16_384], END_STREAM));
        server.connection.close(id(stream));
        credit += server.sent_of(WINDOW_UPDATE).iter().map(Sent::number).sum::<u32>();
        assert!(credit <= (n + 1) * 16_384);
    }
    server.assert_alive();
    assert!(credit >= 20 * 16_384 - (64 << 10));
}

/// §6.9: "A WINDOW_UPDATE frame with a length other than 4 octets MUST be treated as a connection error (Section 5.4.1)
/// of type FRAME_SIZE_ERROR."
#[test]
fn s6_9_a_wrong_length_is_a_connection_error() {
    for (stream, len) in [(0, 0), (0, 3), (1, 5), (1, 8)] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(WINDOW_UPDATE, 0, stream, &vec![1; len]));
                side.assert_connection_error(Code::FRAME_SIZE_ERROR);
            }
            server
        });
    }
}

/// §6.9.1: "The sender MUST NOT send a flow-controlled frame with a length that exceeds the space available in either of
/// the flow-control windows advertised by the receiver."
#[test]
fn s6_9_1_h2_22_no_more_is_sent_than_both_windows_have() {
    let [server, client] = senders(Cut::Whole, &[]);
    for mut side in [server, client] {
        let content = vec![b'x'; 200_000];
        assert_eq!(side.send(1, &content, true), 65_535);
        // The stream's alone is not enough, and not the connection's alone.
        side.feed(window_update(1, 100_000));
        assert_eq!(side.send(1, &content, true), 0);
        assert_eq!(side.connection.room(id(1)), 0);
        assert!(side.connection.send_data(id(1), 1, false, side.now).is_err());
        side.feed(window_update(0, 5_000));
        assert_eq!(side.connection.room(id(1)), 5_000);
        assert!(side.connection.send_data(id(1), 5_001, false, side.now).is_err());
        assert_eq!(side.send(1, &content, true), 5_000);
        side.feed(window_update(0, 100_000));
        assert_eq!(side.send(1, &content, true), 95_000);
        side.assert_alive();
    }
}

/// §6.9.1: "Frames with zero length with the END_STREAM flag set (that is, an empty DATA frame) MAY be sent if there is
/// no available space in either flow-control window."
#[test]
fn s6_9_1_an_end_needs_no_room() {
    let [server, client] = senders(Cut::Whole, &[(4, 0)]);
    for mut side in [server, client] {
        assert_eq!(side.send(1, b"abc", true), 0);
        side.connection.send_end(id(1), &mut side.out).unwrap();
        let sent = side.sent();
        assert_eq!((sent[0].kind, sent[0].flags, sent[0].payload.len()), (DATA, END_STREAM, 0));
        assert_eq!(side.connection.next_data(side.now), None);
    }
}

/// §6.9.1: "Receivers are advised to have mechanisms in place to avoid sending WINDOW_UPDATE frames with very small
/// increments".
#[test]
fn s6_9_1_h2_16_updates_are_large() {
    let [mut server, mut client] = Side::both(Cut::Whole);
    for side in [&mut server, &mut client] {
        side.sent();
        for _ in 0..100_000 {
            side.feed(data(1, b"x", 0));
        }
        side.assert_alive();
        let sent = side.sent();
        let own: Vec<_> = sent.iter().filter(|sent| sent.stream == 1).map(Sent::number).collect();
        let all: Vec<_> = sent.iter().filter(|sent| sent.stream == 0).map(Sent::number).collect();
        assert_eq!((own, all), (vec![32_768; 3], vec![49_152; 2]));
    }
}

/// §6.9.1: "If a sender receives a WINDOW_UPDATE that causes a flow-control window to exceed this maximum, it MUST
/// terminate either the stream or the connection, as appropriate. For streams, the sender sends a RST_STREAM with an
/// error code of FLOW_CONTROL_ERROR; for the connection, a GOAWAY frame with an error code of FLOW_CONTROL_ERROR is
/// sent."
#[test]
fn s6_9_1_h2_02_a_window_beyond_the_maximum() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(window_update(1, 0x7fff_ffff - 65_535));
            side.feed(window_update(0, 0x7fff_ffff - 65_535));
            side.assert_alive();
            side.feed(window_update(1, 1));
            side.assert_stream_error(1, Code::FLOW_CONTROL_ERROR);
            side.feed(window_update(0, 1));
            side.assert_connection_error(Code::FLOW_CONTROL_ERROR);
        }
        server
    });
}

/// What is sent beyond our windows: the stream's ends the stream, the connection's the connection.
#[test]
fn s6_9_1_h2_22_a_peer_that_sends_too_much() {
    let [mut server, mut client] = Side::both(Cut::Whole);
    for side in [&mut server, &mut client] {
        side.releases = false;
        for _ in 0..3 {
            side.feed(data(1, &[b'x'; 16_384], 0));
        }
        side.feed(data(1, &[b'x'; 16_383], 0));
        side.assert_alive();
        side.feed(data(1, b"x", 0));
        side.assert_stream_error(1, Code::FLOW_CONTROL_ERROR);
    }
    let mut server = Side::server(Cut::Whole);
    server.releases = false;
    for n in 0..3 {
        server.feed(headers(2 * n + 1, POST, 0));
    }
    for _ in 0..6 {
        server.feed(data(1, &[b'x'; 8_000], 0));
        server.feed(data(3, &[b'x'; 8_000], 0));
    }
    server.feed(data(5, &[b'x'; 98_304 - 96_000], 0));
    server.assert_alive();
    server.feed(data(5, b"x", 0));
    server.assert_connection_error(Code::FLOW_CONTROL_ERROR);
}

/// §6.9.2: "When the value of SETTINGS_INITIAL_WINDOW_SIZE changes, a receiver MUST adjust the size of all stream
/// flow-control windows that it maintains by the difference between the new value and the old value." "A sender MUST
/// track the negative flow-control window and MUST NOT send new flow-controlled frames until it receives WINDOW_UPDATE
/// frames that cause the flow-control window to become positive."
#[test]
fn s6_9_2_h2_23_windows_may_become_negative() {
    for cut in [Cut::Whole, Cut::EveryByte] {
        let [server, client] = senders(cut, &[]);
        for mut side in [server, client] {
            let content = vec![b'x'; 200_000];
            assert_eq!(side.send(1, &content[..60_000], false), 60_000);
            side.feed([settings(&[(4, 16_384)]), window_update(0, 1 << 20)].concat());
            // 16,384 - 60,000 = -43,616.
            assert_eq!(side.send(1, &content, false), 0);
            side.feed(window_update(1, 43_616));
            assert_eq!(side.send(1, &content, false), 0);
            side.feed(window_update(1, 1));
            assert_eq!(side.send(1, &content, false), 1);
            side.feed(settings(&[(4, 16_384 + 10)]));
            assert_eq!(side.send(1, &content, false), 10);
            side.feed(settings(&[(4, 0)]));
            assert_eq!(side.send(1, &content, false), 0);
            side.feed(settings(&[(4, 16_384 + 30)]));
            assert_eq!(side.send(1, &content, false), 20);
        }
    }
}

/// §6.9.2: "A SETTINGS frame cannot alter the connection flow-control window."
#[test]
fn s6_9_2_settings_do_not_change_the_connections_window() {
    let [server, client] = senders(Cut::Whole, &[(4, 1 << 20)]);
    for mut side in [server, client] {
        assert_eq!(side.send(1, &vec![b'x'; 200_000], true), 65_535);
    }
}

/// §6.9.2: "An endpoint MUST treat a change to SETTINGS_INITIAL_WINDOW_SIZE that causes any flow-control window to
/// exceed the maximum size as a connection error (Section 5.4.1) of type FLOW_CONTROL_ERROR."
#[test]
fn s6_9_2_h2_23_a_change_that_exceeds_the_maximum() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(window_update(1, 0x7fff_0000));
            side.assert_alive();
            side.feed(settings(&[(4, 65_536)]));
            side.assert_connection_error(Code::FLOW_CONTROL_ERROR);
        }
        server
    });
}

/// As above: a window that nothing is sent by any more can't exceed anything.
#[test]
fn s6_9_2_h2_23_windows_of_closed_streams_do_not_matter() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed([headers(1, GET, END_STREAM), window_update(1, 0x7fff_0000)].concat());
        server.answer(1, b"x");
        server.feed(settings(&[(4, 1 << 20)]));
        server.assert_alive();
        server
    });
}

/// §6.9.2: "Prior to receiving a SETTINGS frame that sets a value for SETTINGS_INITIAL_WINDOW_SIZE, an endpoint can only
/// use the default initial window size when sending flow-controlled frames."
#[test]
fn s6_9_2_the_default_holds_until_settings_come() {
    let mut client = Side::new(Role::Client, Config::default(), Cut::Whole);
    let head = RequestHead { content: Length::Chunked, ..request("/") };
    client.connection.send_request(&head, &mut client.out).unwrap();
    assert_eq!(client.send(1, &vec![b'x'; 100_000], false), 65_535);
}

/// §6.9.3: "the receiver MUST be prepared to receive data that exceeds this window size, since the sender might send
/// data that exceeds the lower limit prior to processing the SETTINGS frame."
#[test]
fn s6_9_3_a_smaller_window_holds_once_it_is_acknowledged() {
    for acknowledged in [false, true] {
        let mut config = Config::default();
        config.stream_window_bytes = 1_000;
        let mut server = Side::new(Role::Server, config, Cut::Whole);
        server.releases = false;
        server.feed([PREFACE, &settings(&[]), &headers(1, POST, 0)].concat());
        if acknowledged {
            server.feed(settings_ack());
            server.feed(data(1, &[b'x'; 1_000], 0));
            server.assert_alive();
            server.feed(data(1, b"x", 0));
            server.assert_stream_error(1, Code::FLOW_CONTROL_ERROR);
        } else {
            for _ in 0..4 {
                server.feed(data(1, &[b'x'; 16_000], 0));
            }
            server.assert_alive();
            server.feed(settings_ack());
            // The window is -63,000 now; what is released brings it back to a thousand.
            server.connection.release(id(1), 64_000);
            server.feed(data(1, &[b'x'; 1_000], 0));
            server.assert_alive();
            server.feed(data(1, b"x", 0));
            server.assert_stream_error(1, Code::FLOW_CONTROL_ERROR);
        }
    }
}

/// Content that nobody has released is given back when its stream is closed.
#[test]
fn s6_9_1_a_closed_stream_gives_back_what_it_held() {
    let mut server = Side::server(Cut::Whole);
    server.releases = false;
    for n in 0..20 {
        let stream = 2 * n + 1;
        server.feed(headers(stream, POST, 0));
        for _ in 0..3 {
            server.feed(data(stream, &[b'x'; 16_384], 0));
        }
        server.assert_alive();
        server.connection.close(id(stream));
    }
    // What is released late, or twice, or more than there was, counts for nothing.
    server.sent();
    server.connection.release(id(1), 1 << 20);
    server.connection.release(id(39), 1 << 20);
    assert_eq!(server.sent(), []);
}

/// As above; of a stream that is closed, and that the application still has, there is no window that could overflow.
#[test]
fn s6_9_2_a_closed_stream_has_no_window() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed([headers(1, GET, END_STREAM), window_update(1, 0x7fff_ffff - 65_535)].concat());
        server.feed(reset(1, Code::CANCEL));
        server.feed(settings(&[(4, 65_536)]));
        server.assert_alive();
        server.feed([headers(3, GET, END_STREAM), window_update(3, 0x7fff_ffff - 65_536)].concat());
        server.feed(settings(&[(4, 65_537)]));
        server.assert_connection_error(Code::FLOW_CONTROL_ERROR);
        server
    });
}

/// §6.9.2: streams with active windows are those "in the "open" or "half-closed (remote)" state"; §5.1, half-closed
/// (local): "A receiver can ignore WINDOW_UPDATE frames in this state". A peer that has made its initial window smaller
/// may give as much as it likes to a message that has ended.
#[test]
fn s6_9_2_a_message_that_was_sent_has_no_window() {
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, POST, 0));
    server.answer(1, b"ended");
    server.feed([settings(&[(4, 0)]), window_update(1, 0x7fff_ffff)].concat());
    server.assert_alive();
    assert_eq!(server.sent_of(RST_STREAM), []);
    server.feed(window_update(1, 0));
    server.assert_stream_error(1, Code::PROTOCOL_ERROR);
}

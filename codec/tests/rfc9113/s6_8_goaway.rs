//! RFC 9113 §6.8: GOAWAY.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code, Role};
use std::time::Duration;

/// §6.8: "An endpoint MUST treat a GOAWAY frame with a stream identifier other than 0x00 as a connection error
/// (Section 5.4.1) of type PROTOCOL_ERROR."
#[test]
fn s6_8_goaway_on_a_stream_is_a_connection_error() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(frame(GOAWAY, 0, 1, &[0; 8]));
            side.assert_connection_error(Code::PROTOCOL_ERROR);
        }
        server
    });
}

/// §6.8: "Receivers of a GOAWAY frame MUST NOT open additional streams on the connection". "If the receiver of the
/// GOAWAY has sent data on streams with a higher stream identifier than what is indicated in the GOAWAY frame, those
/// streams are not or will not be processed."
#[test]
fn s6_8_h2_34_h2_37_a_client_opens_no_more_and_learns_what_was_not_processed() {
    every_split(|cut| {
        let mut client = Side::client(cut);
        for _ in 0..3 {
            client.ask("/");
        }
        client.sent();
        client.feed(frame(GOAWAY, 0, 0, &[&[0, 0, 0, 3, 0, 0, 0, 0], &b"debug data"[..]].concat()));
        client.assert_alive();
        assert_eq!(client.said[0], Said::GoAway(Code::NO_ERROR));
        let Said::Reset(5, error) = client.said[1] else { panic!("{:?}", client.said) };
        assert_eq!((error.cause, error.is_unprocessed()), (Cause::NotProcessed, true));
        assert_eq!(client.said.len(), 2);
        assert_eq!(client.sent(), [], "nothing is said on a stream that the server does not know");
        assert_eq!(client.connection.streams_available(), 0);
        let error = client.connection.send_request(&request("/"), &mut client.out).unwrap_err();
        assert_eq!(error.cause, Cause::NoMoreStreams);
        // Those up to the identifier go on.
        client.feed([headers(1, OK, END_STREAM), headers(3, OK, END_STREAM)].concat());
        assert_eq!(client.responses().len(), 2);
        for stream in [1, 3, 5] {
            assert!(!client.connection.is_drained());
            client.connection.close(id(stream));
        }
        assert!(client.connection.is_drained());
        client
    });
}

/// §6.8: "Endpoints MUST NOT increase the value they send in the last stream identifier".
#[test]
fn s6_8_h2_34_the_last_identifier_is_never_increased() {
    every_split(|cut| {
        let mut client = Side::client(cut);
        for _ in 0..3 {
            client.ask("/");
        }
        client.feed([go_away(0x7fff_ffff, Code::NO_ERROR), go_away(3, Code::NO_ERROR)].concat());
        client.feed(go_away(1, Code::NO_ERROR));
        client.assert_alive();
        let resets: Vec<_> = client
            .said
            .iter()
            .filter_map(|said| if let Said::Reset(stream, _) = said { Some(*stream) } else { None })
            .collect();
        assert_eq!(resets, [5, 3]);
        client.feed(go_away(3, Code::NO_ERROR));
        client.assert_connection_error(Code::PROTOCOL_ERROR);
        assert_eq!(client.ended().unwrap().1, Cause::GoAwayIncrease);
        client
    });
    // Nor by us, whatever comes after the last word.
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, GET, END_STREAM));
    server.connection.go_away(server.now);
    server.connection.go_away(server.now);
    server.feed(headers(9, GET, END_STREAM));
    server.feed(data(0, b"x", 0));
    let last: Vec<_> = server.sent_of(GOAWAY).iter().map(Sent::number).collect();
    assert_eq!(last, [0x7fff_ffff, 1, 1]);
}

/// §6.8: "A server that is attempting to gracefully shut down a connection SHOULD send an initial GOAWAY frame with the
/// last stream identifier set to 2^31-1 and a NO_ERROR code. … After allowing time for any in-flight stream creation (at
/// least one round-trip time), the server MAY send another GOAWAY frame with an updated last stream identifier."
#[test]
fn s6_8_a_server_goes_in_two_steps() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, GET, END_STREAM));
        server.connection.go_away(server.now);
        let sent = server.sent();
        assert_eq!((sent[0].kind, sent[0].number(), sent[0].code()), (GOAWAY, 0x7fff_ffff, Code::NO_ERROR));
        assert_eq!((sent[1].kind, sent[1].flags), (PING, 0));
        // What was on its way is taken.
        server.feed(headers(3, GET, END_STREAM));
        assert_eq!(server.requests().len(), 2);
        server.feed(ping(ACK, sent[1].payload.as_slice().try_into().unwrap()));
        let sent = server.sent();
        assert_eq!((sent.len(), sent[0].kind, sent[0].number()), (1, GOAWAY, 3));
        // Later ones are not; but what they do to the connection is done.
        let said = server.said.len();
        server.feed(frame(HEADERS, END_HEADERS, 5, &[block(POST), vec![0x40, 1, b'a', 1, b'b']].concat()));
        for _ in 0..20 {
            server.feed(data(5, &[b'x'; 10_000], 0));
        }
        server.feed(headers(5, &[("x", "y")], END_STREAM));
        server.assert_alive();
        assert_eq!(server.said.len(), said);
        let credit: u32 = server.sent().iter().map(Sent::number).sum();
        assert!(credit >= 128 << 10, "{credit}");
        // The others come to their ends.
        assert!(!server.connection.is_drained());
        for stream in [1, 3] {
            server.answer(stream, b"bye");
            server.connection.close(id(stream));
        }
        assert!(server.connection.is_drained());
        server
    });
}

/// The second step does not wait for ever for an answer.
#[test]
fn s6_8_the_second_step_comes_by_itself() {
    let mut server = Side::server(Cut::Whole);
    server.connection.go_away(server.now);
    server.feed(headers(7, GET, END_STREAM));
    server.sent();
    server.wait(Duration::from_millis(4_999));
    assert_eq!(server.sent(), []);
    server.wait(Duration::from_millis(1));
    let sent = server.sent();
    assert_eq!((sent.len(), sent[0].kind, sent[0].number()), (1, GOAWAY, 7));
}

/// §6.8: "a receiver of a GOAWAY that has no more use for the connection SHOULD still send a GOAWAY frame before
/// terminating the connection." A client's says that no stream of the server was processed.
#[test]
fn s6_8_a_client_goes_away() {
    let mut client = Side::asking(Cut::Whole);
    client.connection.go_away(client.now);
    client.connection.go_away(client.now);
    let sent = client.sent();
    assert_eq!((sent.len(), sent[0].kind, sent[0].number(), sent[0].code()), (1, GOAWAY, 0, Code::NO_ERROR));
    assert!(client.connection.send_request(&request("/"), &mut client.out).is_err());
    client.feed(headers(1, OK, END_STREAM));
    client.connection.close(id(1));
    assert!(client.connection.is_drained());
}

/// A server takes a client's GOAWAY for what it is: no more requests will come.
#[test]
fn s6_8_a_client_that_goes_away_gets_its_answers() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed([headers(1, GET, END_STREAM), go_away(0, Code::NO_ERROR)].concat());
        server.assert_alive();
        assert_eq!(server.said[1], Said::GoAway(Code::NO_ERROR));
        assert_eq!(server.answer(1, b"bye"), 3);
        server.connection.close(id(1));
        assert!(server.connection.is_drained());
        server
    });
}

/// A flood of them is one of frames that mean nothing.
#[test]
fn s6_8_h2_34_a_flood_ends_the_connection() {
    let mut client = Side::asking(Cut::Whole);
    for _ in 0..600 {
        client.feed(go_away(1, Code::NO_ERROR));
    }
    client.assert_connection_error(Code::ENHANCE_YOUR_CALM);
    assert_eq!(client.connection.role(), Role::Client);
}

/// §9.2 and §9.3: what only the application knows.
#[test]
fn s6_8_h2_41_the_application_may_end_it() {
    for code in [Code::INADEQUATE_SECURITY, Code::HTTP_1_1_REQUIRED, Code::NO_ERROR] {
        let mut server = Side::server(Cut::Whole);
        server.feed(headers(5, GET, END_STREAM));
        server.connection.abort(code);
        server.connection.abort(Code::INTERNAL_ERROR);
        let sent = server.sent();
        assert_eq!((sent.len(), sent[0].kind, sent[0].number(), sent[0].code()), (1, GOAWAY, 5, code));
        assert!(server.connection.receive(b"", server.now).is_err());
        assert_eq!(server.connection.error().unwrap().cause, Cause::Application);
    }
}

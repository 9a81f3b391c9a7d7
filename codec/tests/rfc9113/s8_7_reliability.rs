//! RFC 9113 §8.7: request reliability in HTTP/2.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code};

/// §8.7: "Requests that have not been processed have not failed; clients MAY automatically retry them": those above the
/// identifier of a GOAWAY, and those that were reset with REFUSED_STREAM. No others.
#[test]
fn s8_7_h2_37_what_may_be_sent_again_is_told() {
    every_split(|cut| {
        let mut client = Side::client(cut);
        for _ in 0..4 {
            client.ask("/");
        }
        client.feed(reset(1, Code::REFUSED_STREAM));
        client.feed(reset(3, Code::INTERNAL_ERROR));
        client.feed(go_away(5, Code::ENHANCE_YOUR_CALM));
        let told: Vec<_> = client
            .said
            .iter()
            .filter_map(|said| match said {
                Said::Reset(stream, error) => Some((*stream, error.is_unprocessed())),
                _ => None,
            })
            .collect();
        assert_eq!(told, [(1, true), (3, false), (7, true)]);
        client
    });
}

/// §8.7: "A server MUST NOT indicate that a stream has not been processed unless it can guarantee that fact." What the
/// application has seen is not refused by us.
#[test]
fn s8_7_what_was_seen_is_not_refused() {
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, POST, 0));
    server.feed(window_update(1, 0));
    server.connection.close(id(1));
    let codes: Vec<_> = server.sent_of(RST_STREAM).iter().map(Sent::code).collect();
    assert_eq!(codes, [Code::PROTOCOL_ERROR]);
}

/// §8.7: "the REFUSED_STREAM error code can be included in a RST_STREAM frame to indicate that the stream is being closed
/// prior to any processing having occurred."
#[test]
fn s8_7_memory_that_is_used_up_refuses() {
    let mut config = corelane_codec::h2::Config::default();
    config.heap_bytes_max = 160 << 10;
    let mut server = Side::server_with(config, Cut::Whole);
    let long = "x".repeat(8_000);
    let mut refused = None;
    for n in 0..20 {
        let fields = [GET, &[("x", long.as_str())]].concat();
        server.feed(headers(2 * n + 1, &fields, END_STREAM));
        if matches!(server.said.last(), Some(Said::Refused(..))) {
            refused = Some(2 * n + 1);
            break;
        }
    }
    let refused = refused.expect("there is an end");
    let Some(Said::Refused(_, error)) = server.said.last() else { unreachable!() };
    assert_eq!((error.cause, error.is_unprocessed()), (Cause::Memory, true));
    server.assert_stream_error(refused, Code::REFUSED_STREAM);
    // And there is room again when a request is done with.
    server.answer(1, b"");
    server.connection.close(id(1));
    server.feed(headers(refused + 2, &[GET, &[("x", long.as_str())]].concat(), END_STREAM));
    assert!(matches!(server.said.last(), Some(Said::Request(..))));
}

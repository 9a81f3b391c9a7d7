//! RFC 9218: extensible priorities.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod h2;

use corelane_codec::h2::{Code, Priority};
use corelane_codec::{Length, ResponseHead};
use h2::*;

/// A server with so many requests, each with its `Priority` field, all answered with content that waits.
fn waiting(priorities: &[&str]) -> Side {
    let mut server = Side::server(Cut::Whole);
    server.feed([settings(&[(4, 1 << 24)]), window_update(0, 1 << 24)].concat());
    for (n, priority) in priorities.iter().enumerate() {
        let stream = 2 * n as u32 + 1;
        let said: &[(&str, &str)] = if priority.is_empty() { &[] } else { &[("priority", priority)] };
        server.feed(headers(stream, &[GET, said].concat(), END_STREAM));
        let head = ResponseHead { content: Length::Chunked, ..ResponseHead::new() };
        server.connection.send_response(id(stream), &head, &mut server.out).unwrap();
        server.connection.offer(id(stream), 3 << 14, server.now).unwrap();
    }
    server
}

/// The streams whose content goes out, in order, a frame each.
fn order(server: &mut Side, frames: usize) -> Vec<u32> {
    (0..frames)
        .map_while(|_| {
            let grant = server.connection.next_data(server.now)?;
            assert_eq!(server.connection.next_data(server.now), Some(grant), "asking again changes nothing");
            server.connection.send_data(grant.stream, grant.bytes_max, false, server.now).unwrap();
            Some(grant.stream.number())
        })
        .collect()
}

/// §4.1 and §10: the most urgent first.
#[test]
fn s10_the_most_urgent_go_first() {
    let mut server = waiting(&["u=5", "u=0", "", "u=7"]);
    assert_eq!(order(&mut server, 99), [3, 3, 3, 5, 5, 5, 1, 1, 1, 7, 7, 7]);
}

/// §10: "non-incremental responses of the same urgency SHOULD be served … in the order in which their requests were
/// generated", incremental ones share.
#[test]
fn s10_equals_share_if_they_are_incremental() {
    let mut server = waiting(&["u=3", "u=3"]);
    assert_eq!(order(&mut server, 99), [1, 1, 1, 3, 3, 3]);
    let mut server = waiting(&["u=3, i", "u=3, i", "u=3, i"]);
    assert_eq!(order(&mut server, 99), [1, 3, 5, 1, 3, 5, 1, 3, 5]);
    // Neither kind keeps the other waiting.
    let mut server = waiting(&["u=3", "u=3, i"]);
    assert_eq!(order(&mut server, 99), [1, 3, 1, 3, 1, 3]);
}

/// Who says nothing shares with others who say nothing.
#[test]
fn s10_without_a_signal_all_share() {
    let mut server = waiting(&["", "", ""]);
    assert_eq!(order(&mut server, 99), [1, 3, 5, 1, 3, 5, 1, 3, 5]);
}

/// What has no room leaves its turn to others, and comes back.
#[test]
fn s10_a_stream_without_room_does_not_block_others() {
    let mut server = waiting(&["u=0", "u=5"]);
    server.feed(settings(&[(4, 0)]));
    // What went out counts against the window that is gone.
    server.feed(window_update(3, 1 << 20));
    assert_eq!(order(&mut server, 1), [3]);
    server.feed(window_update(1, 1 << 14));
    assert_eq!(order(&mut server, 3), [1, 3, 3]);
}

/// §7.1: a client changes its mind.
#[test]
fn s7_1_a_priority_update_reorders() {
    let mut server = waiting(&["u=3", "u=4", "u=5"]);
    let update = |stream: u32, value: &str| {
        frame(PRIORITY_UPDATE, 0, 0, &[&stream.to_be_bytes()[..], value.as_bytes()].concat())
    };
    assert_eq!(order(&mut server, 1), [1]);
    server.feed(update(5, "u=0"));
    assert_eq!(server.connection.priority(id(5)), Some(Priority { urgency: 0, incremental: false }));
    assert_eq!(order(&mut server, 2), [5, 5]);
    server.feed(update(5, &format!("u=7, {}", "x".repeat(100))));
    assert_eq!(server.connection.priority(id(5)), Some(Priority { urgency: 3, incremental: false }));
    assert_eq!(order(&mut server, 99), [1, 1, 5, 3, 3, 3]);
    server.assert_alive();
}

/// §7.1: "Servers … MAY buffer" what comes before its stream.
#[test]
fn s7_1_an_update_before_its_stream_is_kept() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(frame(PRIORITY_UPDATE, 0, 0, &[&7_u32.to_be_bytes()[..], b"u=1, i"].concat()));
        server.feed([headers(5, GET, END_STREAM), headers(7, GET, END_STREAM)].concat());
        assert_eq!(server.connection.priority(id(5)), Some(Priority::default()));
        assert_eq!(server.connection.priority(id(7)), Some(Priority { urgency: 1, incremental: true }));
        server
    });
}

/// §7.1: "If a PRIORITY_UPDATE frame is received with a Prioritized Stream ID of 0x00, the recipient MUST respond with a
/// connection error of type PROTOCOL_ERROR." On a stream, too; and "If a client receives a PRIORITY_UPDATE frame, it MUST
/// respond with a connection error of type PROTOCOL_ERROR."
#[test]
fn s7_1_updates_that_are_wrong() {
    for (stream, about) in [(0, 0_u32), (1, 1), (0, 2)] {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(headers(1, GET, END_STREAM));
            server.feed(frame(PRIORITY_UPDATE, 0, stream, &[&about.to_be_bytes()[..], b"u=1"].concat()));
            server.assert_connection_error(Code::PROTOCOL_ERROR);
            server
        });
    }
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(frame(PRIORITY_UPDATE, 0, 0, &[0, 0, 0, 1, b'i']));
        client.assert_connection_error(Code::PROTOCOL_ERROR);
        client
    });
}

/// The field goes on to the origin (§8), which may say another one.
#[test]
fn s8_the_field_goes_end_to_end() {
    let server = waiting(&["u=1, i"]);
    assert_eq!(server.requests()[0].fields.get("priority"), Some(&b"u=1, i"[..]));
}

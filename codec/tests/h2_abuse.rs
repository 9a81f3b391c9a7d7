//! What is cheap to send and dear to receive, by the ids of the catalogue.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod h2;

use corelane_codec::h2::{Cause, Charge, Code, Config, Role};
use corelane_codec::{Length, ResponseHead};
use h2::*;
use std::time::Duration;

/// The application stops its work and closes a stream as soon as it hears of the reset.
#[test]
fn h2_01_rapid_reset_ends_the_connection() {
    let mut server = Side::server(Cut::Whole);
    let mut count = 0;
    for n in 0..100_000 {
        let stream = 2 * n + 1;
        server.feed([headers(stream, GET, END_STREAM), reset(stream, Code::CANCEL)].concat());
        if server.error.is_some() {
            break;
        }
        server.connection.close(id(stream));
        count += 1;
    }
    assert_eq!(count, 99);
    assert_eq!(server.ended().unwrap().1, Cause::Budget(Charge::Resets));
    server.assert_connection_error(Code::ENHANCE_YOUR_CALM);
}

/// If the work does not stop, no more than the limit is ever begun.
#[test]
fn h2_01_no_more_work_is_begun_than_streams_are_allowed() {
    let mut server = Side::server(Cut::Whole);
    // So slowly that the budget of resets does not see it.
    for n in 0..300 {
        server.feed(headers(2 * n + 1, GET, END_STREAM));
        server.feed(reset(2 * n + 1, Code::CANCEL));
        server.wait(Duration::from_millis(100));
    }
    assert_eq!((server.requests().len(), server.connection.streams()), (100, 100));
}

/// Resets of what was answered, and few among many, are no attack.
#[test]
fn h2_01_a_browser_that_changes_its_mind_is_no_attack() {
    let mut server = Side::server(Cut::Whole);
    for n in 0..2_000 {
        let stream = 2 * n + 1;
        server.feed(headers(stream, GET, END_STREAM));
        let head = ResponseHead { content: Length::Chunked, ..ResponseHead::new() };
        server.connection.send_response(id(stream), &head, &mut server.out).unwrap();
        server.feed(reset(stream, Code::CANCEL));
        server.assert_alive();
        server.connection.close(id(stream));
    }
    let mut server = Side::server(Cut::Whole);
    for n in 0..2_000 {
        let stream = 2 * n + 1;
        server.feed(headers(stream, GET, END_STREAM));
        if n % 2 == 1 {
            server.feed(reset(stream, Code::CANCEL));
        } else {
            server.answer(stream, b"");
        }
        server.assert_alive();
        server.connection.close(id(stream));
    }
}

/// Six ways to make us reset (CVE-2025-8671), one of which is none.
#[test]
fn h2_02_provoked_resets_end_the_connection() {
    type Way = (&'static str, fn(u32) -> Vec<u8>, bool);
    let ways: [Way; 6] = [
        ("a window update of 0", |id| window_update(id, 0), true),
        ("a window that overflows", |id| window_update(id, 0x7fff_ffff), true),
        ("a PRIORITY of a wrong length", |id| frame(PRIORITY, 0, id, &[0; 4]), true),
        (
            "a PRIORITY on itself",
            |id| frame(PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[16]].concat()),
            false,
        ),
        ("HEADERS behind the end", |id| headers(id, &[("a", "b")], END_STREAM), true),
        ("DATA behind the end", |id| data(id, b"x", END_STREAM), true),
    ];
    for (name, way, resets) in ways {
        for answered in [false, true] {
            let mut server = Side::server(Cut::Whole);
            let mut count = 0;
            for n in 0..1_000 {
                let stream = 2 * n + 1;
                server.feed(headers(stream, GET, END_STREAM));
                if server.error.is_none() && answered {
                    let head = ResponseHead { content: Length::Chunked, ..ResponseHead::new() };
                    server.connection.send_response(id(stream), &head, &mut server.out).unwrap();
                }
                server.feed(way(stream));
                if server.error.is_some() {
                    break;
                }
                server.connection.close(id(stream));
                count += 1;
            }
            if resets {
                assert_eq!(count, 49, "{name}");
                server.assert_connection_error(Code::ENHANCE_YOUR_CALM);
            } else {
                assert_eq!(server.sent_of(RST_STREAM).len(), 1_000, "when they are closed");
                assert!(count >= 500, "{name}: {count}");
            }
        }
    }
    // As long as the work goes on, its place is taken.
    let mut server = Side::server(Cut::Whole);
    for n in 0..300 {
        server.feed([headers(2 * n + 1, GET, END_STREAM), window_update(2 * n + 1, 0)].concat());
        server.wait(Duration::from_millis(200));
    }
    assert_eq!((server.requests().len(), server.connection.streams()), (100, 100));
}

/// A client is as careful with a server that breaks what it is asked.
#[test]
fn h2_02_an_origin_that_breaks_streams_ends_the_connection() {
    let mut client = Side::client(Cut::Whole);
    let mut count = 0;
    while client.error.is_none() && count < 1_000 {
        let stream = client.ask("/");
        client.feed(headers(stream, &[(":status", "2x0")], END_STREAM));
        client.connection.close(id(stream));
        count += 1;
    }
    assert_eq!(count, 50);
    client.assert_connection_error(Code::ENHANCE_YOUR_CALM);
}

/// Frames that mean nothing, or nearly.
#[test]
fn h2_13_floods_of_what_means_nothing_end_the_connection() {
    let update = |stream: u32| frame(PRIORITY_UPDATE, 0, 0, &[&stream.to_be_bytes()[..], b"u=1"].concat());
    for (bytes, burst) in [
        (frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]), 500),
        (frame(PRIORITY, 0, 99, &[0, 0, 0, 0, 1]), 500),
        (update(1), 500),
        (update(99), 500),
        (frame(0xee, 0, 7, b"x"), 500),
        (window_update(1, 1), 1_000),
        (window_update(0, 1), 1_000),
        (ping(ACK, [0; 8]), 500),
    ] {
        let [mut server, mut client] = Side::both(Cut::Whole);
        for side in [&mut server, &mut client] {
            let is_client = side.connection.role() == Role::Client;
            if is_client && bytes[3] == PRIORITY_UPDATE {
                continue;
            }
            for n in 0..burst {
                side.feed(&bytes);
                assert_eq!(side.error, None, "{n} of {bytes:?}");
            }
            side.feed(bytes.repeat(burst));
            side.assert_connection_error(Code::ENHANCE_YOUR_CALM);
        }
    }
}

/// What a busy client does is no flood.
#[test]
fn h2_13_a_busy_client_is_no_flood() {
    let mut server = Side::server(Cut::Whole);
    for n in 0..5_000 {
        let stream = 2 * n + 1;
        server.feed(headers(stream, GET, END_STREAM));
        server.feed(frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 1]));
        server.feed(frame(PRIORITY_UPDATE, 0, 0, &[&stream.to_be_bytes()[..], b"u=1"].concat()));
        server.answer(stream, &[b'x'; 10_000]);
        server.feed([window_update(stream, 10_000), window_update(0, 10_000)].concat());
        server.feed(ping(0, [0; 8]));
        server.assert_alive();
        server.connection.close(id(stream));
    }
}

/// Large responses asked for, and no room for them.
#[test]
fn h2_14_content_that_finds_no_room_ends_its_stream() {
    for connection_wide in [false, true] {
        let mut server = Side::server(Cut::Whole);
        server.feed(settings(&[(4, if connection_wide { 1 << 20 } else { 0 })]));
        for stream in [1, 3] {
            server.feed(headers(stream, GET, END_STREAM));
            let head = ResponseHead { content: Length::Known(1 << 20), ..ResponseHead::new() };
            server.connection.send_response(id(stream), &head, &mut server.out).unwrap();
        }
        let sent = server.send(1, &vec![b'x'; 1 << 20], true);
        assert_eq!(sent, if connection_wide { 65_535 } else { 0 });
        server.wait(Duration::from_secs(10));
        server.connection.offer(id(3), 1 << 20, server.now).unwrap();
        assert_eq!(server.connection.next_data(server.now), None);
        server.sent();
        server.wait(Duration::from_millis(19_999));
        assert_eq!(server.sent(), []);
        server.wait(Duration::from_millis(10_001));
        let resets: Vec<_> =
            server.sent_of(RST_STREAM).iter().map(|sent| (sent.stream, sent.code())).collect();
        assert_eq!(resets, [(1, Code::CANCEL), (3, Code::CANCEL)]);
        let causes: Vec<_> = server
            .said
            .iter()
            .filter_map(|said| if let Said::Reset(_, error) = said { Some(error.cause) } else { None })
            .collect();
        assert_eq!(causes, [Cause::Stalled, Cause::Stalled]);
        server.assert_alive();
    }
}

/// A window that opens by an octet now and then is no progress.
#[test]
fn h2_04_h2_14_dripping_windows_do_not_keep_a_stream() {
    for connection_wide in [false, true] {
        let mut server = Side::server(Cut::Whole);
        server.feed(settings(&[(4, if connection_wide { 1 << 20 } else { 0 })]));
        server.feed(headers(1, GET, END_STREAM));
        let head = ResponseHead { content: Length::Known(1 << 20), ..ResponseHead::new() };
        server.connection.send_response(id(1), &head, &mut server.out).unwrap();
        let content = vec![b'x'; 1 << 20];
        let mut left = content.len() - server.send(1, &content, false);
        for _ in 0..60 {
            server.feed(window_update(u32::from(!connection_wide), 1));
            left -= server.send(1, &content[..left], false);
            server.wait(Duration::from_millis(500));
        }
        assert!(
            server.said.iter().any(|said| matches!(said, Said::Reset(1, e) if e.cause == Cause::Stalled))
        );
    }
}

/// A slow client that does make progress is served.
#[test]
fn h2_14_a_slow_client_is_served() {
    let mut server = Side::server(Cut::Whole);
    server.feed(settings(&[(4, 4_096)]));
    server.feed(headers(1, GET, END_STREAM));
    let content = vec![b'x'; 100_000];
    let head = ResponseHead { content: Length::Known(content.len() as u64), ..ResponseHead::new() };
    server.connection.send_response(id(1), &head, &mut server.out).unwrap();
    let mut left = content.len();
    while left > 0 {
        left -= server.send(1, &content[..left], true);
        server.wait(Duration::from_secs(20));
        server.feed([window_update(1, 4_096), window_update(0, 4_096)].concat());
        server.assert_alive();
    }
    assert_eq!(server.said.len(), 1);
}

/// Windows of an octet: at first they are obeyed, then content waits for a piece that is worth it.
#[test]
fn h2_15_small_windows_make_no_flood_of_small_frames() {
    for connection_wide in [false, true] {
        let mut server = Side::server(Cut::Whole);
        server.feed(settings(&[(4, if connection_wide { 1 << 20 } else { 0 })]));
        server.feed(headers(1, GET, END_STREAM));
        let head = ResponseHead { content: Length::Known(1 << 20), ..ResponseHead::new() };
        server.connection.send_response(id(1), &head, &mut server.out).unwrap();
        let content = vec![b'x'; 1 << 20];
        let mut at = server.send(1, &content, true);
        server.sent();
        let mut frames = 0;
        for _ in 0..1_400 {
            server.feed(window_update(u32::from(!connection_wide), 1));
            at += server.send(1, &content[at..], true);
            frames += server.sent_of(DATA).len();
        }
        server.assert_alive();
        assert_eq!(frames, 500);
        // Once there is room for a decent piece, it goes out as one frame.
        server.feed(window_update(u32::from(!connection_wide), 124));
        at += server.send(1, &content[at..], true);
        let sent = server.sent_of(DATA);
        assert_eq!((sent.len(), sent[0].payload.len()), (1, 1_024));
        assert_eq!(at, if connection_wide { 65_535 } else { 0 } + 1_524);
    }
}

/// The budget is for what waits, too: an application that never transmits is not flooded.
#[test]
fn h2_11_what_waits_to_be_sent_is_limited() {
    let mut config = Config::default();
    config.budgets.pings.burst = 1_000_000;
    let mut server = Side::server_with(config, Cut::Whole);
    let flood = ping(0, [0; 8]).repeat(10_000);
    let mut at = 0;
    let error = loop {
        match server.connection.receive(&flood[at..], server.now) {
            Ok(received) => at += received.consumed,
            Err(error) => break error,
        }
    };
    assert_eq!(error.cause, Cause::Budget(Charge::PendingOutput));
    assert!(server.connection.heap_bytes() < 64 << 10);
}

/// Late frames have an end as well.
#[test]
fn h2_32_frames_on_a_stream_that_was_reset_long_ago_have_an_end() {
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, POST, 0));
    server.connection.close(id(1));
    for _ in 0..1_000 {
        server.feed(data(1, b"x", 0));
        server.assert_alive();
    }
    server.feed(data(1, b"x", 0));
    server.assert_connection_error(Code::ENHANCE_YOUR_CALM);
}

/// Literals that take a long name from the table and put it there again: three octets each, and a copy of a table.
#[test]
fn h2_07_h2_09_churn_of_the_table_has_an_end() {
    let mut server = Side::server(Cut::Whole);
    let name = "n".repeat(2_000);
    let seed = [&[0x40, 0x7f, 0xd1, 0x0e][..], name.as_bytes(), &[0]].concat();
    assert_eq!(seed.len(), 4 + 2_000 + 1);
    let again = [0x7e, 0x00].repeat(100);
    server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[block(GET), seed, again].concat()));
    server.assert_alive();
    assert!(matches!(&server.said[..], [Said::Refused(1, _)]), "too large, and in step");
    server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 3, &[0x7e, 0x00].repeat(263)));
    assert_eq!(server.ended().unwrap().1, Cause::Budget(Charge::TableBytes));
    server.assert_connection_error(Code::ENHANCE_YOUR_CALM);
}

/// A stall of the whole connection is over once there is room again, even if nobody made use of it.
#[test]
fn h2_14_who_has_room_is_not_stalled() {
    let mut server = Side::server(Cut::Whole);
    server.feed(settings(&[(4, 1 << 20)]));
    let content = vec![b'x'; 1 << 20];
    let head = ResponseHead { content: Length::Chunked, ..ResponseHead::new() };
    server.feed(headers(1, GET, END_STREAM));
    server.connection.send_response(id(1), &head, &mut server.out).unwrap();
    assert_eq!(server.send(1, &content, true), 65_535);
    // It is given up; the connection gets room, and is used no more for half a minute.
    server.feed([reset(1, Code::CANCEL), window_update(0, 65_535)].concat());
    server.connection.close(id(1));
    server.wait(Duration::from_millis(29_990));
    server.feed(headers(3, GET, END_STREAM));
    server.connection.send_response(id(3), &head, &mut server.out).unwrap();
    // Content is at hand, and the transport has no room for a moment.
    server.connection.offer(id(3), content.len(), server.now).unwrap();
    server.sent();
    server.wait(Duration::from_millis(100));
    assert_eq!(server.sent(), []);
    assert_eq!(server.send(3, &content, true), 65_535);
    // From here on it is stalled, and for as long as others are.
    server.sent();
    server.wait(Duration::from_millis(29_000));
    assert_eq!(server.sent(), []);
    server.wait(Duration::from_millis(2_000));
    assert_eq!(server.sent_of(RST_STREAM)[0].code(), Code::CANCEL);
}

/// Requests that are refused because the connection holds all that it may are counted as those that are refused because
/// too many are open.
#[test]
fn h2_18_refusals_for_want_of_memory_have_an_end() {
    let mut config = Config::default();
    config.heap_bytes_max = 180 << 10;
    let mut server = Side::server_with(config, Cut::Whole);
    let long = "y".repeat(8_000);
    let fields = [GET, &[("x", long.as_str())]].concat();
    let mut stream = 1;
    while server.error.is_none() {
        server.feed(headers(stream, &fields, END_STREAM));
        stream += 2;
    }
    server.assert_connection_error(Code::ENHANCE_YOUR_CALM);
    assert!((1..20).contains(&server.requests().len()), "{}", server.requests().len());
    assert_eq!(server.said.iter().filter(|said| matches!(said, Said::Refused(..))).count(), 200);
    assert_eq!(server.ended().unwrap().1, Cause::Budget(Charge::RefusedStreams));
}

/// A client compares what an origin breaks with what it was asked, as a server does.
#[test]
fn h2_02_a_few_bad_responses_among_many_are_no_attack() {
    let mut config = Config::default();
    config.streams_max = 1_000;
    let mut client = Side::client_with(config, Cut::Whole);
    for n in 0..1_000 {
        let stream = client.ask("/");
        let status = if n % 3 == 0 { "2x0" } else { "200" };
        client.feed(headers(stream, &[(":status", status)], END_STREAM));
        client.connection.close(id(stream));
        client.assert_alive();
    }
}

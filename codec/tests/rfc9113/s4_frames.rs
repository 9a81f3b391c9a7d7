//! RFC 9113 §4: HTTP frames.

use crate::h2::*;
use corelane_codec::h2::{Cause, Code, Config, Role};

/// §4.1: "Values greater than 2^14 (16,384) MUST NOT be sent unless the receiver has set a larger value for
/// SETTINGS_MAX_FRAME_SIZE."
#[test]
fn s4_1_no_frame_is_longer_than_16_kib() {
    for allowed in [16_384, 1 << 20] {
        let mut server = Side::server(Cut::Whole);
        server.feed(settings(&[(5, allowed), (4, 1 << 20)]));
        server.feed(window_update(0, 1 << 20));
        server.feed(headers(1, GET, END_STREAM));
        assert_eq!(server.answer(1, &vec![b'x'; 100_000]), 100_000);
        let lengths: Vec<_> = server.sent_of(DATA).iter().map(|sent| sent.payload.len()).collect();
        assert_eq!(lengths, [16_384, 16_384, 16_384, 16_384, 16_384, 16_384, 1_696]);
    }
}

/// §4.1: "Implementations MUST ignore and discard frames of unknown types."
#[test]
fn s4_1_unknown_frames_are_ignored() {
    for side in [Side::server as fn(Cut) -> Side, Side::client] {
        every_split(|cut| {
            let mut side = side(cut);
            for (kind, stream) in [(0x0a, 0), (0x0c, 0), (0x20, 1), (0xff, 2), (0x11, 77)] {
                side.feed(frame(kind, 0xff, stream, b"anything at all"));
                side.feed(frame(kind, 0, stream, b""));
            }
            side.assert_alive();
            assert_eq!((side.said.len(), side.sent().len()), (0, 0));
            side.feed(ping(0, *b"12345678"));
            assert_eq!(side.sent().len(), 1);
            side
        });
    }
}

/// §4.1: "Flags that have no defined semantics for a particular frame type are unused flags. Unused flags MUST be
/// ignored on receipt and MUST be left unset (0x00) when sending."
#[test]
fn s4_1_unused_flags_are_ignored() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(frame(DATA, 0xf6, 1, b"abc"));
            side.feed(frame(WINDOW_UPDATE, 0xff, 1, &[0, 0, 0, 1]));
            side.feed(frame(SETTINGS, 0xfe, 0, &[]));
            side.feed(frame(PING, 0xfe, 0, &[7; 8]));
            side.feed(frame(PRIORITY, 0xff, 1, &[0, 0, 0, 0, 1]));
            side.assert_alive();
            assert_eq!(side.content(1), (b"abc".to_vec(), false));
            assert!(side.sent().iter().all(|sent| sent.flags == ACK));
            side.feed(frame(RST_STREAM, 0xff, 1, &[0, 0, 0, 8]));
            side.assert_alive();
            side.feed(frame(GOAWAY, 0xff, 0, &[0; 8]));
            side.assert_alive();
        }
        server
    });
}

/// §4.1: "Reserved: A reserved 1-bit field. The semantics of this bit are undefined, and the bit MUST remain unset
/// (0x00) when sending and MUST be ignored when receiving."
#[test]
fn s4_1_h2_20_the_reserved_bit_is_ignored() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(frame(DATA, END_STREAM, 1 | 1 << 31, b"abc"));
            side.feed(frame(PING, 0, 1 << 31, &[7; 8]));
            side.feed(frame(WINDOW_UPDATE, 0, 1 << 31, &[0x80, 0, 0, 1]));
            side.assert_alive();
            assert_eq!(side.content(1), (b"abc".to_vec(), true));
            assert!(side.sent().iter().all(|sent| sent.stream >> 31 == 0));
        }
        server
    });
}

/// §4.2: "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame exceeds the size defined in
/// SETTINGS_MAX_FRAME_SIZE". It is a connection error, for whatever frame.
#[test]
fn s4_2_h2_20_a_frame_beyond_the_maximum_is_a_connection_error() {
    for kind in [DATA, HEADERS, CONTINUATION, SETTINGS, GOAWAY, 0x42] {
        let check = |mut side: Side, stream: u32| {
            // Its header is enough.
            side.feed(&frame(kind, 0, stream, &vec![0; 16_385])[..9]);
            side.assert_connection_error(Code::FRAME_SIZE_ERROR);
            assert_eq!(side.ended().unwrap().1, Cause::FrameTooLong);
            side
        };
        let stream = u32::from(kind < 2 || kind == CONTINUATION);
        every_split(|cut| check(Side::both(cut).into_iter().next().unwrap(), stream));
        every_split(|cut| check(Side::both(cut).into_iter().next_back().unwrap(), stream));
    }
}

/// §4.2: "All implementations MUST be capable of receiving and minimally processing frames up to 2^14 octets in
/// length, plus the 9-octet frame header".
#[test]
fn s4_2_a_frame_of_16_kib_is_taken() {
    let [mut server, mut client] = Side::both(Cut::Whole);
    for side in [&mut server, &mut client] {
        side.feed(data(1, &vec![b'x'; 16_384], END_STREAM));
        side.assert_alive();
        assert_eq!(side.content(1), (vec![b'x'; 16_384], true));
        side.feed(frame(0x42, 0, 0, &vec![0; 16_384]));
        side.assert_alive();
    }
    let mut config = Config::default();
    config.frame_bytes_max = 20_000;
    let mut server = Side::server_with(config, Cut::Whole);
    server.feed(headers(1, POST, 0));
    server.feed(data(1, &vec![b'x'; 20_000], 0));
    server.assert_alive();
    server.feed(&data(1, &vec![b'x'; 20_001], 0)[..9]);
    server.assert_connection_error(Code::FRAME_SIZE_ERROR);
}

/// §4.2: "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame … exceeds any limit defined for the frame
/// type, or is too small to contain mandatory frame data."
#[test]
fn s4_2_a_frame_too_small_for_what_it_must_hold() {
    for (kind, flags, stream, len) in [
        (DATA, PADDED, 1, 0),
        (HEADERS, PADDED, 1, 0),
        (HEADERS, WITH_PRIORITY, 1, 4),
        (HEADERS, WITH_PRIORITY | PADDED, 1, 5),
        (RST_STREAM, 0, 1, 3),
        (RST_STREAM, 0, 1, 5),
        (PING, 0, 0, 7),
        (PING, 0, 0, 9),
        (GOAWAY, 0, 0, 7),
        (WINDOW_UPDATE, 0, 0, 3),
        (WINDOW_UPDATE, 0, 1, 5),
        (SETTINGS, 0, 0, 5),
        (SETTINGS, 0, 0, 7),
        (SETTINGS, ACK, 0, 6),
    ] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(frame(kind, flags, stream, &vec![0; len]));
                side.assert_connection_error(Code::FRAME_SIZE_ERROR);
            }
            server
        });
    }
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(frame(PRIORITY_UPDATE, 0, 0, &[0; 3]));
        server.assert_connection_error(Code::FRAME_SIZE_ERROR);
        server
    });
}

/// §4.3: "A receiver MUST terminate the connection with a connection error (Section 5.4.1) of type COMPRESSION_ERROR if
/// it does not decompress a field block." and "A decoding error in a field block MUST be treated as a connection error
/// (Section 5.4.1) of type COMPRESSION_ERROR."
#[test]
fn s4_3_h2_08_what_hpack_does_not_allow_is_a_connection_error() {
    let blocks: &[&[u8]] = &[
        &[0x80],                                                 // index 0
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // an integer without end
        &[0xbe],                                                 // index 62 of an empty table
        &[0x00, 0x81, 0x00, 0x00],                               // Huffman padding that is not ones
        &[0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00],             // EOS
        &[0x3f, 0xe2, 0x1f],                                     // a table of 4,097 bytes
        &[0x82, 0x20],                                           // a size update behind a field
        &[0x00, 0x05, b'a'],                                     // cut in a string
        &[0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x07],             // a string of 2^31 octets
    ];
    for block in blocks {
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 1, block));
            server.assert_connection_error(Code::COMPRESSION_ERROR);
            assert!(server.said.is_empty());
            server
        });
        every_split(|cut| {
            let mut client = Side::asking(cut);
            client.feed(frame(HEADERS, END_HEADERS | END_STREAM, 1, block));
            client.assert_connection_error(Code::COMPRESSION_ERROR);
            client
        });
    }
}

/// §4.3: "Field blocks MUST be transmitted as a contiguous sequence of frames, with no interleaved frames of any other
/// type or from any other stream."
#[test]
fn s4_3_long_blocks_are_sent_in_one_run() {
    let mut head = request("/");
    for n in 0..5 {
        head.fields.append(&format!("x-{n}"), "0123456789abcdef!?#".repeat(600));
    }
    let mut client = Side::client(Cut::Whole);
    client.connection.ping([1; 8]);
    client.connection.send_request(&head, &mut client.out).unwrap();
    client.connection.ping([2; 8]);
    let sent = client.sent();
    let kinds: Vec<_> = sent.iter().map(|sent| (sent.kind, sent.flags)).collect();
    assert_eq!(kinds[0].0, PING);
    assert_eq!(kinds[1], (HEADERS, END_STREAM));
    assert!(kinds.len() > 4);
    let last = kinds.len() - 2;
    assert!(kinds[2..last].iter().all(|kind| *kind == (CONTINUATION, 0)));
    assert_eq!(kinds[last], (CONTINUATION, END_HEADERS));
    assert_eq!(kinds[last + 1].0, PING);
    assert!(sent.iter().all(|sent| sent.payload.len() <= 16_384));
    assert!(sent[1..=last].iter().all(|sent| sent.stream == 1));
    // And it is the same block.
    let mut config = Config::default();
    config.limits.request_head_bytes_max = 128 << 10;
    config.heap_bytes_max = 1 << 20;
    let mut server = Side::server_with(config, Cut::Whole);
    for sent in &sent[1..=last] {
        server.feed(frame(sent.kind, sent.flags, sent.stream, &sent.payload));
    }
    let lower: Vec<_> = texts(&head.fields).into_iter().map(|(n, v)| (n.to_lowercase(), v)).collect();
    assert_eq!(texts(&server.requests()[0].fields), lower);
}

/// §4.3.1: "An HPACK encoder … MUST start the next field block with a Dynamic Table Size Update instruction that sets
/// the dynamic table to a size that is less than or equal to the reduced maximum".
#[test]
fn s4_3_1_the_encoder_follows_a_smaller_table() {
    let mut client = Side::client(Cut::Whole);
    client.ask("/");
    client.sent();
    client.feed(settings(&[(1, 0)]));
    client.ask("/");
    let sent = client.sent();
    assert_eq!((sent[0].kind, sent[0].flags), (SETTINGS, ACK), "acknowledged before it takes effect");
    assert_eq!(sent[1].payload[0], 0x20, "a table of 0 bytes");
    client.feed(settings(&[(1, 4096)]));
    client.ask("/");
    client.sent();
    // Smaller for a moment, within one frame: first the smallest, then the last (RFC 7541 §4.2).
    client.feed(settings(&[(1, 100), (1, 4096)]));
    client.ask("/");
    let sent = client.sent();
    let update = &sent.iter().find(|sent| sent.kind == HEADERS).unwrap().payload;
    assert_eq!(update[..5], [0x3f, 100 - 31, 0x3f, 0xe1, 0x1f]);
}

/// §4.3.1: "An endpoint MUST treat a field block that follows an acknowledgment of the reduction to the maximum dynamic
/// table size as a connection error (Section 5.4.1) of type COMPRESSION_ERROR if it does not start with a conformant
/// Dynamic Table Size Update instruction."
#[test]
fn s4_3_1_a_smaller_table_must_be_conceded_once_acknowledged() {
    let small = |cut| {
        let mut config = Config::default();
        config.table_bytes_max = 100;
        let mut server = Side::new(Role::Server, config, cut);
        server.feed([PREFACE, &settings(&[])].concat());
        server
    };
    let sized = |update: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, 1, &[update, &block(GET)].concat());
    every_split(|cut| {
        let mut server = small(cut);
        server.feed(sized(&[]));
        server.assert_alive();
        server
    });
    every_split(|cut| {
        let mut server = small(cut);
        server.feed(settings_ack());
        server.feed(sized(&[]));
        server.assert_connection_error(Code::COMPRESSION_ERROR);
        server
    });
    every_split(|cut| {
        let mut server = small(cut);
        server.feed(settings_ack());
        server.feed(sized(&[0x3f, 69]));
        server.assert_alive();
        assert_eq!(server.requests().len(), 1);
        server
    });
}

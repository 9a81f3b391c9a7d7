//! What must hold for any bytes and for any frames, whoever sends them: for tests with random inputs, and for fuzzers.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(dead_code, reason = "every test binary uses its own part of this")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

use super::link::Dice;
use corelane_codec::h2::{Code, Config, Connection, Event, Role, StreamId};
use corelane_codec::{Fields, Length, RequestHead, ResponseHead};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];

fn connection(role: Role) -> Connection {
    let mut config = Config::default();
    config.connect_protocol = true;
    match role {
        Role::Client => Connection::client(Rc::new(config), Duration::ZERO),
        Role::Server => Connection::server(Rc::new(config), Duration::ZERO),
    }
}

fn hello(role: Role) -> Vec<u8> {
    let preface = if role == Role::Server { PREFACE } else { &[] };
    [preface, SETTINGS, SETTINGS_ACK].concat()
}

/// Bytes of a peer, cut in any way, are the same to us; every call gets on; memory stays within its limit.
pub fn bytes(role: Role, input: &[u8]) {
    // Most inputs should get further than the preface.
    let input = match input.split_first() {
        Some((first, rest)) if first % 8 == 0 => rest.to_vec(),
        Some((_, rest)) => [&hello(role)[..], rest].concat(),
        None => vec![],
    };
    let whole = heard(role, &[&input]);
    assert_eq!(heard(role, &input.chunks(1).collect::<Vec<_>>()), whole);
    for at in [input.len() / 3, input.len() / 2, input.len().saturating_sub(1)] {
        let (a, b) = input.split_at(at);
        assert_eq!(heard(role, &[a, b]), whole, "cut at {at}");
    }
}

/// All that a connection says of some bytes, with adjacent content as one, and what it answers.
fn heard(role: Role, pieces: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
    let mut connection = connection(role);
    let (mut said, mut out, mut buffer, mut content) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
    if role == Role::Client {
        for _ in 0..3 {
            let mut head = RequestHead { target: b"/".to_vec(), ..RequestHead::new() };
            head.fields.append("Host", "a");
            connection.send_request(&head, &mut out).unwrap();
        }
    }
    'all: for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut idle = 0;
        loop {
            let received = match connection.receive(&buffer, Duration::ZERO) {
                Ok(received) => received,
                Err(error) => {
                    assert_eq!(connection.receive(&buffer, Duration::ZERO), Err(error));
                    said.push(format!("{error:?}"));
                    break 'all;
                }
            };
            idle = if received.consumed == 0 { idle + 1 } else { 0 };
            assert!(idle < 300, "a spin");
            match &received.event {
                Event::NeedMore => {}
                Event::Data { stream, range, ended } => {
                    let all: &mut (Vec<u8>, bool) = content.entry(*stream).or_default();
                    assert!(!all.1, "content behind the end");
                    all.0.extend_from_slice(&buffer[range.clone()]);
                    all.1 = *ended;
                    connection.release(*stream, range.len());
                }
                Event::Request { .. } => {
                    said.push(format!("{:?} {:?}", received.event, connection.request_mut()))
                }
                Event::Response { .. } | Event::Interim { .. } => {
                    said.push(format!("{:?} {:?}", received.event, connection.response_mut()));
                }
                Event::Trailers { .. } => {
                    said.push(format!("{:?} {:?}", received.event, connection.trailers_mut()));
                }
                event => said.push(format!("{event:?}")),
            }
            buffer.drain(..received.consumed);
            connection.transmit(&mut out);
            assert!(connection.heap_bytes() <= 256 << 10);
            if received.event == Event::NeedMore {
                break;
            }
        }
    }
    connection.transmit(&mut out);
    said.push(format!("{content:?}"));
    (said, out)
}

/// Frames of a peer and requests of an application, in any order: what goes out is made of whole frames, each of which
/// may be sent where it stands, and never more content than there is room for.
pub fn steps(role: Role, input: &[u8]) {
    let mut dice = Dice::Bytes(input);
    let mut app = App::new(role);
    app.hear(&hello(role));
    for _ in 0..input.len().min(400) {
        let peer = dice.below(3) > 0;
        if peer {
            let bytes = frame(role, &mut dice);
            app.promise(&bytes);
            let at = if dice.below(4) == 0 { dice.below(bytes.len()) } else { bytes.len() };
            app.hear(&bytes[..at]);
            if dice.below(8) == 0 {
                app.act(&mut dice);
            }
            app.hear(&bytes[at..]);
        } else {
            app.act(&mut dice);
        }
        app.transmit();
    }
    app.check_output();
}

/// A frame that is mostly well-formed.
fn frame(role: Role, dice: &mut Dice<'_>) -> Vec<u8> {
    let stream = [1, 3, 5, 7, 9, 11, 0, 2][dice.below(8)];
    let number =
        |dice: &mut Dice<'_>| [0, 1, 100, 16_384, 65_535, 1 << 20, 0x7fff_ffff][dice.below(7)] as u32;
    let (kind, flags, payload): (u8, u8, Vec<u8>) = match dice.below(14) {
        0..=2 => (
            0,
            [0, 1, 8, 9][dice.below(4)],
            vec![dice.below(20) as u8; [0, 1, 30, 5_000, 16_384][dice.below(5)]],
        ),
        3..=6 => (1, [4, 5, 5, 5, 0, 12, 37][dice.below(7)], block(role, dice)),
        7 => (2, 0, vec![0; [5, 5, 5, 4][dice.below(4)]]),
        8 => (3, 0, (dice.below(15) as u32).to_be_bytes().to_vec()),
        9 => {
            let id = [1_u16, 3, 4, 5, 6, 8, 9, 99][dice.below(8)];
            (4, [0, 0, 0, 1][dice.below(4)], [&id.to_be_bytes()[..], &number(dice).to_be_bytes()].concat())
        }
        10 => (6, dice.below(2) as u8, vec![dice.below(256) as u8; 8]),
        11 => (7, 0, [number(dice).to_be_bytes(), [0; 4]].concat()),
        12 => (8, 0, number(dice).to_be_bytes().to_vec()),
        _ => (
            [5, 9, 9, 16, 0x20][dice.below(5)],
            [0, 4][dice.below(2)],
            vec![dice.below(256) as u8; dice.below(9)],
        ),
    };
    let stream = if matches!(kind, 4 | 6 | 7 | 16) && dice.below(16) > 0 { 0 } else { stream };
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend((stream as u32).to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field block, by indices of the static table and literals.
fn block(role: Role, dice: &mut Dice<'_>) -> Vec<u8> {
    let mut block = match role {
        // :method GET or POST, :scheme http, :path /, :authority a.
        Role::Server => vec![0x82 + dice.below(2) as u8, 0x86, 0x84, 0x01, 1, b'a'],
        Role::Client => vec![0x88 + dice.below(7) as u8],
    };
    if dice.below(8) == 0 {
        block.clear();
    }
    for _ in 0..dice.below(5) {
        match dice.below(6) {
            0 => block.extend([0x40, 1, b'x', 1, dice.below(256) as u8]),
            1 => block.extend([0x0f, 0x0d, 1, b'0' + dice.below(10) as u8]), // content-length
            2 => block.push(0xbe),
            3 => block.extend([0x60, 3, b'a', b'=', b'b']), // cookie
            4 => block.extend([0x00, 2, b't', b'e', 8, b't', b'r', b'a', b'i', b'l', b'e', b'r', b's']),
            _ => block.push(0x80 | dice.below(62) as u8),
        }
    }
    block
}

struct App {
    connection: Connection,
    now: Duration,
    input: Vec<u8>,
    out: Vec<u8>,
    streams: Vec<StreamId>,
    /// Octets of content that the peer has given leave for, on all streams: never less than what it did.
    leave: u64,
    failed: bool,
}

impl App {
    fn new(role: Role) -> Self {
        Self {
            connection: connection(role),
            now: Duration::ZERO,
            input: Vec::new(),
            out: Vec::new(),
            streams: Vec::new(),
            leave: 65_535,
            failed: false,
        }
    }

    /// Keeps account of what a frame of the peer allows.
    fn promise(&mut self, frame: &[u8]) {
        if frame[3] == 8 && frame[5..9] == [0; 4] {
            self.leave += u64::from(u32::from_be_bytes(frame[9..13].try_into().unwrap()) & 0x7fff_ffff);
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let mut at = 0;
        while !self.failed {
            let Ok(received) = self.connection.receive(&self.input[at..], self.now) else {
                self.failed = true;
                break;
            };
            at += received.consumed;
            match received.event {
                Event::NeedMore => break,
                Event::Request { stream, .. } => self.streams.push(stream),
                Event::Reset { stream, .. } => assert!(self.connection.sending_ended(stream)),
                _ => {}
            }
            assert!(self.connection.heap_bytes() <= 256 << 10);
        }
        self.input.drain(..at);
    }

    /// The application does something.
    fn act(&mut self, dice: &mut Dice<'_>) {
        let (connection, out) = (&mut self.connection, &mut self.out);
        if dice.below(3) == 0 {
            let mut head = RequestHead { target: b"/".to_vec(), ..RequestHead::new() };
            head.content = [Length::None, Length::Known(10_000), Length::Chunked][dice.below(3)];
            head.fields.append("Host", "a");
            if let Ok(stream) = connection.send_request(&head, out) {
                self.streams.push(stream);
            }
        }
        let Some(stream) = self.streams.get(dice.below(self.streams.len().max(1))).copied() else { return };
        let answer = ResponseHead {
            content: [Length::Known(3_000), Length::Chunked][dice.below(2)],
            ..ResponseHead::new()
        };
        match dice.below(12) {
            0..=2 => drop(connection.send_response(stream, &answer, out)),
            3 | 4 => drop(connection.offer(stream, [0, 1, 1_000, 100_000][dice.below(4)], self.now)),
            5 => connection.release(stream, [1, 10_000, 1 << 20][dice.below(3)]),
            6 => connection.reset(stream, Code::CANCEL),
            7 => connection.close(stream),
            8 => drop(connection.send_end(stream, out)),
            9 => drop(connection.send_trailers(stream, &Fields::new(), out)),
            10 if dice.below(8) == 0 => connection.go_away(self.now),
            10 => connection.ping([1; 8]),
            _ => {
                self.now += Duration::from_millis([1, 500, 20_000][dice.below(3)]);
                let _ = connection.handle_timeout(self.now);
                self.failed |= connection.error().is_some();
                while connection.poll_event().is_some() {}
            }
        }
        connection.transmit(out);
        for _ in 0..dice.below(6) {
            let Some(grant) = self.connection.next_data(self.now) else { break };
            assert!(grant.bytes_max > 0 && grant.bytes_max <= 16_384);
            let end = dice.below(4) == 0;
            if let Ok(head) = self.connection.send_data(grant.stream, grant.bytes_max, end, self.now) {
                self.out.extend(head);
                self.out.extend(vec![0; grant.bytes_max]);
            }
        }
    }

    fn transmit(&mut self) {
        self.connection.transmit(&mut self.out);
        let next = self.connection.next_timeout();
        assert!(!self.failed || next.is_none());
    }

    /// Reads what went out as the other side would.
    fn check_output(&self) {
        let mut rest = self.out.strip_prefix(PREFACE).unwrap_or(&self.out);
        let mut ended: BTreeMap<u32, bool> = BTreeMap::new();
        let (mut block, mut sent, mut over) = (None, 0, false);
        while !rest.is_empty() {
            let len = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
            let (kind, flags) = (rest[3], rest[4]);
            let stream = u32::from_be_bytes(rest[5..9].try_into().unwrap());
            let payload = &rest[9..9 + len];
            assert!(len <= 16_384 && !over, "{kind} behind the last word");
            assert!(block.is_none_or(|id| kind == 9 && id == stream), "within a block");
            assert_eq!(stream == 0, matches!(kind, 4 | 6 | 7) || (kind == 8 && stream == 0), "{kind}");
            match kind {
                0 | 1 => {
                    assert_eq!(ended.get(&stream), None, "{kind} on {stream}");
                    if flags & 1 != 0 {
                        ended.insert(stream, false);
                    }
                    if kind == 0 {
                        sent += len as u64;
                    } else if flags & 4 == 0 {
                        block = Some(stream);
                    }
                }
                3 => assert_ne!(ended.insert(stream, true), Some(true), "two resets of {stream}"),
                7 => over = payload[4..8] != [0; 4],
                8 => {
                    assert_ne!(payload[..4], [0; 4]);
                    assert!(stream == 0 || ended.get(&stream) != Some(&true), "room on a closed stream");
                }
                9 => block = if flags & 4 != 0 { None } else { block },
                4 | 6 => {}
                kind => panic!("a frame of type {kind}"),
            }
            rest = &rest[9 + len..];
        }
        assert!(block.is_none());
        assert!(sent <= self.leave, "{sent} of {}", self.leave);
    }
}

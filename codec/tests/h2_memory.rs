//! What a connection of HTTP/2 takes of memory, by a counting allocator.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "h2/counting.rs"]
mod counting;
mod h2;

use corelane_codec::h2::{Config, Connection, Event, StreamId};
use corelane_codec::{Length, RequestHead, ResponseHead};
use counting::{ALLOCATIONS, LIVE, PEAK};
use h2::*;
use std::rc::Rc;
use std::time::Duration;

/// A server whose application keeps every head that it is given.
struct Holding {
    connection: Connection,
    heads: Vec<RequestHead>,
    out: Vec<u8>,
    refused: usize,
    resets: usize,
    dead: bool,
    /// Memory of it and its heads at the worst, from here on.
    before: i64,
}

impl Holding {
    fn new() -> Self {
        let mut holding = Self {
            connection: Connection::server(Rc::new(Config::default()), Duration::ZERO),
            heads: Vec::with_capacity(200),
            out: Vec::with_capacity(1 << 20),
            refused: 0,
            resets: 0,
            dead: false,
            before: 0,
        };
        let hello = [PREFACE, &settings(&[(4, 0)]), &settings_ack()].concat();
        holding.feed(&hello);
        holding
    }

    fn watch(&mut self) {
        self.before = LIVE.get();
        PEAK.set(self.before);
    }

    fn peak(&self) -> i64 {
        PEAK.get() - self.before
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while !self.dead {
            let Ok(received) = self.connection.receive(&bytes[at..], Duration::ZERO) else {
                self.dead = true;
                break;
            };
            at += received.consumed;
            match received.event {
                Event::NeedMore => break,
                Event::Request { .. } => {
                    self.heads.push(RequestHead::new());
                    std::mem::swap(self.heads.last_mut().unwrap(), self.connection.request_mut());
                }
                Event::Refused { .. } => self.refused += 1,
                Event::Reset { .. } => self.resets += 1,
                _ => {}
            }
            self.out.clear();
            self.connection.transmit(&mut self.out);
        }
    }
}

/// A field that was put into the table, and sixteen thousand references to it.
fn bomb(seed: &[u8], reference: u8, count: usize, stream: u32) -> Vec<u8> {
    let block = [&block(GET), seed, &vec![reference; count]].concat();
    let (first, rest) = block.split_at(block.len().min(16_384));
    let mut bytes = frame(HEADERS, END_STREAM | if rest.is_empty() { END_HEADERS } else { 0 }, stream, first);
    if !rest.is_empty() {
        bytes.extend(frame(CONTINUATION, END_HEADERS, stream, rest));
    }
    bytes
}

fn literal(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = vec![0x40];
    for text in [name.as_bytes(), value] {
        out.push(if text.len() < 127 { text.len() as u8 } else { 127 });
        if text.len() >= 127 {
            let rest = text.len() - 127;
            out.extend([(rest & 127) as u8 | 128, (rest >> 7) as u8]);
        }
        out.extend(text);
    }
    out
}

#[test]
fn h2_04_h2_05_h2_06_h2_07_a_bomb_takes_no_more_than_its_budget() {
    let big = vec![b'x'; 4_000];
    let seeds = [
        ("a tiny field", literal("a", b"")),
        ("a cookie crumb", literal("cookie", b"a")),
        ("a host that is discarded", literal("host", b"example.com")),
        ("an authority in the wrong place", literal(":authority", &big)),
        ("an entry of the whole table", literal("x", &big)),
        ("a large cookie", literal("cookie", &big)),
    ];
    for (name, seed) in &seeds {
        for count in [3, 60, 120, 16_300, 30_000] {
            let input: Vec<Vec<u8>> = (0..100).map(|n| bomb(seed, 0xbe, count, 2 * n + 1)).collect();
            let mut server = Holding::new();
            server.watch();
            for bytes in &input {
                server.feed(bytes);
            }
            assert!(server.peak() <= 256 << 10, "{name} × {count}: {}", server.peak());
            let all = server.heads.len() + server.refused;
            assert!(server.dead || all == 100, "{name} × {count}: {all}");
            if count > 128 {
                assert_eq!(server.heads.len(), 0, "{name} × {count}");
            }
        }
    }
}

/// Requests as large as they may be, each held by the application, with content that is not released.
#[test]
fn h2_04_what_the_application_holds_counts() {
    for head_bytes in [100, 1_000, 10_000, 30_000] {
        let value = "y".repeat(head_bytes);
        let input: Vec<Vec<u8>> = (0..100)
            .map(|n| {
                let block = block(&[POST, &[("x", value.as_str())]].concat());
                let mut bytes = Vec::new();
                for (at, piece) in block.chunks(16_000).enumerate() {
                    let last = (at + 1) * 16_000 >= block.len();
                    let kind = if at == 0 { HEADERS } else { CONTINUATION };
                    bytes.extend(frame(kind, if last { END_HEADERS } else { 0 }, 2 * n + 1, piece));
                }
                bytes
            })
            .collect();
        let mut server = Holding::new();
        server.watch();
        for bytes in &input {
            server.feed(bytes);
        }
        // What the windows still allow is not held yet, and counted all the same.
        let windows = (server.heads.len() as i64 * 65_535).min(96 << 10);
        assert!(server.peak() + windows <= 256 << 10, "{head_bytes}: {}", server.peak());
        assert!(!server.dead && server.heads.len() + server.refused == 100);
        assert!(server.heads.len() >= 2, "{}", server.heads.len());
    }
}

/// The application holds nearly as much as it may; then come the largest sections of every kind, none of which it gets.
#[test]
fn h2_04_h2_06_sections_beside_what_is_held() {
    for held_bytes in [100, 700, 2_000] {
        let held: Vec<Vec<u8>> = (0..100)
            .map(|n| headers(2 * n + 1, &[POST, &[("x", "y".repeat(held_bytes).as_str())]].concat(), 0))
            .collect();
        let mut sections: Vec<Vec<u8>> =
            [("cookie", 30_000), ("x", 30_000), ("cookie", 40_000), ("x", 60_000)]
                .iter()
                .enumerate()
                .map(|(n, (name, len))| {
                    let block = block(&[GET, &[(name, "z".repeat(*len).as_str())]].concat());
                    let stream = 301 + 2 * n as u32;
                    let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
                    let last = pieces.len() - 1;
                    let all = pieces.iter().enumerate().map(|(at, piece)| {
                        let kind = if at == 0 { HEADERS } else { CONTINUATION };
                        frame(kind, END_STREAM | if at == last { END_HEADERS } else { 0 }, stream, piece)
                    });
                    all.collect::<Vec<_>>().concat()
                })
                .collect();
        sections.push(headers(1, &[("x", "t".repeat(3_900).as_str())], END_STREAM));
        let mut server = Holding::new();
        server.watch();
        for bytes in held.iter().chain(&sections) {
            server.feed(bytes);
        }
        assert!(server.peak() <= 256 << 10, "{held_bytes}: {}", server.peak());
        // What the windows still allow may come beside all of that: while a section is decoded, it and its copies are on
        // top of what the budget has let in.
        let windows = (server.heads.len() as i64 * 65_535).min(128 << 10);
        assert!(!server.dead);
        assert!(
            server.peak() + windows <= 320 << 10,
            "{held_bytes}: {} beside windows of {windows}, {} heads",
            server.peak(),
            server.heads.len()
        );
    }
}

#[test]
fn h2_39_ten_thousand_connections_with_a_silent_stream() {
    let config = Rc::new(Config::default());
    let hello = [PREFACE, &settings(&[]), &settings_ack(), &headers(1, POST, 0)].concat();
    let mut out = Vec::with_capacity(1 << 20);
    let before = LIVE.get();
    let mut connections = Vec::with_capacity(10_000);
    for _ in 0..10_000 {
        let mut connection = Connection::server(config.clone(), Duration::ZERO);
        let mut at = 0;
        loop {
            let received = connection.receive(&hello[at..], Duration::ZERO).unwrap();
            at += received.consumed;
            if received.event == Event::NeedMore {
                break;
            }
        }
        out.clear();
        connection.transmit(&mut out);
        connections.push((connection, StreamId::new(1)));
    }
    let each = (LIVE.get() - before) / 10_000;
    assert!(each <= 8 << 10, "{each}");
    for (connection, _) in &mut connections {
        connection.rest();
    }
    let each = (LIVE.get() - before) / 10_000;
    assert!(each <= 4 << 10, "{each} at rest");
}

/// What the docs say of a connection at rest, and of a stream.
#[test]
fn h2_39_the_figures_of_the_docs() {
    let mut server = Holding::new();
    server.heads = Vec::new();
    server.connection.rest();
    let before = server.connection.heap_bytes();
    assert!(before <= 2_560, "{before}");
    for n in 0..64 {
        server.feed(&headers(2 * n + 1, POST, 0));
    }
    server.connection.rest();
    let each = (server.connection.heap_bytes() - before) / 64;
    assert!(each <= 176, "{each}");
}

/// Both sides of an exchange, with memory that is used again.
struct Pair {
    client: Connection,
    server: Connection,
    request: RequestHead,
    response: ResponseHead,
    taken: RequestHead,
    answered: ResponseHead,
    up: Vec<u8>,
    down: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        let config = Rc::new(Config::default());
        let mut request = RequestHead { content: Length::Known(5), ..request("/path?query") };
        for (name, value) in
            [("User-Agent", "test"), ("Accept", "*/*"), ("Cookie", "session=0123456789abcdef0123")]
        {
            request.fields.append(name, value);
        }
        let mut response = response(200, Length::Known(5));
        response.fields.append("Server", "test");
        response.fields.append("Content-Type", "text/plain");
        Self {
            client: Connection::client(config.clone(), Duration::ZERO),
            server: Connection::server(config, Duration::ZERO),
            request,
            response,
            taken: RequestHead::new(),
            answered: ResponseHead::new(),
            up: Vec::new(),
            down: Vec::new(),
        }
    }

    fn exchange(&mut self) {
        let now = Duration::from_secs(1);
        let stream = self.client.send_request(&self.request, &mut self.up).unwrap();
        self.client.offer(stream, 5, now).unwrap();
        let grant = self.client.next_data(now).unwrap();
        self.up.extend(self.client.send_data(grant.stream, 5, true, now).unwrap());
        self.up.extend(b"hello");
        let (mut at, mut ended) = (0, false);
        loop {
            let received = self.server.receive(&self.up[at..], now).unwrap();
            at += received.consumed;
            match received.event {
                Event::NeedMore => break,
                Event::Request { .. } => std::mem::swap(&mut self.taken, self.server.request_mut()),
                Event::Data { stream, range, ended: end } => {
                    self.server.release(stream, range.len());
                    ended = end;
                }
                event => panic!("{event:?}"),
            }
        }
        assert!(ended);
        self.up.clear();
        self.server.send_response(stream, &self.response, &mut self.down).unwrap();
        self.server.offer(stream, 5, now).unwrap();
        let grant = self.server.next_data(now).unwrap();
        self.down.extend(self.server.send_data(grant.stream, 5, true, now).unwrap());
        self.down.extend(b"world");
        self.server.close(stream);
        let mut at = 0;
        loop {
            let received = self.client.receive(&self.down[at..], now).unwrap();
            at += received.consumed;
            match received.event {
                Event::NeedMore => break,
                Event::Response { .. } => std::mem::swap(&mut self.answered, self.client.response_mut()),
                Event::Data { stream, range, ended } => {
                    self.client.release(stream, range.len());
                    if ended {
                        self.client.close(stream);
                    }
                }
                event => panic!("{event:?}"),
            }
        }
        self.down.clear();
        self.client.transmit(&mut self.up);
        self.server.transmit(&mut self.down);
    }
}

#[test]
fn a_warm_exchange_allocates_nothing() {
    let mut pair = Pair::new();
    // Until the memory of streams that are gone is full, and the tables are what they will be.
    for _ in 0..300 {
        pair.exchange();
    }
    let before = ALLOCATIONS.get();
    for _ in 0..10_000 {
        pair.exchange();
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(pair.answered.status, 200);
    assert_eq!(pair.taken.authority(), b"example.com");
}

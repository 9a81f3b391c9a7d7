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
    streams: Vec<StreamId>,
    response: ResponseHead,
    /// Nothing is sent.
    silent: bool,
    out: Vec<u8>,
    refused: usize,
    resets: usize,
    dead: bool,
    /// Memory of it and its heads at the worst, from here on.
    before: i64,
}

impl Holding {
    fn new() -> Self {
        let mut response = ResponseHead { content: Length::Chunked, ..ResponseHead::new() };
        for name in ["a", "b", "c", "d", "e"] {
            response.fields.append(name, [b'v'; 700]);
        }
        let mut holding = Self {
            response,
            connection: Connection::server(Rc::new(Config::default()), Duration::ZERO),
            heads: Vec::with_capacity(200),
            streams: Vec::with_capacity(200),
            silent: false,
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
                Event::Request { stream, .. } => {
                    self.streams.push(stream);
                    self.heads.push(RequestHead::new());
                    std::mem::swap(self.heads.last_mut().unwrap(), self.connection.request_mut());
                }
                Event::Refused { .. } => self.refused += 1,
                Event::Reset { .. } => self.resets += 1,
                _ => {}
            }
            self.out.clear();
            if !self.silent {
                self.connection.transmit(&mut self.out);
            }
        }
    }

    /// The first request that is held is done with.
    fn close(&mut self) {
        if !self.streams.is_empty() {
            self.connection.close(self.streams.remove(0));
            drop(self.heads.remove(0));
        }
    }

    /// The last request is answered, with a head that fills the encoder's table; it is not closed.
    fn answer(&mut self) {
        let Some(stream) = self.streams.last() else { return };
        let _ = self.connection.send_response(*stream, &self.response, &mut self.out);
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
        assert!(server.heads.len() >= if head_bytes > 20_000 { 1 } else { 4 }, "{}", server.heads.len());
    }
}

/// A section in as many frames as it takes, fields as literals of some form.
fn section(stream: u32, block: &[u8]) -> Vec<u8> {
    let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
    let frames = pieces.iter().enumerate().map(|(at, piece)| {
        let kind = if at == 0 { HEADERS } else { CONTINUATION };
        frame(kind, if at + 1 == pieces.len() { END_HEADERS } else { 0 }, stream, piece)
    });
    frames.collect::<Vec<_>>().concat()
}

/// Field blocks of requests that take the most memory, each in a way of its own; `len` is what one has in all.
fn blocks(len: usize) -> Vec<(&'static str, Vec<u8>)> {
    let text = |len: usize| "z".repeat(len);
    let post = |fields: &[(&str, &str)]| block(&[POST, fields].concat());
    let many = |name: &'static str, each: usize, len: usize| {
        block(&vec![(name, text(each).as_str()); len / (each + 40)])
    };
    // Literals whose values are Huffman-coded, and some that go into the table.
    let mut coded = Vec::new();
    let mut encoder = corelane_codec::hpack::Encoder::default();
    let mut out = encoder.begin(&mut coded);
    for (name, value) in [POST, &[("x", text(len / 3).as_str()), ("y", text(len / 2).as_str())]].concat() {
        out.field(name.as_bytes(), value.as_bytes(), corelane_codec::hpack::Indexing::Without);
    }
    let table =
        [block(POST), literal("a", &[b'x'; 1_300]), literal("b", &[b'x'; 2_500]), vec![0xbe; len / 2_600]];
    let (path, authority) = (text(len.min(8_000)), format!("{}:443", "a".repeat(len.min(8_000))));
    let path = format!("/{}", &path[1..]);
    let long_path = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", path.as_str())];
    let connect = [(":method", "CONNECT"), (":authority", authority.as_str())];
    let rest = text(len - len.min(8_000));
    vec![
        ("one field", post(&[("x", text(len).as_str())])),
        ("one cookie", post(&[("cookie", text(len).as_str())])),
        ("two fields", post(&[("x", text(len / 2).as_str()), ("y", text(len / 2).as_str())])),
        ("growing fields", post(&[("x", &text(len / 4)), ("y", &text(len / 4 + 9)), ("z", &text(len / 3))])),
        (
            "a cookie, and one apart",
            post(&[("cookie", &text(len / 3)), ("x", ""), ("cookie", &text(len / 2))]),
        ),
        ("a crumb apart", post(&[("cookie", &text(len - 100)), ("x", ""), ("cookie", "a")])),
        ("crumbs", [block(POST), many("cookie", 250, len)].concat()),
        (
            "crumbs apart",
            [block(POST), many("cookie", 600, len / 2), block(&[("x", "")]), many("cookie", 600, len / 2)]
                .concat(),
        ),
        ("many fields", [block(POST), many("x", 250, len)].concat()),
        ("coded", coded),
        ("the table", table.concat()),
        ("a path", block(&[&long_path[..], &[("x", rest.as_str())]].concat())),
        ("CONNECT", block(&[&connect[..], &[("x", rest.as_str())]].concat())),
    ]
}

/// A peer and an application at their worst together, and what they hold at any time: heads that nobody is done with,
/// content that may come, frames that wait, events, both tables, and a head that is being decoded.
struct Worst {
    server: Holding,
    next: u32,
    /// With all content that windows allow.
    bytes_max: i64,
    what: &'static str,
}

impl Worst {
    fn new() -> Self {
        let mut server = Holding::new();
        server.watch();
        Self { server, next: 1, bytes_max: 0, what: "" }
    }

    fn step(&mut self, what: &'static str, step: impl FnOnce(&mut Holding)) {
        PEAK.set(LIVE.get());
        step(&mut self.server);
        let receiving = self.server.streams.iter().filter(|id| !self.server.connection.receiving_ended(**id));
        let windows = (receiving.count() as i64 * 65_535).min(96 << 10);
        let bytes = self.server.peak() + windows;
        if bytes > self.bytes_max {
            (self.bytes_max, self.what) = (bytes, what);
        }
    }

    /// The peer sends something.
    fn hear(&mut self, what: &'static str, bytes: impl FnOnce() -> Vec<u8>) {
        // What the peer has is not ours.
        let before = LIVE.get();
        let bytes = bytes();
        let of_peer = LIVE.get() - before;
        self.server.before += of_peer;
        self.step(what, |server| server.feed(&bytes));
        self.server.before -= of_peer;
    }

    fn request(&mut self, what: &'static str, block: &[u8]) {
        let stream = self.next;
        self.next += 2;
        self.hear(what, || section(stream, block));
    }

    fn done(mut self) -> (i64, usize) {
        let heads = self.server.heads.len();
        self.step("the end", |server| server.connection.receive_end());
        assert!(self.bytes_max <= 256 << 10, "{}: {}, {heads} heads", self.what, self.bytes_max);
        (self.bytes_max, heads)
    }
}

#[test]
fn h2_04_h2_06_h2_07_nothing_takes_more_together() {
    let mut most = 0;
    for held_bytes in [0, 100, 700, 2_000, 6_000, 20_000] {
        for len in [3_000, 8_000, 14_000, 20_000, 26_000, 31_800, 60_000] {
            let held = block(&[POST, &[("x", "y".repeat(held_bytes).as_str())]].concat());
            let (sections, silent) = (blocks(len), len % 8_000 == 0);
            let mut all = Worst::new();
            all.server.silent = silent;
            for n in 0..100 {
                if held_bytes > 0 {
                    all.request("what is held", &held);
                }
                let (name, block) = &sections[n % sections.len()];
                all.request(name, block);
                if n % 20 == 0 {
                    let stream = all.next - 2;
                    all.hear("pings", || ping(0, [1; 8]).repeat(20));
                    all.hear("trailers", || {
                        headers(stream, &[("x", "t".repeat(3_900).as_str())], END_STREAM)
                    });
                    all.step("an answer", |server| server.answer());
                }
                if n % 7 == 0 {
                    all.step("the first is done with", |server| server.close());
                }
            }
            assert!(!all.server.dead || silent || len > 32_000, "{held_bytes}, {len}");
            let (bytes, _) = all.done();
            most = most.max(bytes);
        }
    }
    println!("{most} bytes at most");
    // It is about what it says.
    assert!(most > 200 << 10, "{most}");
}

/// On a connection that holds nothing, heads are as long as the limit says.
#[test]
fn h2_04_a_head_as_long_as_its_limit_is_taken() {
    for (name, block) in blocks(31_000) {
        let mut all = Worst::new();
        all.request(name, &block);
        let (refused, resets) = (all.server.refused, all.server.resets);
        let (bytes, heads) = all.done();
        assert_eq!((heads, refused, resets), (1, 0, 0), "{name}: {bytes}");
    }
}

/// A client that has asked for as much as it may, and an origin whose heads are long. Who asks holds none of them.
#[test]
fn h2_04_h2_07_responses_take_no_more() {
    for len in [3_000, 9_000, 20_000, 31_000, 45_000, 63_000] {
        let text = |len: usize| "z".repeat(len);
        let heads = [
            block(&[OK, &[("x", text(len).as_str())]].concat()),
            block(&[OK, &[("set-cookie", text(len / 2).as_str()), ("y", text(len / 2).as_str())]].concat()),
            block(&[OK, &[("x", &text(len / 4)), ("y", &text(len / 4 + 9)), ("z", &text(len / 3))]].concat()),
            [block(OK), literal("a", &[b'x'; 1_300]), literal("b", &[b'x'; 2_500]), vec![0xbe; len / 2_600]]
                .concat(),
        ];
        let mut out = Vec::with_capacity(1 << 20);
        let hello = [settings(&[]), settings_ack()].concat();
        let answers: Vec<Vec<u8>> =
            (0..100).map(|n| section(2 * n + 1, &heads[n as usize % heads.len()])).collect();
        let (request, mut taken, mut whole) = (request("/"), ResponseHead::new(), 0);
        let config = Rc::new(Config::default());
        let before = LIVE.get();
        PEAK.set(before);
        let mut client = Connection::client(config, Duration::ZERO);
        for _ in 0..100 {
            client.send_request(&request, &mut out).unwrap();
        }
        for bytes in [&hello].into_iter().chain(&answers) {
            let mut at = 0;
            while let Ok(received) = client.receive(&bytes[at..], Duration::ZERO) {
                at += received.consumed;
                match received.event {
                    Event::NeedMore => break,
                    Event::Response { .. } => {
                        whole += 1;
                        std::mem::swap(&mut taken, client.response_mut());
                    }
                    _ => {}
                }
            }
        }
        let bytes = PEAK.get() - before + (96 << 10);
        assert!(bytes <= 256 << 10, "{len}: {bytes}");
        assert!(whole == 100 || len > 16_000, "{len}: {whole}");
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

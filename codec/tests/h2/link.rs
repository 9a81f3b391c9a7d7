//! Two connections of HTTP/2 joined by a link that loses nothing and delays everything, under a clock of its own.
//!
//! What happens is chosen by [`Dice`]: by a seed, or by the bytes of a fuzzer. Both applications do what applications
//! do, in any order: open requests, send content of any length, read it late, add trailers, give up, ping, go away.
//! Whatever they do, neither connection may find fault with the other, and each message must come as it was sent.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(dead_code, reason = "every test binary uses its own part of this")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

use corelane_codec::h2::{Code, Config, Connection, Event, StreamId};
use corelane_codec::{Fields, Length, RequestHead, ResponseHead};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Where choices come from.
pub enum Dice<'a> {
    Seed(u64),
    Bytes(&'a [u8]),
}

impl Dice<'_> {
    /// A number below `n`. Once the bytes are used up, a seed goes on.
    pub fn below(&mut self, n: usize) -> usize {
        match self {
            Self::Seed(seed) => {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (*seed >> 33) as usize % n
            }
            Self::Bytes([first, rest @ ..]) => {
                let first = usize::from(*first);
                *self = Self::Bytes(rest);
                first % n
            }
            Self::Bytes([]) => {
                *self = Self::Seed(1);
                self.below(n)
            }
        }
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    fn length(&mut self) -> usize {
        match self.below(6) {
            0 => 0,
            1 => 1 + self.below(10),
            2 => self.below(256) * 4,
            3 => 16_384 - 2 + self.below(5),
            4 => self.below(256) * 300,
            _ => self.below(256) * 1_000,
        }
    }
}

/// What one side does with one message.
#[derive(Debug, Clone)]
struct Message {
    len: usize,
    known: bool,
    trailers: bool,
    /// The sender gives up at this many octets.
    gives_up: Option<usize>,
}

impl Message {
    fn any(dice: &mut Dice<'_>) -> Self {
        let len = dice.length();
        let gives_up = (len > 0 && dice.one_in(12)).then(|| dice.below(256) * len / 256);
        Self { len, known: dice.one_in(2), trailers: dice.one_in(3), gives_up }
    }

    fn content(&self) -> Length {
        match (self.len, self.known, self.trailers) {
            (0, _, false) => Length::None,
            (len, true, false) => Length::Known(len as u64),
            _ => Length::Chunked,
        }
    }
}

/// The octet of a message at a place.
fn octet(stream: u32, from_server: bool, at: usize) -> u8 {
    (stream as usize * 31 + at * 7 + (at >> 8) + usize::from(from_server)) as u8
}

/// A message on its way, on either side.
#[derive(Debug)]
struct Exchange {
    sends: Option<Message>,
    expects: Message,
    head_sent: bool,
    sent: usize,
    sending_over: bool,
    received: usize,
    head_came: bool,
    receiving_over: bool,
    unread: usize,
}

struct End {
    is_server: bool,
    connection: Connection,
    exchanges: BTreeMap<u32, Exchange>,
    input: Vec<u8>,
    arriving: VecDeque<(Duration, Vec<u8>)>,
    head: RequestHead,
    answer: ResponseHead,
    /// Messages that came to their ends, and streams that were reset.
    complete: usize,
    resets: usize,
    pongs: usize,
}

pub struct Link {
    now: Duration,
    client: End,
    server: End,
    plans: BTreeMap<u32, [Message; 2]>,
    opened: usize,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Outcome {
    pub opened: usize,
    pub requests: usize,
    pub responses: usize,
    pub resets: usize,
    pub pongs: usize,
}

/// Runs until so many requests have been opened and everything has come to its end.
pub fn run(config: &Config, requests: usize, dice: &mut Dice<'_>) -> Outcome {
    let config = Rc::new(config.clone());
    let now = Duration::from_secs(1);
    let end = |is_server, connection| End {
        is_server,
        connection,
        exchanges: BTreeMap::new(),
        input: Vec::new(),
        arriving: VecDeque::new(),
        head: RequestHead::new(),
        answer: ResponseHead::new(),
        complete: 0,
        resets: 0,
        pongs: 0,
    };
    let mut link = Link {
        now,
        client: end(false, Connection::client(config.clone(), now)),
        server: end(true, Connection::server(config, now)),
        plans: BTreeMap::new(),
        opened: 0,
    };
    let mut idle = 0;
    while link.opened < requests || !link.is_quiet() {
        idle = if link.step(requests, dice) { 0 } else { idle + 1 };
        // I7: a spin without progress is a fault.
        assert!(
            idle < 1_000,
            "nothing happens any more: {:?} {:?}",
            link.client.exchanges,
            link.server.exchanges
        );
    }
    link.finish(dice)
}

impl Link {
    fn is_quiet(&self) -> bool {
        [&self.client, &self.server].iter().all(|end| {
            end.exchanges.is_empty() && end.arriving.is_empty() && !end.connection.wants_transmit()
        })
    }

    /// Something happens; says whether it did.
    fn step(&mut self, requests: usize, dice: &mut Dice<'_>) -> bool {
        let mut progress = false;
        if self.opened < requests && dice.one_in(2) {
            progress |= self.open(dice);
        }
        if dice.one_in(40) {
            let end = if dice.one_in(2) { &mut self.server } else { &mut self.client };
            end.connection.ping([7; 8]);
        }
        for side in [true, false] {
            let (from, to) = if side {
                (&mut self.client, &mut self.server)
            } else {
                (&mut self.server, &mut self.client)
            };
            progress |= from.arrive(self.now, &mut self.plans, dice);
            progress |= from.act(self.now, dice);
            let chunk = from.write(self.now, dice);
            if !chunk.is_empty() {
                progress = true;
                let earliest = to.arriving.back().map_or(self.now, |(at, _)| *at);
                let at = earliest.max(self.now + Duration::from_micros(dice.below(256) as u64 * 50));
                to.arriving.push_back((at, chunk));
            }
        }
        progress | self.pass_time()
    }

    fn open(&mut self, dice: &mut Dice<'_>) -> bool {
        if self.client.connection.streams_available() == 0 {
            return false;
        }
        let plan = [Message::any(dice), Message::any(dice)];
        let mut head =
            RequestHead { target: b"/path".to_vec(), content: plan[0].content(), ..RequestHead::new() };
        head.accepts_trailers = true;
        head.fields.append("Host", "example.com");
        head.fields.append("X-Number", format!("{}", dice.below(20)));
        if dice.one_in(3) {
            head.fields.append("Priority", format!("u={}{}", dice.below(8), ["", ", i"][dice.below(2)]));
        }
        let mut out = Vec::new();
        let stream = self.client.connection.send_request(&head, &mut out).unwrap();
        let at = self.server.arriving.back().map_or(self.now, |(at, _)| *at).max(self.now);
        self.server.arriving.push_back((at, out));
        let exchange = Exchange::new(Some(plan[0].clone()), plan[1].clone());
        self.client.exchanges.insert(
            stream.number(),
            Exchange {
                head_sent: true,
                sending_over: self.client.connection.sending_ended(stream),
                ..exchange
            },
        );
        self.plans.insert(stream.number(), plan);
        self.opened += 1;
        true
    }

    /// Moves the clock to whatever comes next.
    fn pass_time(&mut self) -> bool {
        let ends = [&self.client, &self.server];
        let arrivals = ends.iter().filter_map(|end| end.arriving.front().map(|(at, _)| *at));
        let Some(next) = arrivals.min() else {
            self.now += Duration::from_millis(1);
            return false;
        };
        self.now = self.now.max(next);
        for end in [&mut self.client, &mut self.server] {
            while end.connection.next_timeout().is_some_and(|due| due <= self.now) {
                end.connection.handle_timeout(self.now).unwrap();
            }
        }
        true
    }

    /// Everything is over: nothing is left behind, and both sides part.
    fn finish(mut self, dice: &mut Dice<'_>) -> Outcome {
        for end in [&self.client, &self.server] {
            assert_eq!((end.connection.streams(), end.connection.error()), (0, None));
            assert!(end.connection.heap_bytes() < 256 << 10);
        }
        self.server.connection.go_away(self.now);
        let mut rounds = 0;
        while !(self.server.connection.is_drained() && self.client.connection.is_drained()) {
            self.step(0, dice);
            rounds += 1;
            assert!(rounds < 10_000, "they do not part");
        }
        assert_eq!(self.client.connection.streams_available(), 0);
        Outcome {
            opened: self.opened,
            requests: self.server.complete,
            responses: self.client.complete,
            resets: self.client.resets + self.server.resets,
            pongs: self.client.pongs + self.server.pongs,
        }
    }
}

impl Exchange {
    fn new(sends: Option<Message>, expects: Message) -> Self {
        Self {
            sends,
            expects,
            head_sent: false,
            sent: 0,
            sending_over: false,
            received: 0,
            head_came: false,
            receiving_over: false,
            unread: 0,
        }
    }
}

impl End {
    /// What has arrived is read, in pieces.
    fn arrive(
        &mut self,
        now: Duration,
        plans: &mut BTreeMap<u32, [Message; 2]>,
        dice: &mut Dice<'_>,
    ) -> bool {
        let mut progress = false;
        while let Some((at, chunk)) = self.arriving.front_mut()
            && *at <= now
        {
            let take = if dice.one_in(3) { 1 + dice.below(chunk.len()) } else { chunk.len() };
            self.input.extend(chunk.drain(..take));
            if chunk.is_empty() {
                self.arriving.pop_front();
            }
            progress = true;
            self.read(now, plans);
        }
        progress
    }

    fn read(&mut self, now: Duration, plans: &mut BTreeMap<u32, [Message; 2]>) {
        let (mut at, mut idle) = (0, 0);
        loop {
            let received =
                self.connection.receive(&self.input[at..], now).unwrap_or_else(|e| panic!("{e:?}"));
            let start = at;
            at += received.consumed;
            idle = if received.consumed == 0 { idle + 1 } else { 0 };
            assert!(idle < 1_000, "a spin");
            match received.event {
                Event::NeedMore => break,
                event => self.take(event, start, plans),
            }
        }
        self.input.drain(..at);
    }

    fn take(&mut self, event: Event, start: usize, plans: &mut BTreeMap<u32, [Message; 2]>) {
        match event {
            Event::Request { stream, ended } => {
                std::mem::swap(&mut self.head, self.connection.request_mut());
                let [request, response] = plans[&stream.number()].clone();
                assert_eq!(self.head.content, request.content());
                assert_eq!((self.head.path(), self.head.authority()), (&b"/path"[..], &b"example.com"[..]));
                let mut exchange = Exchange::new(Some(response), request);
                exchange.head_came = true;
                self.exchanges.insert(stream.number(), exchange);
                self.end_of(stream, ended);
            }
            Event::Response { stream, ended } => {
                std::mem::swap(&mut self.answer, self.connection.response_mut());
                let exchange = self.exchanges.get_mut(&stream.number()).unwrap();
                assert!(!std::mem::replace(&mut exchange.head_came, true), "one head");
                assert_eq!(self.answer.status, 200);
                self.end_of(stream, ended);
            }
            Event::Interim { stream } => assert!(!self.exchanges[&stream.number()].head_came),
            Event::Data { stream, range, ended } => {
                let exchange = self.exchanges.get_mut(&stream.number()).unwrap();
                for (n, byte) in self.input[start..][range.clone()].iter().enumerate() {
                    assert_eq!(*byte, octet(stream.number(), !self.is_server, exchange.received + n));
                }
                exchange.received += range.len();
                exchange.unread += range.len();
                self.end_of(stream, ended);
            }
            Event::Trailers { stream } => {
                assert_eq!(self.connection.trailers_mut().get("x-end"), Some(&b"1"[..]));
                self.end_of(stream, true);
            }
            Event::Reset { stream, .. } => {
                self.resets += 1;
                let exchange = self.exchanges.get_mut(&stream.number()).unwrap();
                (exchange.sending_over, exchange.receiving_over) = (true, true);
            }
            Event::Pong { data } => {
                assert_eq!(data, [7; 8]);
                self.pongs += 1;
            }
            Event::GoAway { code } => assert_eq!(code, Code::NO_ERROR),
            // A stream counts for the server until its application has closed it, and a client may be ahead.
            Event::Refused { error, .. } => assert_eq!(error.code, Code::REFUSED_STREAM),
            event => panic!("{event:?}"),
        }
    }

    fn end_of(&mut self, stream: StreamId, ended: bool) {
        if ended {
            let exchange = self.exchanges.get_mut(&stream.number()).unwrap();
            assert_eq!(exchange.received, exchange.expects.len, "all of it");
            exchange.receiving_over = true;
            self.complete += 1;
        }
    }

    /// The application: reads, closes, gives up.
    fn act(&mut self, _now: Duration, dice: &mut Dice<'_>) -> bool {
        let mut progress = false;
        let streams: Vec<u32> = self.exchanges.keys().copied().collect();
        for number in streams {
            let stream = StreamId::new(number).unwrap();
            let exchange = self.exchanges.get_mut(&number).unwrap();
            if exchange.unread > 0 && !dice.one_in(4) {
                let read = exchange.unread.min(1 + dice.below(256) * 300);
                exchange.unread -= read;
                self.connection.release(stream, read);
                progress = true;
            }
            let over = exchange.sending_over && exchange.receiving_over;
            if over && !dice.one_in(3) || dice.one_in(4_000) {
                self.connection.close(stream);
                self.exchanges.remove(&number);
                progress = true;
            }
        }
        progress
    }

    /// What goes out at once: what waits, heads, and content as far as the dice allow.
    fn write(&mut self, now: Duration, dice: &mut Dice<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.connection.transmit(&mut out);
        for (number, exchange) in &mut self.exchanges {
            let stream = StreamId::new(*number).unwrap();
            let Some(message) = exchange.sends.clone() else { continue };
            if exchange.sending_over || !self.is_server && !exchange.head_sent || !dice.one_in(2) {
                continue;
            }
            if !exchange.head_sent {
                if dice.one_in(4) {
                    self.connection.inform(stream, http::StatusCode::PROCESSING, &Fields::new(), &mut out);
                }
                let mut head = ResponseHead { content: message.content(), ..ResponseHead::new() };
                head.fields.append("Server", "test");
                exchange.sending_over = self.connection.send_response(stream, &head, &mut out).unwrap();
                exchange.head_sent = true;
            } else if exchange.sent == message.len && (message.trailers || message.len == 0) {
                let mut trailers = Fields::new();
                trailers.append("X-End", "1");
                match message.trailers {
                    true => self.connection.send_trailers(stream, &trailers, &mut out).unwrap(),
                    false => self.connection.send_end(stream, &mut out).unwrap(),
                }
                exchange.sending_over = true;
            } else if message.gives_up.is_some_and(|at| exchange.sent >= at) {
                self.connection.reset(stream, Code::INTERNAL_ERROR);
                (exchange.sending_over, exchange.receiving_over) = (true, true);
            } else {
                let left = message.len - exchange.sent;
                self.connection.offer(stream, left.min(1 + dice.below(256) * 200), now).unwrap();
            }
        }
        self.connection.transmit(&mut out);
        for _ in 0..dice.below(20) {
            let Some(grant) = self.connection.next_data(now) else { break };
            let number = grant.stream.number();
            let exchange = self.exchanges.get_mut(&number).unwrap();
            let message = exchange.sends.as_ref().unwrap();
            let len = if dice.one_in(4) { 1 + dice.below(grant.bytes_max) } else { grant.bytes_max };
            let end = exchange.sent + len == message.len && !message.trailers;
            out.extend(self.connection.send_data(grant.stream, len, end, now).unwrap());
            out.extend((exchange.sent..exchange.sent + len).map(|at| octet(number, self.is_server, at)));
            exchange.sent += len;
            exchange.sending_over = end;
        }
        out
    }
}

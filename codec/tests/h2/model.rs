//! What RFC 9113 says of one connection, written down a second time and differently: by a peer that sends anything, and
//! knows for each of its frames what may become of it.
//!
//! The application on our side does as it likes, too, also while a frame of the peer has come by half. After each call
//! the model compares events, frames that were sent, windows and memory with what it knows.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

#[path = "attacks.rs"]
mod attacks;

use crate::counting::LIVE;
use crate::h2::*;
use crate::link::Dice;
use corelane_codec::h2::{Cause, Code, Config, Connection, Event, Role};
use corelane_codec::{Fields, Length, RequestHead};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

const NOW: Duration = Duration::from_secs(1);
const WINDOW_MAX: i64 = 0x7fff_ffff;

/// What may become of a frame.
#[derive(Debug, Clone, PartialEq)]
enum Expect {
    Fine,
    /// A stream error of one of these codes, and nothing else.
    Stream(u32, Vec<Code>),
    Connection(Vec<Code>),
    /// A frame on a stream that is closed, which the peer knew: ignored, or an error.
    Closed(u32),
}

/// A frame, what may become of it, and what it changes if nothing is wrong with it.
type Attack = (Vec<u8>, Expect, Option<(u32, fn(&mut Stream))>);

/// What the peer knows of a stream, and of what the application was told of it.
#[derive(Debug, Default)]
struct Stream {
    /// The peer's message: its head has come; it has ended; how much content it may still have.
    head: bool,
    ended: bool,
    length: Option<usize>,
    peer_reset: bool,
    /// Ours.
    own_head: bool,
    own_ended: bool,
    own_reset: bool,
    /// The application has it; nothing more will be said of it.
    held: bool,
    silent: bool,
    told_ended: bool,
    sent: Vec<u8>,
    told: usize,
    /// What the peer may send, and what we may.
    room: i64,
    grant: i64,
    /// Octets that came and were not given back.
    unreleased: i64,
}

impl Stream {
    fn over(&self) -> bool {
        self.peer_reset || self.own_reset || (self.ended && self.own_ended)
    }
}

/// What a run was about.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Outcome {
    pub frames: usize,
    pub stream_errors: usize,
    pub connection_error: bool,
    pub messages: usize,
    pub content: usize,
    pub heap_max: usize,
}

pub struct Model<'d, 'b> {
    dice: &'d mut Dice<'b>,
    connection: Connection,
    config: Rc<Config>,
    /// Whether the budgets may end the connection.
    strict: bool,
    role: Role,
    streams: BTreeMap<u32, Stream>,
    highest: u32,
    /// The request that is on its way.
    opening: Option<u32>,
    room: i64,
    grant: i64,
    initial: i64,
    live: i64,
    out: Vec<u8>,
    /// Streams that were reset without the application's doing since the frame began.
    provoked: Vec<(u32, Code)>,
    /// Streams that the application has given up since then.
    touched: Vec<u32>,
    /// The field that HPACK's table has last.
    last: Option<u32>,
    before_last: Option<u32>,
    count: u32,
    /// The next frame may be one that ends the connection.
    bold: bool,
    pub outcome: Outcome,
}

impl<'d, 'b> Model<'d, 'b> {
    pub fn new(role: Role, config: Config, strict: bool, dice: &'d mut Dice<'b>) -> Self {
        let config = Rc::new(config);
        let before = LIVE.get();
        let connection = match role {
            Role::Server => Connection::server(config.clone(), NOW),
            Role::Client => Connection::client(config.clone(), NOW),
        };
        let live = LIVE.get() - before;
        let mut model = Self {
            dice,
            connection,
            strict,
            role,
            streams: BTreeMap::new(),
            highest: 0,
            opening: None,
            room: i64::from(config.connection_window_bytes),
            grant: 65_535,
            initial: 65_535,
            live,
            out: Vec::with_capacity(1 << 20),
            provoked: vec![],
            touched: vec![],
            last: None,
            before_last: None,
            count: 0,
            bold: false,
            outcome: Outcome::default(),
            config,
        };
        let hello = [settings(&[]), settings_ack()].concat();
        model.deliver(&if role == Role::Server { [PREFACE, &hello].concat() } else { hello });
        assert_eq!(model.connection.error(), None);
        model.flush_quietly();
        model
    }

    /// So many frames, or until the connection ends.
    pub fn run(&mut self, frames: usize) {
        for _ in 0..frames {
            if self.role == Role::Client && self.dice.below(4) == 0 {
                self.ask();
            }
            while self.dice.below(3) == 0 {
                self.act();
            }
            self.bold = self.dice.below(50) == 0;
            let (bytes, expect, effect) = self.any();
            self.outcome.frames += 1;
            (self.provoked, self.touched) = (vec![], vec![]);
            self.deliver(&bytes);
            self.judge(&bytes, expect);
            if self.outcome.connection_error {
                return self.afterwards();
            }
            if let Some((id, effect)) = effect
                && let Some(stream) = self.streams.get_mut(&id)
            {
                effect(stream);
            }
            self.check_windows();
        }
        self.finish();
    }

    /// Gives bytes to the connection, cut anywhere; between the pieces the application does something.
    fn deliver(&mut self, bytes: &[u8]) {
        let (mut at, mut end) = (0, 0);
        while end < bytes.len() {
            end = match self.dice.below(4) {
                0 => end + 1,
                1 => (end + 1 + self.dice.below(40)).min(bytes.len()),
                _ => bytes.len(),
            };
            loop {
                let before = LIVE.get();
                let received = self.connection.receive(&bytes[at..end], NOW);
                self.live += LIVE.get() - before;
                self.check_heap();
                let Ok(received) = received else { return };
                let progress = received.consumed > 0;
                let start = at;
                at += received.consumed;
                assert!(at <= end);
                if received.event == Event::NeedMore {
                    self.flush(true);
                    break;
                }
                assert!(progress || !matches!(received.event, Event::Data { .. }));
                self.note(received.event, &bytes[start..end]);
                self.flush(true);
            }
            // What other frames change, and where this one goes, is known here as soon as it begins.
            let long = matches!(bytes.get(3), Some(&(DATA | HEADERS)));
            if long && (16..bytes.len()).contains(&end) && self.dice.below(8) == 0 {
                self.act();
            }
        }
        assert_eq!(at, bytes.len(), "everything is consumed in the end");
    }

    /// Compares an event with what the peer has sent.
    fn note(&mut self, event: Event, input: &[u8]) {
        match event {
            Event::Request { stream, ended } => {
                assert_eq!(self.opening.take(), Some(stream.number()));
                let first = self.before_last.or(self.last).map(|n| n.to_string());
                let head = self.connection.request_mut();
                assert_eq!(head.fields.get("n"), first.as_deref().map(str::as_bytes), "HPACK is in step");
                let stream = self.streams.get_mut(&stream.number()).unwrap();
                (stream.held, stream.told_ended) = (true, ended);
            }
            Event::Response { stream, ended } => {
                let stream = self.streams.get_mut(&stream.number()).unwrap();
                assert!(stream.held && !stream.silent && !stream.told_ended && !stream.head);
                (stream.head, stream.told_ended) = (true, ended);
            }
            Event::Interim { stream } => {
                let stream = &self.streams[&stream.number()];
                assert!(stream.held && !stream.silent && !stream.head);
            }
            Event::Data { stream, range, ended } => {
                let stream = self.streams.get_mut(&stream.number()).unwrap();
                assert!(stream.held && !stream.silent && !stream.told_ended);
                assert!(!range.is_empty() || ended);
                assert_eq!(input[range.clone()], stream.sent[stream.told..][..range.len()]);
                stream.told += range.len();
                stream.told_ended = ended;
                assert!(!ended || stream.told == stream.sent.len());
                self.outcome.content += range.len();
                self.outcome.messages += usize::from(ended);
            }
            Event::Trailers { stream } => {
                let stream = self.streams.get_mut(&stream.number()).unwrap();
                assert!(stream.held && !stream.silent && !stream.told_ended);
                assert_eq!(stream.told, stream.sent.len());
                stream.told_ended = true;
                self.outcome.messages += 1;
            }
            Event::Reset { stream, .. } => {
                let stream = self.streams.get_mut(&stream.number()).unwrap();
                assert!(stream.held && !stream.silent);
                stream.silent = true;
            }
            Event::Refused { stream, .. } => {
                assert_eq!(self.opening.take(), Some(stream.number()));
            }
            Event::GoAway { .. } | Event::Pong { .. } => {}
            Event::NeedMore => unreachable!(),
        }
    }

    /// Takes what was sent; each frame must be one that may be sent in the state that its stream has.
    fn flush(&mut self, provoked: bool) {
        let before = LIVE.get();
        self.connection.transmit(&mut self.out);
        self.live += LIVE.get() - before;
        let bytes = std::mem::take(&mut self.out);
        for sent in frames(bytes.strip_prefix(PREFACE).unwrap_or(&bytes)) {
            self.sent(&sent, provoked);
        }
        self.out = bytes;
        self.out.clear();
    }

    fn flush_quietly(&mut self) {
        self.flush(false);
        self.room = i64::from(self.config.connection_window_bytes);
    }

    fn sent(&mut self, sent: &Sent, provoked: bool) {
        assert!(sent.payload.len() <= 16_384);
        if sent.stream == 0 {
            if sent.kind == WINDOW_UPDATE {
                self.room += i64::from(sent.number());
                assert!(sent.number() > 0 && self.room <= WINDOW_MAX);
            }
            assert!([SETTINGS, PING, GOAWAY, WINDOW_UPDATE].contains(&sent.kind), "{sent:?}");
            return;
        }
        let stream = self.streams.get_mut(&sent.stream).expect("a stream that was opened");
        assert!(!stream.over() || sent.kind == RST_STREAM, "{sent:?} on {stream:?}");
        match sent.kind {
            RST_STREAM => {
                // A request that is answered at once is also done with (RFC 9113 §8.1).
                assert!(!stream.over(), "a second end: {sent:?} on {stream:?}");
                stream.own_reset = true;
                if provoked {
                    self.provoked.push((sent.stream, sent.code()));
                }
            }
            WINDOW_UPDATE => {
                assert!(!stream.ended, "{sent:?}");
                stream.room += i64::from(sent.number());
                assert!(sent.number() > 0 && stream.room <= i64::from(self.config.stream_window_bytes));
            }
            HEADERS | DATA | CONTINUATION => {
                assert!(!stream.own_ended || sent.kind == CONTINUATION, "{sent:?}");
                if sent.kind == DATA {
                    stream.grant -= sent.payload.len() as i64;
                    self.grant -= sent.payload.len() as i64;
                    let has_room = stream.grant >= 0 && self.grant >= 0;
                    assert!(has_room || sent.payload.is_empty(), "more than was granted");
                }
                stream.own_ended |= sent.kind != CONTINUATION && sent.flags & END_STREAM != 0;
            }
            _ => panic!("{sent:?}"),
        }
    }

    /// What became of a frame is what may.
    fn judge(&mut self, bytes: &[u8], expect: Expect) {
        let what = || format!("{:?}, {expect:?}", &bytes[..bytes.len().min(60)]);
        if let Some(error) = self.connection.error() {
            self.outcome.connection_error = true;
            let codes = match &expect {
                Expect::Connection(codes) => codes.clone(),
                Expect::Closed(_) => vec![Code::STREAM_CLOSED, Code::PROTOCOL_ERROR],
                _ => vec![],
            };
            let budget = self.strict && matches!(error.cause, Cause::Budget(_));
            assert!(budget || codes.contains(&error.code), "{error:?} for {}", what());
            return;
        }
        self.outcome.stream_errors += self.provoked.len();
        match &expect {
            Expect::Connection(_) => panic!("no error for {}", what()),
            // The application has given it up in the middle.
            Expect::Stream(id, _) if self.touched.contains(id) => {}
            // There was no place for it when it began.
            Expect::Stream(_, codes) if codes.contains(&Code::REFUSED_STREAM) && !self.touched.is_empty() => {
            }
            Expect::Stream(id, codes) => {
                let [(stream, code)] = self.provoked[..] else {
                    panic!("{:?} for {}", self.provoked, what())
                };
                assert!(stream == *id && codes.contains(&code), "{code:?} on {stream} for {}", what());
            }
            Expect::Fine => assert_eq!(self.provoked, [], "for {}", what()),
            Expect::Closed(id) => {
                assert!(self.provoked.iter().all(|(stream, _)| stream == id), "for {}", what());
            }
        }
        assert_eq!(self.opening, None);
    }

    /// Nothing is over that is not, nothing is lost: what the peer may send and what is held are all of each window, but
    /// for less than half, which waits to be worth a frame.
    fn check_windows(&self) {
        let held: i64 = self.streams.values().map(|stream| stream.unreleased).sum();
        let all = i64::from(self.config.connection_window_bytes);
        let has = self.room + held;
        assert!(has <= all && has > all / 2, "the connection: {} + {held} of {all}", self.room);
        for (id, stream) in self.streams.iter().filter(|(_, stream)| !stream.over() && !stream.ended) {
            let all = i64::from(self.config.stream_window_bytes);
            let has = stream.room + stream.unreleased;
            assert!(has <= all && has > all / 2, "{id}: {} + {} of {all}", stream.room, stream.unreleased);
        }
    }

    /// The connection says what the allocator says.
    fn check_heap(&mut self) {
        let said = self.connection.heap_bytes();
        let counted = size_of::<Connection>() as i64 + self.live;
        assert!((said as i64 - counted).abs() <= 256, "{said} said, {counted} counted");
        assert!(said <= self.config.heap_bytes_max, "{said}");
        self.outcome.heap_max = self.outcome.heap_max.max(said);
    }

    /// Once it has ended, nothing follows the GOAWAY.
    fn afterwards(&mut self) {
        self.out.clear();
        self.connection.transmit(&mut self.out);
        let last = frames(&self.out).pop().unwrap();
        assert_eq!((last.kind, last.code()), (GOAWAY, self.connection.error().unwrap().code));
        self.out.clear();
        let error = self.connection.error();
        assert_eq!(self.connection.receive(&ping(0, [0; 8]), NOW).err(), error);
        self.connection.go_away(NOW);
        for (number, stream) in &self.streams {
            if stream.held {
                self.connection.release(id(*number), 1 << 20);
                self.connection.close(id(*number));
            }
        }
        assert!(self.connection.poll_event().is_none() && self.connection.next_data(NOW).is_none());
        self.connection.transmit(&mut self.out);
        assert_eq!((self.out.len(), self.connection.streams()), (0, 0));
    }

    /// Everything is closed: every window is whole again, and nothing is left.
    fn finish(&mut self) {
        for number in self.streams.keys().copied().collect::<Vec<_>>() {
            self.close(number);
        }
        assert_eq!(self.connection.streams(), 0);
        self.check_windows();
    }

    /// A call of the application's, whose memory is counted and whose frames are its own doing.
    fn call<T>(&mut self, call: impl FnOnce(&mut Connection, &mut Vec<u8>) -> T) -> T {
        self.flush(true);
        let before = LIVE.get();
        let result = call(&mut self.connection, &mut self.out);
        self.live += LIVE.get() - before;
        self.flush(false);
        result
    }

    fn close(&mut self, number: u32) {
        let Some(stream) = self.streams.get_mut(&number).filter(|stream| stream.held) else { return };
        (stream.held, stream.silent, stream.unreleased) = (false, true, 0);
        self.touched.push(number);
        self.call(|connection, _| connection.close(id(number)));
        assert!(self.streams[&number].over(), "a stream that is closed is over");
    }

    /// A client's request, with content.
    fn ask(&mut self) {
        let head = RequestHead { content: Length::Chunked, ..request("/") };
        let number = self.highest + if self.highest == 0 { 1 } else { 2 };
        // Its fields are of 176 octets to the peer, by 32 for each.
        let may = self.connection.streams_available() > 0 && self.connection.peer_list_bytes_max() >= 176;
        if may {
            let (room, grant) = (i64::from(self.config.stream_window_bytes), self.initial);
            let stream = Stream { held: true, own_head: true, room, grant, ..Stream::default() };
            self.streams.insert(number, stream);
            self.highest = number;
        }
        let sent = self.call(|connection, out| connection.send_request(&head, out));
        assert_eq!(sent.ok().map(|id| id.number()), may.then_some(number));
    }

    /// The application does something.
    fn act(&mut self) {
        let held: Vec<u32> =
            self.streams.iter().filter(|(_, stream)| stream.held).map(|(id, _)| *id).collect();
        let Some(number) = held.get(self.dice.below(held.len().max(1))).copied() else { return };
        match self.dice.below(8) {
            0 => self.close(number),
            1 => {
                self.touched.push(number);
                self.streams.get_mut(&number).unwrap().silent = true;
                self.call(|connection, _| connection.reset(id(number), Code::CANCEL));
            }
            2 if self.role == Role::Server => {
                let head = response(200, Length::Chunked);
                let sent = self.call(|connection, out| connection.send_response(id(number), &head, out));
                let fits = self.connection.peer_list_bytes_max() >= 42;
                let stream = self.streams.get_mut(&number).unwrap();
                assert_eq!(sent.is_ok(), !stream.over() && !stream.own_head && fits, "{stream:?}");
                stream.own_head |= sent.is_ok();
            }
            3 | 4 => self.send(number),
            5 if self.streams[&number].own_head => {
                let end = self.dice.below(2) == 0;
                self.call(|connection, out| match end {
                    true => connection.send_end(id(number), out).ok(),
                    false => connection.send_trailers(id(number), &Fields::new(), out).ok(),
                });
            }
            _ => {
                let stream = self.streams.get_mut(&number).unwrap();
                // No more than it was given.
                let bytes = self.dice.below(20_000).min(stream.unreleased.max(0) as usize).min(stream.told);
                stream.unreleased -= bytes as i64;
                self.call(|connection, _| connection.release(id(number), bytes));
            }
        }
    }

    /// Content, as far as there is room for it.
    fn send(&mut self, number: u32) {
        let bytes = self.dice.below(40_000);
        self.call(|connection, out| {
            if connection.offer(id(number), bytes, NOW).is_err() {
                return;
            }
            while let Some(grant) = connection.next_data(NOW) {
                assert!(grant.bytes_max > 0 && grant.bytes_max <= connection.room(grant.stream));
                let head = connection.send_data(grant.stream, grant.bytes_max, false, NOW).unwrap();
                out.extend(head);
                out.resize(out.len() + grant.bytes_max, 0);
            }
        });
    }
}

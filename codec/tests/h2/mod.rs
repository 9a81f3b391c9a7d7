//! What the tests of HTTP/2 share: frames by hand, and a connection that is fed in every way in which bytes can be cut.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(dead_code, reason = "every test binary uses its own part of this")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

use corelane_codec::h2::{Cause, Code, Config, Connection, Error, Event, Role, StreamId};
use corelane_codec::{Fields, Kind, Length, RequestHead, ResponseHead, Scope};
use http::StatusCode;
use std::rc::Rc;
use std::time::Duration;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const PRIORITY_UPDATE: u8 = 16;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 32;

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        all.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

pub fn settings_ack() -> Vec<u8> {
    frame(SETTINGS, ACK, 0, &[])
}

pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub fn reset(stream: u32, code: Code) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.0.to_be_bytes())
}

pub fn go_away(last: u32, code: Code) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.0.to_be_bytes()].concat())
}

pub fn ping(flags: u8, data: [u8; 8]) -> Vec<u8> {
    frame(PING, flags, 0, &data)
}

pub fn data(stream: u32, content: &[u8], flags: u8) -> Vec<u8> {
    frame(DATA, flags, stream, content)
}

/// A DATA or HEADERS payload with padding.
pub fn padded(content: &[u8], padding: u8) -> Vec<u8> {
    [&[padding][..], content, &vec![0; usize::from(padding)]].concat()
}

/// A field block of literals without indexing and without Huffman coding.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            let len = text.len();
            if len < 127 {
                out.push(len as u8);
            } else {
                out.push(127);
                let mut rest = len - 127;
                while rest >= 128 {
                    out.push(rest as u8 | 128);
                    rest >>= 7;
                }
                out.push(rest as u8);
            }
            out.extend(text.as_bytes());
        }
    }
    out
}

pub const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "example.com")];
pub const POST: &[(&str, &str)] =
    &[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "example.com")];
pub const OK: &[(&str, &str)] = &[(":status", "200")];

/// A HEADERS frame with a whole block.
pub fn headers(stream: u32, fields: &[(&str, &str)], flags: u8) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// A frame that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Sent {
    /// The number in the first four octets of the payload.
    pub fn number(&self) -> u32 {
        u32::from_be_bytes(self.payload[..4].try_into().unwrap())
    }

    /// The code of a RST_STREAM or a GOAWAY.
    pub fn code(&self) -> Code {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        Code(u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap()))
    }
}

/// Bytes as frames.
pub fn frames(mut bytes: &[u8]) -> Vec<Sent> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let len = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        all.push(Sent {
            kind: bytes[3],
            flags: bytes[4],
            stream: u32::from_be_bytes(bytes[5..9].try_into().unwrap()),
            payload: bytes[9..9 + len].to_vec(),
        });
        bytes = &bytes[9 + len..];
    }
    all
}

/// One thing that a connection said. Adjacent pieces of content of a stream are one.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Request(u32, RequestHead, bool),
    Interim(u32, ResponseHead),
    Response(u32, ResponseHead, bool),
    Data(u32, Vec<u8>, bool),
    Trailers(u32, Fields),
    Reset(u32, Error),
    Refused(u32, Error),
    GoAway(Code),
    Pong([u8; 8]),
}

/// How what is fed is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Whole,
    EveryByte,
    At(usize),
}

/// A connection, and all that it said and sent.
pub struct Side {
    pub connection: Connection,
    pub now: Duration,
    pub said: Vec<Said>,
    pub error: Option<Error>,
    /// Everything that was sent since it was last taken.
    pub out: Vec<u8>,
    cut: Cut,
    longest: usize,
    /// Whether content is released as soon as it has come.
    pub releases: bool,
}

/// Runs a scenario with everything that is fed whole, byte by byte, and cut in two at every place.
pub fn every_split(scenario: impl Fn(Cut) -> Side) {
    let whole = scenario(Cut::Whole);
    let cuts = (1..whole.longest.min(600)).map(Cut::At).chain([Cut::EveryByte]);
    for cut in cuts {
        let other = scenario(cut);
        assert_eq!(other.said, whole.said, "{cut:?}");
        assert_eq!(other.error, whole.error, "{cut:?}");
    }
}

impl Side {
    pub fn new(role: Role, config: Config, cut: Cut) -> Self {
        let config = Rc::new(config);
        let now = Duration::from_secs(1);
        let connection = match role {
            Role::Client => Connection::client(config, now),
            Role::Server => Connection::server(config, now),
        };
        let (said, out) = (Vec::new(), Vec::new());
        Self { connection, now, said, error: None, out, cut, longest: 0, releases: true }
    }

    /// A server to which a client has said hello.
    pub fn server_with(config: Config, cut: Cut) -> Self {
        let mut side = Self::new(Role::Server, config, cut);
        side.feed([PREFACE, &settings(&[]), &settings_ack()].concat());
        side.out.clear();
        side
    }

    pub fn server(cut: Cut) -> Self {
        Self::server_with(Config::default(), cut)
    }

    /// A client to which a server has said hello.
    pub fn client_with(config: Config, cut: Cut) -> Self {
        let mut side = Self::new(Role::Client, config, cut);
        side.feed([settings(&[]), settings_ack()].concat());
        side.out.clear();
        side
    }

    pub fn client(cut: Cut) -> Self {
        Self::client_with(Config::default(), cut)
    }

    /// A client that has asked for something on stream 1.
    pub fn asking(cut: Cut) -> Self {
        let mut side = Self::client(cut);
        assert_eq!(side.ask("/"), 1);
        side.out.clear();
        side
    }

    /// Both roles, the client with an open stream 1, the server with one, too: content of both may follow.
    pub fn both(cut: Cut) -> [Self; 2] {
        let mut server = Self::server(cut);
        server.feed(headers(1, POST, 0));
        let mut client = Self::client(cut);
        let head = RequestHead { content: Length::Chunked, ..request("/") };
        client.connection.send_request(&head, &mut client.out).unwrap();
        client.feed(headers(1, OK, 0));
        server.said.clear();
        client.said.clear();
        client.out.clear();
        [server, client]
    }

    /// Gives bytes to the connection, cut as this one has it.
    pub fn feed(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.longest = self.longest.max(bytes.len());
        match self.cut {
            Cut::At(at) if at < bytes.len() => self.pieces(bytes, &[at]),
            Cut::EveryByte => self.pieces(bytes, &(1..bytes.len()).collect::<Vec<_>>()),
            Cut::Whole | Cut::At(_) => self.pieces(bytes, &[]),
        }
    }

    fn pieces(&mut self, bytes: &[u8], cuts: &[usize]) {
        let mut at = 0;
        for end in cuts.iter().copied().chain([bytes.len()]) {
            loop {
                let before = at;
                let Ok(received) = self.connection.receive(&bytes[at..end], self.now) else {
                    self.error = self.connection.error();
                    break self.transmit();
                };
                at += received.consumed;
                let waits = received.event == Event::NeedMore;
                self.note(received.event, &bytes[before..]);
                self.transmit();
                if waits {
                    break;
                }
            }
        }
    }

    fn note(&mut self, event: Event, input: &[u8]) {
        let said = match event {
            Event::NeedMore => return,
            Event::Request { stream, ended } => {
                Said::Request(stream.number(), self.connection.request_mut().clone(), ended)
            }
            Event::Interim { stream } => {
                Said::Interim(stream.number(), self.connection.response_mut().clone())
            }
            Event::Response { stream, ended } => {
                Said::Response(stream.number(), self.connection.response_mut().clone(), ended)
            }
            Event::Data { stream, range, ended } => {
                let content = input[range].to_vec();
                if self.releases {
                    self.connection.release(stream, content.len());
                }
                if let Some(Said::Data(last, before, false)) = self.said.last_mut()
                    && *last == stream.number()
                {
                    before.extend(content);
                    *self.said.last_mut().unwrap() = match self.said.last_mut().unwrap() {
                        Said::Data(stream, content, _) => Said::Data(*stream, std::mem::take(content), ended),
                        _ => unreachable!(),
                    };
                    return;
                }
                Said::Data(stream.number(), content, ended)
            }
            Event::Trailers { stream } => {
                Said::Trailers(stream.number(), self.connection.trailers_mut().clone())
            }
            Event::Reset { stream, error } => Said::Reset(stream.number(), error),
            Event::Refused { stream, error } => Said::Refused(stream.number(), error),
            Event::GoAway { code } => Said::GoAway(code),
            Event::Pong { data } => Said::Pong(data),
        };
        self.said.push(said);
    }

    pub fn transmit(&mut self) {
        self.connection.transmit(&mut self.out);
    }

    /// Lets time pass, with all that happens meanwhile.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.connection.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            if let Err(error) = self.connection.handle_timeout(self.now) {
                self.error = Some(error);
            }
            while let Some(event) = self.connection.poll_event() {
                self.note(event, &[]);
            }
            self.transmit();
        }
        self.now = end;
    }

    /// The frames that were sent since they were last taken.
    pub fn sent(&mut self) -> Vec<Sent> {
        self.transmit();
        let bytes = std::mem::take(&mut self.out);
        frames(bytes.strip_prefix(PREFACE).unwrap_or(&bytes))
    }

    pub fn sent_of(&mut self, kind: u8) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| sent.kind == kind).collect()
    }

    /// Sends a GET.
    pub fn ask(&mut self, path: &str) -> u32 {
        self.connection.send_request(&request(path), &mut self.out).unwrap().number()
    }

    /// Answers with a 200 and this content, as far as there is room for it.
    pub fn answer(&mut self, stream: u32, content: &[u8]) -> usize {
        let head = ResponseHead { content: Length::Known(content.len() as u64), ..ResponseHead::new() };
        self.connection.send_response(id(stream), &head, &mut self.out).unwrap();
        self.send(stream, content, true)
    }

    /// Sends content as far as there is room for it, by the schedule; gives how much went out.
    pub fn send(&mut self, stream: u32, content: &[u8], end: bool) -> usize {
        let mut at = 0;
        if self.connection.offer(id(stream), content.len(), self.now).is_err() {
            return 0;
        }
        while let Some(grant) = self.connection.next_data(self.now) {
            assert_eq!(grant.stream, id(stream));
            let piece = &content[at..][..grant.bytes_max];
            at += piece.len();
            let end = end && at == content.len();
            let head = self.connection.send_data(id(stream), piece.len(), end, self.now).unwrap();
            self.out.extend(head);
            self.out.extend(piece);
        }
        at
    }

    /// The cause and the code of what ended the connection.
    pub fn ended(&self) -> Option<(Code, Cause)> {
        self.error.map(|error| (error.code, error.cause))
    }

    #[track_caller]
    pub fn assert_alive(&self) {
        assert_eq!(self.error, None);
    }

    /// The connection ended with this code, and the peer was told so by the last frame.
    #[track_caller]
    pub fn assert_connection_error(&mut self, code: Code) {
        let error = self.error.unwrap_or_else(|| panic!("the connection lives, and said {:?}", self.said));
        assert_eq!((error.code, error.scope), (code, Scope::Connection), "{error:?}");
        let sent = self.sent();
        let last = sent.last().unwrap();
        assert_eq!((last.kind, last.code()), (GOAWAY, code));
    }

    /// Nothing ended but this stream, with this code, and the peer was told so.
    #[track_caller]
    pub fn assert_stream_error(&mut self, stream: u32, code: Code) {
        self.assert_alive();
        let error = self.said.iter().rev().find_map(|said| match said {
            Said::Reset(id, error) | Said::Refused(id, error) if *id == stream => Some(*error),
            _ => None,
        });
        let error = error.unwrap_or_else(|| panic!("stream {stream} lives, of {:?}", self.said));
        assert_eq!((error.code, error.scope), (code, Scope::Stream), "{error:?}");
        let resets = self.sent_of(RST_STREAM);
        let reset = resets.iter().find(|sent| sent.stream == stream).expect("a RST_STREAM frame");
        assert_eq!(reset.code(), code);
    }

    /// A request or a response is malformed (RFC 9113 §8.1.1), for this reason.
    #[track_caller]
    pub fn assert_malformed(&mut self, stream: u32, kind: Kind) {
        let causes: Vec<_> = self
            .said
            .iter()
            .filter_map(|said| match said {
                Said::Reset(id, error) | Said::Refused(id, error) if *id == stream => Some(error.cause),
                _ => None,
            })
            .collect();
        assert_eq!(causes, [Cause::Message(kind)]);
        self.assert_stream_error(stream, Code::PROTOCOL_ERROR);
    }

    pub fn requests(&self) -> Vec<&RequestHead> {
        self.said
            .iter()
            .filter_map(|s| if let Said::Request(_, head, _) = s { Some(head) } else { None })
            .collect()
    }

    pub fn responses(&self) -> Vec<&ResponseHead> {
        self.said
            .iter()
            .filter_map(|s| if let Said::Response(_, head, _) = s { Some(head) } else { None })
            .collect()
    }

    /// The content of a stream, and whether it came to its end.
    pub fn content(&self, stream: u32) -> (Vec<u8>, bool) {
        let (mut content, mut end) = (Vec::new(), false);
        for said in &self.said {
            match said {
                Said::Data(id, piece, ended) if *id == stream => {
                    content.extend(piece);
                    end |= ended;
                }
                Said::Request(id, _, true) | Said::Response(id, _, true) | Said::Trailers(id, _)
                    if *id == stream =>
                {
                    end = true;
                }
                _ => {}
            }
        }
        (content, end)
    }
}

/// The identifier of a stream that a test knows by its number.
pub fn id(number: u32) -> StreamId {
    StreamId::new(number).unwrap()
}

/// A GET.
pub fn request(path: &str) -> RequestHead {
    let mut head = RequestHead { target: path.as_bytes().to_vec(), ..RequestHead::new() };
    head.fields.append("Host", "example.com");
    head
}

pub fn response(status: u16, content: Length) -> ResponseHead {
    ResponseHead { status: StatusCode::from_u16(status).unwrap(), content, ..ResponseHead::new() }
}

/// Names and values as text.
pub fn texts(fields: &Fields) -> Vec<(String, String)> {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

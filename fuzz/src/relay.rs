//! Both sides joined: a small proxy that is driven by steps, in any order. Whatever comes in, what goes out is read
//! again by the other role, and holds whole messages, each for whom it is meant.

use crate::forward::next_hop;
use crate::messages::shown;
use crate::wire::{Ask, client_in_pieces, server_in_pieces};
use arbitrary::Arbitrary;
use corelane_codec::forward::{self, Hop};
use corelane_codec::h1::{Client, Event, Server};
use corelane_codec::{Fields, Length, Limits, RequestHead, ResponseHead, Upgrade, Version};
use http::{Method, StatusCode};

/// What happens next.
#[derive(Arbitrary, Debug)]
pub enum Step {
    /// The client sends.
    Client(Text),
    /// The client ends its direction.
    ClientEnd,
    /// The origin of the exchange under way sends.
    Origin(Text),
    /// The origin ends its direction.
    OriginEnd,
    /// So many turns of the proxy.
    Turn(u8),
    /// The proxy answers by itself, with so much content.
    Answer(u16, u8),
    /// The proxy sends an interim response.
    Interim(u16),
    /// The exchange under way is to be the last.
    Close,
}

/// Bytes, mostly well-formed.
#[derive(Arbitrary, Debug)]
pub enum Text {
    Raw(Vec<u8>),
    /// A line of [`PIECES`], or another.
    Piece(u8),
    Request(u8, Vec<u8>, Framing),
    Response(u8, Vec<u8>, Framing),
}

/// How long content is said to be, and how long it is.
#[derive(Arbitrary, Debug)]
pub enum Framing {
    None,
    Known(u8, u8),
    Chunked(Vec<u8>, bool),
}

const PIECES: [&str; 24] = [
    "\r\n",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "1;a=\"b\"\r\nx\r\n",
    "0\r\nA: b\r\n\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
    "hello",
    "GET /canary HTTP/1.1\r\nHost: canary\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n",
    "HEAD http://b/c HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    "HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n",
    "POST / HTTP/1.0\r\n\r\n",
];

const METHODS: [&str; 6] = ["GET", "POST", "HEAD", "PUT", "OPTIONS", "M-SEARCH"];

const STATUSES: [u16; 10] = [200, 200, 200, 100, 103, 204, 205, 304, 404, 500];

const FIELDS: [&str; 12] = [
    "Connection: close",
    "Connection: keep-alive",
    "Connection: x-a",
    "X-A: b",
    "Expect: 100-continue",
    "TE: trailers",
    "Via: 1.1 x",
    "Cookie: a=b",
    "Upgrade: websocket",
    "Connection: upgrade",
    "X-Request-Id: 7",
    "Trailer: a",
];

impl Text {
    fn bytes(&self) -> Vec<u8> {
        let (start, fields, framing) = match self {
            Self::Raw(bytes) => return bytes.clone(),
            Self::Piece(at) => return PIECES[usize::from(*at) % PIECES.len()].into(),
            Self::Request(method, fields, framing) => {
                let method = METHODS[usize::from(*method) % METHODS.len()];
                (format!("{method} /{method} HTTP/1.1\r\nHost: a\r\n"), fields, framing)
            }
            Self::Response(status, fields, framing) => {
                let status = STATUSES[usize::from(*status) % STATUSES.len()];
                (format!("HTTP/1.1 {status} x\r\n"), fields, framing)
            }
        };
        let fields = fields.iter().map(|at| format!("{}\r\n", FIELDS[usize::from(*at) % FIELDS.len()]));
        let mut bytes = [start.into_bytes(), fields.collect::<String>().into_bytes()].concat();
        match framing {
            Framing::None => bytes.extend_from_slice(b"\r\n"),
            Framing::Known(said, sent) => {
                bytes.extend_from_slice(format!("Content-Length: {said}\r\n\r\n").as_bytes());
                bytes.extend(std::iter::repeat_n(b'k', usize::from(*sent)));
            }
            Framing::Chunked(sizes, ends) => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for size in sizes.iter().filter(|size| **size > 0) {
                    let data = "c".repeat(usize::from(*size));
                    bytes.extend_from_slice(format!("{size:x}\r\n{data}\r\n").as_bytes());
                }
                bytes.extend_from_slice(if *ends { b"0\r\n\r\n" } else { b"" });
            }
        }
        bytes
    }
}

/// A request that came, and what became of it.
#[derive(Debug)]
struct Exchange {
    method: Method,
    version: Version,
    upgrade: Option<Upgrade>,
    /// Of the response, as it was sent to the client.
    status: Option<StatusCode>,
    length: Length,
    content: Vec<u8>,
    complete: bool,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            method: Method::GET,
            version: Version::Http11,
            upgrade: None,
            status: None,
            length: Length::Chunked,
            content: Vec::new(),
            complete: false,
        }
    }
}

impl Exchange {
    fn is_complete(&self) -> bool {
        self.complete || is_all(self.length, &self.content)
    }
}

/// A connection to an origin.
#[derive(Default)]
struct Origin {
    client: Client,
    from: Vec<u8>,
    to: Vec<u8>,
    ended: bool,
    requests: Vec<Sent>,
}

/// A request that goes to an origin.
struct Sent {
    method: Method,
    length: Length,
    content: Vec<u8>,
    ended: bool,
}

impl Sent {
    /// Whether whoever reads it can tell: where a length was said, the last byte is the end.
    fn is_complete(&self) -> bool {
        self.ended || is_all(self.length, &self.content)
    }
}

fn is_all(length: Length, content: &[u8]) -> bool {
    match length {
        Length::None => true,
        Length::Known(length) => length == content.len() as u64,
        Length::Chunked | Length::UntilClose => false,
    }
}

struct Relay {
    limits: Limits,
    server: Server,
    request: RequestHead,
    response: ResponseHead,
    from_client: Vec<u8>,
    to_client: Vec<u8>,
    client_ended: bool,
    exchanges: Vec<Exchange>,
    origin: Option<Origin>,
    /// The exchange under way goes to the origin.
    forwards: bool,
    retired: Vec<Origin>,
    over: bool,
}

/// Takes the steps, and looks at what went out.
pub fn steps(steps: &[Step]) {
    let limits = Limits::default();
    let mut relay = Relay {
        server: Server::new(&limits),
        limits,
        request: RequestHead::new(),
        response: ResponseHead::new(),
        from_client: Vec::new(),
        to_client: Vec::new(),
        client_ended: false,
        exchanges: Vec::new(),
        origin: None,
        forwards: false,
        retired: Vec::new(),
        over: false,
    };
    for step in steps.iter().take(100) {
        if relay.over {
            break;
        }
        relay.step(step);
    }
    for _ in 0..1000 {
        if relay.over || !relay.turn() {
            break;
        }
    }
    relay.retire();
    client_sees(&relay);
    relay.retired.iter().for_each(origin_sees);
}

impl Relay {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Client(text) if !self.client_ended => self.from_client.extend(text.bytes()),
            Step::Origin(text) => {
                if let Some(origin) = self.origin.as_mut().filter(|origin| !origin.ended) {
                    origin.from.extend(text.bytes());
                }
            }
            Step::ClientEnd => self.client_ended = true,
            Step::OriginEnd => self.origin.iter_mut().for_each(|origin| origin.ended = true),
            Step::Turn(turns) => {
                for _ in 0..*turns {
                    if self.over || !self.turn() {
                        break;
                    }
                }
            }
            Step::Answer(status, len) => self.answer(*status, usize::from(*len)),
            Step::Interim(status) => {
                let status = StatusCode::from_u16(100 + status % 500).expect("it has three digits");
                let sent = self.server.send_interim(status, &Fields::new(), &mut self.to_client);
                assert!(!sent || (status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS));
            }
            Step::Close => self.server.close(),
            Step::Client(_) => {}
        }
    }

    /// One event of each side. Whether anything happened.
    fn turn(&mut self) -> bool {
        let up = self.upload();
        let down = !self.over && self.download();
        if !self.over && self.server.response_ended() {
            if self.server.may_reuse() {
                self.server.next_exchange();
                self.forwards = false;
                return true;
            }
            // Nothing goes on, unless content that nobody wants is still to come.
            self.over |= !self.server.keep_alive();
        }
        up || down
    }

    fn upload(&mut self) -> bool {
        let received = match self.server.receive(&self.limits, &self.from_client, &mut self.request) {
            Ok(received) => received,
            Err(error) => {
                self.refuse(error.status());
                return false;
            }
        };
        match &received.event {
            Event::NeedMore => {
                self.from_client.drain(..received.consumed);
                if self.client_ended && (self.from_client.is_empty() || self.server.begun()) {
                    match self.server.receive_end() {
                        Ok(()) => self.over |= !self.server.begun(),
                        Err(error) => self.refuse(error.status()),
                    }
                }
                return received.consumed > 0;
            }
            Event::Head => self.begin(),
            Event::Interim => panic!("a server hears requests"),
            Event::Data(range) if self.forwards => {
                let origin = self.origin.as_mut().expect("where it goes");
                let (wrap, data) = (origin.client.send_data(range.len()), &self.from_client[range.clone()]);
                let wrap = wrap.expect("content of the length that was said");
                origin.to.extend([wrap.before(), data, wrap.after()].concat());
                origin.requests.last_mut().expect("it has begun").content.extend_from_slice(data);
            }
            Event::End if self.forwards => {
                let origin = self.origin.as_mut().expect("where it goes");
                let ended = origin.client.send_end(self.server.trailers(), &mut origin.to);
                ended.expect("content of the length that was said");
                origin.requests.last_mut().expect("it has begun").ended = true;
            }
            Event::Data(_) | Event::End => {}
        }
        self.from_client.drain(..received.consumed);
        true
    }

    /// A request's head has come.
    fn begin(&mut self) {
        let (method, version) = (self.request.method.clone(), self.request.version);
        let upgrade = self.request.upgrade;
        self.exchanges.push(Exchange { method: method.clone(), version, upgrade, ..Exchange::default() });
        let (via, request_id) = ("corelane-0123", "0123456789abcdef0123456789abcdef");
        let hop = Hop { peer: None, scheme: "http", via, request_id, trusted: None };
        if let Err(error) = forward::request(&mut self.request, &hop) {
            return self.answer(error.status().as_u16(), 0);
        }
        if self.request.fields.get("host").is_none() {
            // As the engine does it: HTTP/1.0 need not name a host.
            self.request.fields.set("Host", "192.0.2.1:80");
        }
        let reusable = |origin: &Origin| origin.client.may_reuse() && origin.from.is_empty() && !origin.ended;
        match &mut self.origin {
            Some(origin) if reusable(origin) => origin.client.next_exchange(),
            _ => {
                self.retire();
                self.origin = Some(Origin::default());
            }
        }
        let origin = self.origin.as_mut().expect("it was just made");
        match origin.client.send_head(&self.request, &mut origin.to) {
            Ok(()) => {
                let length = self.request.content;
                origin.requests.push(Sent { method, length, content: Vec::new(), ended: false });
                self.forwards = true;
            }
            Err(_) => {
                assert_eq!(method, Method::CONNECT);
                self.retire();
                self.answer(405, 0);
            }
        }
    }

    fn download(&mut self) -> bool {
        let Some(origin) = self.origin.as_mut().filter(|_| self.forwards) else { return false };
        if self.server.response_ended() {
            return false;
        }
        let received = match origin.client.receive(&self.limits, &origin.from, &mut self.response) {
            Ok(received) => received,
            Err(_) => {
                self.refuse(StatusCode::BAD_GATEWAY);
                return false;
            }
        };
        match &received.event {
            Event::NeedMore => {
                origin.from.drain(..received.consumed);
                if !origin.ended {
                    return received.consumed > 0;
                }
                match origin.client.receive_end() {
                    // A content that lasts until the close has ended now.
                    Ok(_) if !origin.client.response_ended() => return false,
                    Ok(_) => return true,
                    Err(_) => {
                        self.refuse(StatusCode::BAD_GATEWAY);
                        return false;
                    }
                }
            }
            Event::Interim => {
                self.server.send_interim(self.response.status, &self.response.fields, &mut self.to_client);
            }
            Event::Head => {
                forward::response(&mut self.response, "corelane-0123");
                let sent = self.server.send_head(&self.response, &mut self.to_client);
                sent.expect("what was understood can be said");
                let exchange = self.exchanges.last_mut().expect("it has begun");
                (exchange.status, exchange.length) = (Some(self.response.status), self.response.content);
            }
            Event::Data(range) => {
                let (wrap, data) = (self.server.send_data(range.len()), &origin.from[range.clone()]);
                let wrap = wrap.expect("content of the length that was said");
                self.to_client.extend([wrap.before(), data, wrap.after()].concat());
                self.exchanges.last_mut().expect("it has begun").content.extend_from_slice(data);
            }
            Event::End => {
                let ended = self.server.send_end(origin.client.trailers(), &mut self.to_client);
                ended.expect("content of the length that was said");
                self.exchanges.last_mut().expect("it has begun").complete = true;
            }
        }
        origin.from.drain(..received.consumed);
        true
    }

    /// We answer ourselves, if nobody has. What goes to the origin ends here.
    fn answer(&mut self, status: u16, len: usize) {
        let idle = self.exchanges.is_empty() || !self.server.begun() || self.server.response_begun();
        let in_exchange = self.exchanges.last().is_some_and(|exchange| exchange.status.is_none());
        if idle || !in_exchange {
            return;
        }
        let status = StatusCode::from_u16(200 + status % 400).expect("it has three digits");
        let head = ResponseHead { status, content: Length::Known(len as u64), ..ResponseHead::default() };
        if self.server.send_head(&head, &mut self.to_client).is_err() {
            return;
        }
        let exchange = self.exchanges.last_mut().expect("one is under way");
        exchange.status = Some(status);
        if self.server.sends_content() {
            exchange.content = vec![b'l'; len];
            self.server.send_data(len).expect("content of the length that was said");
            self.to_client.extend_from_slice(&exchange.content);
        }
        self.server.send_end(None, &mut self.to_client).expect("content of the length that was said");
        exchange.complete = true;
        if self.forwards {
            self.forwards = false;
            self.retire();
        }
    }

    /// Something is wrong: an error if nothing has been said, else the end of the connection.
    fn refuse(&mut self, status: StatusCode) {
        self.over = true;
        let answered = self.exchanges.last().is_some_and(|exchange| exchange.complete);
        if self.server.response_begun() {
            return;
        }
        self.server.close();
        if self.exchanges.last().is_none_or(|exchange| answered || exchange.status.is_some()) {
            self.exchanges.push(Exchange::default());
        }
        let head = ResponseHead { status, ..ResponseHead::default() };
        self.server.send_head(&head, &mut self.to_client).expect("nothing has been said");
        self.server.send_end(None, &mut self.to_client).expect("without content");
        assert!(!self.server.may_reuse());
        let exchange = self.exchanges.last_mut().expect("it was just made");
        (exchange.status, exchange.complete) = (Some(status), true);
    }

    fn retire(&mut self) {
        self.retired.extend(self.origin.take());
    }
}

/// All responses, in order, complete if and only if they were.
fn client_sees(relay: &Relay) {
    let sent: Vec<_> = relay.exchanges.iter().filter(|exchange| exchange.status.is_some()).collect();
    let Some(last) = sent.last() else {
        return;
    };
    if !last.is_complete() && last.version == Version::Http10 {
        // Only the close would have ended it, and that is a reset.
        return;
    }
    let ask = |exchange: &&Exchange| Ask { method: exchange.method.clone(), upgrade: exchange.upgrade };
    let asks: Vec<_> = sent
        .iter()
        .map(ask)
        .map(|ask| if ask.method == Method::CONNECT { Ask::get() } else { ask })
        .collect();
    let transcript = client_in_pieces(&next_hop(), &asks, &[&relay.to_client]);
    let shown = shown(&relay.to_client);
    assert_eq!(transcript.error, None, "{shown}");
    let statuses: Vec<_> = transcript.responses().iter().map(|head| Some(head.status)).collect();
    assert_eq!(statuses, sent.iter().map(|exchange| exchange.status).collect::<Vec<_>>(), "{shown}");
    assert_eq!(transcript.ends(), sent.iter().filter(|exchange| exchange.is_complete()).count(), "{shown}");
    let content: Vec<_> = sent.iter().flat_map(|exchange| exchange.content.clone()).collect();
    assert_eq!(transcript.content(), content, "{shown}");
}

/// All requests of one connection, in order, complete if and only if they were.
fn origin_sees(origin: &Origin) {
    let transcript = server_in_pieces(&next_hop(), &[&origin.to]);
    let shown = shown(&origin.to);
    assert_eq!(transcript.error, None, "{shown}");
    let methods: Vec<_> = transcript.requests().iter().map(|head| head.method.clone()).collect();
    assert_eq!(
        methods,
        origin.requests.iter().map(|request| request.method.clone()).collect::<Vec<_>>(),
        "{shown}"
    );
    assert_eq!(
        transcript.ends(),
        origin.requests.iter().filter(|request| request.is_complete()).count(),
        "{shown}"
    );
    let content: Vec<_> = origin.requests.iter().flat_map(|request| request.content.clone()).collect();
    assert_eq!(transcript.content(), content, "{shown}");
}

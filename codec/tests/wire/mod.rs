//! Feeds bytes to a connection in every way in which they can be cut, and compares what it says.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(dead_code, reason = "every test binary uses its own part of this")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

use corelane_codec::h1::{Client, Event, Server};
use corelane_codec::{Error, Fields, Kind, Length, Limits, RequestHead, ResponseHead, Upgrade};
use http::{Method, StatusCode};

/// One thing that a connection said. Adjacent pieces of content are one.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Request(RequestHead),
    Interim(ResponseHead),
    Response(ResponseHead),
    Data(Vec<u8>),
    End(Option<Fields>),
}

/// All that a connection said of some bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    pub said: Vec<Said>,
    pub error: Option<Error>,
    /// After the last exchange, the connection may carry another.
    pub reusable: bool,
    /// What was not consumed, unless there was an error.
    pub rest: Vec<u8>,
    /// What the end of the input meant, unless there had been an error before.
    pub end: Option<Result<bool, Error>>,
}

impl Transcript {
    pub fn kind(&self) -> Option<Kind> {
        self.error.map(|error| error.kind)
    }

    pub fn requests(&self) -> Vec<&RequestHead> {
        self.said.iter().filter_map(|s| if let Said::Request(head) = s { Some(head) } else { None }).collect()
    }

    pub fn responses(&self) -> Vec<&ResponseHead> {
        self.said.iter().filter_map(|s| if let Said::Response(h) = s { Some(h) } else { None }).collect()
    }

    pub fn interims(&self) -> usize {
        self.said.iter().filter(|s| matches!(s, Said::Interim(_))).count()
    }

    pub fn ends(&self) -> usize {
        self.said.iter().filter(|s| matches!(s, Said::End(_))).count()
    }

    pub fn content(&self) -> Vec<u8> {
        self.said.iter().flat_map(|s| if let Said::Data(data) = s { data.clone() } else { vec![] }).collect()
    }

    pub fn trailers(&self) -> Vec<(String, String)> {
        let fields = self.said.iter().find_map(|s| if let Said::End(Some(f)) = s { Some(f) } else { None });
        fields.map(texts).unwrap_or_default()
    }
}

/// Names and values as text.
pub fn texts(fields: &Fields) -> Vec<(String, String)> {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// What a client of the connection under test asks, so that a response can be understood.
#[derive(Debug, Clone)]
pub struct Ask {
    pub method: Method,
    pub upgrade: Option<Upgrade>,
}

impl Ask {
    pub fn get() -> Self {
        Self { method: Method::GET, upgrade: None }
    }

    pub fn head() -> Self {
        Self { method: Method::HEAD, upgrade: None }
    }

    pub fn websocket() -> Self {
        Self { method: Method::GET, upgrade: Some(Upgrade::WebSocket) }
    }
}

/// Either side, as something that is fed.
trait Fed {
    fn receive(&mut self, limits: &Limits, input: &[u8]) -> Result<(usize, Option<Said>), Error>;
    /// After an end: whether another message may follow.
    fn go_on(&mut self) -> bool;
    fn finish(&mut self) -> Result<bool, Error>;
    fn reusable(&self) -> bool;
}

struct FedServer(Server, RequestHead);

impl Fed for FedServer {
    fn receive(&mut self, limits: &Limits, input: &[u8]) -> Result<(usize, Option<Said>), Error> {
        let received = self.0.receive(limits, input, &mut self.1)?;
        let said = match received.event {
            Event::NeedMore => None,
            Event::Head => Some(Said::Request(self.1.clone())),
            Event::Interim => unreachable!("a server receives no interim response"),
            Event::Data(range) => Some(Said::Data(input[range].to_vec())),
            Event::End => Some(Said::End(self.0.trailers().cloned())),
        };
        Ok((received.consumed, said))
    }

    fn go_on(&mut self) -> bool {
        let mut out = Vec::new();
        self.0
            .send_head(&ResponseHead { status: StatusCode::NOT_FOUND, ..Default::default() }, &mut out)
            .unwrap();
        self.0.send_end(None, &mut out).unwrap();
        if self.0.may_reuse() {
            self.0.next_exchange();
            return true;
        }
        false
    }

    fn finish(&mut self) -> Result<bool, Error> {
        self.0.receive_end().map(|()| true)
    }

    fn reusable(&self) -> bool {
        self.0.may_reuse() || (!self.0.begun() && self.0.keep_alive())
    }
}

struct FedClient<'a>(Client, ResponseHead, std::slice::Iter<'a, Ask>);

impl FedClient<'_> {
    fn ask(&mut self) -> bool {
        let Some(ask) = self.2.next() else { return false };
        let (method, upgrade) = (ask.method.clone(), ask.upgrade);
        let request = RequestHead { method, upgrade, target: b"/".to_vec(), ..Default::default() };
        let mut out = Vec::new();
        self.0.send_head(&request, &mut out).unwrap();
        self.0.send_end(None, &mut out).unwrap();
        true
    }
}

impl Fed for FedClient<'_> {
    fn receive(&mut self, limits: &Limits, input: &[u8]) -> Result<(usize, Option<Said>), Error> {
        let received = self.0.receive(limits, input, &mut self.1)?;
        let said = match received.event {
            Event::NeedMore => None,
            Event::Head => Some(Said::Response(self.1.clone())),
            Event::Interim => Some(Said::Interim(self.1.clone())),
            Event::Data(range) => Some(Said::Data(input[range].to_vec())),
            Event::End => Some(Said::End(self.0.trailers().cloned())),
        };
        Ok((received.consumed, said))
    }

    fn go_on(&mut self) -> bool {
        if self.0.may_reuse() && self.2.len() > 0 {
            self.0.next_exchange();
            return self.ask();
        }
        false
    }

    fn finish(&mut self) -> Result<bool, Error> {
        self.0.receive_end()
    }

    fn reusable(&self) -> bool {
        self.0.may_reuse()
    }
}

fn feed(fed: &mut dyn Fed, limits: &Limits, pieces: &[&[u8]]) -> Transcript {
    let (mut said, mut error, mut stopped) = (Vec::new(), None, false);
    let mut buffer = Vec::new();
    'pieces: for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut idle = 0;
        while !stopped {
            let (consumed, event) = match fed.receive(limits, &buffer) {
                Ok(received) => received,
                Err(e) => {
                    assert_eq!(fed.receive(limits, &buffer), Err(e), "an error is final");
                    assert!(!fed.reusable(), "no reuse after an error");
                    error = Some(e);
                    break 'pieces;
                }
            };
            idle = if consumed == 0 { idle + 1 } else { 0 };
            assert!(idle < 4, "no progress");
            buffer.drain(..consumed);
            match (event, said.last_mut()) {
                (None, _) => break,
                (Some(Said::Data(data)), _) if data.is_empty() => panic!("empty content"),
                (Some(Said::Data(data)), Some(Said::Data(before))) => before.extend(data),
                (Some(event), _) => {
                    let ended = matches!(event, Said::End(_));
                    said.push(event);
                    stopped = ended && !fed.go_on();
                }
            }
        }
    }
    let reusable = error.is_none() && fed.reusable();
    let end = if error.is_none() { Some(fed.finish()) } else { None };
    if let (Some(Ok(true)), false) = (end, stopped) {
        // The end of the connection may have been the end of a content.
        while let Ok((_, Some(event))) = fed.receive(limits, &[]) {
            said.push(event);
        }
    }
    let rest = if error.is_some() { Vec::new() } else { buffer };
    Transcript { said, error, reusable, rest, end }
}

/// Cuts that are tried: none, all, one at every position (thinned out for what is long), and some of equal length.
fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut all = vec![bytes.chunks(1).collect(), bytes.chunks(2).collect(), bytes.chunks(7).collect()];
    let step = (bytes.len() / 1000).max(1);
    all.extend((1..bytes.len()).step_by(step).map(|at| {
        let (a, b) = bytes.split_at(at);
        vec![a, b]
    }));
    if bytes.len() > 20_000 {
        all.drain(..2);
        all.truncate(12);
    }
    all
}

fn in_every_way(bytes: &[u8], run: impl Fn(&[&[u8]]) -> Transcript) -> Transcript {
    let whole = run(&[bytes]);
    for pieces in cuts(bytes) {
        let lengths: Vec<_> = pieces.iter().take(3).map(|p| p.len()).collect();
        let cut = run(&pieces);
        assert_eq!(cut, whole, "cut {lengths:?}… of {:?}", String::from_utf8_lossy(bytes));
    }
    whole
}

/// What a server says of these bytes, however they are cut. Every request is answered with an empty 404.
pub fn server(bytes: impl AsRef<[u8]>) -> Transcript {
    server_with(&Limits::default(), bytes)
}

pub fn server_with(limits: &Limits, bytes: impl AsRef<[u8]>) -> Transcript {
    in_every_way(bytes.as_ref(), |pieces| server_in_pieces(limits, pieces))
}

pub fn server_in_pieces(limits: &Limits, pieces: &[&[u8]]) -> Transcript {
    feed(&mut FedServer(Server::new(limits), RequestHead::new()), limits, pieces)
}

/// What a client that asked this says of these bytes, however they are cut.
pub fn client(asks: &[Ask], bytes: impl AsRef<[u8]>) -> Transcript {
    client_with(&Limits::default(), asks, bytes)
}

pub fn client_with(limits: &Limits, asks: &[Ask], bytes: impl AsRef<[u8]>) -> Transcript {
    in_every_way(bytes.as_ref(), |pieces| client_in_pieces(limits, asks, pieces))
}

pub fn client_in_pieces(limits: &Limits, asks: &[Ask], pieces: &[&[u8]]) -> Transcript {
    let mut fed = FedClient(Client::new(), ResponseHead::new(), asks.iter());
    assert!(fed.ask());
    feed(&mut fed, limits, pieces)
}

/// What a client that sent a `GET` says.
pub fn answer(bytes: impl AsRef<[u8]>) -> Transcript {
    client(&[Ask::get()], bytes)
}

/// Each request, alone, is refused with one of these kinds, and nothing of it is taken for a request.
#[track_caller]
pub fn refused(table: &[(&str, &[u8], Kind)]) {
    for (id, bytes, kind) in table {
        let transcript = server(bytes);
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(transcript.kind(), Some(*kind), "{id}: {text:?} gave {transcript:?}");
        assert!(transcript.ends() == 0, "{id}: {text:?} was taken for complete");
    }
}

/// Each request's head and the canary behind it are understood: `check` judges the transcript.
#[track_caller]
pub fn one_request(bytes: impl AsRef<[u8]>) -> RequestHead {
    let transcript = server(bytes.as_ref());
    let text = String::from_utf8_lossy(bytes.as_ref());
    assert_eq!(transcript.error, None, "{text:?}");
    let requests = transcript.requests();
    assert_eq!(requests.len(), 1, "{text:?}");
    requests[0].clone()
}

/// A request with one field (or more, CRLF between them) beside its `Host`.
pub fn get_with(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n").into_bytes()
}

pub fn post_with(fields: &str, content: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{content}").into_bytes()
}

/// A request that is recognised wherever it turns up.
pub const CANARY: &[u8] = b"GET /canary HTTP/1.1\r\nHost: canary\r\n\r\n";

pub fn is_canary(head: &RequestHead) -> bool {
    head.target == b"/canary" && head.content == Length::None
}

/// The bytes stand in front of a canary, which must come out as the second request.
#[track_caller]
pub fn before_canary(bytes: impl AsRef<[u8]>) -> Transcript {
    let transcript = server([bytes.as_ref(), CANARY].concat());
    let text = String::from_utf8_lossy(bytes.as_ref());
    assert_eq!(transcript.error, None, "{text:?}");
    let requests = transcript.requests();
    assert_eq!(requests.len(), 2, "{text:?}: {requests:?}");
    assert!(is_canary(requests[1]), "{text:?}: {requests:?}");
    assert!(!is_canary(requests[0]));
    transcript
}

//! A server and a client that do something, over any transport: bytes in, bytes out.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(dead_code, reason = "every test binary uses its own part of this")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

use corelane_codec::h2::{Config, Connection, Event, StreamId};
use corelane_codec::{Fields, Length, RequestHead, ResponseHead};
use http::Method;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// The octet of a content at a place.
pub fn octet(at: usize) -> u8 {
    (at * 7 + (at >> 8)) as u8
}

pub fn content(len: usize) -> Vec<u8> {
    (0..len).map(octet).collect()
}

/// Content on its way out.
struct Sending {
    content: Vec<u8>,
    at: usize,
    trailers: bool,
}

/// Answers `GET /N` with N octets, and anything else with its own content, with trailers for those who take them.
pub struct Echo {
    pub connection: Connection,
    uploads: HashMap<StreamId, (RequestHead, Vec<u8>)>,
    downloads: HashMap<StreamId, Sending>,
    pub answered: usize,
    pub failed: bool,
}

impl Echo {
    pub fn new(config: Config) -> Self {
        Self {
            connection: Connection::server(Rc::new(config), Duration::ZERO),
            uploads: HashMap::new(),
            downloads: HashMap::new(),
            answered: 0,
            failed: false,
        }
    }

    /// Takes what has come, leaves what is not consumed, appends what goes out.
    pub fn turn(&mut self, input: &mut Vec<u8>, now: Duration, out: &mut Vec<u8>) {
        let mut at = 0;
        while !self.failed {
            let received = match self.connection.receive(&input[at..], now) {
                Ok(received) => received,
                Err(error) => {
                    println!("{error:?}");
                    self.failed = true;
                    break;
                }
            };
            let start = at;
            at += received.consumed;
            match received.event {
                Event::NeedMore => break,
                Event::Request { stream, ended } => {
                    let mut head = RequestHead::new();
                    std::mem::swap(&mut head, self.connection.request_mut());
                    self.uploads.insert(stream, (head, Vec::new()));
                    self.answer_if(stream, ended, out);
                }
                Event::Data { stream, range, ended } => {
                    self.connection.release(stream, range.len());
                    let upload = self.uploads.get_mut(&stream).unwrap();
                    upload.1.extend_from_slice(&input[start..][range]);
                    self.answer_if(stream, ended, out);
                }
                Event::Trailers { stream } => self.answer_if(stream, true, out),
                Event::Reset { stream, .. } => {
                    self.uploads.remove(&stream);
                    self.downloads.remove(&stream);
                    self.connection.close(stream);
                }
                Event::Refused { error, .. } => println!("{error:?}"),
                _ => {}
            }
        }
        input.drain(..at);
        self.connection.transmit(out);
        self.send(now, out);
        self.connection.transmit(out);
    }

    fn answer_if(&mut self, stream: StreamId, ended: bool, out: &mut Vec<u8>) {
        if !ended {
            return;
        }
        let (head, upload) = self.uploads.remove(&stream).unwrap();
        let number = std::str::from_utf8(&head.path()[1..]).ok().and_then(|path| path.parse().ok());
        let content = match number {
            Some(len) if head.method != Method::POST => content(len),
            _ => upload,
        };
        let trailers = head.accepts_trailers && head.method == Method::POST;
        let length = if trailers { Length::Chunked } else { Length::Known(content.len() as u64) };
        let mut answer = ResponseHead { content: length, ..ResponseHead::new() };
        answer.fields.append("Server", "test");
        answer.fields.append("X-Path", head.path());
        if self.connection.send_response(stream, &answer, out).unwrap() {
            self.connection.close(stream);
            self.answered += 1;
        } else {
            self.downloads.insert(stream, Sending { content, at: 0, trailers });
            self.offer(stream, Duration::ZERO, out);
        }
    }

    fn offer(&mut self, stream: StreamId, now: Duration, out: &mut Vec<u8>) {
        let sending = &self.downloads[&stream];
        let left = sending.content.len() - sending.at;
        if left > 0 {
            self.connection.offer(stream, left, now).unwrap();
            return;
        }
        let mut trailers = Fields::new();
        trailers.append("X-Length", sending.at.to_string());
        if sending.trailers {
            self.connection.send_trailers(stream, &trailers, out).unwrap();
        } else if !self.connection.sending_ended(stream) {
            self.connection.send_end(stream, out).unwrap();
        }
        self.downloads.remove(&stream);
        self.connection.close(stream);
        self.answered += 1;
    }

    fn send(&mut self, now: Duration, out: &mut Vec<u8>) {
        while let Some(grant) = self.connection.next_data(now) {
            let sending = self.downloads.get_mut(&grant.stream).unwrap();
            let end = sending.at + grant.bytes_max == sending.content.len() && !sending.trailers;
            out.extend(self.connection.send_data(grant.stream, grant.bytes_max, end, now).unwrap());
            out.extend_from_slice(&sending.content[sending.at..][..grant.bytes_max]);
            sending.at += grant.bytes_max;
            if sending.at == sending.content.len() {
                self.offer(grant.stream, now, out);
            }
        }
    }
}

/// Asks `total` times, as many at a time as the server takes: for what `/N` gives, or sends N octets and wants them back.
pub struct Asker {
    pub connection: Connection,
    asked: HashMap<StreamId, Asked>,
    total: usize,
    posts: bool,
    sizes: Vec<usize>,
    pub opened: usize,
    pub done: usize,
    pub trailers: usize,
    pub failures: Vec<String>,
}

struct Asked {
    len: usize,
    sent: usize,
    received: usize,
}

impl Asker {
    pub fn new(config: Config, total: usize, posts: bool, sizes: &[usize]) -> Self {
        Self {
            connection: Connection::client(Rc::new(config), Duration::ZERO),
            asked: HashMap::new(),
            total,
            posts,
            sizes: sizes.to_vec(),
            opened: 0,
            done: 0,
            trailers: 0,
            failures: Vec::new(),
        }
    }

    pub fn is_done(&self) -> bool {
        self.done == self.total || !self.failures.is_empty()
    }

    pub fn turn(&mut self, input: &mut Vec<u8>, now: Duration, out: &mut Vec<u8>) {
        let mut at = 0;
        while self.failures.is_empty() {
            let received = match self.connection.receive(&input[at..], now) {
                Ok(received) => received,
                Err(error) => {
                    self.failures.push(format!("{error:?}"));
                    break;
                }
            };
            let start = at;
            at += received.consumed;
            if received.event == Event::NeedMore {
                break;
            }
            self.take(received.event, &input[start..]);
        }
        input.drain(..at);
        self.ask(now, out);
        self.connection.transmit(out);
        while let Some(grant) = self.connection.next_data(now) {
            let asked = self.asked.get_mut(&grant.stream).unwrap();
            let end = asked.sent + grant.bytes_max == asked.len;
            out.extend(self.connection.send_data(grant.stream, grant.bytes_max, end, now).unwrap());
            out.extend((asked.sent..asked.sent + grant.bytes_max).map(octet));
            asked.sent += grant.bytes_max;
        }
    }

    fn take(&mut self, event: Event, input: &[u8]) {
        let ended = match event {
            Event::Response { stream, ended } => {
                let head = self.connection.response_mut();
                if head.status != 200 {
                    self.failures.push(format!("{head:?}"));
                }
                ended.then_some(stream)
            }
            Event::Data { stream, range, ended } => {
                self.connection.release(stream, range.len());
                let asked = self.asked.get_mut(&stream).unwrap();
                for (n, byte) in input[range.clone()].iter().enumerate() {
                    assert_eq!(*byte, octet(asked.received + n));
                }
                asked.received += range.len();
                ended.then_some(stream)
            }
            Event::Trailers { stream } => {
                self.trailers += 1;
                Some(stream)
            }
            Event::Interim { .. } | Event::Pong { .. } | Event::NeedMore => None,
            event => {
                self.failures.push(format!("{event:?}"));
                None
            }
        };
        if let Some(stream) = ended {
            let asked = self.asked.remove(&stream).unwrap();
            if asked.received != asked.len {
                self.failures.push(format!("{} of {}", asked.received, asked.len));
            }
            self.connection.close(stream);
            self.done += 1;
        }
    }

    fn ask(&mut self, now: Duration, out: &mut Vec<u8>) {
        while self.opened < self.total && self.connection.streams_available() > 0 {
            let len = self.sizes[self.opened % self.sizes.len()];
            let mut head = RequestHead { target: format!("/{len}").into_bytes(), ..RequestHead::new() };
            head.fields.append("Host", "localhost");
            head.fields.append("User-Agent", "test");
            if self.posts {
                head.method = Method::POST;
                head.accepts_trailers = true;
                head.content = if len == 0 { Length::None } else { Length::Known(len as u64) };
            }
            let stream = self.connection.send_request(&head, out).unwrap();
            if self.posts && len > 0 {
                self.connection.offer(stream, len, now).unwrap();
            }
            self.asked.insert(stream, Asked { len, sent: 0, received: 0 });
            self.opened += 1;
        }
    }
}

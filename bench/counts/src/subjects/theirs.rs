//! What a server of HTTP/2 does, by `corelane-codec` and by the `h2` crate: the same octets from one and the same client,
//! on connections that are warm.
//!
//! The crate's server has a pipe in memory and is polled by hand. Its responses are built beforehand, and what it writes
//! of content is not copied; it does copy what it reads, so ours gets its octets by a copy, too.

use super::Course;
use bytes::Bytes;
use corelane_codec::h2::{Config, Connection, Event, StreamId};
use corelane_codec::{Length, RequestHead, ResponseHead};
use std::cell::RefCell;
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const NOW: Duration = Duration::from_secs(1);
const FRAME_BYTES: usize = 16 << 10;
/// What is copied at once: of more, valgrind would count an instruction for each octet.
const PIECE_BYTES: usize = 1 << 10;
/// Room for all runs.
const WINDOW_BYTES: u32 = 1 << 20;
const FIELDS: [(&str, &str); 4] = [
    ("server", "nginx/1.22.1"),
    ("date", "Mon, 06 Jul 2026 10:00:00 GMT"),
    ("content-type", "text/html; charset=utf-8"),
    ("etag", "\"64a2f6b0-80\""),
];

pub(super) fn subjects(course: &mut Course) {
    heads(course);
    received(course);
    sent(course);
}

/// A GET of three fields, and an answer of five without content.
fn heads(course: &mut Course) {
    let mut ours = Ours::new();
    let asked = |ours: &mut Ours| {
        ours.client.hear(&mut ours.down);
        ours.client.ask(Length::None);
        ours.input.clear();
    };
    course.subject_of("h2: a server's request and response", &mut ours, asked, |ours| {
        let (stream, ended) = ours.request();
        assert!(ended && ours.taken.target == b"/path?query=1");
        ours.server.send_response(stream, &ours.response, &mut ours.down).expect("it was asked");
        ours.server.close(stream);
        ours.server.transmit(&mut ours.down);
    });
    let mut theirs = Theirs::new();
    let asked = |theirs: &mut Theirs| {
        theirs.client.hear(&mut theirs.wire.borrow_mut().down);
        theirs.client.ask(Length::None);
        theirs.wire.borrow_mut().take(&mut theirs.client.up);
        theirs.response = Some(response(true));
    };
    course.subject_of("the h2 crate: a server's request and response", &mut theirs, asked, |theirs| {
        let (request, mut respond) = theirs.request();
        assert!(request.uri().path() == "/path");
        let response = theirs.response.take().expect("it was made before");
        respond.send_response(response, true).expect("it was asked");
        drop((request, respond));
        theirs.poll();
    });
}

/// A frame of content that comes.
fn received(course: &mut Course) {
    let mut ours = Ours::new();
    let stream = ours.client.ask(Length::Chunked);
    ours.request();
    let on_the_way = |ours: &mut Ours| {
        ours.input.clear();
        ours.client.send(stream, FRAME_BYTES);
    };
    course.subject_of("h2: a server's DATA frame of 16 KiB, received", &mut ours, on_the_way, |ours| {
        assert_eq!(ours.content(), FRAME_BYTES);
    });
    let mut theirs = Theirs::new();
    let stream = theirs.client.ask(Length::Chunked);
    theirs.wire.borrow_mut().take(&mut theirs.client.up);
    let (request, _respond) = theirs.request();
    let mut content = request.into_body();
    let on_the_way = |theirs: &mut Theirs| {
        theirs.client.send(stream, FRAME_BYTES);
        theirs.wire.borrow_mut().take(&mut theirs.client.up);
    };
    course.subject_of(
        "the h2 crate: a server's DATA frame of 16 KiB, received",
        &mut theirs,
        on_the_way,
        |theirs| {
            theirs.poll();
            let Poll::Ready(Some(Ok(piece))) = content.poll_data(&mut context()) else {
                unreachable!("it has come")
            };
            assert_eq!(black_box(&piece).len(), FRAME_BYTES);
            content.flow_control().release_capacity(piece.len()).expect("it was held");
        },
    );
}

/// A frame of content that goes.
fn sent(course: &mut Course) {
    let mut ours = Ours::new();
    ours.client.ask(Length::None);
    let (stream, _) = ours.request();
    ours.response.content = Length::Chunked;
    ours.server.send_response(stream, &ours.response, &mut ours.down).expect("it was asked");
    course.subject_of(
        "h2: a server's DATA frame of 16 KiB, sent",
        &mut ours,
        |ours| ours.down.clear(),
        |ours| {
            ours.server.offer(stream, FRAME_BYTES, NOW).expect("it has been answered");
            let grant = ours.server.next_data(NOW).expect("there is room");
            let head =
                ours.server.send_data(grant.stream, grant.bytes_max, false, NOW).expect("there is room");
            ours.down.extend_from_slice(&head);
            assert_eq!(grant.bytes_max, FRAME_BYTES);
        },
    );
    let mut theirs = Theirs::new();
    theirs.client.ask(Length::None);
    theirs.wire.borrow_mut().take(&mut theirs.client.up);
    let (_request, mut respond) = theirs.request();
    let mut content = respond.send_response(response(false), false).expect("it was asked");
    theirs.poll();
    theirs.wire.borrow_mut().discards = true;
    let all = Bytes::from(vec![b'x'; FRAME_BYTES]);
    let quiet = |theirs: &mut Theirs| theirs.wire.borrow_mut().written = 0;
    course.subject_of("the h2 crate: a server's DATA frame of 16 KiB, sent", &mut theirs, quiet, |theirs| {
        content.send_data(all.clone(), false).expect("it has been answered");
        theirs.poll();
        assert_eq!(theirs.wire.borrow().written, FRAME_BYTES + 9);
    });
}

fn config() -> Rc<Config> {
    let mut config = Config::default();
    (config.stream_window_bytes, config.connection_window_bytes) = (WINDOW_BYTES, WINDOW_BYTES);
    config.heap_bytes_max = 4 << 20;
    Rc::new(config)
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn response(is_empty: bool) -> http::Response<()> {
    let mut response = http::Response::builder().status(200);
    for (name, value) in FIELDS {
        response = response.header(name, value);
    }
    if is_empty {
        response = response.header("content-length", "0");
    }
    response.body(()).expect("it is one")
}

/// Who asks either of them.
struct Client {
    connection: Connection,
    request: RequestHead,
    last: Option<StreamId>,
    up: Vec<u8>,
}

impl Client {
    fn new() -> Self {
        let mut request = RequestHead { target: b"/path?query=1".to_vec(), ..RequestHead::new() };
        for (name, value) in [("Host", "example.com"), ("User-Agent", "curl/7.88.1"), ("Accept", "*/*")] {
            request.fields.append(name, value);
        }
        let (last, up) = (None, Vec::with_capacity(64 << 10));
        Self { connection: Connection::client(config(), NOW), request, last, up }
    }

    fn ask(&mut self, content: Length) -> StreamId {
        self.request.content = content;
        let stream =
            self.connection.send_request(&self.request, &mut self.up).expect("there is a stream left");
        self.last = Some(stream);
        stream
    }

    fn send(&mut self, stream: StreamId, len: usize) {
        self.connection.offer(stream, len, NOW).expect("it was asked");
        let grant = self.connection.next_data(NOW).expect("there is room");
        let head = self.connection.send_data(grant.stream, len, false, NOW).expect("there is room");
        self.up.extend_from_slice(&head);
        self.up.resize(self.up.len() + len, 0);
    }

    /// What a server has written; a request that was answered is done with.
    fn hear(&mut self, down: &mut Vec<u8>) {
        let mut at = 0;
        loop {
            let received = self.connection.receive(&down[at..], NOW).expect("it is well-formed");
            at += received.consumed;
            match received.event {
                Event::NeedMore => break,
                Event::Response { stream, ended: true } => self.connection.close(stream),
                event => unreachable!("{event:?}"),
            }
        }
        down.clear();
        self.connection.transmit(&mut self.up);
    }
}

struct Ours {
    client: Client,
    server: Connection,
    input: Vec<u8>,
    down: Vec<u8>,
    response: ResponseHead,
    taken: RequestHead,
}

impl Ours {
    fn new() -> Self {
        let mut response = ResponseHead { content: Length::None, ..ResponseHead::new() };
        FIELDS.iter().for_each(|(name, value)| response.fields.append(name, value));
        let mut ours = Self {
            client: Client::new(),
            server: Connection::server(config(), NOW),
            input: Vec::with_capacity(64 << 10),
            down: Vec::with_capacity(64 << 10),
            response,
            taken: RequestHead::new(),
        };
        ours.server.transmit(&mut ours.down);
        ours.client.hear(&mut ours.down);
        ours
    }

    /// The request that has come, and whether that was all of it.
    fn request(&mut self) -> (StreamId, bool) {
        self.receive();
        let (mut at, mut found) = (0, None);
        loop {
            let received = self.server.receive(&self.input[at..], NOW).expect("it is well-formed");
            at += received.consumed;
            match received.event {
                Event::NeedMore => return found.expect("it has come"),
                Event::Request { stream, ended } => {
                    std::mem::swap(&mut self.taken, self.server.request_mut());
                    found = Some((stream, ended));
                }
                event => unreachable!("{event:?}"),
            }
        }
    }

    /// Octets of content that have come.
    fn content(&mut self) -> usize {
        self.receive();
        let (mut at, mut len) = (0, 0);
        loop {
            let received = self.server.receive(&self.input[at..], NOW).expect("it is well-formed");
            at += received.consumed;
            match received.event {
                Event::NeedMore => return len,
                Event::Data { stream, range, .. } => {
                    len += black_box(range.len());
                    self.server.release(stream, range.len());
                }
                event => unreachable!("{event:?}"),
            }
        }
    }

    fn receive(&mut self) {
        self.input.clear();
        self.client.up.chunks(PIECE_BYTES).for_each(|piece| self.input.extend_from_slice(piece));
        self.client.up.clear();
    }
}

/// The server's side of a pipe.
#[derive(Default)]
struct Wire {
    up: Vec<u8>,
    read: usize,
    down: Vec<u8>,
    /// Octets that were written, if they are not kept.
    written: usize,
    discards: bool,
}

impl Wire {
    fn take(&mut self, up: &mut Vec<u8>) {
        assert_eq!(self.read, self.up.len(), "all of it was read");
        std::mem::swap(&mut self.up, up);
        up.clear();
        self.read = 0;
    }
}

struct End(Rc<RefCell<Wire>>);

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        let rest = &wire.up[wire.read..];
        let len = rest.len().min(into.remaining());
        if len == 0 {
            return Poll::Pending;
        }
        rest[..len].chunks(PIECE_BYTES).for_each(|piece| into.put_slice(piece));
        wire.read += len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(from)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        let len = from.iter().map(|piece| piece.len()).sum();
        wire.written += len;
        if !wire.discards {
            from.iter().for_each(|piece| wire.down.extend_from_slice(piece));
        }
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Theirs {
    client: Client,
    server: h2::server::Connection<End, Bytes>,
    wire: Rc<RefCell<Wire>>,
    response: Option<http::Response<()>>,
}

impl Theirs {
    fn new() -> Self {
        let (mut client, wire) = (Client::new(), Rc::new(RefCell::new(Wire::default())));
        client.connection.transmit(&mut client.up);
        wire.borrow_mut().take(&mut client.up);
        let mut builder = h2::server::Builder::new();
        builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
        let mut hello = std::pin::pin!(builder.handshake(End(wire.clone())));
        let Poll::Ready(Ok(server)) = hello.as_mut().poll(&mut context()) else {
            unreachable!("all of it is there")
        };
        let mut theirs = Self { client, server, wire, response: None };
        // Settings and acknowledgements, both ways.
        for _ in 0..3 {
            theirs.poll();
            theirs.client.hear(&mut theirs.wire.borrow_mut().down);
            theirs.wire.borrow_mut().take(&mut theirs.client.up);
        }
        theirs
    }

    fn request(&mut self) -> (http::Request<h2::RecvStream>, h2::server::SendResponse<Bytes>) {
        match self.server.poll_accept(&mut context()) {
            Poll::Ready(Some(Ok(request))) => request,
            other => unreachable!("{other:?}"),
        }
    }

    /// Everything but a request.
    fn poll(&mut self) {
        assert!(self.server.poll_accept(&mut context()).is_pending());
    }
}

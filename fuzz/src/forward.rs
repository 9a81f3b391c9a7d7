//! Messages that are received, changed for the next hop, and sent on: whoever reads them there finds the same end.

use crate::cut::cuts;
use crate::messages::shown;
use crate::reference;
use crate::wire::{Ask, CANARY, Said, client_in_pieces, is_canary, server_in_pieces};
use corelane_codec::forward::{self, Hop, Trusted};
use corelane_codec::h1::{Client, Event, Server};
use corelane_codec::trail::{self, Trail};
use corelane_codec::{Error, Fields, Length, Limits, RequestHead, ResponseHead};
use http::{Method, StatusCode};
use std::net::IpAddr;

/// The limits of whoever reads what was sent on: what is added on the way must not bring it to them.
pub(crate) fn next_hop() -> Limits {
    let mut limits = Limits::default();
    limits.request_head_bytes_max *= 2;
    limits.request_fields_max *= 2;
    limits.response_head_bytes_max *= 2;
    limits.response_fields_max *= 2;
    // The origin's own, and whatever the application says between them.
    limits.interim_responses_max = u32::MAX;
    limits
}

/// A request that was received whole.
struct Whole {
    head: RequestHead,
    content: Vec<u8>,
    trailers: Option<Fields>,
}

/// Requests, behind a byte that says whose word is taken: a proxy's that keeps `X`-Forwarded-For or `F`orwarded, or
/// nobody's; `U` is a peer without an address.
pub fn requests(input: &[u8]) {
    let Some((flavour, bytes)) = input.split_first() else { return };
    let all = received(&[bytes]);
    let out = sent_on(&all, *flavour);
    for pieces in cuts(bytes) {
        let again = sent_on(&received(&pieces), *flavour);
        assert_eq!(shown(&again.0), shown(&out.0), "{}", shown(bytes));
    }
    let (out, forwarded) = out;
    if forwarded.is_empty() {
        return;
    }
    let bytes = [&out[..], CANARY].concat();
    we_see(&bytes, &forwarded);
    hyper_sees(&bytes, &forwarded);
}

/// All requests that come whole.
fn received(pieces: &[&[u8]]) -> Vec<Whole> {
    let limits = Limits::default();
    let (mut server, mut head, mut buffer) = (Server::new(&limits), RequestHead::new(), Vec::new());
    let (mut all, mut content) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let Ok(received) = server.receive(&limits, &buffer, &mut head) else { return all };
            match received.event {
                Event::NeedMore => {
                    buffer.drain(..received.consumed);
                    break;
                }
                Event::Head => content = Vec::new(),
                Event::Interim => panic!("a server hears requests"),
                Event::Data(ref range) => content.extend_from_slice(&buffer[range.clone()]),
                Event::End => {
                    let trailers = server.trailers().cloned();
                    all.push(Whole { head: head.clone(), content: std::mem::take(&mut content), trailers });
                    let response = ResponseHead { status: StatusCode::NOT_FOUND, ..ResponseHead::default() };
                    server.send_head(&response, &mut Vec::new()).expect("it suits every request");
                    server.send_end(None, &mut Vec::new()).expect("without content");
                    if !server.may_reuse() {
                        return all;
                    }
                    server.next_exchange();
                }
            }
            buffer.drain(..received.consumed);
        }
    }
    all
}

/// What goes to an origin, on one connection, and the requests that went as they went. Those that must not go are left
/// out.
fn sent_on(all: &[Whole], flavour: u8) -> (Vec<u8>, Vec<Whole>) {
    let (mut out, mut forwarded) = (Vec::new(), Vec::new());
    for whole in all {
        let mut head = whole.head.clone();
        if forward::request(&mut head, &hop(&whole.head, flavour)).is_err() {
            continue;
        }
        if head.fields.get("host").is_none() {
            // As the engine does it: HTTP/1.0 need not name a host.
            head.fields.set("Host", "192.0.2.1:80");
        }
        let before = out.len();
        match send(&head, &whole.content, whole.trailers.as_ref(), &mut out) {
            Ok(()) => {
                httparse_sees(&out[before..], &head, &whole.content);
                forwarded.push(Whole {
                    head,
                    content: whole.content.clone(),
                    trailers: whole.trailers.clone(),
                });
            }
            Err(error) => {
                // A tunnel is refused long before; nothing else that was understood can't be said.
                assert_eq!(head.method, Method::CONNECT, "{error}");
                assert_eq!(out.len(), before, "nothing is written on an error");
            }
        }
    }
    (out, forwarded)
}

fn hop(head: &RequestHead, flavour: u8) -> Hop<'static> {
    let trail = match flavour {
        b'X' => Some(Trail::XForwardedFor),
        b'F' => Some(Trail::Forwarded),
        _ => None,
    };
    let own = |ip: IpAddr| ip.is_loopback();
    let trusted = trail.map(|trail| Trusted { trail, client: trail::client(&head.fields, trail, own) });
    let peer = (flavour != b'U').then_some(IpAddr::from([192, 0, 2, 7]));
    Hop {
        peer,
        scheme: "http",
        via: "corelane-0123",
        request_id: "0123456789abcdef0123456789abcdef",
        trusted,
    }
}

fn send(
    head: &RequestHead,
    content: &[u8],
    trailers: Option<&Fields>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut client = Client::new();
    client.send_head(head, out)?;
    for piece in content.chunks(5) {
        let wrap = client.send_data(piece.len()).expect("content of the length that was said");
        out.extend([wrap.before(), piece, wrap.after()].concat());
    }
    client.send_end(trailers, out).expect("content of the length that was said");
    assert!(client.request_ended());
    Ok(())
}

/// One head, in which nothing stands twice that frames, routes or tells who we are.
fn httparse_sees(bytes: &[u8], head: &RequestHead, content: &[u8]) {
    let mut slots = [httparse::EMPTY_HEADER; 160];
    let mut parsed = httparse::Request::new(&mut slots);
    let end = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        other => panic!("{other:?} of {}", shown(bytes)),
    };
    assert_eq!((parsed.method, parsed.version), (Some(head.method.as_str()), Some(1)));
    assert_eq!(parsed.path.map(str::as_bytes), Some(head.target.as_slice()));
    let count = |name: &str| parsed.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).count();
    let value =
        |name: &str| parsed.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value);
    for name in ["host", "x-forwarded-proto", "forwarded", "x-request-id"] {
        assert_eq!(count(name), 1, "{name} in {}", shown(bytes));
    }
    for name in ["connection", "upgrade", "te", "expect", "x-forwarded-for", "max-forwards"] {
        assert!(count(name) <= 1 || name == "max-forwards", "{name} in {}", shown(bytes));
    }
    for name in ["keep-alive", "proxy-connection", "trailer", "http2-settings"] {
        assert_eq!(count(name), 0, "{name} in {}", shown(bytes));
    }
    match (count("content-length"), count("transfer-encoding")) {
        (0, 0) => assert_eq!(bytes.len(), end, "content that nobody expects"),
        (1, 0) => {
            assert_eq!(value("content-length"), Some(content.len().to_string().as_bytes()));
            assert_eq!(&bytes[end..], content);
        }
        (0, 1) => assert_eq!(value("transfer-encoding"), Some(&b"chunked"[..])),
        counts => panic!("{counts:?} framings in {}", shown(bytes)),
    }
}

fn we_see(bytes: &[u8], sent: &[Whole]) {
    let transcript = server_in_pieces(&next_hop(), &[bytes]);
    let mut said = transcript.said.iter();
    for whole in sent {
        let Some(Said::Request(head)) = said.next() else {
            panic!("{:?} in {}", transcript.error, shown(bytes))
        };
        assert_eq!((&head.method, &head.target), (&whole.head.method, &whole.head.target));
        assert_eq!((head.upgrade, head.expects_continue), (whole.head.upgrade, whole.head.expects_continue));
        assert_eq!(head.accepts_trailers, whole.head.accepts_trailers);
        let pairs =
            |fields: &Fields| fields.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect::<Vec<_>>();
        assert_eq!(pairs(&head.fields), pairs(&whole.head.fields), "{}", shown(bytes));
        let mut content = Vec::new();
        let trailers = loop {
            match said.next() {
                Some(Said::Data(data)) => content.extend_from_slice(data),
                Some(Said::End(trailers)) => break trailers,
                other => panic!("{other:?} in {}", shown(bytes)),
            }
        };
        assert_eq!(content, whole.content);
        let trailed = whole.trailers.as_ref().filter(|_| whole.head.content == Length::Chunked);
        assert_eq!(trailers.as_ref().map(pairs), trailed.map(pairs));
    }
    let Some(Said::Request(canary)) = said.next() else {
        panic!("{:?} in {}", transcript.error, shown(bytes))
    };
    assert!(is_canary(canary), "{}", shown(bytes));
}

fn hyper_sees(bytes: &[u8], sent: &[Whole]) {
    let seen = reference::requests(bytes);
    for (at, whole) in sent.iter().enumerate() {
        if http::Uri::try_from(whole.head.target.as_slice()).is_err() {
            // It refuses such a target, and stops.
            return;
        }
        let Some(seen) = seen.get(at) else {
            panic!("hyper stops before {:?} in {}", whole.head, shown(bytes))
        };
        assert_eq!((&seen.method, &seen.content), (&whole.head.method, &whole.content), "{}", shown(bytes));
    }
    assert_eq!(seen.len(), sent.len() + 1, "{}", shown(bytes));
    assert_eq!(seen[sent.len()].uri.path(), "/canary");
}

/// A response, behind a byte that says what the client had asked: `H`EAD, with HTTP/1.`0`, with `T`E: trailers, for a
/// `W`ebSocket, or simply.
pub fn responses(input: &[u8]) {
    let Some((flavour, bytes)) = input.split_first() else { return };
    let asked: &[u8] = match flavour {
        b'H' => b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        b'0' => b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        b'T' => b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n",
        b'W' => b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        _ => b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    let Some(answer) = answered(asked, &[bytes]) else { return };
    for pieces in cuts(bytes) {
        let again = answered(asked, &pieces).expect("cuts change nothing");
        assert_eq!((again.complete, again.reuse), (answer.complete, answer.reuse), "{}", shown(bytes));
        assert_eq!(shown(&again.head), shown(&answer.head), "{}", shown(bytes));
        assert_eq!(again.content, answer.content);
        assert_eq!(again.out.is_empty(), answer.out.is_empty());
    }
    client_sees(&answer, asked, *flavour);
}

/// A response on its way from an origin to a client.
struct Passage {
    server: Server,
    client: Client,
    response: ResponseHead,
    /// Whether another exchange may follow, and all that was said before.
    failed: bool,
    head: Vec<u8>,
    out: Vec<u8>,
    content: Vec<u8>,
}

/// What the client was sent.
struct Answer {
    /// Interim responses and the final head.
    head: Vec<u8>,
    /// All of it.
    out: Vec<u8>,
    content: Vec<u8>,
    status: StatusCode,
    /// The origin's response came to its end, so ours was sent to its end.
    complete: bool,
    /// The client may ask again on this connection.
    reuse: bool,
}

impl Passage {
    fn new(asked: &[u8]) -> Self {
        let limits = Limits::default();
        let (mut server, mut request, mut read) = (Server::new(&limits), RequestHead::new(), 0);
        while !server.request_ended() {
            let received = server.receive(&limits, &asked[read..], &mut request);
            read += received.expect("it is well-formed").consumed;
        }
        let mut client = Client::new();
        client.send_head(&request, &mut Vec::new()).expect("it can be sent on");
        client.send_end(None, &mut Vec::new()).expect("it has no content");
        let (response, nothing) = (ResponseHead::new(), Vec::new);
        Self { server, client, response, failed: false, head: nothing(), out: nothing(), content: nothing() }
    }

    /// Takes one event of what has come, and says whether there may be another.
    fn take(&mut self, buffer: &mut Vec<u8>) -> bool {
        let Ok(received) = self.client.receive(&Limits::default(), buffer, &mut self.response) else {
            self.failed = true;
            return false;
        };
        let out = &mut self.out;
        match &received.event {
            Event::NeedMore => {}
            Event::Interim => {
                self.server.send_interim(self.response.status, &self.response.fields, out);
            }
            Event::Head => {
                forward::response(&mut self.response, "corelane-0123");
                self.server.send_head(&self.response, out).expect("what was understood can be said");
                self.head.clone_from(out);
            }
            Event::Data(range) => {
                let (wrap, data) = (self.server.send_data(range.len()), &buffer[range.clone()]);
                let wrap = wrap.expect("content of the length that was said");
                out.extend([wrap.before(), data, wrap.after()].concat());
                self.content.extend_from_slice(data);
            }
            Event::End => {
                let ended = self.server.send_end(self.client.trailers(), out);
                ended.expect("content of the length that was said");
            }
        }
        buffer.drain(..received.consumed);
        received.event != Event::NeedMore
    }
}

/// An answer to `asked` that comes from an origin in these pieces, which then closes. None if no final head came.
fn answered(asked: &[u8], pieces: &[&[u8]]) -> Option<Answer> {
    let (mut passage, mut buffer) = (Passage::new(asked), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while !passage.failed && passage.take(&mut buffer) {}
    }
    if !passage.failed && passage.client.receive_end().is_ok() {
        buffer.clear();
        while passage.take(&mut buffer) {}
    }
    let Passage { server, response, head, out, content, .. } = passage;
    let (complete, reuse) = (server.response_ended(), server.may_reuse());
    let status = response.status;
    server.response_begun().then_some(Answer { head, out, content, status, complete, reuse })
}

const SECOND: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\ncanary";

fn client_sees(answer: &Answer, asked: &[u8], flavour: u8) {
    if flavour == b'0' && !answer.complete {
        // Only the close would have ended it, and that is a reset.
        return;
    }
    let ask = match flavour {
        b'H' => Ask::head(),
        b'W' => Ask::websocket(),
        _ => Ask::get(),
    };
    let method = ask.method.clone();
    let bytes = if answer.reuse { [&answer.out[..], SECOND].concat() } else { answer.out.clone() };
    let transcript = client_in_pieces(&next_hop(), &[ask, Ask::get()], &[&bytes]);
    let (asked, sent) = (shown(asked), shown(&bytes));
    let responses = transcript.responses();
    assert_eq!(responses[0].status, answer.status, "{asked} {sent}");
    assert_eq!(transcript.ends(), usize::from(answer.complete) + usize::from(answer.reuse), "{asked} {sent}");
    let expected = [&answer.content[..], if answer.reuse { b"canary" } else { b"" }].concat();
    assert_eq!(transcript.content(), expected, "{asked} {sent}");
    if answer.reuse {
        assert_eq!(responses[1].status, StatusCode::NOT_FOUND, "{asked} {sent}");
    }
    if flavour != b'W' {
        let Some(seen) = reference::response(method, &bytes) else { panic!("hyper sees nothing in {sent}") };
        assert_eq!(seen.status, answer.status, "{sent}");
        assert_eq!(seen.content.as_ref(), answer.complete.then_some(&answer.content), "{sent}");
    }
}

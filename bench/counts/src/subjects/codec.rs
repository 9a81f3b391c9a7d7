//! Heads, content and fields, as `corelane-codec` reads and writes them. Buffers are warm: nothing allocates.

use super::Course;
use corelane_codec::forward::{self, Hop, Trusted};
use corelane_codec::h1::{Client, Event, Server};
use corelane_codec::trail::{self, Trail};
use corelane_codec::{Fields, Length, Limits, RequestHead, ResponseHead};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

/// Searches go by whole vectors, and cost a little more from some addresses than from others; where constants lie
/// depends on the length of paths that the compiler writes beside them.
#[repr(align(64))]
struct Aligned<const N: usize>([u8; N]);

const CURL: &[u8] = &Aligned(
    *b"GET /path?query=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
)
.0;
/// 15 fields.
const BROWSER: &[u8] = &Aligned(*b"GET /products/4711/reviews?page=2&sort=newest HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Referer: https://shop.example.com/products/4711\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0af7651916cd43dd8448eb211c80319c; theme=dark; consent=necessary\r\n\r\n").0;
const POST: &[u8] =
    &Aligned(*b"POST /upload HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n").0;
const RESPONSE: &[u8] = &Aligned(*b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 06 Jul 2026 10:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 128\r\nLast-Modified: Fri, 03 Jul 2026 08:00:00 GMT\r\n\
    Connection: keep-alive\r\nETag: \"64a2f6b0-80\"\r\nCache-Control: public, max-age=60\r\nAccept-Ranges: bytes\r\n\r\n").0;
const CONTENT_BYTES: usize = 128;
const HOP: Hop<'_> = Hop {
    peer: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 195))),
    scheme: "http",
    via: "corelane",
    request_id: "0af7651916cd43dd8448eb211c80319c",
    trusted: None,
};

pub(super) fn subjects(course: &mut Course) {
    parse_requests(course);
    parse_responses(course);
    emit(course);
    forwards(course);
    chunks(course);
    exchanges(course);
    fields(course);
}

/// A server with all that it needs to receive.
struct Reader {
    limits: Limits,
    server: Server,
    head: RequestHead,
}

impl Reader {
    fn new() -> Self {
        let limits = Limits::default();
        Self { server: Server::new(&limits), limits, head: RequestHead::new() }
    }

    fn start_over(&mut self) {
        self.server = Server::new(&self.limits);
    }

    fn event(&mut self, input: &[u8]) -> (usize, Event) {
        let received = self.server.receive(&self.limits, black_box(input), &mut self.head);
        let received = received.expect("the message is valid");
        (received.consumed, received.event)
    }

    /// A head that comes in pieces of `step` bytes, behind each other in the buffer.
    fn head_by(&mut self, input: &[u8], step: usize) {
        let mut came = step.min(input.len());
        while came < input.len() {
            let (consumed, event) = self.event(&input[..came]);
            assert!(consumed == 0 && event == Event::NeedMore);
            came = (came + step).min(input.len());
        }
        let (consumed, event) = self.event(input);
        assert!(consumed == input.len() && event == Event::Head);
    }
}

fn parse_requests(course: &mut Course) {
    for (name, input, step) in [
        ("codec: parse a request head of curl", CURL, CURL.len()),
        ("codec: parse a request head of curl, byte by byte", CURL, 1),
        ("codec: parse a request head of a browser", BROWSER, BROWSER.len()),
        ("codec: parse a request head of a browser, by 100 bytes", BROWSER, 100),
    ] {
        course.subject_of(name, &mut Reader::new(), Reader::start_over, |reader| reader.head_by(input, step));
    }
}

/// A client that has asked.
struct Asker {
    limits: Limits,
    client: Client,
    request: RequestHead,
    response: ResponseHead,
    out: Vec<u8>,
}

impl Asker {
    fn new() -> Self {
        Self {
            limits: Limits::default(),
            client: Client::new(),
            request: parsed(CURL),
            response: ResponseHead::new(),
            out: Vec::new(),
        }
    }

    fn ask(&mut self) {
        self.client = Client::new();
        self.out.clear();
        self.client.send_head(&self.request, &mut self.out).expect("the head is in order");
        self.client.send_end(None, &mut self.out).expect("it has no content");
    }

    fn head_by(&mut self, input: &[u8], step: usize) {
        let mut came = step.min(input.len());
        loop {
            let received = self.client.receive(&self.limits, black_box(&input[..came]), &mut self.response);
            let received = received.expect("the message is valid");
            if came == input.len() {
                assert!(received.consumed == came && received.event == Event::Head);
                return;
            }
            assert!(received.event == Event::NeedMore);
            came = (came + step).min(input.len());
        }
    }
}

fn parse_responses(course: &mut Course) {
    for (name, step) in
        [("codec: parse a response head", RESPONSE.len()), ("codec: parse a response head, byte by byte", 1)]
    {
        course.subject_of(name, &mut Asker::new(), Asker::ask, |asker| asker.head_by(RESPONSE, step));
    }
}

fn emit(course: &mut Course) {
    for (name, input) in
        [("codec: emit a request head of curl", CURL), ("codec: emit a request head of a browser", BROWSER)]
    {
        let head = forwarded(input);
        let mut state = (Client::new(), Vec::new());
        let prepare = |(client, out): &mut (Client, Vec<u8>)| {
            *client = Client::new();
            out.clear();
        };
        course.subject_of(name, &mut state, prepare, |(client, out)| {
            client.send_head(black_box(&head), out).expect("the head is in order");
            assert!(out.ends_with(b"\r\n\r\n"));
        });
    }
    let mut reader = Reader::new();
    let mut response = parsed_response();
    forward::response(&mut response, HOP.via);
    let mut out = Vec::new();
    let prepare = |(reader, out): &mut (&mut Reader, &mut Vec<u8>)| {
        reader.start_over();
        reader.head_by(CURL, CURL.len());
        out.clear();
    };
    course.subject_of(
        "codec: emit a response head",
        &mut (&mut reader, &mut out),
        prepare,
        |(reader, out)| {
            reader.server.send_head(black_box(&response), out).expect("the head is in order");
            assert!(out.ends_with(b"\r\n\r\n"));
        },
    );
}

fn forwards(course: &mut Course) {
    let stranger = (HOP, "");
    let trusted = Trusted { trail: Trail::XForwardedFor, client: None };
    let trusted = (Hop { trusted: Some(trusted), ..HOP }, "198.51.100.7, 192.0.2.43, 10.0.0.1");
    for (name, input, (hop, said)) in [
        ("codec: forward a request of curl", CURL, stranger),
        ("codec: forward a request of a browser", BROWSER, stranger),
        ("codec: forward a request of a trusted proxy", CURL, trusted),
    ] {
        let mut source = parsed(input);
        if !said.is_empty() {
            source.fields.append("X-Forwarded-For", said);
        }
        let prepare = |head: &mut RequestHead| head.clone_from(&source);
        course.subject_of(name, &mut RequestHead::new(), prepare, |head| {
            forward::request(black_box(head), black_box(&hop)).expect("it is no loop");
            assert!(head.fields.contains("via"));
        });
    }
    let source = parsed_response();
    let prepare = |head: &mut ResponseHead| head.clone_from(&source);
    course.subject_of("codec: forward a response", &mut ResponseHead::new(), prepare, |head| {
        forward::response(black_box(head), black_box(HOP.via));
        assert_eq!(head.fields.len(), source.fields.len() + 1);
    });
    let head = {
        let mut fields = Fields::new();
        fields.append("X-Forwarded-For", "198.51.100.7, 192.0.2.43, 10.0.0.2, 10.0.0.1");
        fields
    };
    course.subject("codec: find the client behind two trusted proxies", || {
        let trusts = |ip: IpAddr| matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10);
        let client = trail::client(black_box(&head), Trail::XForwardedFor, trusts).expect("it is said");
        assert_eq!(client.ip, IpAddr::from([192, 0, 2, 43]));
    });
}

/// 16 KiB of content, in chunks of one size.
fn chunks(course: &mut Course) {
    for size in [16_384, 1_024, 64] {
        let mut content = Vec::new();
        for _ in 0..16_384 / size {
            content.extend_from_slice(format!("{size:x}\r\n").as_bytes());
            content.resize(content.len() + size, b'x');
            content.extend_from_slice(b"\r\n");
        }
        content.extend_from_slice(b"0\r\n\r\n");
        let name = format!("codec: decode 16 KiB in chunks of {size} bytes");
        let prepare = |reader: &mut Reader| {
            reader.start_over();
            reader.head_by(POST, POST.len());
        };
        course.subject_of(name, &mut Reader::new(), prepare, |reader| {
            let (mut at, mut data) = (0, 0);
            loop {
                let (consumed, event) = reader.event(&content[at..]);
                at += consumed;
                match event {
                    Event::Data(range) => data += range.len(),
                    Event::End => break,
                    event => panic!("{event:?}"),
                }
            }
            assert_eq!((at, data), (content.len(), 16_384));
        });
    }
    let mut head = parsed(POST);
    head.content = Length::Chunked;
    let mut state = (Client::new(), Vec::new());
    let prepare = |(client, out): &mut (Client, Vec<u8>)| {
        *client = Client::new();
        out.clear();
        client.send_head(&head, out).expect("the head is in order");
    };
    course.subject_of("codec: frame 16 KiB in chunks of 1024 bytes", &mut state, prepare, |(client, out)| {
        for _ in 0..16 {
            let wrap = client.send_data(black_box(1024)).expect("there is content to come");
            assert!(wrap.before() == b"400\r\n" && wrap.after() == b"\r\n");
        }
        client.send_end(None, out).expect("all was sent");
    });
}

/// Both sides of a proxy, from the request's first byte to the response's last, on kept connections.
struct Proxy {
    reader: Reader,
    client: Client,
    response: ResponseHead,
    out: Vec<u8>,
}

impl Proxy {
    fn exchange(&mut self, request: &[u8]) {
        self.out.clear();
        let (consumed, event) = self.reader.event(request);
        assert!(consumed == request.len() && event == Event::Head);
        assert!(self.reader.event(&[]).1 == Event::End);
        forward::request(&mut self.reader.head, &HOP).expect("it is no loop");
        self.client.send_head(&self.reader.head, &mut self.out).expect("the head is in order");
        self.client.send_end(None, &mut self.out).expect("it has no content");
        let limits = &self.reader.limits;
        let received = self.client.receive(limits, black_box(RESPONSE), &mut self.response);
        let received = received.expect("the message is valid");
        assert!(received.event == Event::Head);
        forward::response(&mut self.response, HOP.via);
        self.reader.server.send_head(&self.response, &mut self.out).expect("the head is in order");
        let content = [b'x'; CONTENT_BYTES];
        let received = self.client.receive(limits, black_box(&content), &mut self.response);
        let received = received.expect("the content is valid");
        assert!(received.event == Event::Data(0..CONTENT_BYTES));
        let wrap = self.reader.server.send_data(CONTENT_BYTES).expect("there is content to come");
        assert!(wrap.before().is_empty());
        let received = self.client.receive(limits, &[], &mut self.response);
        assert!(received.expect("the content is valid").event == Event::End);
        self.reader.server.send_end(None, &mut self.out).expect("all was sent");
        self.client.next_exchange();
        self.reader.server.next_exchange();
    }
}

fn exchanges(course: &mut Course) {
    for (name, request) in
        [("codec: an exchange, as curl asks", CURL), ("codec: an exchange, as a browser asks", BROWSER)]
    {
        let (client, response) = (Client::new(), ResponseHead::new());
        let mut proxy = Proxy { reader: Reader::new(), client, response, out: Vec::new() };
        course.subject(name, || proxy.exchange(request));
    }
}

fn fields(course: &mut Course) {
    let source = parsed(BROWSER).fields;
    course.subject("codec: look up a field that is known, of 15", || {
        assert!(black_box(&source).get(black_box("cookie")).is_some());
    });
    course.subject("codec: look up a field that is not known, of 15", || {
        assert!(black_box(&source).get(black_box("sec-fetch-mode")).is_some());
    });
    course.subject("codec: look up a field that is not there, of 15", || {
        assert!(black_box(&source).get(black_box("x-tenant")).is_none());
    });
    let prepare = |fields: &mut Fields| fields.clone_from(&source);
    course.subject_of("codec: add a field to 15", &mut Fields::new(), prepare, |fields| {
        fields.set(black_box("x-tenant"), black_box("acme"));
        assert_eq!(fields.len(), source.len() + 1);
    });
    course.subject_of("codec: replace a field of 15", &mut Fields::new(), prepare, |fields| {
        fields.set(black_box("user-agent"), black_box("corelane"));
        assert_eq!(fields.len(), source.len());
    });
    course.subject_of("codec: remove a field of 15", &mut Fields::new(), prepare, |fields| {
        assert!(fields.remove(black_box("referer")));
    });
}

fn parsed(input: &[u8]) -> RequestHead {
    let mut reader = Reader::new();
    reader.head_by(input, input.len());
    reader.head
}

fn forwarded(input: &[u8]) -> RequestHead {
    let mut head = parsed(input);
    forward::request(&mut head, &HOP).expect("it is no loop");
    head
}

fn parsed_response() -> ResponseHead {
    let mut asker = Asker::new();
    asker.ask();
    asker.head_by(RESPONSE, RESPONSE.len());
    assert_eq!(asker.response.content, Length::Known(CONTENT_BYTES as u64));
    asker.response
}

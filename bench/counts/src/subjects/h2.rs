//! HTTP/2, as `corelane-codec` reads and writes it: a frame of content each way, and a whole exchange. Buffers and
//! tables are warm: nothing allocates.

use super::Course;
use corelane_codec::h2::{Config, Connection, Event, StreamId};
use corelane_codec::{Length, RequestHead, ResponseHead};
use std::hint::black_box;
use std::rc::Rc;
use std::time::Duration;

/// Time does not pass: what has an allowance is filled up by the work itself.
const NOW: Duration = Duration::from_secs(1);
const FRAME_BYTES: usize = 16 << 10;

pub(super) fn subjects(course: &mut Course) {
    content(course);
    exchange(course);
}

/// Both sides of a connection, and what they send each other.
struct Pair {
    client: Connection,
    server: Connection,
    up: Vec<u8>,
    down: Vec<u8>,
    request: RequestHead,
    response: ResponseHead,
    came: (RequestHead, ResponseHead),
    events: usize,
}

impl Pair {
    fn new() -> Self {
        let mut config = Config::default();
        // Room for the runs that are not counted, too.
        (config.stream_window_bytes, config.connection_window_bytes) = (1 << 20, 1 << 20);
        config.heap_bytes_max = 4 << 20;
        let config = Rc::new(config);
        let mut pair = Self {
            client: Connection::client(config.clone(), NOW),
            server: Connection::server(config, NOW),
            up: Vec::with_capacity(64 << 10),
            down: Vec::with_capacity(64 << 10),
            request: RequestHead { target: b"/path?query=1".to_vec(), ..RequestHead::new() },
            response: ResponseHead { content: Length::Known(128), ..ResponseHead::new() },
            came: (RequestHead::new(), ResponseHead::new()),
            events: 0,
        };
        let fields = &mut pair.request.fields;
        fields.append("Host", "example.com");
        fields.append("User-Agent", "curl/7.88.1");
        fields.append("Accept", "*/*");
        let fields = &mut pair.response.fields;
        fields.append("Server", "nginx/1.22.1");
        fields.append("Date", "Mon, 06 Jul 2026 10:00:00 GMT");
        fields.append("Content-Type", "text/html; charset=utf-8");
        fields.append("ETag", "\"64a2f6b0-80\"");
        pair.settle();
        pair
    }

    /// What waits goes both ways, until nothing does.
    fn settle(&mut self) {
        while self.client.wants_transmit() || self.server.wants_transmit() {
            self.client.transmit(&mut self.up);
            self.server.transmit(&mut self.down);
            self.server_hears();
            self.client_hears();
        }
    }

    fn server_hears(&mut self) {
        let mut at = 0;
        loop {
            let received = self.server.receive(&self.up[at..], NOW).expect("it is well-formed");
            at += received.consumed;
            match received.event {
                Event::NeedMore => break,
                Event::Request { .. } => std::mem::swap(&mut self.came.0, self.server.request_mut()),
                Event::Data { stream, range, .. } => self.server.release(stream, black_box(range).len()),
                event => unreachable!("{event:?}"),
            }
            self.events += 1;
        }
        self.up.clear();
    }

    fn client_hears(&mut self) {
        let mut at = 0;
        loop {
            let received = self.client.receive(&self.down[at..], NOW).expect("it is well-formed");
            at += received.consumed;
            match received.event {
                Event::NeedMore => break,
                Event::Response { .. } => std::mem::swap(&mut self.came.1, self.client.response_mut()),
                Event::Data { stream, range, .. } => self.client.release(stream, black_box(range).len()),
                event => unreachable!("{event:?}"),
            }
            self.events += 1;
        }
        self.down.clear();
    }

    fn ask(&mut self) -> StreamId {
        self.client.send_request(&self.request, &mut self.up).expect("there is a stream left")
    }

    /// Content for which there is room: its header is written, and so much room is left for it.
    fn send_down(&mut self, stream: StreamId, len: usize, end: bool) {
        self.server.offer(stream, len, NOW).expect("it has been answered");
        let grant = self.server.next_data(NOW).expect("there is room");
        let head = self.server.send_data(grant.stream, len, end, NOW).expect("there is room");
        self.down.extend_from_slice(&head);
        self.down.resize(self.down.len() + len, 0);
    }
}

fn content(course: &mut Course) {
    let mut pair = Pair::new();
    pair.response.content = Length::Chunked;
    let stream = pair.ask();
    pair.server_hears();
    let response = std::mem::take(&mut pair.response);
    pair.server.send_response(stream, &response, &mut pair.down).expect("it was asked");
    pair.client_hears();
    let quiet = |pair: &mut Pair| {
        pair.settle();
        pair.events = 0;
    };
    course.subject_of("h2: send a DATA frame of 16 KiB", &mut pair, quiet, |pair| {
        pair.server.offer(stream, FRAME_BYTES, NOW).expect("it has been answered");
        let grant = pair.server.next_data(NOW).expect("there is room");
        let head = pair.server.send_data(grant.stream, grant.bytes_max, false, NOW);
        black_box(head.expect("there is room"));
        assert_eq!(grant.bytes_max, FRAME_BYTES);
    });
    // Those frames were not put on the wire: the client's window knows nothing of them, and the server's would not open
    // again. So another pair receives.
    let mut pair = Pair::new();
    pair.response.content = Length::Chunked;
    let stream = pair.ask();
    pair.server_hears();
    let response = std::mem::take(&mut pair.response);
    pair.server.send_response(stream, &response, &mut pair.down).expect("it was asked");
    pair.client_hears();
    let on_the_way = |pair: &mut Pair| {
        pair.settle();
        pair.send_down(stream, FRAME_BYTES, false);
        pair.events = 0;
    };
    course.subject_of("h2: receive a DATA frame of 16 KiB", &mut pair, on_the_way, |pair| {
        pair.client_hears();
        assert_eq!(pair.events, 1);
    });
}

/// A GET of three fields and an answer of five with 128 octets: all that both sides do.
fn exchange(course: &mut Course) {
    let mut pair = Pair::new();
    let quiet = |pair: &mut Pair| {
        pair.settle();
        pair.events = 0;
    };
    course.subject_of("h2: a whole exchange, both sides", &mut pair, quiet, |pair| {
        let stream = pair.ask();
        pair.server_hears();
        assert_eq!(pair.came.0.target, pair.request.target);
        pair.server.send_response(stream, &pair.response, &mut pair.down).expect("it was asked");
        pair.send_down(stream, 128, true);
        pair.server.close(stream);
        pair.client_hears();
        pair.client.close(stream);
        assert_eq!((pair.events, pair.came.1.status.as_u16()), (3, 200));
    });
}

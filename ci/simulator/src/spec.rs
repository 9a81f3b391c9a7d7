//! What is said: requests and their answers, each drawn from a seed and the number of the request, so that a client, an
//! origin and the judge know the same without telling each other.

use crate::{tunnel::Script, way::Way};
use corelane_balancer::Rng;

/// The number of a request: no two of a run are the same.
pub(crate) type Id = u64;

/// How the length of content is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no content.
    None,
    /// By Content-Length.
    Length,
    /// By chunks.
    Chunked,
    /// By the close, which only responses can.
    Close,
}

/// A request, as a client sends it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: Id,
    pub(crate) method: &'static str,
    pub is_1_0: bool,
    /// End to end, in order.
    pub(crate) fields: Vec<(String, String)>,
    /// For the next hop only; `Connection` names them.
    pub(crate) hop_fields: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) content_bytes: usize,
    pub(crate) has_trailers: bool,
    pub(crate) expects: bool,
    /// It is the last of its connection.
    pub(crate) closes: bool,
    /// What the handler does with it.
    pub(crate) way: Way,
    /// It wants to switch to another protocol, and this is what goes through the tunnel.
    pub(crate) switch: Option<Script>,
}

/// How an origin behaves towards a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Good,
    /// It answers before it has read the content, and reads it afterwards.
    Early,
    /// It answers while it reads the content.
    Duplex,
    /// It answers at once, reads nothing more, and closes.
    Curt,
    /// It closes, or resets, at this byte of its answer.
    Breaks { at: usize, by_reset: bool },
    /// It says nothing more from this byte on, and keeps the connection.
    Hangs { at: usize },
    /// Its answer is none.
    Garbage(usize),
    /// It says more than it should, behind its answer.
    Chatty,
    /// It closes before it has read the request, as one that has been idle for too long.
    Gone,
}

/// What an origin answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) interim: Vec<u16>,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) content_bytes: usize,
    pub(crate) has_trailers: bool,
    pub(crate) manner: Manner,
    /// It closes the connection afterwards, as it says.
    pub(crate) closes: bool,
    /// It takes its time, in milliseconds, before it answers.
    pub(crate) thinks_ms: u64,
    /// And between pieces of its content.
    pub(crate) pauses_ms: u64,
}

/// Content that cannot be taken for anybody else's. It reads like messages: whoever takes it for some is seen.
pub(crate) fn content(id: Id, is_answer: bool, bytes: usize) -> Vec<u8> {
    const LINE_BYTES: usize = 80;
    let (before, behind) = if is_answer {
        (format!("HTTP/1.1 200 OK\r\nX-Canary: {id:016x}."), "\r\nContent-Length: 0\r\n\r\n")
    } else {
        (format!("GET /canary/{id:016x}."), " HTTP/1.1\r\nHost: h\r\n\r\n")
    };
    let mut content = Vec::with_capacity(bytes + LINE_BYTES);
    let mut line = 0u32;
    while content.len() < bytes {
        content.extend_from_slice(before.as_bytes());
        // Its number, in digits of 4 bits.
        content.extend((0..6).rev().map(|digit| b"0123456789abcdef"[(line >> (4 * digit) & 15) as usize]));
        content.extend_from_slice(behind.as_bytes());
        line += 1;
    }
    content.truncate(bytes);
    content
}

/// What breaks first: what nobody's answer is.
pub(crate) const GARBAGE: [&[u8]; 18] = [
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 2x0 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n",
    b"ICY 200 OK\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /\0x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    b"\x15\x03\x01\x00\x02\x02\x46",
];

/// Chance for one of many, which has nothing to do with that of the others.
pub(crate) fn dice(seed: u64, number: u64) -> Rng {
    // Two seeds that are a multiple of its step apart would give the same numbers, one of them later.
    Rng::new(Rng::new(seed).next().rotate_left(17) ^ Rng::new(number).next())
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len() as u64) as usize]
}

fn bytes(rng: &mut Rng) -> usize {
    match rng.below(10) {
        0 => 0,
        1..=5 => rng.below(300) as usize,
        6 | 7 => rng.below(20_000) as usize,
        8 => rng.below(70_000) as usize,
        _ if rng.below(8) == 0 => rng.below(1_500_000) as usize,
        _ => rng.below(200_000) as usize,
    }
}

impl Request {
    /// The request with this number.
    pub(crate) fn draw(rng: &mut Rng, id: Id) -> Self {
        let mut request = Self::draw_plain(rng, id);
        if !request.is_1_0 && request.framing == Framing::None && rng.below(4) == 0 {
            request.way = Way::draw_switch(rng);
            request.switch = Some(Script::draw(rng, request.way));
            request.method = "GET";
            request.closes = false;
            request.fields.push(("Sec-WebSocket-Key".to_owned(), format!("k{id:x}")));
        }
        request
    }

    /// A small one, which the handler answers itself.
    pub(crate) fn draw_small(rng: &mut Rng, id: Id) -> Self {
        Self {
            method: pick(rng, &["GET", "GET", "HEAD"]),
            is_1_0: false,
            framing: Framing::None,
            content_bytes: 0,
            has_trailers: false,
            expects: false,
            closes: false,
            way: Way::Local,
            ..Self::draw_plain(rng, id)
        }
    }

    fn draw_plain(rng: &mut Rng, id: Id) -> Self {
        let method =
            pick(rng, &["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "REPORT"]);
        let is_1_0 = rng.below(12) == 0;
        let may_have_content = matches!(method, "POST" | "PUT" | "DELETE" | "REPORT") || rng.below(30) == 0;
        let framing = match rng.below(3) {
            _ if !may_have_content => Framing::None,
            0 | 1 => Framing::Length,
            _ if is_1_0 => Framing::Length,
            _ => Framing::Chunked,
        };
        let content_bytes = if framing == Framing::None { 0 } else { bytes(rng) };
        let mut fields = vec![("X-Id".to_owned(), format!("{id:016x}"))];
        for n in 0..rng.below(5) {
            let name = pick(rng, &["Accept", "X-Many", "x-lower", "Cookie", "If-None-Match", "X-UPPER"]);
            fields.push((name.to_owned(), format!("v{n}-{:x}", rng.below(1 << 20))));
        }
        let mut hop_fields = Vec::new();
        if rng.below(4) == 0 {
            hop_fields.push(("X-Hop".to_owned(), format!("hop-{id:x}")));
        }
        Self {
            id,
            method,
            is_1_0,
            fields,
            hop_fields,
            framing,
            content_bytes,
            has_trailers: framing == Framing::Chunked && rng.below(3) == 0,
            expects: framing != Framing::None && content_bytes > 0 && !is_1_0 && rng.below(6) == 0,
            closes: is_1_0 || rng.below(12) == 0,
            way: Way::draw(rng),
            switch: None,
        }
    }

    /// The target.
    pub(crate) fn path(&self) -> String {
        format!("/r/{:016x}?x=%2e%2E&h={}", self.id, self.way.word())
    }

    /// The head, as it is sent.
    pub(crate) fn head(&self) -> Vec<u8> {
        let version = if self.is_1_0 { "1.0" } else { "1.1" };
        let mut head = format!("{} {} HTTP/{version}\r\nHost: sim.example\r\n", self.method, self.path());
        for (name, value) in self.fields.iter().chain(&self.hop_fields) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut connection: Vec<&str> = self.hop_fields.iter().map(|(name, _)| name.as_str()).collect();
        if self.closes && !self.is_1_0 {
            connection.push("close");
        }
        if self.switch.is_some() {
            head.push_str("Upgrade: websocket\r\n");
            connection.push("Upgrade");
        }
        if !connection.is_empty() {
            head.push_str(&format!("Connection: {}\r\n", connection.join(", ")));
        }
        match self.framing {
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", self.content_bytes)),
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::None | Framing::Close => {}
        }
        if self.expects {
            head.push_str("Expect: 100-continue\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// What follows the head.
    pub(crate) fn body(&self, rng: &mut Rng) -> Vec<u8> {
        frame(rng, self.framing, &content(self.id, false, self.content_bytes), self.has_trailers)
    }

    /// Whether it may be sent a second time although it has reached somebody (RFC 9110 §9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        !matches!(self.method, "POST" | "REPORT")
    }
}

impl Answer {
    /// What the request is answered; `is_wild` if the origin may misbehave.
    pub(crate) fn draw(rng: &mut Rng, request: &Request, is_wild: bool) -> Self {
        let mut answer = Self::draw_plain(rng, request, is_wild);
        if request.switch.is_some() && (request.way == Way::Echo || rng.below(3) > 0) {
            answer.switch();
        }
        answer
    }

    /// It agrees to switch protocols.
    fn switch(&mut self) {
        self.status = 101;
        (self.framing, self.content_bytes, self.has_trailers) = (Framing::None, 0, false);
        (self.closes, self.pauses_ms) = (false, 0);
        self.fields.push(("Sec-WebSocket-Accept".to_owned(), "yes".to_owned()));
        if matches!(self.manner, Manner::Early | Manner::Duplex | Manner::Chatty | Manner::Curt) {
            self.manner = Manner::Good;
        }
    }

    fn draw_plain(rng: &mut Rng, request: &Request, is_wild: bool) -> Self {
        let status = pick(rng, &[200, 200, 200, 201, 204, 304, 404, 500, 503]);
        let has_content = !matches!(status, 204 | 304);
        let framing = match rng.below(5) {
            _ if !has_content => Framing::None,
            0..=2 => Framing::Length,
            3 => Framing::Chunked,
            _ => Framing::Close,
        };
        let content_bytes = if framing == Framing::None { 0 } else { bytes(rng) };
        let mut fields = vec![("X-Id".to_owned(), format!("{:016x}", request.id))];
        for n in 0..rng.below(4) {
            let name = pick(rng, &["Set-Cookie", "ETag", "x-a", "Content-Type"]);
            fields.push((name.to_owned(), format!("w{n}-{:x}", rng.below(1 << 20))));
        }
        let interim =
            if rng.below(8) == 0 && !request.is_1_0 { vec![103; 1 + rng.below(2) as usize] } else { vec![] };
        let manner = match rng.below(8) {
            _ if is_wild => Self::draw_manner(rng),
            // To answer while the content comes is nobody's fault; without an end of its own the answer would not have one.
            0 if framing != Framing::Close => Manner::Early,
            1 if framing != Framing::Close => Manner::Duplex,
            _ => Manner::Good,
        };
        Self {
            status,
            interim,
            fields,
            framing,
            content_bytes,
            has_trailers: framing == Framing::Chunked && rng.below(3) == 0,
            manner,
            closes: framing == Framing::Close || rng.below(10) == 0,
            thinks_ms: if rng.below(5) == 0 { rng.below(3_000) } else { 0 },
            pauses_ms: if rng.below(8) == 0 { rng.below(500) } else { 0 },
        }
    }

    fn draw_manner(rng: &mut Rng) -> Manner {
        let at = match rng.below(3) {
            0 => rng.below(60) as usize,
            1 => rng.below(400) as usize,
            _ => rng.below(100_000) as usize,
        };
        match rng.below(20) {
            0..=9 => Manner::Good,
            10 => Manner::Early,
            11 => Manner::Curt,
            12 => Manner::Breaks { at, by_reset: false },
            13 => Manner::Breaks { at, by_reset: true },
            14 => Manner::Hangs { at },
            15 => Manner::Garbage(rng.below(GARBAGE.len() as u64) as usize),
            16 => Manner::Chatty,
            17 => Manner::Gone,
            18 => Manner::Duplex,
            _ => Manner::Good,
        }
    }

    /// The answer, as it is sent to somebody who asked by `method`.
    pub(crate) fn bytes(&self, rng: &mut Rng, request: &Request) -> Vec<u8> {
        let mut out = Vec::new();
        for status in &self.interim {
            out.extend_from_slice(
                format!("HTTP/1.1 {status} Early Hints\r\nLink: </{status}>\r\n\r\n").as_bytes(),
            );
        }
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", self.status);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.framing {
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", self.content_bytes)),
            Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            Framing::None | Framing::Close => {}
        }
        if self.closes {
            head.push_str("Connection: close\r\n");
        }
        if self.status == 101 {
            head.push_str("Connection: upgrade\r\nUpgrade: websocket\r\n");
        }
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(b"\r\n");
        if let Some(script) = request.switch.filter(|_| self.status == 101) {
            let bytes = script.bytes(request.id, request.way, false);
            out.extend_from_slice(&bytes[..script.prompt_bytes.min(bytes.len())]);
        } else if request.method != "HEAD" {
            let content = content(request.id, true, self.content_bytes);
            out.extend_from_slice(&frame(rng, self.framing, &content, self.has_trailers));
        }
        out
    }
}

/// Content in its framing.
fn frame(rng: &mut Rng, framing: Framing, content: &[u8], has_trailers: bool) -> Vec<u8> {
    if framing != Framing::Chunked {
        return content.to_vec();
    }
    let (mut out, mut rest) = (Vec::new(), content);
    while !rest.is_empty() {
        let size = 1 + rng.below(rest.len().min(9_000) as u64) as usize;
        let (chunk, after) = rest.split_at(size);
        let extension = if rng.below(10) == 0 { ";a=b" } else { "" };
        out.extend_from_slice(format!("{size:x}{extension}\r\n").as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = after;
    }
    out.extend_from_slice(b"0\r\n");
    if has_trailers {
        out.extend_from_slice(b"X-Trailer: t\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

//! What is said on a connection: a request and its answer, or a message and its echo.

use super::{
    tally::Fault,
    target::{Handshake, Target},
};
use crate::websocket::{self, Opcode};
use corelane_codec::{Limits, ResponseHead, h1};
use corelane_engine::Link;
use http::StatusCode;
use std::{io, rc::Rc};

/// What an answer has to be to count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    /// Its status; `None`: any 2xx.
    pub(crate) status: Option<u16>,
    /// The bytes of its content.
    pub(crate) size: Option<u64>,
}

/// What the bytes that came were.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A part of an answer.
    Part,
    /// An answer has come to its end.
    Answer(Result<(), (Fault, String)>),
    /// Something that no answer follows.
    Broken(Fault, String),
}

/// One connection's part in what is said.
#[derive(Debug)]
pub(crate) enum Speech {
    Http(Box<Http>),
    WebSocket(Messages),
}

impl Speech {
    /// Makes something of what has come: what it was, and how much of it is done with.
    pub(crate) fn hear(&mut self, target: &Target, expected: &Expected, input: &[u8]) -> (usize, Heard) {
        match self {
            Self::Http(http) => http.hear(target, expected, input),
            Self::WebSocket(messages) => messages.hear(input),
        }
    }

    /// Makes something of what has come while no answer is awaited: how much of it is done with, and whether the
    /// connection is still of use.
    pub(crate) fn hear_unasked(&mut self, input: &[u8]) -> (usize, bool) {
        match self {
            Self::Http(_) => (0, input.is_empty()),
            Self::WebSocket(messages) => messages.hear_unasked(input),
        }
    }

    /// Whether something is to be answered, beside requests.
    pub(crate) fn has_to_answer(&self) -> bool {
        matches!(self, Self::WebSocket(messages) if messages.ping.is_some())
    }

    /// What is to be answered, as bytes.
    pub(crate) fn answer(&mut self) -> Option<Vec<u8>> {
        let Self::WebSocket(messages) = self else { return None };
        let mut bytes = Vec::new();
        websocket::write_masked(Opcode::Pong, &messages.ping.take()?, &mut bytes);
        Some(bytes)
    }

    /// The other side has ended: whether that completes the answer that is under way.
    pub(crate) fn hear_end(&mut self, expected: &Expected) -> Option<Result<(), (Fault, String)>> {
        match self {
            Self::Http(http) => http.hear_end(expected),
            Self::WebSocket(_) => None,
        }
    }

    /// Whether another answer may follow on this connection.
    pub(crate) fn may_go_on(&self) -> bool {
        match self {
            Self::Http(http) => http.persistent,
            Self::WebSocket(_) => true,
        }
    }
}

/// Requests.
#[derive(Debug)]
pub(crate) struct Http {
    limits: Rc<Limits>,
    /// Of the answer under way.
    codec: Option<h1::Client>,
    head: ResponseHead,
    size: u64,
    persistent: bool,
    last: Option<Last>,
}

/// The last answer's head, to be known again: a server's answers to one request differ in their heads once a second,
/// when the date does, and a head that is the same to the byte says the same.
#[derive(Debug)]
struct Last {
    /// Whose answer it was; only compared.
    target: *const Target,
    bytes: Vec<u8>,
    /// Behind it.
    codec: h1::Client,
    status: StatusCode,
}

impl Http {
    pub(crate) fn new(limits: &Rc<Limits>) -> Self {
        Self {
            limits: limits.clone(),
            codec: None,
            head: ResponseHead::new(),
            size: 0,
            persistent: true,
            last: None,
        }
    }

    fn hear(&mut self, target: &Target, expected: &Expected, input: &[u8]) -> (usize, Heard) {
        let mut consumed = 0;
        let fresh = self.codec.is_none();
        if let Some(last) = self.last.as_ref().filter(|last| fresh && last.begins(target, input)) {
            consumed = last.bytes.len();
            self.codec = Some(last.codec.clone());
            self.head.status = last.status;
        }
        let codec = self.codec.get_or_insert_with(|| target.asked.clone());
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            let received = match codec.receive(&self.limits, rest, &mut self.head) {
                Ok(received) => received,
                Err(error) => {
                    let says = format!("a response with a {}", error.kind.as_str());
                    return (consumed, Heard::Broken(Fault::Body, says));
                }
            };
            consumed += received.consumed;
            match received.event {
                h1::Event::NeedMore => return (consumed, Heard::Part),
                h1::Event::Head if fresh && consumed == received.consumed => {
                    let bytes = self.last.take().map(|last| last.bytes);
                    let head = input.get(..consumed).unwrap_or_default();
                    self.last = Some(Last::new(target, (head, bytes), codec, self.head.status));
                }
                h1::Event::Head | h1::Event::Interim => {}
                h1::Event::Data(range) => self.size += range.len() as u64,
                h1::Event::End => return (consumed, Heard::Answer(self.end(expected))),
            }
        }
    }

    fn hear_end(&mut self, expected: &Expected) -> Option<Result<(), (Fault, String)>> {
        let codec = self.codec.as_mut()?;
        // Content that ends with the connection, and nothing else, is whole now.
        (codec.begun() && codec.receive_end().is_ok()).then(|| self.end(expected))
    }

    fn end(&mut self, expected: &Expected) -> Result<(), (Fault, String)> {
        self.persistent = self.codec.take().is_some_and(|codec| codec.may_reuse());
        let (status, size) = (self.head.status, std::mem::take(&mut self.size));
        let as_expected = match expected.status {
            Some(expected) => status.as_u16() == expected,
            None => status.is_success(),
        };
        if !as_expected {
            return Err((Fault::Status, format!("the status {status}")));
        }
        match expected.size {
            Some(expected) if expected != size => {
                Err((Fault::Body, format!("content of {size} bytes, not {expected}")))
            }
            _ => Ok(()),
        }
    }
}

impl Last {
    /// Keeps a head, in the bytes of the one before.
    fn new(
        target: &Target,
        (head, bytes): (&[u8], Option<Vec<u8>>),
        codec: &h1::Client,
        status: StatusCode,
    ) -> Self {
        let mut bytes = bytes.unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(head);
        Self { target: std::ptr::from_ref(target), bytes, codec: codec.clone(), status }
    }

    fn begins(&self, target: &Target, input: &[u8]) -> bool {
        std::ptr::eq(self.target, target) && input.starts_with(&self.bytes)
    }
}

/// Messages that are to come back as they were.
#[derive(Debug)]
pub(crate) struct Messages {
    content: Rc<[u8]>,
    /// How much of the message under way has come back.
    at: usize,
    /// The last ping that has not been answered (RFC 6455 §5.5.3: those before it need no answer).
    ping: Option<Vec<u8>>,
}

impl Messages {
    fn hear_unasked(&mut self, input: &[u8]) -> (usize, bool) {
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            match websocket::read(rest) {
                Ok(Some(frame)) if matches!(frame.opcode, Opcode::Ping | Opcode::Pong) => {
                    consumed += frame.content.end;
                    self.note(&frame, rest);
                }
                // A part of a control frame, perhaps; a message that nobody sent is nobody's echo.
                Ok(None) => return (consumed, rest.first().is_none_or(|first| first & 0x08 != 0)),
                Ok(Some(_)) | Err(_) => return (consumed, false),
            }
        }
    }

    fn note(&mut self, frame: &websocket::Frame, input: &[u8]) {
        if frame.opcode == Opcode::Ping {
            self.ping = input.get(frame.content.clone()).map(<[u8]>::to_vec);
        }
    }

    fn hear(&mut self, input: &[u8]) -> (usize, Heard) {
        let mut consumed = 0;
        let broken = |fault, says: &str| Heard::Broken(fault, says.to_owned());
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            let frame = match websocket::read(rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => return (consumed, Heard::Part),
                Err(error) => {
                    let says = format!("a WebSocket frame that is wrong ({error:?})");
                    return (consumed, Heard::Broken(Fault::Body, says));
                }
            };
            consumed += frame.content.end;
            if frame.opcode == Opcode::Close {
                return (consumed, broken(Fault::Reset, "a close frame instead of the echo"));
            }
            if frame.mask.is_some() {
                return (consumed, broken(Fault::Body, "a masked frame from a server (RFC 6455 §5.1)"));
            }
            if frame.opcode.is_control() {
                self.note(&frame, rest);
                continue;
            }
            let end = self.at + frame.content.len();
            let same = self.content.get(self.at..end) == rest.get(frame.content);
            if !same || frame.last && end != self.content.len() {
                let says = "a message that is not the one that was sent";
                if !frame.last {
                    // The rest of it would be taken for the next one's echo.
                    return (consumed, broken(Fault::Body, says));
                }
                self.at = 0;
                return (consumed, Heard::Answer(Err((Fault::Body, says.to_owned()))));
            }
            self.at = end;
            if frame.last {
                self.at = 0;
                return (consumed, Heard::Answer(Ok(())));
            }
        }
    }
}

/// Switches a connection to WebSocket.
pub(crate) async fn shake_hands(
    link: &Link,
    handshake: &Handshake,
    content: &Rc<[u8]>,
) -> Result<Speech, (Fault, String)> {
    let broken = |error: io::Error| (Fault::Reset, format!("the connection broke in its handshake: {error}"));
    link.send(&handshake.bytes).await.map_err(broken)?;
    let (mut codec, mut head) = (handshake.asked.clone(), ResponseHead::new());
    let limits = Limits::default();
    loop {
        let received = link.with_input(|input| codec.receive(&limits, input, &mut head));
        let received = received
            .map_err(|error| (Fault::Body, format!("a handshake answered with a {}", error.kind.as_str())))?;
        link.consume(received.consumed);
        match received.event {
            h1::Event::Head if head.status == StatusCode::SWITCHING_PROTOCOLS => break,
            h1::Event::Head => {
                return Err((Fault::Status, format!("the handshake was answered with {}", head.status)));
            }
            h1::Event::NeedMore => {
                if !link.fill().await.map_err(broken)? {
                    let says = "the connection was closed in its handshake".to_owned();
                    return Err((Fault::Reset, says));
                }
            }
            h1::Event::Interim | h1::Event::Data(_) | h1::Event::End => {}
        }
    }
    if head.fields.get("sec-websocket-accept") != Some(handshake.accept.as_bytes()) {
        let says = "the handshake's Sec-WebSocket-Accept is wrong (RFC 6455 §4.1)".to_owned();
        return Err((Fault::Body, says));
    }
    Ok(Speech::WebSocket(Messages { content: content.clone(), at: 0, ping: None }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::target::{Asking, Url};

    fn target() -> Target {
        let url = Url::parse("http://example.com/").expect("a URL");
        let asking = Asking {
            method: http::Method::GET,
            fields: Vec::new(),
            body: [].into(),
            close: false,
            websocket: false,
        };
        Target::new(&url, &asking).expect("a request")
    }

    fn http() -> Speech {
        Speech::Http(Box::new(Http::new(&Rc::default())))
    }

    #[test]
    fn answers_are_checked() {
        let target = target();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1";
        let any = Expected::default();
        let mut speech = http();
        assert_eq!(speech.hear(&target, &any, &answer[..20]), (0, Heard::Part));
        assert_eq!(speech.hear(&target, &any, answer), (answer.len() - 8, Heard::Answer(Ok(()))));
        assert!(speech.may_go_on());
        let wrong_size = Expected { size: Some(3), ..any };
        let (_, heard) = http().hear(&target, &wrong_size, answer);
        assert!(matches!(heard, Heard::Answer(Err((Fault::Body, _)))), "{heard:?}");
        let created = Expected { status: Some(201), ..any };
        let (_, heard) = http().hear(&target, &created, answer);
        assert!(matches!(heard, Heard::Answer(Err((Fault::Status, _)))), "{heard:?}");
        let (_, heard) = http().hear(&target, &any, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
        assert!(matches!(heard, Heard::Answer(Err((Fault::Status, _)))), "{heard:?}");
        let (_, heard) = http().hear(&target, &any, b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n");
        assert!(matches!(heard, Heard::Broken(Fault::Body, _)), "{heard:?}");
    }

    #[test]
    fn a_head_that_is_known_says_the_same_again_and_another_one_does_not() {
        let (one, other) = (target(), target());
        let any = Expected { size: Some(2), ..Expected::default() };
        let mut speech = http();
        let ok = &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..];
        let chunked = &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"[..];
        let longer = &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi!"[..];
        let failed = &b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nhi"[..];
        let interim = &b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"[..];
        for (answer, target, fault) in [
            (ok, &one, None),
            (ok, &one, None),
            (longer, &one, Some(Fault::Body)),
            (ok, &other, None),
            (chunked, &one, None),
            (chunked, &one, None),
            (failed, &one, Some(Fault::Status)),
            (failed, &one, Some(Fault::Status)),
            (interim, &one, None),
            (interim, &one, None),
            (ok, &one, None),
        ] {
            let (consumed, heard) = speech.hear(target, &any, answer);
            let Heard::Answer(is) = heard else { panic!("{heard:?}") };
            assert_eq!((consumed, is.err().map(|(fault, _)| fault)), (answer.len(), fault));
            assert!(speech.may_go_on());
        }
        // A known head that comes in pieces, and its content later.
        for cut in 1..ok.len() {
            let (front, heard) = speech.hear(&one, &any, &ok[..cut]);
            assert_eq!(heard, Heard::Part);
            let (back, heard) = speech.hear(&one, &any, &ok[front..]);
            assert_eq!((front + back, heard), (ok.len(), Heard::Answer(Ok(()))), "{cut}");
        }
        // The last answer of a connection is its last, known or not.
        let last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(speech.hear(&one, &any, last), (last.len(), Heard::Answer(Ok(()))));
        assert!(!speech.may_go_on());
    }

    #[test]
    fn answers_are_the_same_however_they_are_cut() {
        let target = target();
        let hello = Expected { size: Some(5), ..Expected::default() };
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        ] {
            for cut in 1..answer.len() {
                let mut speech = http();
                let (front, heard) = speech.hear(&target, &hello, &answer[..cut]);
                assert_eq!(heard, Heard::Part, "{cut}");
                let (back, heard) = speech.hear(&target, &hello, &answer[front..]);
                assert_eq!((front + back, heard), (answer.len(), Heard::Answer(Ok(()))), "{cut}");
            }
        }
    }

    #[test]
    fn pings_are_answered_also_while_nothing_is_awaited() {
        let content: Rc<[u8]> = b"hello".as_slice().into();
        let mut speech = Speech::WebSocket(Messages { content, at: 0, ping: None });
        let mut pings = Vec::new();
        websocket::write(Opcode::Ping, b"one", &mut pings);
        websocket::write(Opcode::Ping, b"two", &mut pings);
        assert_eq!(speech.hear_unasked(&pings[..7]), (5, true));
        assert_eq!(speech.hear_unasked(&pings[5..]), (5, true));
        let pong = speech.answer().expect("a pong");
        let frame = websocket::read(&pong).expect("a frame").expect("all of it");
        let mut said = pong[frame.content].to_vec();
        websocket::mask(&mut said, frame.mask.expect("clients mask"));
        assert_eq!((frame.opcode, said.as_slice()), (Opcode::Pong, b"two".as_slice()));
        assert_eq!((speech.has_to_answer(), speech.answer()), (false, None));
        // A message, or the beginning of one, that nobody has sent.
        assert!(!speech.hear_unasked(&[0x82, 0]).1 && !speech.hear_unasked(&[0x82]).1);
        assert!(!http().hear_unasked(b"HTTP").1 && http().hear_unasked(b"").1);
    }

    #[test]
    fn a_close_ends_only_what_it_may_end() {
        let target = target();
        let any = Expected::default();
        let mut speech = http();
        assert_eq!(speech.hear_end(&any), None);
        let (_, heard) = speech.hear(&target, &any, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh");
        assert_eq!((heard, speech.hear_end(&any)), (Heard::Part, None));
        let mut speech = http();
        speech.hear(&target, &any, b"HTTP/1.1 200 OK\r\n\r\nh");
        assert_eq!(speech.hear_end(&any), Some(Ok(())));
        assert!(!speech.may_go_on());
    }

    #[test]
    fn echoes_are_compared() {
        let content: Rc<[u8]> = b"hello".as_slice().into();
        let messages = || Messages { content: content.clone(), at: 0, ping: None };
        let mut bytes = Vec::new();
        websocket::write(Opcode::Ping, b"x", &mut bytes);
        websocket::write(Opcode::Binary, b"hello", &mut bytes);
        assert_eq!(messages().hear(&bytes), (bytes.len(), Heard::Answer(Ok(()))));
        // In two frames.
        let pieces = [&[0x02, 2][..], b"he", &[0x80, 3], b"llo"].concat();
        assert_eq!(messages().hear(&pieces), (pieces.len(), Heard::Answer(Ok(()))));
        for wrong in [&b"hellO"[..], b"hell", b"hello!", b""] {
            let mut bytes = Vec::new();
            websocket::write(Opcode::Binary, wrong, &mut bytes);
            let (_, heard) = messages().hear(&bytes);
            assert!(matches!(heard, Heard::Answer(Err((Fault::Body, _)))), "{heard:?}");
        }
        let mut bytes = Vec::new();
        websocket::write(Opcode::Close, b"", &mut bytes);
        assert!(matches!(messages().hear(&bytes), (_, Heard::Broken(Fault::Reset, _))));
    }
}

//! The side of a connection that receives requests and sends responses.

use super::content::{Incoming, Outgoing};
use super::parse::{self, Parsed, RequestLine, Side};
use super::scan::{Bounds, Scan};
use super::{Event, Received, Wrap, emit, quick};
use crate::{Error, Fields, Kind, Length, Limits, RequestHead, ResponseHead, Upgrade, Version};
use http::{Method, StatusCode};

/// The first byte of a TLS connection (RFC 8446 §5.1), which no method has.
const TLS_HANDSHAKE: u8 = 0x16;

/// A connection from a client.
#[derive(Debug)]
pub struct Server {
    receiving: Receiving,
    sending: Outgoing,
    request: Request,
    trailers: Option<Box<Fields>>,
    keep_alive: bool,
    switched: bool,
    sends_content: bool,
}

#[derive(Debug)]
enum Receiving {
    Head(Start),
    Content(Incoming),
    Failed(Error),
}

/// A head that has not come completely.
#[derive(Debug, Clone, Copy, Default)]
struct Start {
    empty_lines: u32,
    /// Bytes of the method that have been checked, until its space has come; then all.
    method_len: u32,
    method_ended: bool,
    line: Option<RequestLine>,
    scan: Scan,
}

/// What must be known of a request to answer it.
#[derive(Debug, Clone, Copy)]
struct Request {
    content: Length,
    version: Version,
    is_head: bool,
    is_connect: bool,
    accepts_trailers: bool,
    upgrade: Option<Upgrade>,
    /// The client has said that it sends nothing after it.
    last: bool,
}

impl Request {
    const UNKNOWN: Self = Self {
        content: Length::None,
        version: Version::Http11,
        is_head: false,
        is_connect: false,
        accepts_trailers: false,
        upgrade: None,
        last: false,
    };
}

impl Server {
    /// A connection on which nothing has come.
    ///
    /// # Panics
    /// If a limit on bytes is 4 GiB or more, or none would let any request through.
    pub fn new(limits: &Limits) -> Self {
        let head = [limits.request_head_bytes_max, limits.request_line_bytes_max, limits.trailer_bytes_max];
        assert!(head.iter().all(|max| *max < u32::MAX as usize), "a limit on a head is below 4 GiB");
        Self {
            receiving: Receiving::Head(Start::default()),
            sending: Outgoing::Head,
            request: Request::UNKNOWN,
            trailers: None,
            keep_alive: true,
            switched: false,
            sends_content: false,
        }
    }

    /// Makes one event of the bytes that have come and were not consumed yet. `head` is filled when
    /// [`Event::Head`] is returned; otherwise it may have been cleared, and is of no use after an error.
    pub fn receive(
        &mut self,
        limits: &Limits,
        input: &[u8],
        head: &mut RequestHead,
    ) -> Result<Received, Error> {
        let result = match &mut self.receiving {
            Receiving::Content(content) => {
                content.receive(limits, input, Side::Client(limits.underscores), &mut self.trailers)
            }
            Receiving::Head(_) => self.receive_head(limits, input, head),
            Receiving::Failed(error) => return Err(*error),
        };
        result.map_err(|kind| self.fail(kind))
    }

    /// The client has closed its direction. That is fine between requests and after one; otherwise the request is
    /// truncated and must not be taken for a complete one.
    pub fn receive_end(&mut self) -> Result<(), Error> {
        let truncated = match &self.receiving {
            Receiving::Head(start) => start.scan.begun() || start.method_len > 0,
            Receiving::Content(content) => !content.ended(),
            Receiving::Failed(error) => return Err(*error),
        };
        self.keep_alive = false;
        if truncated { Err(self.fail(Kind::Truncated)) } else { Ok(()) }
    }

    /// This exchange is the last: its response says `Connection: close`.
    pub fn close(&mut self) {
        self.keep_alive = false;
    }

    /// Starts over for the next request.
    ///
    /// # Panics
    /// Unless the connection [may be reused](Self::may_reuse).
    pub fn next_exchange(&mut self) {
        assert!(self.may_reuse(), "the exchange has not ended, or was the last");
        self.receiving = Receiving::Head(Start::default());
        self.sending = Outgoing::Head;
        self.request = Request::UNKNOWN;
        self.trailers = None;
        self.sends_content = false;
    }

    /// Sends an interim response. `false`, and nothing is written, if the client doesn't know them (HTTP/1.0), the
    /// final head has been sent, no request has come, or the status is not of an interim response.
    pub fn send_interim(&mut self, status: StatusCode, fields: &Fields, out: &mut Vec<u8>) -> bool {
        let interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        let asked =
            matches!(self.receiving, Receiving::Content(_)) && self.request.version == Version::Http11;
        if !interim || !asked || self.sending.begun() {
            return false;
        }
        emit::status_line(status, out);
        emit::fields(fields, out);
        out.extend_from_slice(b"\r\n");
        true
    }

    /// Sends the final head. The framing is chosen here: `head.content` says how much is known of the content, and
    /// the request what its answer may look like. Nothing is written on an error.
    pub fn send_head(&mut self, head: &ResponseHead, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.sending.begun() {
            return Err(Error::us(Kind::Order));
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return self.send_switch(head, out);
        }
        let unheard_of = head.status.is_informational() || head.status.as_u16() >= 600;
        // A 2xx to a CONNECT opens a tunnel (RFC 9110 §9.3.6), which nobody here digs.
        if unheard_of || (self.request.is_connect && head.status.is_success()) {
            return Err(Error::us(Kind::Order));
        }
        if matches!(self.receiving, Receiving::Head(_)) {
            // An answer to a request that hasn't come completely: nobody knows where it ends.
            self.keep_alive = false;
        }
        let never = head.status == StatusCode::NO_CONTENT;
        // Whoever gets a 205 takes it to have none: what followed would be the next response (RFC 9110 §15.3.6).
        let reset = head.status == StatusCode::RESET_CONTENT;
        let without = never || reset || self.request.is_head || head.status == StatusCode::NOT_MODIFIED;
        let (framing, sending) = match head.content {
            _ if never => (Length::None, Outgoing::None),
            _ if reset => (Length::Known(0), Outgoing::None),
            content if without => (declared(head, content), Outgoing::None),
            Length::None => (Length::Known(0), Outgoing::Known(0)),
            Length::Known(length) => (head.content, Outgoing::Known(length)),
            Length::Chunked | Length::UntilClose if self.request.version == Version::Http10 => {
                self.keep_alive = false;
                (Length::UntilClose, Outgoing::UntilClose)
            }
            Length::Chunked | Length::UntilClose => (Length::Chunked, Outgoing::Chunked),
        };
        self.sending = sending;
        self.sends_content = !without;
        emit::status_line(head.status, out);
        emit::fields(&head.fields, out);
        emit::framing(framing, out);
        out.extend_from_slice(match (self.keep_alive, self.request.version) {
            (true, Version::Http11 | Version::Http2) => b"\r\n",
            (true, Version::Http10) => b"Connection: keep-alive\r\n\r\n",
            (false, _) => b"Connection: close\r\n\r\n",
        });
        Ok(())
    }

    /// The framing around `len` bytes of content, which the caller sends.
    pub fn send_data(&mut self, len: usize) -> Result<Wrap, Error> {
        self.sending.data(len)
    }

    /// Ends the response. Trailers are written if the client [takes](Self::takes_trailers) them, and dropped
    /// otherwise.
    pub fn send_end(&mut self, trailers: Option<&Fields>, out: &mut Vec<u8>) -> Result<(), Error> {
        let takes_trailers = self.takes_trailers();
        self.sending.end(trailers.filter(|_| takes_trailers), out)
    }

    /// Whether a byte of the current head has come. Until then the connection is idle.
    pub fn begun(&self) -> bool {
        match &self.receiving {
            Receiving::Head(start) => start.method_len > 0,
            Receiving::Content(_) | Receiving::Failed(_) => true,
        }
    }

    /// Whether the request has come to its end. True as soon as that is known, so for a request without content
    /// from its head on.
    pub fn request_ended(&self) -> bool {
        matches!(&self.receiving, Receiving::Content(content) if content.ended())
    }

    /// Whether the final head has been sent.
    pub fn response_begun(&self) -> bool {
        self.sending.begun()
    }

    /// Whether the response has been sent to its end.
    pub fn response_ended(&self) -> bool {
        self.sending.ended()
    }

    /// The length of the current request's content.
    pub fn content(&self) -> Length {
        self.request.content
    }

    /// The trailers of the current request, once it has ended, if there are any.
    pub fn trailers(&self) -> Option<&Fields> {
        self.trailers.as_deref()
    }

    /// Whether another exchange may follow, by all that has been said so far.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the client has said that this request, which has no content, is its last on the connection (RFC 9112 §9.6):
    /// there is nothing more of its own that could be lost.
    pub fn is_last(&self) -> bool {
        self.request.last
    }

    /// Whether both messages have ended and the connection may carry another exchange.
    pub fn may_reuse(&self) -> bool {
        self.request_ended() && self.response_ended() && self.keep_alive && !self.switched
    }

    /// Whether content follows the head that was sent: not after a `HEAD`, and not with a 204, 205 or 304.
    pub fn sends_content(&self) -> bool {
        self.sends_content
    }

    /// Whether trailers can be sent: the content is chunked and the client said `TE: trailers`.
    pub fn takes_trailers(&self) -> bool {
        self.sending == Outgoing::Chunked && self.request.accepts_trailers
    }

    fn send_switch(&mut self, head: &ResponseHead, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(protocol) = head.upgrade.filter(|protocol| self.request.upgrade == Some(*protocol)) else {
            return Err(Error::us(Kind::SwitchingProtocols));
        };
        (self.sending, self.switched, self.keep_alive) = (Outgoing::None, true, false);
        emit::status_line(head.status, out);
        emit::fields(&head.fields, out);
        out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: ");
        out.extend_from_slice(protocol.as_str().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        Ok(())
    }

    fn receive_head(
        &mut self,
        limits: &Limits,
        input: &[u8],
        head: &mut RequestHead,
    ) -> Result<Received, Kind> {
        let Receiving::Head(start) = &mut self.receiving else { return Ok(Received::NEED_MORE) };
        let bounds = Bounds {
            bytes_max: limits.request_head_bytes_max,
            too_large: Kind::HeadTooLarge,
            lines_max: limits.request_fields_max,
            too_many: Kind::TooManyFields,
        };
        // Once: what comes in pieces is looked at once, too.
        if start.is_fresh() {
            if let Some(parsed) = quick::request(input, limits, &bounds, head) {
                self.request.version = head.version;
                self.request.is_head = head.method == Method::HEAD;
                return Ok(self.received_head(0, parsed, head, limits));
            }
            head.clear();
        }
        let skipped = start.skip_empty_lines(limits, input)?;
        let input = input.get(skipped..).unwrap_or_default();
        let Some(line) = start.request_line(limits, input)? else {
            return Ok(Received { consumed: skipped, event: Event::NeedMore });
        };
        let method = input.get(..start.method_len as usize).unwrap_or_default();
        // Known even if the fields turn out to be malformed, so that the answer suits.
        self.request.version = line.version;
        self.request.is_head = method == Method::HEAD.as_str().as_bytes();
        self.request.is_connect = method == Method::CONNECT.as_str().as_bytes();
        let Some(parsed) = start.fields(limits, input, &bounds, head)? else {
            return Ok(Received { consumed: skipped, event: Event::NeedMore });
        };
        Ok(self.received_head(skipped, parsed, head, limits))
    }

    /// A head has come, behind so many bytes of empty lines.
    fn received_head(
        &mut self,
        skipped: usize,
        parsed: Parsed,
        head: &RequestHead,
        limits: &Limits,
    ) -> Received {
        let Parsed { len, persistent } = parsed;
        self.keep_alive &= persistent;
        self.request.content = head.content;
        self.request.accepts_trailers = head.accepts_trailers;
        self.request.upgrade = head.upgrade;
        self.request.last = !persistent && head.content.is_empty();
        self.receiving = Receiving::Content(Incoming::new(head.content, limits));
        Received { consumed: skipped.saturating_add(len), event: Event::Head }
    }

    fn fail(&mut self, kind: Kind) -> Error {
        let error = Error::peer(kind);
        self.receiving = Receiving::Failed(error);
        self.keep_alive = false;
        error
    }
}

impl Start {
    /// Empty lines before a request line, which some clients send behind their last content (RFC 9112 §2.2).
    fn skip_empty_lines(&mut self, limits: &Limits, input: &[u8]) -> Result<usize, Kind> {
        let mut skipped: usize = 0;
        while !self.begun() {
            match input.get(skipped..).unwrap_or_default() {
                [b'\r', b'\n', ..] if self.empty_lines >= limits.leading_empty_lines_max => {
                    return Err(Kind::EmptyLines);
                }
                [b'\r', b'\n', ..] => {
                    self.empty_lines = self.empty_lines.saturating_add(1);
                    skipped = skipped.saturating_add(2);
                }
                [b'\r', _, ..] => return Err(Kind::BareCr),
                _ => break,
            }
        }
        Ok(skipped)
    }

    fn begun(&self) -> bool {
        self.method_len > 0
    }

    /// Whether nothing has come, and no empty line either.
    fn is_fresh(&self) -> bool {
        self.method_len == 0 && self.empty_lines == 0
    }

    /// The request line, when it is complete; what has come of it is checked as far as it can be.
    fn request_line(&mut self, limits: &Limits, input: &[u8]) -> Result<Option<RequestLine>, Kind> {
        if self.line.is_some() || input == b"\r" {
            return Ok(self.line);
        }
        if input.first() == Some(&TLS_HANDSHAKE) {
            return Err(Kind::Tls);
        }
        if !self.method_ended {
            let end = parse::method(input, self.method_len as usize, limits)?;
            self.method_ended = end.is_some();
            self.method_len = u32::try_from(end.unwrap_or(input.len())).unwrap_or(u32::MAX);
        }
        if !self.method_ended {
            return Ok(None);
        }
        let bytes_max = limits.request_line_bytes_max.min(limits.request_head_bytes_max);
        let len = self.scan.start_line(input, bytes_max, Kind::RequestLineTooLong)?;
        let Some(len) = len else { return Ok(None) };
        let line = input.get(..len).unwrap_or_default();
        self.line = Some(parse::request_line(line, self.method_len as usize)?);
        Ok(self.line)
    }

    /// Fills `head` when the fields are complete.
    fn fields(
        &mut self,
        limits: &Limits,
        input: &[u8],
        bounds: &Bounds,
        head: &mut RequestHead,
    ) -> Result<Option<Parsed>, Kind> {
        let Some(line) = &self.line else { return Ok(None) };
        let Some(len) = self.scan.fields(input, bounds)? else { return Ok(None) };
        let input = input.get(..len).unwrap_or_default();
        parse::request(input, line, self.scan.lines(), limits.underscores, head).map(Some)
    }
}

/// What `Content-Length` says where no content follows: what it would be for a `GET`, or would have been without
/// the condition (RFC 9110 §8.6).
fn declared(head: &ResponseHead, content: Length) -> Length {
    match (head.declared_length, content) {
        (Some(length), _) => Length::Known(length),
        (None, Length::Known(length)) => Length::Known(length),
        (None, _) => Length::None,
    }
}

//! The side of a connection that sends requests and receives responses.

use super::content::{Incoming, Outgoing};
use super::parse::{self, Asked, Parsed, Side, StatusLine};
use super::scan::{Bounds, Scan};
use super::{Event, Received, Wrap, emit, quick};
use crate::fields::Known;
use crate::grammar::is_target;
use crate::{Error, Fields, Kind, Length, Limits, RequestHead, ResponseHead};
use http::{Method, StatusCode};

/// A connection to an origin.
#[derive(Debug, Clone)]
pub struct Client {
    sending: Outgoing,
    receiving: Receiving,
    asked: Asked,
    content: Length,
    trailers: Option<Box<Fields>>,
    interim: u32,
    begun: bool,
    persistent: bool,
}

#[derive(Debug, Clone)]
enum Receiving {
    Head(Start),
    Content(Incoming),
    Failed(Error),
}

/// A head that has not come completely.
#[derive(Debug, Clone, Copy, Default)]
struct Start {
    /// With where the field section begins.
    line: Option<(StatusLine, u32)>,
    scan: Scan,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A connection on which nothing has been said.
    pub fn new() -> Self {
        Self {
            sending: Outgoing::Head,
            receiving: Receiving::Head(Start::default()),
            asked: Asked { head: false, upgrade: None },
            content: Length::None,
            trailers: None,
            interim: 0,
            begun: false,
            persistent: true,
        }
    }

    /// Sends a request's head, always as HTTP/1.1. Content of unknown length is chunked. Without a `Host` among the
    /// fields an empty one is written, as a request for no authority must have (RFC 9112 §3.2). Nothing is written
    /// on an error.
    pub fn send_head(&mut self, head: &RequestHead, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.sending.begun() || self.begun || !self.persistent {
            return Err(Error::us(Kind::Order));
        }
        check(head)?;
        out.extend_from_slice(head.method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(&head.target);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        if head.fields.known(Known::Host).is_none() {
            out.extend_from_slice(b"Host: \r\n");
        }
        emit::fields(&head.fields, out);
        let (framing, sending) = match head.content {
            // Where a method is meant to have content, none is said aloud (RFC 9110 §8.6).
            Length::None if means_content(&head.method) => (Length::Known(0), Outgoing::Known(0)),
            Length::None => (Length::None, Outgoing::None),
            Length::Known(length) => (head.content, Outgoing::Known(length)),
            Length::Chunked | Length::UntilClose => (Length::Chunked, Outgoing::Chunked),
        };
        emit::framing(framing, out);
        if head.expects_continue && !head.content.is_empty() {
            out.extend_from_slice(b"Expect: 100-continue\r\n");
        }
        if let Some(protocol) = head.upgrade {
            out.extend_from_slice(b"Upgrade: ");
            out.extend_from_slice(protocol.as_str().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(match (head.upgrade.is_some(), head.accepts_trailers) {
            (false, false) => b"\r\n",
            (true, false) => b"Connection: upgrade\r\n\r\n",
            (false, true) => b"TE: trailers\r\nConnection: te\r\n\r\n",
            (true, true) => b"TE: trailers\r\nConnection: upgrade, te\r\n\r\n",
        });
        self.sending = sending;
        self.asked = Asked { head: head.method == Method::HEAD, upgrade: head.upgrade };
        Ok(())
    }

    /// The framing around `len` bytes of content, which the caller sends.
    pub fn send_data(&mut self, len: usize) -> Result<Wrap, Error> {
        self.sending.data(len)
    }

    /// Ends the request. Trailers are written if the content is chunked, and dropped otherwise.
    pub fn send_end(&mut self, trailers: Option<&Fields>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.sending.end(trailers, out)
    }

    /// Makes one event of the bytes that have come and were not consumed yet. `head` is filled when
    /// [`Event::Head`] or [`Event::Interim`] is returned; otherwise it may have been cleared, and is of no use after an error.
    ///
    /// After a 101 comes [`Event::End`], and then nothing: bytes that follow belong to the other protocol.
    pub fn receive(
        &mut self,
        limits: &Limits,
        input: &[u8],
        head: &mut ResponseHead,
    ) -> Result<Received, Error> {
        let result = match &mut self.receiving {
            Receiving::Content(content) => content.receive(limits, input, Side::Origin, &mut self.trailers),
            Receiving::Head(_) if input.is_empty() => return Ok(Received::NEED_MORE),
            Receiving::Head(_) if !self.sending.begun() => Err(Kind::UnsolicitedResponse),
            Receiving::Head(_) => self.receive_head(limits, input, head),
            Receiving::Failed(error) => return Err(*error),
        };
        result.map_err(|kind| self.fail(kind))
    }

    /// How much of the response's content has not come, if its length is known and its head has: so much may be moved
    /// without being presented to [`receive`](Self::receive).
    pub fn content_left(&self) -> Option<u64> {
        match &self.receiving {
            Receiving::Content(Incoming::Known(left)) => Some(*left),
            _ => None,
        }
    }

    /// `count` bytes of content were moved without being presented.
    ///
    /// # Panics
    /// If there are fewer [left](Self::content_left).
    pub fn pass(&mut self, count: u64) {
        let Receiving::Content(Incoming::Known(left)) = &mut self.receiving else {
            panic!("there is no content whose length is known");
        };
        *left = left.checked_sub(count).expect("no more was moved than there was");
        if *left == 0 {
            self.receiving = Receiving::Content(Incoming::End);
        }
    }

    /// The origin has closed its direction. `Ok(true)` if that ended a content that lasts until then, or stood at
    /// a boundary; otherwise the response is truncated and must not be taken for a complete one.
    pub fn receive_end(&mut self) -> Result<bool, Error> {
        self.persistent = false;
        match &mut self.receiving {
            Receiving::Failed(error) => Err(*error),
            Receiving::Content(Incoming::UntilClose) => {
                self.receiving = Receiving::Content(Incoming::End);
                Ok(true)
            }
            Receiving::Content(content) if content.ended() => Ok(true),
            Receiving::Head(_) if !self.sending.begun() => Ok(true),
            Receiving::Head(_) | Receiving::Content(_) => Err(self.fail(Kind::Truncated)),
        }
    }

    /// Starts over for the next request.
    ///
    /// # Panics
    /// Unless the connection [may be reused](Self::may_reuse).
    pub fn next_exchange(&mut self) {
        assert!(self.may_reuse(), "the exchange has not ended, or was the last");
        *self = Self::new();
    }

    /// Whether the request has been sent to its end.
    pub fn request_ended(&self) -> bool {
        self.sending.ended()
    }

    /// Whether a byte of this exchange's response has come, interim responses included.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Whether the response has come to its end. True as soon as that is known, so for a response without content
    /// from its head on.
    pub fn response_ended(&self) -> bool {
        matches!(&self.receiving, Receiving::Content(content) if content.ended())
    }

    /// The length of the response's content.
    pub fn content(&self) -> Length {
        self.content
    }

    /// The trailers of the response, once it has ended, if there are any.
    pub fn trailers(&self) -> Option<&Fields> {
        self.trailers.as_deref()
    }

    /// Whether the request was sent to its end, the response came to its end, and the origin keeps the connection
    /// open for another exchange. Bytes behind the response are not counted here: where any are left over, the caller
    /// must close instead (RFC 9112 §6.3).
    pub fn may_reuse(&self) -> bool {
        self.request_ended() && self.response_ended() && self.persistent
    }

    fn receive_head(
        &mut self,
        limits: &Limits,
        input: &[u8],
        head: &mut ResponseHead,
    ) -> Result<Received, Kind> {
        let Receiving::Head(start) = &mut self.receiving else { return Ok(Received::NEED_MORE) };
        self.begun = true;
        let bounds = Bounds {
            bytes_max: limits.response_head_bytes_max,
            too_large: Kind::HeadTooLarge,
            lines_max: limits.response_fields_max,
            too_many: Kind::TooManyFields,
        };
        let Some(Parsed { len, persistent }) = start.receive(input, &bounds, self.asked, head)? else {
            return Ok(Received::NEED_MORE);
        };
        self.persistent &= persistent && head.upgrade.is_none();
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            self.interim = self.interim.saturating_add(1);
            if self.interim > limits.interim_responses_max {
                return Err(Kind::TooManyInterim);
            }
            *start = Start::default();
            return Ok(Received { consumed: len, event: Event::Interim });
        }
        self.content = head.content;
        self.receiving = Receiving::Content(Incoming::new(head.content, limits));
        Ok(Received { consumed: len, event: Event::Head })
    }

    fn fail(&mut self, kind: Kind) -> Error {
        let error = Error::peer(kind);
        self.receiving = Receiving::Failed(error);
        self.persistent = false;
        error
    }
}

impl Start {
    /// Fills `head` when it is complete. What has come is checked as far as it can be.
    fn receive(
        &mut self,
        input: &[u8],
        bounds: &Bounds,
        asked: Asked,
        head: &mut ResponseHead,
    ) -> Result<Option<Parsed>, Kind> {
        // Once: what comes in pieces is looked at once, too.
        if !self.scan.begun() {
            if let Some(parsed) = quick::response(input, asked, bounds, head) {
                return Ok(Some(parsed));
            }
            head.clear();
        }
        let Some((line, fields_at)) = self.status_line(input, bounds)? else { return Ok(None) };
        let Some(len) = self.scan.fields(input, bounds)? else { return Ok(None) };
        let section = input.get(fields_at as usize..len).unwrap_or_default();
        let persistent = parse::response(section, line, self.scan.lines(), asked, head)?;
        Ok(Some(Parsed { len, persistent }))
    }

    fn status_line(&mut self, input: &[u8], bounds: &Bounds) -> Result<Option<(StatusLine, u32)>, Kind> {
        if self.line.is_none() {
            if !parse::may_be_status_line(input) {
                return Err(Kind::StatusLine);
            }
            let Some(len) = self.scan.start_line(input, bounds.bytes_max, bounds.too_large)? else {
                return Ok(None);
            };
            let line = parse::status_line(input.get(..len).unwrap_or_default())?;
            self.line = Some((line, self.scan.line_start()));
        }
        Ok(self.line)
    }
}

/// An application may have put anything into a head.
fn check(head: &RequestHead) -> Result<(), Error> {
    let suits = match head.target.as_slice() {
        [b'/', ..] => true,
        b"*" => head.method == Method::OPTIONS,
        _ => false,
    };
    if head.method == Method::CONNECT {
        return Err(Error::us(Kind::Method));
    }
    if !suits || !is_target(&head.target) {
        return Err(Error::us(Kind::Target));
    }
    if head.fields.all_known(Known::Host).nth(1).is_some() {
        return Err(Error::us(Kind::HostCount));
    }
    if head.method == Method::TRACE && !head.content.is_empty() {
        return Err(Error::us(Kind::TraceWithContent));
    }
    if head.upgrade.is_some() && !head.content.is_empty() {
        return Err(Error::us(Kind::UpgradeWithContent));
    }
    Ok(())
}

/// Whether a request with this method is meant to have content.
fn means_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Client>() <= 160, "{}", size_of::<Client>());
        assert!(size_of::<super::super::Server>() <= 160, "{}", size_of::<super::super::Server>());
    }
}

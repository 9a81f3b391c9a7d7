//! Heads and trailers to field blocks.

use super::super::config::Scheme;
use super::super::stream::Asked;
use crate::fields::{Known, Line};
use crate::h1::decimal;
use crate::hpack::{Block, Indexing};
use crate::{Fields, Length, RequestHead, ResponseHead};
use http::StatusCode;

/// Where fields go.
pub(crate) trait Sink {
    fn field(&mut self, name: &[u8], value: &[u8], indexing: Indexing);
}

impl Sink for Block<'_> {
    fn field(&mut self, name: &[u8], value: &[u8], indexing: Indexing) {
        Block::field(self, name, value, indexing);
    }
}

/// What a list of fields is, as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 §6.5.2). Nothing is encoded.
#[derive(Debug, Default)]
pub(crate) struct ListBytes(pub(crate) u64);

impl Sink for ListBytes {
    fn field(&mut self, name: &[u8], value: &[u8], _: Indexing) {
        let bytes = (name.len() as u64).saturating_add(value.len() as u64).saturating_add(32);
        self.0 = self.0.saturating_add(bytes);
    }
}

/// More than what a head has beside its fields and its target, of pseudo-fields and of fields that are added.
pub(crate) const BYTES_BESIDE_FIELDS: usize = 512;

/// Names up to this length are brought to lower case without memory of their own.
const SHORT_NAME_BYTES: usize = 64;

/// A request's head. It has been checked.
pub(crate) fn request(block: &mut impl Sink, head: &RequestHead, scheme: Scheme, asked: Asked) {
    let authority = head.fields.known(Known::Host);
    let (method, is_connect) = match asked {
        Asked::WebSocket => ("CONNECT", false),
        Asked::Connect => ("CONNECT", true),
        Asked::Message | Asked::HeadOnly => (head.method.as_str(), false),
    };
    pseudo(block, b":method", method.as_bytes());
    if !is_connect {
        pseudo(block, b":scheme", scheme.as_str().as_bytes());
        pseudo(block, b":path", &head.target);
    }
    match authority {
        _ if is_connect => pseudo(block, b":authority", &head.target),
        Some(authority) if !authority.is_empty() => pseudo(block, b":authority", authority),
        _ => {}
    }
    if let Some(upgrade) = head.upgrade {
        pseudo(block, b":protocol", upgrade.as_str().as_bytes());
    }
    let without = ["sec-websocket-key"];
    let without = if asked == Asked::WebSocket { &without[..] } else { &[] };
    fields(block, &head.fields, |line| line.known != Known::Host && !is_one_of(line, without));
    if !matches!(asked, Asked::WebSocket | Asked::Connect) {
        length(block, request_length(head));
    }
    if head.expects_continue && !head.content.is_empty() {
        block.field(b"expect", b"100-continue", Indexing::ByName);
    }
    if head.accepts_trailers {
        block.field(b"te", b"trailers", Indexing::ByName);
    }
}

/// A response's head. The 101 that answers a WebSocket is a 200 here (RFC 8441 §5).
pub(crate) fn response(block: &mut impl Sink, head: &ResponseHead, asked: Asked) {
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let tunnel = switches || (asked == Asked::Connect && head.status.is_success());
    let status = if switches { StatusCode::OK } else { head.status };
    let without = ["sec-websocket-accept"];
    let without = if switches { &without[..] } else { &[] };
    pseudo(block, b":status", status.as_str().as_bytes());
    fields(block, &head.fields, |line| !is_one_of(line, without));
    if !tunnel {
        length(block, response_length(head, asked));
    }
}

/// An interim response, or one that has nothing but a status.
pub(crate) fn interim(block: &mut impl Sink, status: StatusCode, all: &Fields) {
    pseudo(block, b":status", status.as_str().as_bytes());
    fields(block, all, |_| true);
}

/// A trailer section.
pub(crate) fn trailers(block: &mut impl Sink, all: &Fields) {
    fields(block, all, |line| line.known.may_trail());
}

/// Whether a trailer section would have a field.
pub(crate) fn has_trailers(all: &Fields) -> bool {
    all.lines().any(|line| line.known.may_trail())
}

fn pseudo(block: &mut impl Sink, name: &[u8], value: &[u8]) {
    block.field(name, value, Indexing::ByName);
}

/// The fields that go end to end: what an application put there that concerns a connection, or the framing, is not
/// for it to say.
fn fields(block: &mut impl Sink, all: &Fields, wanted: impl Fn(Line<'_>) -> bool) {
    for line in all.lines().filter(|line| !line.known.is_of_connection() && wanted(*line)) {
        let indexing = if line.never_indexed { Indexing::Never } else { Indexing::ByName };
        with_lower_case(line.name, |name| block.field(name, line.value, indexing));
    }
}

/// Names are in lower case (RFC 9113 §8.2).
fn with_lower_case(name: &[u8], write: impl FnOnce(&[u8])) {
    if !name.iter().any(u8::is_ascii_uppercase) {
        return write(name);
    }
    let mut short = [0; SHORT_NAME_BYTES];
    match short.get_mut(..name.len()) {
        Some(short) => {
            short.copy_from_slice(name);
            short.make_ascii_lowercase();
            write(short);
        }
        None => write(&name.to_ascii_lowercase()),
    }
}

fn is_one_of(line: Line<'_>, names: &[&str]) -> bool {
    line.known == Known::Other && names.iter().any(|name| line.name.eq_ignore_ascii_case(name.as_bytes()))
}

/// Where a method is meant to have content, none is said aloud (RFC 9110 §8.6).
fn request_length(head: &RequestHead) -> Option<u64> {
    use http::Method;
    match head.content {
        Length::Known(length) => Some(length),
        Length::None if matches!(head.method, Method::POST | Method::PUT | Method::PATCH) => Some(0),
        Length::None | Length::Chunked | Length::UntilClose => None,
    }
}

/// What `Content-Length` says: where no content follows, what it would be for a `GET`, or would have been without the
/// condition (RFC 9110 §8.6).
fn response_length(head: &ResponseHead, asked: Asked) -> Option<u64> {
    let never = head.status == StatusCode::NO_CONTENT;
    let without = asked == Asked::HeadOnly || head.status == StatusCode::NOT_MODIFIED;
    match head.content {
        _ if never => None,
        Length::Known(length) => Some(if without { head.declared_length.unwrap_or(length) } else { length }),
        _ if without => head.declared_length,
        Length::None => Some(0),
        Length::Chunked | Length::UntilClose => None,
    }
}

fn length(block: &mut impl Sink, length: Option<u64>) {
    if let Some(length) = length {
        block.field(b"content-length", decimal(length, &mut [0; 20]), Indexing::ByName);
    }
}

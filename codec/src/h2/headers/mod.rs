//! Field sections: from fields that HPACK gives to heads, and back (RFC 9113 §8).
//!
//! | file | what it holds |
//! |---|---|
//! | `mod` | [`Section`]: takes one field after the other, and says at the end what the section is |
//! | `pseudo` | pseudo-fields, and what they must be together (§8.3) |
//! | `emit` | heads and trailers to field blocks |

pub(crate) mod emit;
mod pseudo;

use super::config::Scheme;
use super::schedule::Priority;
use super::stream::Asked;
use crate::fields::{Known, Line};
use crate::framing;
use crate::grammar::{is_token_byte, is_value, members};
use crate::hpack::Field;
use crate::{Fields, Kind, Length, Limits, RequestHead, ResponseHead, Underscores};
use pseudo::Pseudo;

/// The longest name of a field: what [`Fields`] can hold.
const NAME_BYTES_MAX: usize = u16::MAX as usize;

/// What a field section is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The head of a request, to a server that takes extended CONNECT or not.
    Request { connect_protocol: bool },
    /// The head of a response to this request.
    Response(Asked),
    /// Trailers of a request.
    RequestTrailers,
    /// Trailers of a response.
    ResponseTrailers,
    /// It is decoded for the sake of the tables alone.
    Nothing,
}

/// The field section that is being received. Its memory is used again.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    pub(crate) trailers: Fields,
    /// What a request asked for.
    pub(crate) asked: Asked,
    /// The `Priority` field.
    pub(crate) priority: Option<Priority>,
    wanted: Wanted,
    pseudo: Pseudo,
    /// A field that is no pseudo-field has come.
    regular: bool,
    has_host: bool,
    content_length: Option<u64>,
    te_trailers: bool,
    expects_continue: bool,
    expects_other: bool,
    /// There are crumbs of cookies (RFC 9113 §8.2.3) apart from the first: fields of their own until all have come.
    has_crumbs: bool,
    /// Memory to put them together.
    spare: Fields,
    /// What the list may have.
    bytes_max: usize,
    fault: Option<Kind>,
}

/// What is held beside the bytes of a list: where its fields begin and end, and what is kept.
pub(crate) const BYTES_BESIDE_LIST: usize = 8 << 10;
/// Memory beside that of the fields that are received, kept from one section to the next.
const KEPT_BYTES_MAX: usize = 4 << 10;

impl Section {
    pub(crate) fn new() -> Self {
        Self {
            request: RequestHead::new(),
            response: ResponseHead::new(),
            trailers: Fields::new(),
            asked: Asked::Message,
            priority: None,
            wanted: Wanted::Nothing,
            pseudo: Pseudo::default(),
            regular: false,
            has_host: false,
            content_length: None,
            te_trailers: false,
            expects_continue: false,
            expects_other: false,
            has_crumbs: false,
            spare: Fields::new(),
            bytes_max: 0,
            fault: None,
        }
    }

    /// Starts over, with a list that may have so many bytes. What is held for it will be no more than that and what
    /// [`BYTES_BESIDE_LIST`] says, whatever was held before.
    pub(crate) fn begin(&mut self, wanted: Wanted, bytes_max: usize) {
        match wanted {
            Wanted::Request { .. } => self.request.clear(),
            Wanted::Response(_) => self.response.clear(),
            Wanted::RequestTrailers | Wanted::ResponseTrailers => self.trailers.clear(),
            Wanted::Nothing => {}
        }
        (self.wanted, self.bytes_max) = (wanted, bytes_max);
        let fields_bytes = self.fields().heap_bytes();
        if fields_bytes > bytes_max || self.heap_bytes().saturating_sub(fields_bytes) > KEPT_BYTES_MAX {
            self.shrink();
        }
        self.asked = Asked::Message;
        self.priority = None;
        self.pseudo = Pseudo::default();
        (self.regular, self.has_host, self.content_length) = (false, false, None);
        (self.te_trailers, self.expects_continue, self.expects_other) = (false, false, false);
        (self.has_crumbs, self.fault) = (false, None);
    }

    /// Gives the memory back, with what stands in it.
    pub(crate) fn shrink(&mut self) {
        (self.request, self.response) = (RequestHead::new(), ResponseHead::new());
        (self.trailers, self.spare) = (Fields::new(), Fields::new());
    }

    /// Takes the next field. Behind a fault nothing is kept any more.
    pub(crate) fn field(&mut self, field: Field<'_>, limits: &Limits) {
        if self.fault.is_some() || self.wanted == Wanted::Nothing {
            return;
        }
        let result = match field.name {
            [b':', ..] if self.regular => Err(Kind::PseudoField),
            [b':', name @ ..] => self.pseudo_field(name, field, limits),
            _ => self.regular_field(field, limits.underscores),
        };
        self.fault = result.err();
    }

    /// All fields of a request's head have come. `ended`: nothing follows it.
    pub(crate) fn finish_request(&mut self, ended: bool) -> Result<(), Kind> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.finish_request_pseudo()?;
        if self.has_crumbs {
            self.request.fields.join_cookies(&mut self.spare);
            if self.spare.heap_bytes() > KEPT_BYTES_MAX {
                self.spare = Fields::new();
            }
        }
        let tunnel = matches!(self.asked, Asked::Connect | Asked::WebSocket);
        let head = &mut self.request;
        head.content = match (ended, self.content_length) {
            // What follows is the tunnel's, and one that is closed at once is none.
            _ if tunnel && (ended || self.content_length.is_some()) => return Err(Kind::UpgradeWithContent),
            _ if tunnel => Length::None,
            (true, Some(1..)) => return Err(Kind::ContentLengthMismatch),
            (true, Some(0)) => Length::Known(0),
            (true, None) => Length::None,
            (false, Some(length)) => Length::Known(length),
            (false, None) => Length::Chunked,
        };
        if head.method == http::Method::TRACE && !head.content.is_empty() {
            return Err(Kind::TraceWithContent);
        }
        if self.expects_other {
            return Err(Kind::Expectation);
        }
        head.expects_continue = self.expects_continue && !head.content.is_empty();
        head.accepts_trailers = self.te_trailers;
        Ok(())
    }

    /// All fields of a response's head have come.
    pub(crate) fn finish_response(&mut self, ended: bool, asked: Asked) -> Result<(), Kind> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.finish_response_pseudo(asked)?;
        let head = &mut self.response;
        let length = self.content_length;
        head.declared_length = length;
        let tunnel = asked == Asked::Connect && head.status.is_success();
        let none = tunnel || asked == Asked::HeadOnly || framing::has_no_content(head.status);
        head.content = match (ended, length) {
            _ if none => Length::None,
            (true, Some(1..)) => return Err(Kind::ContentLengthMismatch),
            (true, Some(0)) => Length::Known(0),
            (true, None) => Length::None,
            (false, Some(length)) => Length::Known(length),
            (false, None) => Length::Chunked,
        };
        Ok(())
    }

    /// All trailers have come.
    pub(crate) fn finish_trailers(&mut self) -> Result<(), Kind> {
        self.fault.map_or(Ok(()), Err)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let fields = [&self.request.fields, &self.response.fields, &self.trailers, &self.spare];
        let fields: usize = fields.iter().map(|fields| fields.heap_bytes()).sum();
        fields.saturating_add(self.request.target.capacity())
    }

    /// The fields that the section goes to.
    fn fields(&mut self) -> &mut Fields {
        match self.wanted {
            Wanted::Request { .. } => &mut self.request.fields,
            Wanted::Response(_) => &mut self.response.fields,
            Wanted::RequestTrailers | Wanted::ResponseTrailers | Wanted::Nothing => &mut self.trailers,
        }
    }

    fn regular_field(&mut self, field: Field<'_>, underscores: Underscores) -> Result<(), Kind> {
        self.regular = true;
        let Field { name, value, never_indexed } = field;
        if !is_name(name) || !is_field_value(value) {
            return Err(Kind::Field);
        }
        let known = Known::of(name);
        let is_request = matches!(self.wanted, Wanted::Request { .. } | Wanted::RequestTrailers);
        if is_request && !underscores.admit(name, known)? {
            return Ok(());
        }
        let passes = match self.wanted {
            Wanted::Request { .. } => self.request_field(known, value, never_indexed)?,
            Wanted::Response(_) => self.response_field(known, value)?,
            Wanted::RequestTrailers | Wanted::ResponseTrailers => {
                let passes = known.may_trail();
                if is_connection_specific(known) || known == Known::Te {
                    return Err(Kind::ConnectionField);
                }
                passes
            }
            Wanted::Nothing => false,
        };
        if known == Known::Other && is_request && name == b"priority" {
            self.priority = Some(Priority::parse(value));
        }
        if passes {
            self.append(Line { known, name, value, never_indexed });
        }
        Ok(())
    }

    fn append(&mut self, line: Line<'_>) {
        self.make_room(line.name.len().saturating_add(line.value.len()).saturating_add(": \r\n".len()));
        self.fields().append_checked(line);
    }

    /// Room for so many more bytes of fields: their lines are shorter than what they are charged. What a target has, they
    /// can't have.
    fn make_room(&mut self, more: usize) {
        let bytes_max = self.bytes_max.saturating_sub(self.request.target.len());
        self.fields().make_room(more, bytes_max);
    }

    /// Whether the field is one of those that go end to end; the meaning of others is kept here.
    fn request_field(&mut self, known: Known, value: &[u8], never_indexed: bool) -> Result<bool, Kind> {
        match known {
            Known::ContentLength => self.content_length(value)?,
            Known::Te if !value.eq_ignore_ascii_case(b"trailers") => return Err(Kind::ConnectionField),
            Known::Te => self.te_trailers = true,
            Known::Expect => {
                let known = |member: &[u8]| member.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue = true;
                self.expects_other |= value.is_empty() || !members(value).all(known);
            }
            Known::Host => return self.host(value),
            Known::Cookie => return Ok(self.crumb(value, never_indexed)),
            known if is_connection_specific(known) => return Err(Kind::ConnectionField),
            known => return Ok(!known.is_of_connection()),
        }
        Ok(false)
    }

    fn response_field(&mut self, known: Known, value: &[u8]) -> Result<bool, Kind> {
        match known {
            Known::ContentLength => self.content_length(value)?,
            known if is_connection_specific(known) || known == Known::Te => {
                return Err(Kind::ConnectionField);
            }
            known => return Ok(!known.is_of_connection()),
        }
        Ok(false)
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Kind> {
        if self.content_length.is_some() {
            return Err(Kind::ContentLengthRepeated);
        }
        self.content_length = Some(framing::content_length(value).map_err(|error| error.kind)?);
        Ok(())
    }

    /// Whether a crumb is a field of its own: the first is, and one behind other fields, until all have come.
    fn crumb(&mut self, crumb: &[u8], never_indexed: bool) -> bool {
        if self.request.fields.known(Known::Cookie).is_none() {
            return true;
        }
        self.make_room(crumb.len().saturating_add("; ".len()));
        if self.request.fields.extend_last(Known::Cookie, [b"; ", crumb], never_indexed) {
            return false;
        }
        self.has_crumbs = true;
        true
    }
}

/// Fields that must not be in a message at all (RFC 9113 §8.2.2). `TE` has a rule of its own.
fn is_connection_specific(known: Known) -> bool {
    matches!(
        known,
        Known::Connection
            | Known::ProxyConnection
            | Known::KeepAlive
            | Known::TransferEncoding
            | Known::Upgrade
    )
}

/// A token in lower case (RFC 9113 §8.2.1).
fn is_name(name: &[u8]) -> bool {
    let fine = |byte: &u8| is_token_byte(*byte) && !byte.is_ascii_uppercase();
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.iter().all(fine)
}

/// A value without whitespace around it (RFC 9113 §8.2.1) and without control characters (RFC 9110 §5.5).
fn is_field_value(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_value(value) && !blank(value.first()) && !blank(value.last())
}

/// Whether a `Host` names the same entity as an authority: host without case, port with the scheme's default
/// (RFC 3986 §6.2).
///
/// Only CONNECT has no scheme, and so no default: its authority must have a port (RFC 9113 §8.5), its `Host` often has
/// none (RFC 9112 §3.2.3 shows one) and then says nothing of it. HTTP/1 does not compare them at all: there as here it
/// is the target that is connected to, and the `Host` goes no further.
fn is_same_entity(authority: &[u8], host: &[u8], scheme: Option<Scheme>) -> bool {
    let split = |text: &[u8]| {
        let port = crate::grammar::authority(text)?;
        let host_len = match text {
            [b'[', ..] => memchr::memchr(b']', text)?.saturating_add(1),
            _ => memchr::memchr(b':', text).unwrap_or(text.len()),
        };
        Some((host_len, port.or(scheme.map(Scheme::port))))
    };
    let (Some((a_len, a_port)), Some((b_len, b_port))) = (split(authority), split(host)) else {
        return false;
    };
    let name = |text, len| <[u8]>::get(text, ..len).unwrap_or_default();
    let same_port = a_port == b_port || (scheme.is_none() && b_port.is_none());
    same_port && name(authority, a_len).eq_ignore_ascii_case(name(host, b_len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_25_entities_are_compared_as_rfc_3986_has_it() {
        for (a, b, same) in [
            (&b"example.com"[..], &b"example.com"[..], true),
            (b"example.com", b"EXAMPLE.com", true),
            (b"example.com", b"example.com:443", true),
            (b"example.com:", b"example.com:443", true),
            (b"[::1]:443", b"[::1]", true),
            (b"example.com", b"example.com:80", false),
            (b"example.com", b"example.org", false),
            (b"example.com", b"example.com.", false),
            (b"[::1]", b"[::2]", false),
        ] {
            assert_eq!(is_same_entity(a, b, Some(Scheme::Https)), same);
            assert_eq!(is_same_entity(b, a, Some(Scheme::Https)), same);
        }
    }
}

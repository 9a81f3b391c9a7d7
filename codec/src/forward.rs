//! What an intermediary must change in a head (RFC 9110 §7.6, RFC 7239).
//!
//! What concerns one connection only has gone when a head was received. Here stands what is added: where a message
//! came from and which way it took.

use crate::fields::{InvalidField, Known, Part};
use crate::grammar::{has_quotes, is_token, is_value, trim};
use crate::trail::{Client, Trail};
use crate::{Blame, Error, Fields, Kind, RequestHead, ResponseHead, Scope, Version};
use http::Method;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

/// Where a request comes from and through whom it goes.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// The other end of the connection, be it the client or a proxy in front of us; `None` if it has no address, as on
    /// a unix socket. Its port is not sent on: too many readers of `for=` take everything for an address.
    pub peer: Option<IpAddr>,
    /// What the client spoke: `http` or `https`.
    pub scheme: &'a str,
    /// Our pseudonym in `Via`: a token, the same for every instance that a loop could go through.
    pub via: &'a str,
    /// The id of the request if it brings none, or none that is acceptable.
    pub request_id: &'a str,
    /// The peer is a proxy whose word is taken: what it says of its clients is extended instead of replaced.
    pub trusted: Option<Trusted>,
}

/// A proxy whose word is taken.
#[derive(Debug, Clone, Copy)]
pub struct Trusted {
    /// The list that it keeps.
    pub trail: Trail,
    /// Whom that list [says](crate::trail::client) to be the client.
    pub client: Option<Client>,
}

/// Longest `X-Request-Id` that is taken from a client, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Longest `Host` of requests that are [made ready at once](add_at_once), in bytes.
const HOST_BYTES_MAX: usize = 64;

/// Changes a received request for the next hop.
///
/// `Via`, `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`, `Forwarded` and `X-Request-Id` are added.
/// What a stranger says of his own is replaced. Of what a trusted proxy says, the list that it keeps is extended; the
/// other list, which it may have passed unread, is written anew: the client, then the proxy. One that keeps
/// `X-Forwarded-For` is also believed in the two fields that go with it. A peer without an address is `for=unknown`
/// (RFC 7239 §6.2), and nobody in `X-Forwarded-For`. [`Kind::Loop`] if the request has been here before.
pub fn request(head: &mut RequestHead, hop: &Hop<'_>) -> Result<(), Error> {
    if head.fields.all_known(Known::Via).any(|value| names(value, hop.via.as_bytes())) {
        return Err(of_exchange(Kind::Loop));
    }
    decrement_max_forwards(head)?;
    if add_at_once(head, hop) {
        return Ok(());
    }
    add(&mut head.fields, hop)
        // Only what comes from our own configuration can be invalid here.
        .map_err(|_| Error { blame: Blame::Us, scope: Scope::Stream, kind: Kind::Field })?;
    append_via(&mut head.fields, head.version, hop.via)
}

/// The id that a request brought, if it is acceptable: 1 to 128 of `A-Z a-z 0-9 . _ ~ + / = : @ -`, so that it can
/// stand in a log and in a URL.
pub fn request_id(head: &RequestHead) -> Option<&[u8]> {
    head.fields.known(Known::XRequestId).filter(|id| is_request_id(id))
}

/// How many times a `TRACE` or `OPTIONS` may still be forwarded (RFC 9110 §7.6.2). With `Some(0)` it must not be:
/// whoever has it answers it. Other methods have no such limit.
pub fn max_forwards(head: &RequestHead) -> Result<Option<u32>, Error> {
    if head.method != Method::TRACE && head.method != Method::OPTIONS {
        return Ok(None);
    }
    let mut values = head.fields.all_known(Known::MaxForwards);
    let Some(value) = values.next() else { return Ok(None) };
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) || values.next().is_some() {
        return Err(of_exchange(Kind::MaxForwards));
    }
    // More than we can count to is as good as all that we can (RFC 9110 §7.6.2).
    let add = |n: u32, byte: &u8| n.saturating_mul(10).saturating_add(u32::from(byte.wrapping_sub(b'0')));
    Ok(Some(value.iter().fold(0, add)))
}

/// Changes a received response for the next hop: `Via` is added.
///
/// # Panics
/// If `via` has a control character.
pub fn response(head: &mut ResponseHead, via: &str) {
    append_via(&mut head.fields, head.version, via).expect("a pseudonym is a token");
}

fn decrement_max_forwards(head: &mut RequestHead) -> Result<(), Error> {
    let Some(left) = max_forwards(head)? else { return Ok(()) };
    // With 0 left it must not be forwarded; whoever calls this has not asked before.
    let left = left.checked_sub(1).ok_or_else(|| of_exchange(Kind::MaxForwards))?;
    let mut digits = [0; 20];
    let value = crate::h1::decimal(u64::from(left), &mut digits);
    head.fields
        .set_known(Known::MaxForwards, &[Part::Bytes(value)])
        .map_err(|_| of_exchange(Kind::MaxForwards))
}

/// What [`add`] and [`append_via`] do, for a stranger who says nothing of where it comes from, as nearly all do: what is
/// added does not depend on what is there, but for the host. `false`, and nothing done, for all others.
fn add_at_once(head: &mut RequestHead, hop: &Hop<'_>) -> bool {
    const SAID: [Known; 5] = [
        Known::XForwardedFor,
        Known::XForwardedProto,
        Known::XForwardedHost,
        Known::Forwarded,
        Known::XRequestId,
    ];
    /// Names, ends of lines, and what stands between values.
    const AROUND_BYTES: usize = 115;
    let (Some(peer), None, fields) = (hop.peer, hop.trusted, &mut head.fields) else { return false };
    let mut place = [0; HOST_BYTES_MAX];
    let host = fields.known(Known::Host).unwrap_or_default();
    let is_quoted = match HostText::of(host) {
        HostText::Token => false,
        HostText::Quotable => true,
        HostText::Absent | HostText::Unquotable => return false,
    };
    let Some(place) = place.get_mut(..host.len()) else { return false };
    place.copy_from_slice(host);
    let (host, scheme, via, id): (&[u8], _, _, _) =
        (place, hop.scheme.as_bytes(), hop.via.as_bytes(), hop.request_id.as_bytes());
    if fields.has_seen_any(SAID) || ![scheme, via, id].into_iter().all(is_one_word) {
        return false;
    }
    let peer = AddressText::of(Some(peer));
    let (address, node) = (peer.address(), peer.node());
    let pieces = [address, scheme, host, node, host, scheme, id, via];
    let Some(mut lines) = fields.begin_lines(pieces, AROUND_BYTES) else { return false };
    lines.add(Known::XForwardedFor, b"X-Forwarded-For: ", [address]);
    lines.add(Known::XForwardedProto, b"X-Forwarded-Proto: ", [scheme]);
    lines.add(Known::XForwardedHost, b"X-Forwarded-Host: ", [host]);
    if is_quoted {
        lines.add(Known::Forwarded, b"Forwarded: ", [node, b";host=\"", host, b"\";proto=", scheme]);
    } else {
        lines.add(Known::Forwarded, b"Forwarded: ", [node, b";host=", host, b";proto=", scheme]);
    }
    lines.add(Known::XRequestId, b"X-Request-Id: ", [id]);
    lines.add(Known::Via, b"Via: ", [protocol(head.version), via]);
    true
}

/// A value, without whitespace around it.
fn is_one_word(value: &[u8]) -> bool {
    is_value(value) && !matches!(value, [] | [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

fn add(fields: &mut Fields, hop: &Hop<'_>) -> Result<(), InvalidField> {
    let keeps = hop.trusted.map(|trusted| trusted.trail);
    let client = hop.trusted.and_then(|trusted| trusted.client);
    let (peer, named) = (AddressText::of(hop.peer), client.map(|client| AddressText::of(Some(client.ip))));
    add_forwarded_for(fields, keeps, named.as_ref(), hop.peer.map(|_| &peer))?;
    if keeps != Some(Trail::XForwardedFor) || fields.known(Known::XForwardedProto).is_none() {
        let scheme = client.and_then(|client| client.scheme).unwrap_or(hop.scheme);
        fields.set_known(Known::XForwardedProto, &[Part::Bytes(scheme.as_bytes())])?;
    }
    let host = HostText::of(fields.known(Known::Host).unwrap_or_default());
    if keeps != Some(Trail::XForwardedFor) || fields.known(Known::XForwardedHost).is_none() {
        match host {
            HostText::Absent => fields.remove_known(Known::XForwardedHost),
            _ => fields.set_known(Known::XForwardedHost, &[Part::First(Known::Host)])?,
        }
    }
    let nothing = Part::Fixed(b"");
    let before = match (keeps, &named) {
        (Some(Trail::Forwarded), _) => Some([Part::All(Known::Forwarded), nothing]),
        (_, Some(named)) => Some([named.as_node(), Part::Fixed(b", ")]),
        _ => None,
    };
    let (host_name, host_value, host_end): (&[u8], Part<'_>, &[u8]) = match host {
        HostText::Token => (b";host=", Part::First(Known::Host), b""),
        HostText::Quotable => (b";host=\"", Part::First(Known::Host), b"\""),
        HostText::Absent | HostText::Unquotable => (b"", nothing, b""),
    };
    let skipped = if before.is_none() { 2 } else { 0 };
    let [before, comma] = before.unwrap_or([nothing; 2]);
    let parts = [
        before,
        comma,
        peer.as_node(),
        Part::Fixed(host_name),
        host_value,
        Part::Fixed(host_end),
        Part::Fixed(b";proto="),
        Part::Bytes(hop.scheme.as_bytes()),
    ];
    fields.set_known(Known::Forwarded, parts.get(skipped..).unwrap_or_default())?;
    add_request_id(fields, hop)
}

/// The list of addresses: those that were there if the peer keeps it, else the client; and then the peer, if it has one.
fn add_forwarded_for(
    fields: &mut Fields,
    keeps: Option<Trail>,
    client: Option<&AddressText>,
    peer: Option<&AddressText>,
) -> Result<(), InvalidField> {
    let keeps = keeps == Some(Trail::XForwardedFor);
    let mut set = |parts: &[Part<'_>]| fields.set_known(Known::XForwardedFor, parts);
    match (keeps, client, peer) {
        (true, _, Some(peer)) => set(&[Part::All(Known::XForwardedFor), peer.as_part()]),
        (true, _, None) => Ok(()),
        (false, Some(client), Some(peer)) => set(&[client.as_part(), Part::Fixed(b", "), peer.as_part()]),
        (false, Some(one), None) | (false, None, Some(one)) => set(&[one.as_part()]),
        (false, None, None) => {
            fields.remove_known(Known::XForwardedFor);
            Ok(())
        }
    }
}

fn add_request_id(fields: &mut Fields, hop: &Hop<'_>) -> Result<(), InvalidField> {
    let acceptable = fields.known(Known::XRequestId).is_some_and(is_request_id);
    let value = match acceptable {
        true if fields.all_known(Known::XRequestId).nth(1).is_none() => return Ok(()),
        true => Part::First(Known::XRequestId),
        false => Part::Bytes(hop.request_id.as_bytes()),
    };
    fields.set_known(Known::XRequestId, &[value])
}

fn is_request_id(id: &[u8]) -> bool {
    let fine = |b: &u8| b.is_ascii_alphanumeric() || b"._~+/=:@-".contains(b);
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(fine)
}

/// How a `Host` can be written in `Forwarded` (RFC 7239 §4): as a token, or as a quoted string.
#[derive(Clone, Copy)]
enum HostText {
    Absent,
    Token,
    Quotable,
    /// It has a quote or a backslash, which no host has.
    Unquotable,
}

impl HostText {
    fn of(host: &[u8]) -> Self {
        if host.is_empty() {
            Self::Absent
        } else if is_token(host) {
            Self::Token
        } else if has_quotes(host) {
            Self::Unquotable
        } else {
            Self::Quotable
        }
    }
}

/// As `Via` begins with it.
fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"1.0 ",
        Version::Http11 => b"1.1 ",
        Version::Http2 => b"2 ",
    }
}

fn append_via(fields: &mut Fields, version: Version, via: &str) -> Result<(), Error> {
    if is_one_word(via.as_bytes())
        && let Some(mut lines) = fields.begin_lines([via.as_bytes()], "Via: 1.1 \r\n".len())
    {
        lines.add(Known::Via, b"Via: ", [protocol(version), via.as_bytes()]);
        return Ok(());
    }
    let parts = [Part::Fixed(protocol(version)), Part::Bytes(via.as_bytes())];
    fields.append_known(Known::Via, &parts).map_err(|_| Error {
        blame: Blame::Us,
        scope: Scope::Stream,
        kind: Kind::Field,
    })
}

/// Whether a member of a `Via` has this pseudonym as its `received-by`:
/// `#( received-protocol RWS received-by [ RWS comment ] )` (RFC 9110 §7.6.3).
fn names(via: &[u8], pseudonym: &[u8]) -> bool {
    // A comment may have commas, and what follows these is no member; but then the pseudonym would have to follow a
    // protocol in a comment: a loop is seen where there is none only if somebody makes it look like one.
    via.split(|b| *b == b',').any(|member| {
        let mut words = trim(member).split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
        let _protocol = words.next();
        words.next().is_some_and(|by| by.eq_ignore_ascii_case(pseudonym))
    })
}

/// A fault of one request on a connection that is in order.
const fn of_exchange(kind: Kind) -> Error {
    Error { blame: Blame::Peer, scope: Scope::Stream, kind }
}

/// An address as text, or a word in its place, on the stack: as a parameter of `Forwarded`, in which it stands.
struct AddressText {
    /// `for="[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]"` is the longest there is.
    bytes: [u8; 54],
    len: usize,
    /// Bytes before the address, and behind it.
    before: usize,
    behind: usize,
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "the longest text of an address fits, whoever it is from"
)]
impl AddressText {
    fn of(address: Option<IpAddr>) -> Self {
        let mut text = Self { bytes: [0; 54], len: 0, before: 4, behind: 0 };
        text.push(b"for=");
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => text.write_v4(address),
            Some(IpAddr::V6(address)) => {
                (text.before, text.behind) = (6, 2);
                write!(text, "\"[{address}]\"").expect("an address has at most 46 bytes");
            }
            None => text.push(b"unknown"),
        }
        text
    }

    fn write_v4(&mut self, address: Ipv4Addr) {
        for (i, octet) in address.octets().into_iter().enumerate() {
            if i > 0 {
                self.put(b'.');
            }
            if octet > 99 {
                self.put(b'0' + octet / 100);
            }
            if octet > 9 {
                self.put(b'0' + octet / 10 % 10);
            }
            self.put(b'0' + octet % 10);
        }
    }

    fn put(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn push(&mut self, text: &[u8]) {
        let end = self.len + text.len();
        self.bytes[self.len..end].copy_from_slice(text);
        self.len = end;
    }

    fn address(&self) -> &[u8] {
        &self.bytes[self.before..self.len - self.behind]
    }

    /// As a parameter of `Forwarded`.
    fn node(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn as_part(&self) -> Part<'_> {
        Part::Fixed(self.address())
    }

    fn as_node(&self) -> Part<'_> {
        Part::Fixed(self.node())
    }
}

impl Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is added at once is what is added one by one.
    #[test]
    fn both_ways_add_the_same() {
        let hosts =
            ["a", "example.com", "example.com:80", "[::1]:80", "a\"b", "", &"a".repeat(64), &"a".repeat(65)];
        let others = [None, Some("X-Forwarded-For"), Some("Via"), Some("X-Request-Id"), Some("Accept")];
        let peers =
            [None, Some(Ipv4Addr::new(192, 0, 2, 7).into()), Some(std::net::Ipv6Addr::LOCALHOST.into())];
        let words = ["corelane", " a", "", "a b", "a\u{1}"];
        let mut at_once = 0;
        for (host, other) in hosts.iter().flat_map(|host| others.map(|other| (host, other))) {
            for (peer, via) in peers.into_iter().flat_map(|peer| words.map(|via| (peer, via))) {
                let mut head = RequestHead::new();
                head.fields.append("Host", host);
                if let Some(other) = other {
                    head.fields.append(other, "1.1 other");
                }
                let hop = Hop { peer, scheme: "http", via, request_id: "0123456789abcdef", trusted: None };
                let (mut one_by_one, mut whole) = (head.clone(), head.clone());
                if !add_at_once(&mut whole, &hop) {
                    assert_eq!(whole, head, "nothing has been done");
                    continue;
                }
                at_once += 1;
                add(&mut one_by_one.fields, &hop).expect("it is valid");
                append_via(&mut one_by_one.fields, one_by_one.version, via).expect("it is valid");
                let (mut expected, mut written) = (Vec::new(), Vec::new());
                one_by_one.fields.write_h1(&mut expected);
                whole.fields.write_h1(&mut written);
                assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(&expected));
                assert_eq!(whole.fields.known(Known::Via), one_by_one.fields.known(Known::Via));
                assert!(whole.fields.contains("forwarded") && whole.fields.contains("x-request-id"));
            }
        }
        // Five hosts, three of the others, two peers, two words.
        assert_eq!(at_once, 5 * 3 * 2 * 2);
    }

    #[test]
    fn addresses_are_written_like_the_standard_library_does() {
        let written = |address: IpAddr| {
            let text = AddressText::of(Some(address));
            let text_of = |part| match part {
                Part::Fixed(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                _ => panic!("it is our own"),
            };
            [text_of(text.as_part()), text_of(text.as_node())]
        };
        for octet in 0..=255 {
            let address = Ipv4Addr::new(octet, 255 - octet, octet / 3, 7);
            assert_eq!(written(address.into()), [address.to_string(), format!("for={address}")]);
        }
        // The last is the longest that is written like that.
        for address in ["::", "2001:db8::7", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            let expected = [address.to_owned(), format!("for=\"[{address}]\"")];
            assert_eq!(written(address.parse().expect("an address")), expected);
        }
    }
}

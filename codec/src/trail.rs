//! Who a client is, by the lists in which proxies say for whom they ask: `X-Forwarded-For` and `Forwarded` (RFC 7239).
//!
//! A proxy adds whom it was asked by behind what it was told. So a list is read from its end, as long as the one who
//! said something is trusted: what stands before that may be anybody's invention, and is never looked at.

use crate::Fields;
use crate::fields::Known;
use crate::grammar::{is_token, trim};
use std::net::{IpAddr, Ipv6Addr};

/// Proxies that a request may have come through; what stands before them in a list is not looked at.
const HOPS_MAX: usize = 64;

/// The list that trusted proxies keep, and that is believed. A proxy that keeps one usually passes the other as its
/// client wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Trail {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Trail {
    pub(crate) const fn field(self) -> Known {
        match self {
            Self::XForwardedFor => Known::XForwardedFor,
            Self::Forwarded => Known::Forwarded,
        }
    }
}

/// A client, as a proxy names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address; an IPv4 address in IPv6 clothes is an IPv4 address.
    pub ip: IpAddr,
    /// Its port, if that is said.
    pub port: Option<u16>,
    /// What it spoke, `http` or `https`, if that is said, which only `Forwarded` does.
    pub scheme: Option<&'static str>,
}

/// The client of a request that a trusted proxy has sent: the last in the list that is not trusted, or the first if all
/// are. Where somebody has no address, or none that can be read, the list ends: the client is then whoever said so, and
/// `None` if that is the sender itself.
pub fn client(fields: &Fields, trail: Trail, trusts: impl Fn(IpAddr) -> bool) -> Option<Client> {
    let (mut found, mut hops) = (None, 0..HOPS_MAX);
    for line in fields.all_known(trail.field()).rev() {
        let mut rest = Some(line);
        while let Some(list) = rest {
            let member;
            (rest, member) = split_last(list, trail);
            if member.is_empty() {
                // As if it were not there (RFC 9110 §5.6.1.2).
                continue;
            }
            let read = match trail {
                Trail::XForwardedFor => node(member).map(|(ip, port)| Client { ip, port, scheme: None }),
                Trail::Forwarded => element(member),
            };
            let Some(client) = read.filter(|_| hops.next().is_some()) else { return found };
            found = Some(client);
            if !trusts(client.ip) {
                return found;
            }
        }
    }
    found
}

/// The last member of a list, and what comes before it. Quotes are matched from the end, because what comes before may
/// have been written to confuse.
fn split_last(list: &[u8], trail: Trail) -> (Option<&[u8]>, &[u8]) {
    let may_quote = trail == Trail::Forwarded;
    let mut quoted = false;
    for (at, byte) in list.iter().enumerate().rev() {
        match byte {
            b'"' if may_quote => quoted = !quoted || is_escaped(list, at),
            b',' if !quoted => {
                let (before, member) = list.split_at(at);
                return (Some(before), trim(member.get(1..).unwrap_or_default()));
            }
            _ => {}
        }
    }
    (None, trim(list))
}

/// Whether the byte is one of a `quoted-pair`.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// A `forwarded-element`: pairs, of which `for` must be one, none twice (RFC 7239 §4).
fn element(text: &[u8]) -> Option<Client> {
    let (mut client, mut scheme, mut rest) = (None, None, text);
    loop {
        let (name, after) = split_once(rest, b'=')?;
        let (value, left) = match after {
            [b'"', quoted @ ..] => {
                // An escape has no place in what is looked for here, so the end of such a string is all that matters.
                let end =
                    (0..quoted.len()).find(|&at| quoted.get(at) == Some(&b'"') && !is_escaped(quoted, at))?;
                quoted.split_at(end)
            }
            _ => after.split_at(after.iter().position(|byte| *byte == b';').unwrap_or(after.len())),
        };
        let left = if after.first() == Some(&b'"') { left.get(1..).unwrap_or_default() } else { left };
        let name = trim(name);
        if name.eq_ignore_ascii_case(b"for") {
            let before = client.replace(node(trim(value))?);
            if before.is_some() {
                return None;
            }
        } else if name.eq_ignore_ascii_case(b"proto") {
            scheme = ["http", "https"].into_iter().find(|one| value.eq_ignore_ascii_case(one.as_bytes()));
        } else if !is_token(name) {
            return None;
        }
        match trim(left) {
            [] => break,
            [b';', more @ ..] => rest = more,
            _ => return None,
        }
    }
    client.map(|(ip, port)| Client { ip, port, scheme })
}

/// An address with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`,
/// in quotes or not. Not `unknown`, and not a name that hides one (`_hidden`, RFC 7239 §6.3).
fn node(text: &[u8]) -> Option<(IpAddr, Option<u16>)> {
    let text = match text {
        [b'"', inside @ .., b'"'] => inside,
        _ => text,
    };
    let text = str::from_utf8(text).ok()?;
    let (ip, port): (IpAddr, &str) = if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        (ip.parse::<Ipv6Addr>().ok()?.into(), port)
    } else if let Ok(ip) = text.parse() {
        (ip, "")
    } else {
        let (ip, port) = text.split_at(text.find(':')?);
        (IpAddr::V4(ip.parse().ok()?), port)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        // A port may be hidden, too.
        Some(hidden) if hidden.starts_with('_') => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        _ => return None,
    };
    Some((ip.to_canonical(), port))
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (before, after) = text.split_at(text.iter().position(|byte| *byte == at)?);
    Some((before, after.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Networks in which everybody is trusted: 10.0.0.0/8 and fd00::/8.
    fn trusts(ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => ip.octets()[0] == 10,
            IpAddr::V6(ip) => ip.octets()[0] == 0xfd,
        }
    }

    fn found(trail: Trail, lines: &[&str]) -> Option<Client> {
        let mut fields = Fields::new();
        for line in lines {
            fields.append(if trail == Trail::XForwardedFor { "x-forwarded-for" } else { "Forwarded" }, line);
            // The other list says something else.
            fields.append(
                if trail == Trail::XForwardedFor { "forwarded" } else { "X-Forwarded-For" },
                "6.6.6.6",
            );
        }
        client(&fields, trail, trusts)
    }

    fn said(trail: Trail, lines: &[&str]) -> String {
        match found(trail, lines) {
            Some(Client { ip, port: Some(port), scheme }) => format!("{ip} {port} {}", scheme.unwrap_or("-")),
            Some(Client { ip, port: None, scheme: Some(scheme) }) => format!("{ip} - {scheme}"),
            Some(Client { ip, .. }) => ip.to_string(),
            None => "-".to_owned(),
        }
    }

    #[test]
    fn h1q_68_a_list_is_read_from_its_end() {
        for (lines, client) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            (&["6.6.6.6, 192.0.2.1, 10.0.0.9"], "192.0.2.1"),
            (&["6.6.6.6", "192.0.2.1", "10.0.0.9,10.0.0.8"], "192.0.2.1"),
            // All are trusted: the first.
            (&["10.0.0.1, 10.0.0.2"], "10.0.0.1"),
            // Where something cannot be read, the list ends.
            (&["6.6.6.6, unknown"], "-"),
            (&["6.6.6.6, unknown, 10.0.0.9"], "10.0.0.9"),
            (&["6.6.6.6, _hidden, 10.0.0.9"], "10.0.0.9"),
            (&["junk"], "-"),
            (&[], "-"),
            (&[""], "-"),
            // Empty members are none.
            (&["192.0.2.1,, ,\t10.0.0.9,"], "192.0.2.1"),
            (&["192.0.2.1", ""], "192.0.2.1"),
            // Forms of an address.
            (&["192.0.2.1:4711"], "192.0.2.1 4711 -"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["[2001:db8::1]:80, fd00::1"], "2001:db8::1 80 -"),
            (&["\"[2001:db8::1]:80\""], "2001:db8::1 80 -"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, ::ffff:10.0.0.9"], "192.0.2.1"),
            // A quote hides no comma in this list.
            (&["\"6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        ] {
            assert_eq!(said(Trail::XForwardedFor, lines), client, "{lines:?}");
        }
        for none in [
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:65536",
            "1.2.3.4:+1",
            "1.2.3.4 5",
            "[::1",
            "[1.2.3.4]",
            "::1]",
            "fe80::1%1",
            "[]:1",
        ] {
            assert_eq!(said(Trail::XForwardedFor, &[none]), "-", "{none}");
        }
    }

    #[test]
    fn h1q_68_forwarded_is_read_from_its_end() {
        for (lines, client) in [
            (&["for=192.0.2.1"][..], "192.0.2.1"),
            (
                &["for=6.6.6.6, For=192.0.2.1;Proto=HTTPS;by=10.0.0.1;host=\"a,b;for=6.6.6.6\""],
                "192.0.2.1 - https",
            ),
            (&["for=\"[2001:db8::1]:4711\";proto=http, for=10.0.0.9"], "2001:db8::1 4711 http"),
            (&["for=\"192.0.2.1:_p\""], "192.0.2.1"),
            (&["for=192.0.2.1", "for=10.0.0.9"], "192.0.2.1"),
            (&["for=6.6.6.6, for=unknown, for=10.0.0.9"], "10.0.0.9"),
            (&["for=6.6.6.6, for=_hidden"], "-"),
            // An element without `for`, or with two, says nothing.
            (&["for=6.6.6.6, by=192.0.2.1"], "-"),
            (&["for=192.0.2.1;for=6.6.6.6"], "-"),
            // What a stranger wrote cannot swallow what a proxy appends.
            (&["for=\"6.6.6.6, for=192.0.2.1"], "192.0.2.1"),
            (&["for=\"6.6.6.6\\, for=192.0.2.1"], "192.0.2.1"),
            (&["for=6.6.6.6;host=\"\\\", for=192.0.2.1"], "192.0.2.1"),
            (&["for=6.6.6.6, for=192.0.2.1;host=\"x\\\",\\\\\""], "192.0.2.1"),
            (&["for=192.0.2.1;host=\"x"], "-"),
            (&["for=\"192.0.2.1\"x"], "-"),
            (&["for=192.0.2.1;"], "-"),
            (&["192.0.2.1"], "-"),
            (&["for = 192.0.2.1 ; proto = https"], "192.0.2.1"),
        ] {
            assert_eq!(said(Trail::Forwarded, lines), client, "{lines:?}");
        }
    }

    #[test]
    fn h1q_68_long_lists_are_read_no_further_than_they_must() {
        let inside = "10.0.0.1, ".repeat(HOPS_MAX - 1) + "10.0.0.1";
        assert_eq!(said(Trail::XForwardedFor, &["192.0.2.1", &inside[10..]]), "192.0.2.1");
        assert_eq!(said(Trail::XForwardedFor, &["192.0.2.1", &inside]), "10.0.0.1");
        let calls = std::cell::Cell::new(0);
        for text in ["10.0.0.1,", "for=10.0.0.1,", "\"", "\\\"", ",", "for=\"\\", "[", ";", "="] {
            let mut fields = Fields::new();
            let list = text.repeat((16 << 10) / text.len());
            fields.append("X-Forwarded-For", &list);
            fields.append("Forwarded", &list);
            for trail in [Trail::XForwardedFor, Trail::Forwarded] {
                calls.set(0);
                client(&fields, trail, |_| {
                    calls.set(calls.get() + 1);
                    true
                });
                assert!(calls.get() <= HOPS_MAX, "{text}");
            }
        }
    }
}

//! Heads that have come whole and have nothing unusual about them, as nearly all do: read in one pass, eight bytes at a time.
//!
//! What is here only ever says yes. Of anything else (what is malformed, has not come, or is seldom seen) it says nothing, and
//! then `scan` and `parse` look at it, which know what is wrong. So there are no errors here, and no second opinion on what is
//! an error; and for whatever this takes, those two give the same (tests and fuzz targets hold them to it).
#![allow(
    clippy::arithmetic_side_effects,
    reason = "lengths of parts are taken from the length of the whole, and positions are within it"
)]

use super::parse::{self, Asked, Parsed, Said, Side, StatusLine};
use super::scan::Bounds;
use crate::fields::{Adopted, Known, Line};
use crate::grammar::{is_token, not_in_target, not_in_value, of_byte, trim_end};
use crate::{Fields, Limits, RequestHead, ResponseHead, Version};
use http::StatusCode;

/// A method that is looked for here has fewer bytes, so that its space stands in the first word.
const METHOD_BYTES_MAX: usize = 8;

/// Fills `head` from a request in origin-form; what it holds is of no use if this is none.
pub(crate) fn request(
    input: &[u8],
    limits: &Limits,
    bounds: &Bounds,
    head: &mut RequestHead,
) -> Option<Parsed> {
    let input = bounds.window(input);
    let line_max = limits.request_line_bytes_max;
    let method_len = find(input.get(..METHOD_BYTES_MAX)?, |word| of_byte(word, b' '))?;
    let (method, rest) = input.split_at_checked(method_len)?;
    let rest = rest.get(1..)?;
    let (target, rest) = rest.split_at_checked(find(rest, not_in_target)?)?;
    let (version, section) = rest.split_first_chunk()?;
    let version = match version {
        b" HTTP/1.1\r\n" => Version::Http11,
        b" HTTP/1.0\r\n" => Version::Http10,
        _ => return None,
    };
    let line_len = input.len() - section.len() - "\r\n".len();
    let is_usual = method.len() <= limits.method_bytes_max
        && line_len <= line_max
        && target.starts_with(b"/")
        && is_token(method)
        && method != b"CONNECT";
    if !is_usual {
        return None;
    }
    head.clear();
    let (len, said) = self::section(section, bounds, Side::Client(limits.underscores), &mut head.fields)?;
    let persistent = parse::complete_request(method, target, version, &said, head).ok()?;
    Some(Parsed { len: input.len() - section.len() + len, persistent })
}

/// Fills `head` from a response; what it holds is of no use if this is none.
pub(crate) fn response(
    input: &[u8],
    asked: Asked,
    bounds: &Bounds,
    head: &mut ResponseHead,
) -> Option<Parsed> {
    let input = bounds.window(input);
    let (version, rest) = input.split_first_chunk()?;
    let version = match version {
        b"HTTP/1.1 " => Version::Http11,
        b"HTTP/1.0 " => Version::Http10,
        _ => return None,
    };
    let (code, rest) = rest.split_first_chunk::<3>()?;
    let status = StatusCode::from_bytes(code).ok().filter(|status| status.as_u16() < 600)?;
    let [b' ', reason @ ..] = rest else { return None };
    let (_, end) = reason.split_at_checked(find_end(reason)?)?;
    let Some((b"\r\n", section)) = end.split_first_chunk() else { return None };
    head.clear();
    let (len, said) = self::section(section, bounds, Side::Origin, &mut head.fields)?;
    let persistent = parse::complete_response(StatusLine { version, status }, asked, &said, head).ok()?;
    Some(Parsed { len: input.len() - section.len() + len, persistent })
}

/// Reads a field section that begins what has come: how long it is, and what it says.
fn section(input: &[u8], bounds: &Bounds, side: Side, fields: &mut Fields) -> Option<(usize, Said)> {
    let mut said = Said::default();
    let mut rest = input;
    let mut lines = 0;
    loop {
        if let Some((b"\r\n", behind)) = rest.split_first_chunk() {
            rest = behind;
            break;
        }
        lines += 1;
        if lines > bounds.lines_max {
            return None;
        }
        let (name, behind) = rest.split_at_checked(find(rest, |word| of_byte(word, b':'))?)?;
        let known = Known::of(name);
        if known == Known::Other && !is_token(name) {
            return None;
        }
        let (mut is_canonical, mut behind) = match behind {
            [_, b' ', behind @ ..] => (true, behind),
            [_, behind @ ..] => (false, behind),
            [] => return None,
        };
        while let [b' ' | b'\t', more @ ..] = behind {
            (is_canonical, behind) = (false, more);
        }
        let name_at = input.len() - rest.len();
        let value_at = input.len() - behind.len();
        let (value, end) = behind.split_at_checked(find_end(behind)?)?;
        let Some((b"\r\n", behind)) = end.split_first_chunk() else { return None };
        rest = behind;
        let (name, value) = ((name_at, name), (value_at, trim_end(value)));
        is_canonical &= value.1.len() == input.len() - value_at - end.len();
        if said.take(&Line::received(known, name.1, value.1), side).ok()? {
            fields.adopt(Adopted { known, name, value, is_canonical })?;
        }
    }
    if said.has_nominations() {
        return None;
    }
    let len = input.len() - rest.len();
    fields.load(input.get(..len)?);
    Some((len, said))
}

/// Where the first byte stands that cannot be in a value, or is a tab.
fn find_end(bytes: &[u8]) -> Option<usize> {
    /// Most values end within this, word by word. Beyond it, the compiler looks at many bytes at once.
    const SHORT: usize = 32;
    let plain =
        |block: &[u8; SHORT]| !block.iter().fold(false, |found, byte| found | byte.is_ascii_control());
    let (short, long) = bytes.split_at_checked(SHORT).unwrap_or((bytes, b""));
    if long.is_empty() {
        return find(short, not_in_value);
    }
    for (at, eight) in short.as_chunks().0.iter().enumerate() {
        let found = not_in_value(u64::from_le_bytes(*eight));
        if found != 0 {
            return Some(at * 8 + first(found));
        }
    }
    let mut left = long;
    while let Some((block, behind)) = left.split_first_chunk()
        && plain(block)
    {
        left = behind;
    }
    find(left, not_in_value).map(|at| bytes.len() - left.len() + at)
}

/// Where the first byte stands that `is_it` finds in a word: see [`of_byte`].
fn find(bytes: &[u8], is_it: impl Fn(u64) -> u64) -> Option<usize> {
    let (eights, rest) = bytes.as_chunks();
    for (at, eight) in eights.iter().enumerate() {
        let found = is_it(u64::from_le_bytes(*eight));
        if found != 0 {
            return Some(at * 8 + first(found));
        }
    }
    // Behind the last bytes are zeros, which may be found, too.
    let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let found = is_it(word);
    (found != 0 && first(found) < rest.len()).then(|| eights.len() * 8 + first(found))
}

/// The first byte of a word whose highest bit is set.
const fn first(found: u64) -> usize {
    found.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::super::{Client, Event, Received, Server};
    use super::*;
    use crate::{Error, Kind};

    const REQUESTS: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: a:80\r\n\r\n",
        b"POST /a/long/target?with=a&query HTTP/1.1\r\nhost: example.com\r\ncontent-length: 3\r\n\
          Cookie: a-value-that-is-longer-than-what-is-looked-at-by-the-word=b\r\nX-Other:c \r\n\r\nabcGET",
        b"PUT /x HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\nx_y: \x80 z\r\n\r\n",
        b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nTE: trailers\r\n\r\n",
    ];
    const RESPONSES: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 404 \r\nServer:  x\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\nDate: now\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade, x\r\nX: y\r\n\r\n",
    ];

    fn limits() -> (Limits, Bounds) {
        let limits = Limits { underscores: crate::Underscores::Drop, ..Limits::default() };
        let bounds = Bounds {
            bytes_max: limits.request_head_bytes_max,
            too_large: Kind::HeadTooLarge,
            lines_max: limits.request_fields_max,
            too_many: Kind::TooManyFields,
        };
        (limits, bounds)
    }

    /// What comes of a request that has come whole, or of which one byte came first.
    fn served(input: &[u8], first: usize) -> (Result<Received, Error>, Option<RequestHead>, bool) {
        let (limits, _) = limits();
        let (mut server, mut head) = (Server::new(&limits), RequestHead::new());
        let mut received = server.receive(&limits, input.get(..first).unwrap_or(input), &mut head);
        if received == Ok(Received::NEED_MORE) {
            received = server.receive(&limits, input, &mut head);
        }
        let is_head = received.as_ref().is_ok_and(|received| received.event == Event::Head);
        (received, is_head.then_some(head), server.keep_alive())
    }

    fn answered(input: &[u8], first: usize) -> (Result<Received, Error>, Option<ResponseHead>, bool) {
        let (limits, _) = limits();
        let (mut client, mut head) = (Client::new(), ResponseHead::new());
        let mut request = RequestHead { target: b"/".to_vec(), ..RequestHead::new() };
        request.upgrade = Some(crate::Upgrade::WebSocket);
        client.send_head(&request, &mut Vec::new()).expect("it can be sent");
        client.send_end(None, &mut Vec::new()).expect("it has ended");
        let mut received = client.receive(&limits, input.get(..first).unwrap_or(input), &mut head);
        if received == Ok(Received::NEED_MORE) {
            received = client.receive(&limits, input, &mut head);
        }
        let is_head = received.as_ref().is_ok_and(|r| matches!(r.event, Event::Head | Event::Interim));
        (received, is_head.then_some(head), client.may_reuse())
    }

    /// Each of them with each byte replaced by each other, left out, or doubled.
    fn each_mistake(heads: &[&[u8]], mut check: impl FnMut(&[u8])) {
        for head in heads {
            check(head);
            for at in 0..head.len() {
                let (before, rest) = head.split_at(at);
                check(&[before, &rest[1..]].concat());
                check(&[before, &rest[..1], rest].concat());
                check(before);
                for byte in 0..=255 {
                    check(&[before, &[byte], &rest[1..]].concat());
                }
            }
        }
    }

    #[test]
    fn a_request_is_the_same_to_those_who_look_for_its_lines_first() {
        each_mistake(REQUESTS, |input| {
            assert_eq!(served(input, input.len()), served(input, 1), "{}", input.escape_ascii());
        });
    }

    #[test]
    fn a_response_is_the_same_to_those_who_look_for_its_lines_first() {
        each_mistake(RESPONSES, |input| {
            assert_eq!(answered(input, input.len()), answered(input, 1), "{}", input.escape_ascii());
        });
    }

    #[test]
    fn what_is_usual_is_taken_and_what_is_not_is_left() {
        let (limits, bounds) = limits();
        let takes = |input: &[u8]| request(input, &limits, &bounds, &mut RequestHead::new()).is_some();
        assert!(REQUESTS.iter().all(|input| takes(input)));
        for input in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\r\n\r",
            b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nX: y\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            assert!(!takes(input), "{}", input.escape_ascii());
        }
        let asked = Asked { head: false, upgrade: None };
        let takes = |input: &[u8]| response(input, asked, &bounds, &mut ResponseHead::new()).is_some();
        assert_eq!(RESPONSES.iter().filter(|input| takes(input)).count(), 3, "a name is nominated in one");
    }

    #[test]
    fn limits_are_exact() {
        let input = REQUESTS[1];
        let (usual, bounds) = limits();
        let takes = |limits: &Limits, bounds: Bounds| {
            request(input, limits, &bounds, &mut RequestHead::new()).map(|parsed| parsed.len)
        };
        let len = takes(&usual, bounds).expect("it is taken");
        assert_eq!(takes(&usual, Bounds { bytes_max: len, ..bounds }), Some(len));
        assert_eq!(takes(&usual, Bounds { bytes_max: len - 1, ..bounds }), None);
        assert_eq!(takes(&usual, Bounds { lines_max: 4, ..bounds }), Some(len));
        assert_eq!(takes(&usual, Bounds { lines_max: 3, ..bounds }), None);
        let line = "POST /a/long/target?with=a&query HTTP/1.1".len();
        for (line_max, method_max, taken) in [(line, 4, true), (line - 1, 4, false), (line, 3, false)] {
            let limits =
                Limits { request_line_bytes_max: line_max, method_bytes_max: method_max, ..usual.clone() };
            assert_eq!(takes(&limits, bounds).is_some(), taken);
        }
    }
}

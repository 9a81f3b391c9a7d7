//! Chunked content by itself, beside a decoder that sees all of it at once and is too simple to be wrong.

use crate::cut::cuts;
use crate::messages::shown;
use crate::wire::{Ask, Transcript, client_in_pieces, server_in_pieces};
use corelane_codec::{Kind, Limits};

/// What a sequence of bytes is, as chunked content (RFC 9112 §7.1).
#[derive(Debug)]
enum Content {
    /// All of it: the content, the trailer fields, and how many bytes that took.
    Complete(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>, usize),
    /// The beginning of one, as far as lines that are complete can tell, with the content so far.
    Begun(Vec<u8>),
    Malformed,
}

/// The content of a request and of a response.
pub fn content(bytes: &[u8]) {
    let limits = Limits::default();
    let naive = naive(bytes, &limits);
    let heads: [(&[u8], bool); 2] = [
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", true),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false),
    ];
    for (head, from_client) in heads {
        let run = |pieces: &[&[u8]]| {
            let pieces = [&[head], pieces].concat();
            if from_client {
                server_in_pieces(&limits, &pieces)
            } else {
                client_in_pieces(&limits, &[Ask::get()], &pieces)
            }
        };
        let whole = run(&[bytes]);
        for pieces in cuts(bytes) {
            assert_eq!(run(&pieces), whole, "{}", shown(bytes));
        }
        agrees(&whole, &naive, bytes, from_client);
    }
}

/// Behind the content of a request, a server may go on with a next request: of that nothing is said here.
fn agrees(transcript: &Transcript, naive: &Content, bytes: &[u8], from_client: bool) {
    let complete = transcript.ends() > 0;
    match naive {
        Content::Malformed => assert!(transcript.error.is_some() && !complete, "{}", shown(bytes)),
        Content::Begun(content) => {
            assert!(!complete, "{}", shown(bytes));
            if transcript.error.is_none() {
                assert_eq!(&transcript.content(), content);
            }
        }
        Content::Complete(..) if from_client && transcript.kind() == Some(Kind::FieldUnderscore) => {}
        Content::Complete(content, trailers, used) => {
            assert!(complete, "{:?} of {}", transcript.error, shown(bytes));
            if from_client && transcript.ends() > 1 {
                return;
            }
            assert!(transcript.content().starts_with(content));
            if !from_client {
                assert_eq!(&transcript.content(), content);
                assert_eq!(transcript.rest, &bytes[*used..]);
            }
            trailers_are_sound(&transcript.trailers(), trailers, from_client);
        }
    }
}

/// Fields that frame, route, authenticate or make conditional: none ever stands among trailers.
const NEVER_TRAIL: [&str; 16] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "if-match",
    "proxy-authorization",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
];

fn trailers_are_sound(ours: &[(String, String)], all: &[(Vec<u8>, Vec<u8>)], from_client: bool) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut all = all.iter().map(|(name, value)| (text(name), text(value)));
    for field in ours {
        assert!(!NEVER_TRAIL.contains(&field.0.to_ascii_lowercase().as_str()), "{field:?}");
        assert!(!from_client || !field.0.contains('_'), "{field:?}");
        assert!(all.any(|one| one == *field), "{field:?} was not there, or not in this order");
    }
}

fn naive(bytes: &[u8], limits: &Limits) -> Content {
    let (mut content, mut at, mut extensions) = (Vec::new(), 0, limits.chunk_extension_bytes_max);
    loop {
        extensions += limits.chunk_extension_bytes_per_chunk;
        let Some(line) = line(&bytes[at..]) else { return Content::Begun(content) };
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        let Some(left) = extensions.checked_sub(extension.len() as u64) else { return Content::Malformed };
        extensions = left;
        let size = match u64::from_str_radix(str::from_utf8(size).unwrap_or_default(), 16) {
            Ok(size) if digits <= 16 && size < 1 << 63 && is_extension(extension) => size,
            _ => return Content::Malformed,
        };
        at += line.len() + 2;
        if size == 0 {
            break;
        }
        let rest = &bytes[at..];
        let len = usize::try_from(size).map_or(rest.len(), |size| size.min(rest.len()));
        content.extend_from_slice(&rest[..len]);
        match &rest[len..] {
            [b'\r', b'\n', ..] if len as u64 == size => at += len + 2,
            [] | [b'\r'] => return Content::Begun(content),
            _ => return Content::Malformed,
        }
    }
    trailers(bytes, at, content, limits)
}

fn trailers(bytes: &[u8], start: usize, content: Vec<u8>, limits: &Limits) -> Content {
    let (mut at, mut trailers) = (start, Vec::new());
    let section = &bytes[start..];
    if !section.starts_with(b"\r\n") && !section.windows(4).any(|four| four == b"\r\n\r\n") {
        // It is looked at as a whole, once it is there.
        return Content::Begun(content);
    }
    loop {
        let Some(line) = line(&bytes[at..]) else { return Content::Begun(content) };
        at += line.len() + 2;
        if at - start > limits.trailer_bytes_max + 2 {
            return Content::Malformed;
        }
        if line.is_empty() {
            return Content::Complete(content, trailers, at);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Content::Malformed };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let legal = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        if name.is_empty() || !name.iter().all(is_token_byte) || !line[colon + 1..].iter().all(legal) {
            return Content::Malformed;
        }
        trailers.push((name.to_vec(), value.to_vec()));
        if trailers.len() > limits.trailer_fields_max {
            return Content::Malformed;
        }
    }
}

/// Up to the first CRLF, if there is one. A CR or LF that is no part of it is for the caller to refuse: it is legal
/// nowhere.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some(&bytes[..end])
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )` (RFC 9112 §7.1.1).
fn is_extension(mut text: &[u8]) -> bool {
    while !text.is_empty() {
        let Some(b';') = blanks(&mut text) else { return false };
        text = &text[1..];
        blanks(&mut text);
        if !token(&mut text) {
            return false;
        }
        let mut after = text;
        if blanks(&mut after) == Some(b'=') {
            text = &after[1..];
            let quoted = blanks(&mut text) == Some(b'"');
            if !(if quoted { quoted_string(&mut text) } else { token(&mut text) }) {
                return false;
            }
        }
    }
    true
}

/// Goes over blanks, and gives what follows.
fn blanks(text: &mut &[u8]) -> Option<u8> {
    while let [b' ' | b'\t', rest @ ..] = text {
        *text = rest;
    }
    text.first().copied()
}

fn token(text: &mut &[u8]) -> bool {
    let len = text.iter().take_while(|byte| is_token_byte(byte)).count();
    *text = &text[len..];
    len > 0
}

fn quoted_string(text: &mut &[u8]) -> bool {
    let mut rest = &text[1..];
    loop {
        rest = match rest {
            [b'"', after @ ..] => {
                *text = after;
                return true;
            }
            [b'\\', b'\t' | b' '..=0x7e | 0x80.., after @ ..] => after,
            [b'\\', ..] => return false,
            [b'\t' | b' '..=0x7e | 0x80.., after @ ..] => after,
            _ => return false,
        };
    }
}

fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

//! Bytes from one side, read by one side of a connection.

use crate::cut::cuts;
use crate::reference;
use crate::wire::{Ask, Said, Transcript, client_in_pieces, server_in_pieces};
use corelane_codec::{Fields, Length, Limits, RequestHead, ResponseHead, Underscores};
use http::{HeaderMap, Method};

/// Requests, behind a byte that says which limits hold: `T`ight ones, names with underscores `D`ropped or `P`assed,
/// and the default ones.
pub fn requests(input: &[u8]) {
    let Some((flavour, bytes)) = input.split_first() else { return };
    let limits = limits(*flavour);
    let whole = server_in_pieces(&limits, &[bytes]);
    for pieces in cuts(bytes) {
        assert_eq!(server_in_pieces(&limits, &pieces), whole, "{}", shown(bytes));
    }
    assert!(bytes.ends_with(&whole.rest));
    for (head, content, complete) in messages(&whole) {
        let Said::Request(head) = head else { panic!("a server hears requests: {head:?}") };
        request_is_sound(head, &limits);
        length_is(head.content, content.len(), complete);
    }
    if limits == Limits::default() {
        hyper_sees_the_same_requests(bytes, &whole);
    }
}

/// Responses, behind a byte that says what was asked: a `H`EAD, a `W`ebSocket, or else a GET; the last with `T`ight
/// limits.
pub fn responses(input: &[u8]) {
    let Some((flavour, bytes)) = input.split_first() else { return };
    let limits = limits(*flavour);
    let ask = match flavour {
        b'H' => Ask::head(),
        b'W' => Ask::websocket(),
        _ => Ask::get(),
    };
    let asks = [ask, Ask::get()];
    let whole = client_in_pieces(&limits, &asks, &[bytes]);
    for pieces in cuts(bytes) {
        assert_eq!(client_in_pieces(&limits, &asks, &pieces), whole, "{}", shown(bytes));
    }
    let all = messages(&whole);
    for (head, content, complete) in &all {
        let (Said::Response(head) | Said::Interim(head)) = head else { panic!("no response: {head:?}") };
        response_is_sound(head, &limits);
        length_is(head.content, content.len(), *complete);
    }
    if limits == Limits::default() && asks[0].upgrade.is_none() {
        hyper_sees_the_same_response(&asks[0].method, bytes, &all);
    }
}

fn limits(flavour: u8) -> Limits {
    let mut limits = Limits::default();
    match flavour {
        b'T' => {
            (limits.request_line_bytes_max, limits.method_bytes_max) = (40, 6);
            (limits.request_head_bytes_max, limits.request_fields_max) = (150, 4);
            (limits.response_head_bytes_max, limits.response_fields_max) = (150, 4);
            (limits.trailer_bytes_max, limits.trailer_fields_max) = (20, 2);
            (limits.chunk_extension_bytes_max, limits.chunk_extension_bytes_per_chunk) = (5, 1);
            (limits.interim_responses_max, limits.leading_empty_lines_max) = (2, 1);
        }
        b'D' => limits.underscores = Underscores::Drop,
        b'P' => limits.underscores = Underscores::Pass,
        _ => {}
    }
    limits
}

/// Each head, with the content that followed it and whether its end was said.
fn messages(transcript: &Transcript) -> Vec<(&Said, Vec<u8>, bool)> {
    let mut all: Vec<(&Said, Vec<u8>, bool)> = Vec::new();
    for said in &transcript.said {
        match said {
            Said::Request(_) | Said::Interim(_) | Said::Response(_) => all.push((said, Vec::new(), false)),
            Said::Data(data) => all.last_mut().expect("content follows a head").1.extend_from_slice(data),
            Said::End(_) => all.last_mut().expect("an end follows a head").2 = true,
        }
    }
    all
}

fn length_is(length: Length, seen: usize, complete: bool) {
    match length {
        Length::None => assert_eq!(seen, 0),
        Length::Known(length) if complete => assert_eq!(length, seen as u64),
        Length::Known(length) => assert!(length >= seen as u64),
        Length::Chunked | Length::UntilClose => {}
    }
}

/// Fields that end at each hop: none is ever among those that go on.
const OF_CONNECTION: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn fields_are_sound(fields: &Fields, fields_max: usize) {
    assert!(fields.len() <= fields_max);
    for (name, value) in fields.iter() {
        let name = str::from_utf8(name).expect("a name is ASCII").to_ascii_lowercase();
        assert!(!OF_CONNECTION.contains(&name.as_str()), "{name} goes no further");
        assert!(value.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f)), "{name}: {value:?}");
        let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
        assert!(!blank(value.first()) && !blank(value.last()), "{name}: {value:?}");
    }
}

fn request_is_sound(head: &RequestHead, limits: &Limits) {
    assert!(head.method.as_str().len() <= limits.method_bytes_max);
    assert!(head.content != Length::UntilClose, "no request is ended by the close");
    match (head.method.as_str(), head.target.as_slice()) {
        ("CONNECT", target) => assert!(target.contains(&b':')),
        (_, [b'/', ..]) | ("OPTIONS", b"*") => {}
        (method, target) => panic!("{method} {}", shown(target)),
    }
    assert!(head.target.iter().all(|b| (0x21..=0x7e).contains(b)));
    assert!(head.fields.get_all("host").count() <= 1);
    // The Host of an absolute target comes on top of what came.
    fields_are_sound(&head.fields, limits.request_fields_max + 1);
    if limits.underscores != Underscores::Pass {
        assert!(head.fields.iter().all(|(name, _)| !name.contains(&b'_')));
    }
}

fn response_is_sound(head: &ResponseHead, limits: &Limits) {
    assert!((100..600).contains(&head.status.as_u16()));
    fields_are_sound(&head.fields, limits.response_fields_max);
    if matches!(head.status.as_u16(), 100..200 | 204 | 205 | 304) {
        assert_eq!(head.content, Length::None);
    }
}

/// Whatever we take for a complete request, hyper takes for the same one; unless it stops earlier, which is its right
/// only where it is stricter than we are.
fn hyper_sees_the_same_requests(bytes: &[u8], whole: &Transcript) {
    let theirs = reference::requests(bytes);
    for (at, (head, content, _)) in messages(whole).iter().filter(|message| message.2).enumerate() {
        let Said::Request(head) = head else { continue };
        if head.method == Method::CONNECT {
            // A tunnel, to hyper.
            return;
        }
        let Some(seen) = theirs.get(at) else {
            assert!(hyper_is_stricter(head), "hyper does not see {head:?} in {}", shown(bytes));
            return;
        };
        assert_eq!((&seen.method, &seen.content), (&head.method, content), "{}", shown(bytes));
        let moved = seen.uri.authority().is_some();
        are_among(&head.fields, &seen.fields, |name| moved && name == "host");
    }
}

/// Targets that we pass as they are and `http::Uri` does not take, those in absolute form by their host.
fn hyper_is_stricter(head: &RequestHead) -> bool {
    http::Uri::try_from(head.target.as_slice()).is_err()
        || head.fields.get("host").is_some_and(|host| http::uri::Authority::try_from(host).is_err())
}

fn hyper_sees_the_same_response(method: &Method, bytes: &[u8], all: &[(&Said, Vec<u8>, bool)]) {
    let Some((Said::Response(head), content, complete)) =
        all.iter().find(|(head, ..)| matches!(head, Said::Response(_)))
    else {
        return;
    };
    let Some(seen) = reference::response(method.clone(), bytes) else {
        panic!("hyper does not see {head:?} in {}", shown(bytes));
    };
    assert_eq!(seen.status, head.status);
    are_among(&head.fields, &seen.fields, |_| false);
    if *complete && head.status != 205 {
        assert_eq!(seen.content.as_ref(), Some(content), "{}", shown(bytes));
    }
}

/// Each of our fields stands in theirs, those with one name in the same order.
fn are_among(ours: &Fields, theirs: &HeaderMap, excused: impl Fn(&str) -> bool) {
    for (name, _) in ours.iter() {
        let name = str::from_utf8(name).expect("a name is ASCII").to_ascii_lowercase();
        if !excused(&name) {
            let theirs: Vec<_> = theirs.get_all(&name).iter().map(|value| value.as_bytes()).collect();
            assert_eq!(ours.get_all(&name).collect::<Vec<_>>(), theirs, "{name}");
        }
    }
}

pub(crate) fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

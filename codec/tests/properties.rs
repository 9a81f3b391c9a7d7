//! What holds for all bytes, shown for many: cuts change nothing, what is written is read as it was meant, and
//! another implementation sees the same messages.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod reference;
mod wire;

use corelane_codec::h1::{Client, Server, Wrap};
use corelane_codec::{Error, Length, Limits, RequestHead, ResponseHead};
use http::{Method, StatusCode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use wire::{Ask, CANARY, Said, Transcript, client_in_pieces, server_in_pieces, texts};

/// A field that goes end to end, as (name, value).
fn field() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        select(vec![
            "Accept",
            "Cookie",
            "X-A",
            "x-a",
            "User-Agent",
            "Date",
            "Via",
            "ETag",
            "X-Forwarded-For"
        ])
        .prop_map(str::to_owned),
        "[A-Za-z][A-Za-z0-9!#$%&'*+.^`|~-]{0,20}",
    ];
    (name, "([!-~\u{e0}-\u{ff}]([ -~\t]{0,20}[!-~])?)?").prop_filter(
        "end to end, and no date for the reference to add",
        |(name, _)| {
            let reserved = [
                "host",
                "connection",
                "content-length",
                "transfer-encoding",
                "keep-alive",
                "proxy-connection",
                "te",
                "trailer",
                "upgrade",
                "expect",
                "http2-settings",
                "date",
            ];
            !reserved.contains(&name.to_ascii_lowercase().as_str())
        },
    )
}

fn target() -> impl Strategy<Value = String> {
    "/[a-zA-Z0-9._~%/:@!$&'()*+,;=-]{0,20}([?][a-zA-Z0-9._~/?:@!$&'()*+,;=-]{0,20})?"
}

fn method() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]).prop_map(str::to_owned),
        "[A-Z]{1,10}(-[A-Z]{1,10})?"
    ]
    .prop_filter("not spoken here", |m| m != "CONNECT" && m != "PRI")
}

/// Content in pieces of at least one byte.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 1..40), 0..4)
}

fn length_of(pieces: &[Vec<u8>], chunked: bool) -> Length {
    if chunked { Length::Chunked } else { Length::Known(pieces.concat().len() as u64) }
}

prop_compose! {
    fn request()(
        method in method(), target in target(), fields in vec(field(), 0..8), pieces in pieces(), chunked: bool,
        accepts_trailers: bool,
    ) -> (RequestHead, Vec<Vec<u8>>) {
        let mut head = RequestHead { method: method.parse().unwrap(), target: target.into(), accepts_trailers, ..Default::default() };
        head.fields.append("Host", "example.com");
        for (name, value) in fields {
            head.fields.append(&name, value);
        }
        head.content = length_of(&pieces, chunked);
        (head, pieces)
    }
}

prop_compose! {
    fn response()(
        status in prop_oneof![3 => Just(200), 1 => 200_u16..600], fields in vec(field(), 0..8), pieces in pieces(), chunked: bool,
    ) -> (ResponseHead, Vec<Vec<u8>>) {
        let mut head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), ..Default::default() };
        for (name, value) in fields {
            head.fields.append(&name, value);
        }
        head.content = length_of(&pieces, chunked);
        (head, pieces)
    }
}

fn write_content(out: &mut Vec<u8>, pieces: &[Vec<u8>], mut wrap: impl FnMut(usize) -> Result<Wrap, Error>) {
    for piece in pieces {
        let wrap = wrap(piece.len()).unwrap();
        out.extend([wrap.before(), piece, wrap.after()].concat());
    }
}

fn write_request((head, pieces): &(RequestHead, Vec<Vec<u8>>)) -> Vec<u8> {
    let (mut client, mut out) = (Client::new(), Vec::new());
    client.send_head(head, &mut out).unwrap();
    write_content(&mut out, pieces, |len| client.send_data(len));
    client.send_end(None, &mut out).unwrap();
    out
}

/// As an answer to this request.
fn write_response(asked: &[u8], (head, pieces): &(ResponseHead, Vec<Vec<u8>>)) -> Vec<u8> {
    let (limits, mut out) = (Limits::default(), Vec::new());
    let mut server = Server::new(&limits);
    server.receive(&limits, asked, &mut RequestHead::new()).unwrap();
    server.send_head(head, &mut out).unwrap();
    if server.sends_content() {
        write_content(&mut out, pieces, |len| server.send_data(len));
    }
    server.send_end(None, &mut out).unwrap();
    assert!(server.may_reuse());
    out
}

/// Changes that make something else of a message: bytes that parsers fall over, put in, over or out.
fn damage() -> impl Strategy<Value = Vec<(Index, u8, Option<u8>)>> {
    let interesting = b"\r\n\0 \t:;,\"\\/0159aAfFxX#?@[]%_-\x0b\x7f\x80\xff".to_vec();
    vec((any::<Index>(), 0_u8..4, proptest::option::of(select(interesting))), 0..4)
}

fn damaged(mut bytes: Vec<u8>, damage: &[(Index, u8, Option<u8>)]) -> Vec<u8> {
    for (at, how, byte) in damage.iter().filter(|_| !bytes.is_empty()).cloned().collect::<Vec<_>>() {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match (how, byte) {
            (0, Some(byte)) => bytes.insert(at, byte),
            (1, Some(byte)) => bytes[at] = byte,
            (2, _) => drop(bytes.remove(at)),
            (_, _) => bytes.insert(at, bytes[at]),
        }
    }
    bytes
}

/// Fields that decide about framing, right and wrong.
fn framing_fields() -> impl Strategy<Value = String> {
    let lines = vec![
        "Content-Length: 5",
        "Content-Length: 0",
        "Content-Length: 05",
        "Content-Length: 5,5",
        "Content-Length : 5",
        "Content-Length:5",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: Chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, ",
        "Transfer-Encoding:\tchunked",
        "Transfer-Encoding: identity",
        "Connection: close",
        "Connection: keep-alive",
        "Connection: x, y",
        "Connection: content-length",
        "Expect: 100-continue",
        "TE: trailers",
        "X: y",
        " folded",
        "Upgrade: websocket",
        "Connection: upgrade",
        "Host: b",
    ];
    vec(select(lines), 0..4).prop_map(|lines| lines.iter().map(|line| format!("{line}\r\n")).collect())
}

fn chunked_content() -> impl Strategy<Value = String> {
    let part = select(vec![
        "5\r\nhello\r\n",
        "0\r\n\r\n",
        "0\r\nA: b\r\n\r\n",
        "1;a=\"b\"\r\nx\r\n",
        "1 ;a\r\nx\r\n",
        "00\r\n\r\n",
        "hello",
        "\r\n",
        "5\r\n",
        "ffffffffffffffff\r\n",
        "a\r\n0123456789\r\n",
        "2\r\n\r\n\r\n",
        "0;x\r\n\r\n",
        "0\r\n",
    ]);
    vec(part, 0..5).prop_map(|parts| parts.concat())
}

/// Some bytes from a client: well-formed, nearly so, or pieced together to mislead.
fn from_client() -> impl Strategy<Value = Vec<u8>> {
    let written = request().prop_map(|r| write_request(&r));
    let versions = select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2"]);
    let misleading = (method(), versions, framing_fields(), chunked_content()).prop_map(
        |(method, version, fields, content)| {
            format!("{method} /a {version}\r\nHost: a\r\n{fields}\r\n{content}").into_bytes()
        },
    );
    let messages = vec(prop_oneof![written, misleading], 1..4);
    (messages, damage())
        .prop_map(|(messages, damage)| [&damaged(messages.concat(), &damage), CANARY].concat())
}

fn from_origin() -> impl Strategy<Value = Vec<u8>> {
    let written = response().prop_map(|r| write_response(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", &r));
    let lines = select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 204 x",
        "HTTP/1.1 304 x",
        "HTTP/1.1 103 x",
        "HTTP/1.1 205 x",
        "HTTP/1.1 101 x",
    ]);
    let misleading = (lines, framing_fields(), chunked_content())
        .prop_map(|(line, fields, content)| format!("{line}\r\n{fields}\r\n{content}").into_bytes());
    let messages = vec(prop_oneof![written, misleading], 1..4);
    (messages, damage()).prop_map(|(messages, damage)| damaged(messages.concat(), &damage))
}

fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// Each request with its content, if it came to its end.
fn complete_requests(transcript: &Transcript) -> Vec<(RequestHead, Vec<u8>)> {
    let (mut all, mut content) = (Vec::new(), Vec::new());
    let mut head = None;
    for said in &transcript.said {
        match said {
            Said::Request(request) => (head, content) = (Some(request.clone()), Vec::new()),
            Said::Data(data) => content.extend_from_slice(data),
            Said::End(_) => all.push((head.take().unwrap(), std::mem::take(&mut content))),
            said => panic!("{said:?}"),
        }
    }
    all
}

/// Values by lower-case name, without what ends at a hop, in the order of each name.
fn by_name(fields: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let hop = [
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "expect",
        "upgrade",
        "keep-alive",
        "trailer",
        "proxy-connection",
        "http2-settings",
    ];
    let mut all: Vec<_> = fields.filter(|(name, _)| !hop.contains(&name.as_str())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn ours(fields: &corelane_codec::Fields) -> Vec<(String, Vec<u8>)> {
    by_name(fields.iter().map(|(n, v)| (String::from_utf8_lossy(n).to_ascii_lowercase(), v.to_vec())))
}

fn theirs(fields: &http::HeaderMap) -> Vec<(String, Vec<u8>)> {
    by_name(fields.iter().map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_vec())))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn i2_h1q_64_cuts_change_nothing_for_a_server(bytes in from_client(), cuts in vec(any::<Index>(), 0..12)) {
        let limits = Limits::default();
        let whole = server_in_pieces(&limits, &[&bytes]);
        prop_assert_eq!(&server_in_pieces(&limits, &cut(&bytes, &cuts)), &whole);
        prop_assert_eq!(&server_in_pieces(&limits, &bytes.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn i2_h1q_64_cuts_change_nothing_for_a_client(bytes in from_origin(), cuts in vec(any::<Index>(), 0..12), head: bool) {
        let limits = Limits::default();
        let asks = [if head { Ask::head() } else { Ask::get() }, Ask::websocket(), Ask::get()];
        let whole = client_in_pieces(&limits, &asks, &[&bytes]);
        prop_assert_eq!(&client_in_pieces(&limits, &asks, &cut(&bytes, &cuts)), &whole);
        prop_assert_eq!(&client_in_pieces(&limits, &asks, &bytes.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn i2_cuts_change_nothing_at_small_limits(bytes in from_client(), cuts in vec(any::<Index>(), 0..12), line in 1_usize..80, head in 1_usize..150) {
        let mut limits = Limits::default();
        (limits.request_line_bytes_max, limits.request_head_bytes_max) = (line, head);
        (limits.request_fields_max, limits.trailer_bytes_max, limits.chunk_extension_bytes_max) = (4, 5, 3);
        (limits.method_bytes_max, limits.chunk_extension_bytes_per_chunk) = (6, 1);
        let whole = server_in_pieces(&limits, &[&bytes]);
        prop_assert_eq!(&server_in_pieces(&limits, &cut(&bytes, &cuts)), &whole);
        prop_assert_eq!(&server_in_pieces(&limits, &bytes.chunks(1).collect::<Vec<_>>()), &whole);
    }

    #[test]
    fn i4_a_request_that_is_written_is_read_as_it_was_meant(request in request()) {
        let bytes = [&write_request(&request)[..], CANARY].concat();
        let transcript = server_in_pieces(&Limits::default(), &[&bytes]);
        prop_assert_eq!(transcript.error, None);
        let seen = complete_requests(&transcript);
        prop_assert_eq!(seen.len(), 2);
        prop_assert!(wire::is_canary(&seen[1].0));
        let (head, content) = (&seen[0].0, &seen[0].1);
        prop_assert_eq!((&head.method, &head.target), (&request.0.method, &request.0.target));
        prop_assert_eq!(texts(&head.fields), texts(&request.0.fields));
        prop_assert_eq!((head.content, head.accepts_trailers), (request.0.content, request.0.accepts_trailers));
        prop_assert_eq!(content, &request.1.concat());
    }

    #[test]
    fn i4_a_response_that_is_written_is_read_as_it_was_meant(response in response(), head: bool) {
        let (asked, ask): (&[u8], _) = if head {
            (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Ask::head())
        } else {
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ask::get())
        };
        let canary = b"HTTP/1.1 404 canary\r\nContent-Length: 6\r\n\r\ncanary";
        let bytes = [&write_response(asked, &response)[..], canary].concat();
        let transcript = client_in_pieces(&Limits::default(), &[ask, Ask::get()], &[&bytes]);
        prop_assert_eq!(transcript.error, None);
        let bodiless = head || matches!(response.0.status.as_u16(), 204 | 304);
        let odd = response.0.status == 205 && (response.0.content == Length::Chunked || !response.0.content.is_empty());
        let content = if bodiless || odd { vec![] } else { response.1.concat() };
        prop_assert_eq!(texts(&transcript.responses()[0].fields), texts(&response.0.fields));
        prop_assert_eq!(transcript.responses()[0].status, response.0.status);
        if !odd {
            prop_assert_eq!(transcript.responses()[1].status, StatusCode::NOT_FOUND);
            prop_assert_eq!(transcript.content(), [&content[..], b"canary"].concat());
        }
    }

    #[test]
    fn a_reference_reads_the_requests_that_we_write(requests in vec(request(), 1..4)) {
        let bytes: Vec<u8> = requests.iter().flat_map(write_request).collect();
        let seen = reference::requests(&bytes);
        prop_assert_eq!(seen.len(), requests.len());
        for (seen, (head, pieces)) in seen.iter().zip(&requests) {
            prop_assert_eq!(&seen.method, &head.method);
            prop_assert_eq!(seen.uri.to_string().into_bytes(), head.target.clone());
            prop_assert_eq!(theirs(&seen.fields), ours(&head.fields));
            prop_assert_eq!(&seen.content, &pieces.concat());
        }
    }

    #[test]
    fn i2_a_reference_sees_the_same_requests_in_any_bytes(bytes in from_client()) {
        let ours_all = complete_requests(&server_in_pieces(&Limits::default(), &[&bytes]));
        let theirs_all = reference::requests(&bytes);
        // Where one of them stops, there is nothing to compare: we refuse more, and it closes more.
        for ((head, content), seen) in ours_all.iter().zip(&theirs_all) {
            prop_assert_eq!(&seen.method, &head.method);
            prop_assert_eq!(&seen.content, content, "{:?}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn a_reference_reads_the_responses_that_we_write(response in response(), head: bool) {
        let (asked, method): (&[u8], _) =
            if head { (b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Method::HEAD) } else { (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Method::GET) };
        let seen = reference::response(method, &write_response(asked, &response)).unwrap();
        prop_assert_eq!(seen.status, response.0.status);
        prop_assert_eq!(theirs(&seen.fields), ours(&response.0.fields));
        let bodiless = head || matches!(response.0.status.as_u16(), 204 | 205 | 304);
        prop_assert_eq!(seen.content, Some(if bodiless { vec![] } else { response.1.concat() }));
    }

    #[test]
    fn i2_i5_a_reference_sees_the_same_response_in_any_bytes(bytes in from_origin(), head: bool) {
        let (ask, method) = if head { (Ask::head(), Method::HEAD) } else { (Ask::get(), Method::GET) };
        let transcript = client_in_pieces(&Limits::default(), &[ask], &[&bytes]);
        let (Some(ours_seen), Some(seen)) = (transcript.responses().first().copied(), reference::response(method, &bytes)) else {
            return Ok(());
        };
        prop_assert_eq!(seen.status, ours_seen.status);
        if transcript.ends() == 1 && seen.status != 205 && let Some(content) = seen.content {
            prop_assert_eq!(content, transcript.content(), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

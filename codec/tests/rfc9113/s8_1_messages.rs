//! RFC 9113 §8.1: HTTP message framing.

use crate::h2::*;
use corelane_codec::h2::{Code, Config};
use corelane_codec::{Fields, Kind, Length, RequestHead, ResponseHead, Version};
use http::StatusCode;

/// A client that has sent this request on stream 1.
fn asked(head: &RequestHead, cut: Cut) -> Side {
    let mut client = Side::client(cut);
    client.connection.send_request(head, &mut client.out).unwrap();
    client.sent();
    client
}

/// §8.1: a message is HEADERS, DATA, and optionally HEADERS with trailers.
#[test]
fn s8_1_a_whole_exchange() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[POST, &[("te", "trailers")]].concat(), 0));
        server.feed([data(1, b"hello ", 0), data(1, b"world", 0)].concat());
        server.feed(headers(1, &[("x-sum", "11")], END_STREAM));
        server.assert_alive();
        let head = server.requests()[0];
        assert_eq!(
            (head.version, head.content, head.accepts_trailers),
            (Version::Http2, Length::Chunked, true)
        );
        assert_eq!(head.authority(), b"example.com");
        assert_eq!(server.content(1), (b"hello world".to_vec(), true));
        let Some(Said::Trailers(1, trailers)) = server.said.last() else { panic!("{:?}", server.said) };
        assert_eq!(texts(trailers), [("x-sum".into(), "11".into())]);
        server.sent();
        let mut hints = Fields::new();
        hints.append("Link", "</a>");
        assert!(server.connection.inform(id(1), StatusCode::EARLY_HINTS, &hints, &mut server.out));
        let ended = server.connection.send_response(id(1), &response(200, Length::Chunked), &mut server.out);
        assert_eq!(ended, Ok(false));
        assert_eq!(server.send(1, b"fine", false), 4);
        let mut trailers = Fields::new();
        trailers.append("X-Sum", "4");
        server.connection.send_trailers(id(1), &trailers, &mut server.out).unwrap();
        let kinds: Vec<_> = server.sent().iter().map(|sent| (sent.kind, sent.flags)).collect();
        let whole = END_HEADERS;
        assert_eq!(kinds, [(HEADERS, whole), (HEADERS, whole), (DATA, 0), (HEADERS, whole | END_STREAM)]);
        server
    });
    every_split(|cut| {
        let head = RequestHead { content: Length::Chunked, accepts_trailers: true, ..request("/") };
        let mut client = asked(&head, cut);
        assert_eq!(client.send(1, b"hello", false), 5);
        let mut trailers = Fields::new();
        trailers.append("X-Sum", "5");
        client.connection.send_trailers(id(1), &trailers, &mut client.out).unwrap();
        let kinds: Vec<_> = client.sent().iter().map(|sent| (sent.kind, sent.flags)).collect();
        assert_eq!(kinds, [(DATA, 0), (HEADERS, END_HEADERS | END_STREAM)]);
        client.feed(headers(1, &[(":status", "103"), ("link", "</a>")], 0));
        client.feed(headers(1, &[(":status", "200"), ("content-length", "4")], 0));
        client.feed(data(1, b"fine", 0));
        client.feed(headers(1, &[("x-sum", "4")], END_STREAM));
        client.assert_alive();
        assert!(matches!(&client.said[0], Said::Interim(1, head) if head.status == 103));
        let head = client.responses()[0];
        assert_eq!((head.version, head.content), (Version::Http2, Length::Known(4)));
        assert_eq!(client.content(1), (b"fine".to_vec(), true));
        client
    });
}

/// §8.1: "A HEADERS frame with the END_STREAM flag set that carries an informational status code is malformed".
#[test]
fn s8_1_h2_36_an_interim_response_that_ends_the_stream_is_malformed() {
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(headers(1, &[(":status", "103")], END_STREAM));
        client.assert_malformed(1, Kind::Truncated);
        client
    });
}

/// Sixteen interim responses are enough for everybody.
#[test]
fn s8_1_h2_36_interim_responses_have_an_end() {
    let mut client = Side::asking(Cut::Whole);
    for _ in 0..16 {
        client.feed(headers(1, &[(":status", "102")], 0));
    }
    client.assert_alive();
    assert_eq!(client.said.len(), 16);
    client.feed(headers(1, &[(":status", "102")], 0));
    client.assert_malformed(1, Kind::TooManyInterim);
}

/// §8.1: "Trailers MUST NOT include pseudo-header fields (Section 8.3). An endpoint that receives pseudo-header fields in
/// trailers MUST treat the request or response as malformed".
#[test]
fn s8_1_h2_24_h2_36_no_pseudo_field_in_trailers() {
    for field in [(":path", "/"), (":status", "200"), (":x", "y")] {
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(headers(1, &[("a", "b"), field], END_STREAM));
                side.assert_malformed(1, Kind::PseudoField);
            }
            server
        });
        every_split(|cut| {
            let [mut server, mut client] = Side::both(cut);
            for side in [&mut server, &mut client] {
                side.feed(headers(1, &[field], END_STREAM));
                side.assert_malformed(1, Kind::PseudoField);
            }
            server
        });
    }
}

/// §8.1: "An endpoint that receives a HEADERS frame without the END_STREAM flag set after receiving the HEADERS frame
/// that opens a request or after receiving a final (non-informational) status code MUST treat the corresponding request
/// or response as malformed".
#[test]
fn s8_1_h2_31_headers_in_the_middle_are_malformed() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed([data(1, b"abc", 0), headers(1, &[("a", "b")], 0)].concat());
            side.assert_malformed(1, Kind::Trailer);
        }
        server
    });
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed([headers(1, OK, 0), headers(1, OK, 0)].concat());
        client.assert_malformed(1, Kind::Trailer);
        client
    });
}

/// As above: nothing follows trailers.
#[test]
fn s8_1_h2_31_nothing_follows_trailers() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed([headers(1, &[("a", "b")], END_STREAM), data(1, b"abc", 0)].concat());
            side.assert_stream_error(1, Code::STREAM_CLOSED);
        }
        server
    });
}

/// Content before the head of a response is no response.
#[test]
fn s8_1_content_before_a_response_is_malformed() {
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(data(1, b"abc", 0));
        client.assert_malformed(1, Kind::Order);
        client
    });
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed([headers(1, &[(":status", "100")], 0), data(1, b"", END_STREAM)].concat());
        client.assert_malformed(1, Kind::Order);
        client
    });
}

/// §8.1: "A server can send a complete response prior to the client sending an entire request … a server MAY request that
/// the client abort transmission of a request without error by sending a RST_STREAM with an error code of NO_ERROR after
/// sending a complete response".
#[test]
fn s8_1_a_server_that_has_answered_wants_no_more() {
    let mut server = Side::server(Cut::Whole);
    server.feed([headers(1, POST, 0), data(1, b"abc", 0)].concat());
    server.answer(1, b"no");
    server.connection.close(id(1));
    let sent = server.sent();
    let last = sent.last().unwrap();
    assert_eq!((last.kind, last.code()), (RST_STREAM, Code::NO_ERROR));
    assert_eq!(sent[sent.len() - 2].flags, END_STREAM);
    server.feed(data(1, b"more", END_STREAM));
    server.assert_alive();
}

/// §8.1: "Clients MUST NOT discard responses as a result of receiving such a RST_STREAM".
#[test]
fn s8_1_a_complete_response_survives_a_reset() {
    every_split(|cut| {
        let head = RequestHead { content: Length::Chunked, ..request("/") };
        let mut client = asked(&head, cut);
        client.feed([headers(1, OK, 0), data(1, b"no", END_STREAM), reset(1, Code::NO_ERROR)].concat());
        assert_eq!(client.content(1), (b"no".to_vec(), true));
        assert!(matches!(client.said.last(), Some(Said::Reset(1, error)) if error.code == Code::NO_ERROR));
        client
    });
}

/// §8.1.1: "A request or response is also malformed if the value of a content-length header field does not equal the sum
/// of the DATA frame payload lengths that form the content". Padding is no content.
#[test]
fn s8_1_1_h2_28_content_length_is_the_sum_of_the_content() {
    let five = ("content-length", "5");
    let right: &[&[&[u8]]] = &[&[b"hello"], &[b"he", b"", b"llo"], &[b"h", b"e", b"l", b"lo", b""]];
    let wrong: &[&[&[u8]]] = &[&[b"hell"], &[b"hello!"], &[b""], &[b"hello", b"!"], &[b"he", b"ll"]];
    for (contents, is_right) in [(right, true), (wrong, false)] {
        for content in contents {
            let frames = |side: &mut Side| {
                for (n, piece) in content.iter().enumerate() {
                    let end = if n + 1 == content.len() { END_STREAM } else { 0 };
                    side.feed(frame(DATA, end | PADDED, 1, &padded(piece, 3)));
                }
                if is_right {
                    side.assert_alive();
                    assert_eq!(side.content(1), (b"hello".to_vec(), true));
                } else {
                    side.assert_malformed(1, Kind::ContentLengthMismatch);
                    assert!(!side.content(1).1);
                }
            };
            every_split(|cut| {
                let mut server = Side::server(cut);
                server.feed(headers(1, &[POST, &[five]].concat(), 0));
                frames(&mut server);
                server
            });
            every_split(|cut| {
                let mut client = Side::asking(cut);
                client.feed(headers(1, &[(":status", "200"), five], 0));
                frames(&mut client);
                client
            });
        }
    }
}

/// As above, with no DATA at all, and with trailers.
#[test]
fn s8_1_1_h2_28_content_length_without_content() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[POST, &[("content-length", "5")]].concat(), END_STREAM));
        server.assert_malformed(1, Kind::ContentLengthMismatch);
        assert_eq!(server.requests().len(), 0);
        server.feed(headers(3, &[POST, &[("content-length", "0")]].concat(), END_STREAM));
        assert_eq!(server.requests()[0].content, Length::Known(0));
        server.feed(headers(5, &[POST, &[("content-length", "5")]].concat(), 0));
        server.feed(data(5, b"hell", 0));
        server.feed(headers(5, &[("a", "b")], END_STREAM));
        server.assert_malformed(5, Kind::ContentLengthMismatch);
        server
    });
    every_split(|cut| {
        let mut client = Side::asking(cut);
        client.feed(headers(1, &[(":status", "200"), ("content-length", "5")], END_STREAM));
        client.assert_malformed(1, Kind::ContentLengthMismatch);
        client
    });
}

/// A length that is none, or two.
#[test]
fn s8_1_1_h2_28_content_length_is_one_number() {
    for (values, kind) in [
        (&["5", "5"][..], Kind::ContentLengthRepeated),
        (&["5", "6"], Kind::ContentLengthRepeated),
        (&["5, 5"], Kind::ContentLength),
        (&["-1"], Kind::ContentLength),
        (&["+5"], Kind::ContentLength),
        (&["0x5"], Kind::ContentLength),
        (&[""], Kind::ContentLength),
        (&["99999999999999999999"], Kind::ContentLength),
    ] {
        let lengths: Vec<_> = values.iter().map(|value| ("content-length", *value)).collect();
        every_split(|cut| {
            let mut server = Side::server(cut);
            server.feed(headers(1, &[POST, &lengths].concat(), 0));
            server.assert_malformed(1, kind);
            server
        });
        every_split(|cut| {
            let mut client = Side::asking(cut);
            client.feed(headers(1, &[OK, &lengths].concat(), 0));
            client.assert_malformed(1, kind);
            client
        });
    }
}

/// §8.1.1: "204 or 304 responses contain no content, as does the response to a HEAD request. A response that is defined
/// to have no content … MAY have a non-zero content-length header field, even though no content is included in DATA
/// frames."
#[test]
fn s8_1_1_responses_without_content_may_say_a_length() {
    let head = |method: http::Method| RequestHead { method, ..request("/") };
    for (method, status) in [
        (http::Method::HEAD, "200"),
        (http::Method::GET, "304"),
        (http::Method::GET, "204"),
        (http::Method::HEAD, "404"),
    ] {
        for end in ["headers", "data", "trailers"] {
            every_split(|cut| {
                let mut client = asked(&head(method.clone()), cut);
                let flags = if end == "headers" { END_STREAM } else { 0 };
                client.feed(headers(1, &[(":status", status), ("content-length", "5")], flags));
                match end {
                    "data" => client.feed(data(1, b"", END_STREAM)),
                    "trailers" => client.feed(headers(1, &[("a", "b")], END_STREAM)),
                    _ => {}
                }
                client.assert_alive();
                let head = client.responses()[0];
                assert_eq!((head.content, head.declared_length), (Length::None, Some(5)));
                assert!(client.content(1).1);
                client
            });
        }
        every_split(|cut| {
            let mut client = asked(&head(method.clone()), cut);
            client.feed(headers(1, &[(":status", status), ("content-length", "5")], 0));
            client.feed(data(1, b"hello", END_STREAM));
            client.assert_malformed(1, Kind::ContentUnexpected);
            client
        });
    }
}

/// What we send is neither longer nor shorter than we said: truncated is never complete.
#[test]
fn s8_1_1_we_keep_our_word_or_reset() {
    for content in [&b"hell"[..], b"hello!"] {
        let mut server = Side::server(Cut::Whole);
        server.feed(headers(1, GET, END_STREAM));
        server.connection.send_response(id(1), &response(200, Length::Known(5)), &mut server.out).unwrap();
        let error = server.connection.send_data(id(1), content.len(), true, server.now).unwrap_err();
        assert_eq!(error.cause, corelane_codec::h2::Cause::Message(Kind::Length));
        let sent = server.sent();
        assert_eq!(sent.last().unwrap().code(), Code::INTERNAL_ERROR);
        assert!(sent.iter().all(|sent| sent.kind != DATA));
    }
    for trailers in [false, true] {
        let mut server = Side::server(Cut::Whole);
        server.feed(headers(1, &[GET, &[("te", "trailers")]].concat(), END_STREAM));
        server.connection.send_response(id(1), &response(200, Length::Known(5)), &mut server.out).unwrap();
        assert_eq!(server.send(1, b"hell", false), 4);
        let mut fields = Fields::new();
        fields.append("a", "b");
        let end = match trailers {
            true => server.connection.send_trailers(id(1), &fields, &mut server.out),
            false => server.connection.send_end(id(1), &mut server.out),
        };
        assert!(end.is_err());
        let sent = server.sent();
        assert_eq!(
            (sent.last().unwrap().kind, sent.last().unwrap().code()),
            (RST_STREAM, Code::INTERNAL_ERROR)
        );
        assert!(sent.iter().all(|sent| sent.flags & END_STREAM == 0 || sent.kind == RST_STREAM));
    }
}

/// A response ends with its head where there is nothing else, and says the length that HTTP/1 would say.
#[test]
fn s8_1_a_response_without_content_is_one_frame() {
    for (method, status, content, length) in [
        ("GET", 200, Length::None, Some("0")),
        ("GET", 200, Length::Known(0), Some("0")),
        ("GET", 204, Length::None, None),
        ("GET", 304, Length::Known(7), Some("7")),
        ("HEAD", 200, Length::Known(7), Some("7")),
        ("HEAD", 200, Length::Chunked, None),
    ] {
        let mut server = Side::server(Cut::Whole);
        let fields = [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "a")];
        server.feed(headers(1, &fields, END_STREAM));
        let ended = server.connection.send_response(id(1), &response(status, content), &mut server.out);
        assert_eq!(ended, Ok(true));
        assert!(server.connection.sending_ended(id(1)));
        let sent = server.sent();
        assert_eq!((sent.len(), sent[0].flags), (1, END_HEADERS | END_STREAM));
        let ask = RequestHead { method: method.parse().unwrap(), ..request("/") };
        let mut client = asked(&ask, Cut::Whole);
        client.feed(frame(HEADERS, sent[0].flags, 1, &sent[0].payload));
        let said = client.responses()[0].declared_length.map(|length| length.to_string());
        assert_eq!(said.as_deref(), length, "{method} {status} {content:?}");
    }
}

/// Heads that are not sent.
#[test]
fn s8_1_a_response_is_sent_once_and_in_order() {
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, GET, END_STREAM));
    server.sent();
    let connection = &mut server.connection;
    let out = &mut server.out;
    for status in [100, 101, 103, 199, 600, 999] {
        assert!(connection.send_response(id(1), &response(status, Length::None), out).is_err());
    }
    assert!(connection.send_data(id(1), 1, false, server.now).is_err());
    assert!(connection.offer(id(1), 1, server.now).is_err());
    assert!(connection.send_end(id(1), out).is_err());
    assert!(connection.send_request(&request("/"), out).is_err());
    assert!(!connection.inform(id(1), StatusCode::OK, &Fields::new(), out));
    assert!(!connection.inform(id(1), StatusCode::SWITCHING_PROTOCOLS, &Fields::new(), out));
    assert!(out.is_empty());
    connection.send_response(id(1), &response(200, Length::Chunked), out).unwrap();
    assert!(connection.send_response(id(1), &response(200, Length::Chunked), out).is_err());
    assert!(!connection.inform(id(1), StatusCode::CONTINUE, &Fields::new(), out));
    assert!(connection.send_data(id(1), 0, false, server.now).is_err(), "a frame of nothing");
    let mut client = Side::asking(Cut::Whole);
    let head = ResponseHead::new();
    assert!(client.connection.send_response(id(1), &head, &mut client.out).is_err());
    assert!(client.out.is_empty());
}

/// Trailers go to clients that take them, without what may not trail (RFC 9110 §6.5.1).
#[test]
fn s8_1_trailers_are_sent_to_those_who_take_them() {
    for (te, fields, flags) in [
        (true, &["x-a", "Host", "content-type"][..], HEADERS),
        (true, &["content-length", "authorization"], DATA),
        (false, &["x-a"], DATA),
    ] {
        let mut server = Side::server(Cut::Whole);
        let asks: &[(&str, &str)] = if te { &[("te", "trailers")] } else { &[] };
        server.feed(headers(1, &[GET, asks].concat(), END_STREAM));
        assert_eq!(server.connection.takes_trailers(id(1)), te);
        server.connection.send_response(id(1), &response(200, Length::Chunked), &mut server.out).unwrap();
        server.sent();
        let mut trailers = Fields::new();
        fields.iter().for_each(|name| trailers.append(name, "1"));
        server.connection.send_trailers(id(1), &trailers, &mut server.out).unwrap();
        let sent = server.sent();
        assert_eq!((sent.len(), sent[0].kind, sent[0].flags & END_STREAM), (1, flags, END_STREAM));
        if flags == HEADERS {
            let mut client = Side::asking(Cut::Whole);
            client.feed(headers(1, OK, 0));
            client.feed(frame(HEADERS, sent[0].flags, 1, &sent[0].payload));
            let Some(Said::Trailers(1, trailers)) = client.said.last() else { panic!("{:?}", client.said) };
            assert_eq!(texts(trailers), [("x-a".into(), "1".into())]);
        }
    }
}

/// Trailers have limits of their own, and lose what may not trail.
#[test]
fn s8_1_trailers_that_come_are_limited() {
    every_split(|cut| {
        let [mut server, mut client] = Side::both(cut);
        for side in [&mut server, &mut client] {
            side.feed(headers(1, &[("x-a", "1"), ("host", "evil"), ("authorization", "x")], END_STREAM));
            side.assert_alive();
            let Some(Said::Trailers(1, trailers)) = side.said.last() else { panic!("{:?}", side.said) };
            assert_eq!(texts(trailers), [("x-a".into(), "1".into())]);
        }
        server
    });
    for fields in [vec![("a", "b"); 17], vec![("a", &*"b".repeat(4_064))]] {
        let [mut server, mut client] = Side::both(Cut::Whole);
        for side in [&mut server, &mut client] {
            side.feed(headers(1, &fields, END_STREAM));
            side.assert_malformed(1, Kind::TrailersTooLarge);
        }
    }
}

/// Heads beyond their limits are answered with what HTTP/1 answers, and leave nothing behind.
#[test]
fn s8_1_h2_04_heads_that_are_too_large_get_a_status() {
    let (long, longer) = ("/".repeat(8_193), "b".repeat(32 << 10));
    let cases: Vec<(Vec<(&str, &str)>, &str)> = vec![
        ([GET, &vec![("a", "b"); 125][..]].concat(), "431"),
        ([GET, &[("a", longer.as_str())]].concat(), "431"),
        (vec![(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", &long)], "414"),
        ([POST, &[("expect", "the-unexpected")]].concat(), "417"),
    ];
    for (fields, status) in cases {
        for end in [0, END_STREAM] {
            let mut server = Side::server(Cut::Whole);
            let block = block(&fields);
            let (first, rest) = block.split_at(block.len().min(16_000));
            let whole = if rest.is_empty() { END_HEADERS } else { 0 };
            server.feed(frame(HEADERS, end | whole, 1, first));
            for (n, piece) in rest.chunks(16_000).enumerate() {
                let flags = if (n + 1) * 16_000 >= rest.len() { END_HEADERS } else { 0 };
                server.feed(frame(CONTINUATION, flags, 1, piece));
            }
            server.assert_alive();
            let sent = server.sent();
            assert_eq!((sent[0].kind, sent[0].flags), (HEADERS, END_HEADERS | END_STREAM));
            assert_eq!(sent.len(), if end == 0 { 2 } else { 1 });
            assert!(sent[1..].iter().all(|sent| sent.kind == RST_STREAM && sent.code() == Code::NO_ERROR));
            let mut client = Side::asking(Cut::Whole);
            client.feed(frame(HEADERS, sent[0].flags, 1, &sent[0].payload));
            assert_eq!(client.responses()[0].status.as_str(), status);
            assert!(matches!(&server.said[..], [Said::Refused(1, _)]));
            assert_eq!(server.connection.streams(), 0);
        }
    }
    let mut server = Side::server(Cut::Whole);
    server.feed(headers(1, &[GET, &vec![("a", "b"); 124][..]].concat(), END_STREAM));
    assert_eq!(server.requests()[0].fields.len(), 125, "at the limit, with the authority");
}

/// `Expect: 100-continue` is told, and asked for.
#[test]
fn s8_1_expectations() {
    every_split(|cut| {
        let mut server = Side::server(cut);
        server.feed(headers(1, &[POST, &[("expect", "100-Continue")]].concat(), 0));
        server.feed(headers(3, &[POST, &[("expect", "100-continue")]].concat(), END_STREAM));
        let expects: Vec<_> = server.requests().iter().map(|head| head.expects_continue).collect();
        assert_eq!(expects, [true, false]);
        assert!(server.connection.inform(id(1), StatusCode::CONTINUE, &Fields::new(), &mut server.out));
        server
    });
    let head = RequestHead { content: Length::Known(3), expects_continue: true, ..request("/") };
    let mut client = asked(&head, Cut::Whole);
    client.feed(headers(1, &[(":status", "100")], 0));
    assert!(matches!(&client.said[..], [Said::Interim(1, head)] if head.status == 100));
    assert_eq!(client.send(1, b"abc", true), 3);
}

/// A response beyond its limits breaks its stream alone.
#[test]
fn s8_1_h2_36_a_response_that_is_too_large() {
    let mut config = Config::default();
    config.limits.response_fields_max = 10;
    let mut client = Side::client_with(config, Cut::Whole);
    client.ask("/");
    client.ask("/");
    client.feed(headers(1, &[OK, &[("a", "b"); 10]].concat(), END_STREAM));
    client.assert_malformed(1, Kind::TooManyFields);
    client.feed(headers(3, &[OK, &[("a", "b"); 9]].concat(), END_STREAM));
    assert_eq!(client.responses().len(), 1);
}

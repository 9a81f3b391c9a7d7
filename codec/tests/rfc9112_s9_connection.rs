//! RFC 9112 §9: persistence, pipelining, reuse.

mod wire;

use corelane_codec::h1::{Client, Event, Server};
use corelane_codec::{Error, Kind, Limits, RequestHead, ResponseHead};
use wire::{Ask, CANARY, answer, client, get_with, server};

#[test]
fn s9_3_b_02_persistence_of_requests() {
    for (version, connection, reusable) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive, close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: , ,close ,\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false),
        ("1.0", "Keep-Alive: 300\r\n", false),
    ] {
        let bytes = format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
        let transcript = server([bytes.as_bytes(), CANARY].concat());
        assert_eq!(transcript.requests().len(), if reusable { 2 } else { 1 }, "{bytes:?}");
        if !reusable {
            assert_eq!(transcript.rest, CANARY, "nothing after the last request is parsed (H1Q-63)");
        }
    }
}

#[test]
fn s9_3_h1r_19_persistence_of_responses() {
    let ok = "200 OK\r\nContent-Length: 0\r\n";
    for (response, reusable) in [
        (format!("HTTP/1.1 {ok}\r\n"), true),
        (format!("HTTP/1.1 {ok}Connection: close\r\n\r\n"), false),
        (format!("HTTP/1.1 {ok}Connection: x, Close\r\n\r\n"), false),
        (format!("HTTP/1.0 {ok}\r\n"), false),
        (format!("HTTP/1.0 {ok}Connection: keep-alive\r\n\r\n"), true),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n".to_owned(), false),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), false),
        (format!("HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 {ok}\r\n"), false),
    ] {
        let transcript = answer(&response);
        assert_eq!((transcript.error, transcript.reusable), (None, reusable), "{response:?}");
    }
    let more = answer(format!("HTTP/1.1 {ok}Connection: close\r\n\r\nHTTP/1.1 {ok}\r\n"));
    assert_eq!(more.responses().len(), 1);
    assert!(!more.rest.is_empty());
}

#[test]
fn s9_3_2_h1q_63_pipelined_requests_come_one_by_one() {
    let bytes: Vec<u8> =
        (0..1000).flat_map(|i| format!("GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()).collect();
    let transcript = server(&bytes);
    let targets: Vec<_> = transcript.requests().iter().map(|head| head.target.clone()).collect();
    assert_eq!(targets, (0..1000).map(|i| format!("/{i}").into_bytes()).collect::<Vec<_>>());
    assert!(transcript.reusable);
}

#[test]
fn s9_2_responses_follow_their_requests() {
    let asks = [Ask::get(), Ask::head(), Ask::get()];
    let bytes = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na\
                 HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\
                 HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nb";
    let transcript = client(&asks, bytes);
    assert_eq!(
        (transcript.content(), transcript.responses().len(), transcript.reusable),
        (b"ab".to_vec(), 3, true)
    );
}

#[test]
fn s9_2_h1r_06_a_response_to_nothing_is_refused() {
    let (limits, mut head) = (Limits::default(), ResponseHead::new());
    let mut fresh = Client::new();
    assert_eq!(fresh.receive(&limits, b"", &mut head).unwrap().event, Event::NeedMore);
    let error = Error::peer(Kind::UnsolicitedResponse);
    assert_eq!(fresh.receive(&limits, b"HTTP/1.1 408 x\r\n\r\n", &mut head), Err(error));
    assert!(!fresh.may_reuse());
    assert_eq!(
        fresh.send_head(&RequestHead { target: b"/".to_vec(), ..Default::default() }, &mut Vec::new()),
        Err(Error::us(Kind::Order))
    );
}

#[test]
fn s9_3_h1r_18_a_connection_whose_request_is_unfinished_is_not_reused() {
    let (limits, mut head, mut out) = (Limits::default(), ResponseHead::new(), Vec::new());
    let mut client = Client::new();
    let request = RequestHead {
        method: "POST".parse().unwrap(),
        target: b"/".to_vec(),
        content: corelane_codec::Length::Known(5),
        ..Default::default()
    };
    client.send_head(&request, &mut out).unwrap();
    assert!(!client.begun());
    let early = b"HTTP/1.1 413 x\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.receive(&limits, early, &mut head).unwrap().event, Event::Head);
    assert_eq!(client.receive(&limits, b"", &mut head).unwrap().event, Event::End);
    assert!(client.begun() && client.response_ended() && !client.request_ended() && !client.may_reuse());
    client.send_data(5).unwrap();
    assert!(!client.may_reuse());
    client.send_end(None, &mut out).unwrap();
    assert!(client.may_reuse());
    client.next_exchange();
    assert!(!client.begun() && !client.may_reuse());
}

#[test]
#[should_panic(expected = "the exchange has not ended")]
fn a_server_in_mid_exchange_cannot_go_on() {
    Server::new(&Limits::default()).next_exchange();
}

#[test]
#[should_panic(expected = "the exchange has not ended")]
fn a_client_in_mid_exchange_cannot_go_on() {
    Client::new().next_exchange();
}

#[test]
fn s9_6_the_end_of_a_server_exchange() {
    let (limits, mut head, mut out) = (Limits::default(), RequestHead::new(), Vec::new());
    let mut server = Server::new(&limits);
    assert!(!server.begun());
    let request = get_with("A: b");
    assert_eq!(server.receive(&limits, &request[..1], &mut head).unwrap().event, Event::NeedMore);
    assert!(server.begun() && !server.request_ended());
    assert_eq!(server.receive(&limits, &request, &mut head).unwrap().event, Event::Head);
    assert!(server.request_ended() && !server.response_begun());
    assert_eq!(server.receive(&limits, b"", &mut head).unwrap().event, Event::End);
    // A half-close behind a complete request: the response is still sent (H1Q-65).
    assert_eq!(server.receive_end(), Ok(()));
    server.send_head(&ResponseHead::new(), &mut out).unwrap();
    assert!(server.response_begun() && !server.response_ended());
    server.send_end(None, &mut out).unwrap();
    assert!(server.response_ended() && !server.may_reuse());
    assert_eq!(out, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

#[test]
fn s9_6_close_is_said_and_kept() {
    let (limits, mut head, mut out) = (Limits::default(), RequestHead::new(), Vec::new());
    let mut server = Server::new(&limits);
    server.receive(&limits, &get_with("A: b"), &mut head).unwrap();
    server.close();
    assert!(!server.keep_alive());
    server.send_head(&ResponseHead::new(), &mut out).unwrap();
    server.send_end(None, &mut out).unwrap();
    assert!(out.ends_with(b"Connection: close\r\n\r\n") && !server.may_reuse());
}

#[test]
fn an_error_is_answered_with_close() {
    let (limits, mut head, mut out) = (Limits::default(), RequestHead::new(), Vec::new());
    let mut server = Server::new(&limits);
    let error = server.receive(&limits, b"GET / HTTP/1.0\r\nA : b\r\n\r\n", &mut head).unwrap_err();
    assert!(server.begun());
    let answer = ResponseHead { status: error.status(), ..Default::default() };
    server.send_head(&answer, &mut out).unwrap();
    server.send_end(None, &mut out).unwrap();
    assert_eq!(out, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert!(server.response_ended() && !server.may_reuse());
    assert_eq!(server.receive_end(), Err(error));
}

#[test]
fn an_answer_before_a_request_is_the_last_word() {
    let (limits, mut out) = (Limits::default(), Vec::new());
    let mut server = Server::new(&limits);
    server
        .send_head(
            &ResponseHead { status: http::StatusCode::REQUEST_TIMEOUT, ..Default::default() },
            &mut out,
        )
        .unwrap();
    assert!(out.ends_with(b"Connection: close\r\n\r\n") && !server.keep_alive());
}

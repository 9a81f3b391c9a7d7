//! Messages and their echoes.

use crate::support::{Origin, Peer, Server, counts, field, load_at_rate, load_json, only};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha1::{Digest, Sha1};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Answers the handshake as RFC 6455 §4.2.2 says.
fn shake_hands(peer: &mut Peer) -> Option<()> {
    let message = peer.message()?;
    let key = field(&message.head, "sec-websocket-key").expect("a key");
    assert_eq!(field(&message.head, "sec-websocket-version").as_deref(), Some("13"));
    let hash = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = BASE64_STANDARD.encode(hash);
    peer.send(
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        .as_bytes(),
    );
    Some(())
}

/// The next frame of a client, which is short: its first byte, and its content without the mask.
fn short_frame(peer: &mut Peer) -> Option<(u8, Vec<u8>)> {
    let head = peer.take(2);
    let [first, second] = head[..] else { return None };
    assert!(second & 0x80 != 0 && second & 0x7f <= 125, "masked (RFC 6455 §5.1), and short");
    let key = peer.take(4);
    let mut content = peer.take(usize::from(second & 0x7f));
    content.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= key[at % 4]);
    Some((first, content))
}

fn frame(first: u8, content: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(content.len()).expect("short")][..], content].concat()
}

/// A server that sends for each message what `echo` makes of it.
fn server(echo: impl Fn(&[u8], usize) -> Vec<u8> + Send + Sync + 'static) -> Server {
    Server::start(move |peer, _| {
        if shake_hands(peer).is_none() {
            return;
        }
        let mut number = 0;
        while let Some((_, content)) = short_frame(peer) {
            peer.send(&echo(&content, number));
            number += 1;
        }
    })
}

const WEBSOCKET: [&str; 5] = ["--websocket", "--requests", "40", "--connections", "2"];

#[test]
fn messages_of_every_length_come_back() {
    let origin = Origin::start(&[]);
    for (size, requests) in
        [("0", "20"), ("125", "20"), ("126", "20"), ("64k", "20"), ("65535", "20"), ("16m", "3")]
    {
        for more in
            [&["--connections", "2"][..], &["--connections", "2", "--pipeline", "4"], &["--rate", "1000"]]
        {
            let url = origin.url("/");
            let fixed = [url.as_str(), "--websocket", "--message-size", size, "--requests", requests];
            let json = load_at_rate(&[&fixed[..], more].concat());
            let expected = (requests.parse().expect("a number"), vec![]);
            assert_eq!(counts(&json), expected, "{size} {more:?}");
        }
    }
}

#[test]
fn echoes_in_pieces() {
    // A pong that nobody asked for may stand between the pieces (RFC 6455 §5.4).
    let server = server(|content, _| {
        let (front, back) = content.split_at(60);
        [frame(0x02, front), frame(0x00, b""), frame(0x8a, b"?"), frame(0x80, back)].concat()
    });
    let url = server.url("/");
    let json = load_json(0, &[&[url.as_str(), "--message-size", "100"], &WEBSOCKET[..]].concat());
    assert_eq!((counts(&json), server.connections()), ((40, vec![]), 2));
}

#[test]
fn pings_are_answered_and_the_connection_is_kept() {
    let pongs = Arc::<AtomicUsize>::default();
    let counted = pongs.clone();
    let server = Server::start(move |peer, _| {
        if shake_hands(peer).is_none() {
            return;
        }
        while let Some((first, content)) = short_frame(peer) {
            if first == 0x8a {
                // RFC 6455 §5.5.3: with what the ping had.
                assert!([&b"before"[..], b"behind"].contains(&content.as_slice()), "{content:?}");
                counted.fetch_add(1, Ordering::SeqCst);
            } else {
                assert_eq!((first, content.len()), (0x82, 100));
                // The second one often comes when there is no message under way.
                peer.send(&[frame(0x89, b"before"), frame(0x82, &content)].concat());
                peer.send(&frame(0x89, b"behind"));
            }
        }
    });
    let url = server.url("/");
    let more =
        ["--websocket", "--message-size", "100", "--requests", "20", "--connections", "1", "--rate", "200"];
    let json = load_at_rate(&[&[url.as_str()], &more[..]].concat());
    assert_eq!((counts(&json), server.connections()), ((20, vec![]), 1), "{json}");
    // Only the last of those that came together is to be answered, and none once the run is over.
    assert!(pongs.load(Ordering::SeqCst) >= 19, "{pongs:?}");
}

#[test]
fn wrong_echoes() {
    for wrong in [&b"short"[..], b"", &[b'x'; 101], &[b'y'; 100]] {
        let server = server(move |_, _| frame(0x82, wrong));
        let url = server.url("/");
        let json = load_json(1, &[&[url.as_str(), "--message-size", "100"], &WEBSOCKET[..]].concat());
        assert_eq!(counts(&json), (0, only("body", 40)), "{wrong:?}");
    }
    // One that is wrong spoils no other.
    let server = server(|content, number| match number {
        3 => [frame(0x02, b"wrong"), frame(0x80, b"more")].concat(),
        _ => frame(0x82, content),
    });
    let url = server.url("/");
    let more = ["--websocket", "--message-size", "100", "--requests", "20", "--connections", "1"];
    let json = load_json(1, &[&[url.as_str()], &more[..]].concat());
    // On the next connection the fourth is wrong again, and so on.
    let (requests, errors) = counts(&json);
    assert_eq!((requests + errors[0].1, errors), (20, only("body", 5)), "{json}");
}

#[test]
fn frames_that_are_wrong_and_ends() {
    for (wrong, kind) in [
        (vec![0xf2, 1, b'x'], "body"),
        (vec![0x82, 0x81, 0, 0, 0, 0, b'x'], "body"),
        (vec![0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 0], "body"),
        (frame(0x88, &[3, 0xe8]), "reset"),
    ] {
        let shown = wrong.clone();
        let server = server(move |_, _| wrong.clone());
        let url = server.url("/");
        let more = ["--websocket", "--message-size", "100", "--requests", "4", "--connections", "1"];
        let json = load_json(1, &[&[url.as_str()], &more[..]].concat());
        assert_eq!(counts(&json), (0, only(kind, 4)), "{shown:?}: {}", json["samples"]);
    }
}

#[test]
fn handshakes_that_fail() {
    let accept_of_another = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    for (answer, kind) in [
        ("HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", "status"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "status"),
        (accept_of_another, "body"),
        ("what?\r\n\r\n", "body"),
        ("", "reset"),
    ] {
        let server = Server::start(move |peer, _| {
            peer.message();
            peer.send(answer.as_bytes());
        });
        let url = server.url("/");
        let more = ["--websocket", "--requests", "3", "--connections", "1"];
        let json = load_json(1, &[&[url.as_str()], &more[..]].concat());
        assert_eq!(counts(&json), (0, only(kind, 3)), "{answer}: {}", json["samples"]);
    }
    let server = Server::start(|peer, _| drop(peer.rest()));
    let url = server.url("/");
    let more = ["--websocket", "--requests", "2", "--connections", "1", "--timeout", "1s"];
    let json = load_json(1, &[&[url.as_str()], &more[..]].concat());
    assert_eq!(counts(&json), (0, only("timeout", 2)));
}

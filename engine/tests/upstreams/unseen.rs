//! Long content, which goes from the origin to the client without being looked at.

use crate::support::{
    Balancer,
    clock::until,
    peer::{Over, Peer, Scripted},
    rig::{Rig, on_both},
};
use corelane_engine::{Driver, End, Engine, Metric, Timeouts};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

/// A piece that is lost, doubled or moved makes another sequence: each eight bytes are there once. Not byte by byte,
/// which takes seconds where nothing is optimised.
fn content(bytes: usize) -> Vec<u8> {
    let mut content = Vec::with_capacity(bytes.next_multiple_of(8));
    for at in 0..bytes.div_ceil(8) as u64 {
        content.extend_from_slice(&at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    }
    content.truncate(bytes);
    content
}

fn head(bytes: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n")
}

/// Answers `/N` with N bytes.
fn origin() -> Scripted {
    Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            let bytes =
                request.head.split(['/', ' ']).nth(2).and_then(|bytes| bytes.parse().ok()).expect("a size");
            if !peer.try_send(head(bytes)) || !peer.try_send(content(bytes)) {
                return;
            }
        }
    })
}

fn proxy(driver: Driver, origin: &Scripted) -> Rig {
    let cluster = origin.cluster();
    let mut timeouts = Timeouts::default();
    timeouts.between_bytes = Duration::from_secs(2);
    Rig::start(
        Engine::builder()
            .driver(driver)
            .timeouts(timeouts)
            .serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))),
    )
}

fn ask(address: SocketAddr, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    write!(stream, "GET /{bytes} HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is taken");
    stream
}

/// What comes behind the head, `bytes` of it.
fn receive(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.extend(byte);
    }
    let mut received = vec![0; bytes];
    stream.read_exact(&mut received).expect("all of the content");
    received
}

#[test]
fn every_byte_arrives_whatever_the_length() {
    on_both(|driver| {
        let origin = origin();
        let rig = proxy(driver, &origin);
        let mut stream = TcpStream::connect(rig.address()).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        // Around what is moved rather than copied, what a pipe holds, and what a buffer does.
        for bytes in [65_535, 65_536, 65_537, 97_000, 262_143, 262_144, 262_145, 300_001, 1 << 20, 9_000_001]
        {
            write!(stream, "GET /{bytes} HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is taken");
            assert!(receive(&mut stream, bytes) == content(bytes), "{bytes} on {driver:?}");
            let record = rig.record();
            assert_eq!((record.end, record.response_bytes), (End::Done, bytes as u64));
        }
        assert_eq!(origin.connections(), 1, "each answer ends exactly");
    });
}

#[test]
fn clients_that_read_slowly_get_every_byte_and_keep_nobody_waiting() {
    on_both(|driver| {
        let origin = origin();
        let rig = proxy(driver, &origin);
        let bytes = 6 << 20;
        // More of them than a lane has pipes.
        let mut slow: Vec<TcpStream> = (0..24).map(|_| ask(rig.address(), bytes)).collect();
        until("all are being answered", || rig.value(Metric::RequestsOpen) == slow.len() as u64);
        let mut quick = ask(rig.address(), bytes);
        assert!(receive(&mut quick, bytes) == content(bytes));
        let expected = content(bytes);
        thread::scope(|scope| {
            for stream in &mut slow {
                let expected = &expected;
                scope.spawn(move || assert!(&receive(stream, bytes) == expected));
            }
        });
        drop((slow, quick));
        until("all have been answered", || rig.value(Metric::RequestsOpen) == 0);
        assert!(rig.finish().iter().all(|record| record.end == End::Done));
    });
}

#[test]
fn an_origin_that_breaks_off_shows() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            let _ = peer.try_message();
            peer.send(head(1 << 20));
            peer.send(content(700_000));
        });
        let rig = proxy(driver, &origin);
        let mut stream = ask(rig.address(), 1 << 20);
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received);
        let body = received.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
        assert!(received.len() - body <= 700_000, "no more than there was");
        assert!(received[body..] == content(700_000)[..received.len() - body]);
        let record = rig.record();
        assert_eq!(record.end, End::UpstreamClosed);
    });
}

#[test]
fn a_client_that_leaves_and_one_that_stops_reading_end_their_exchange() {
    on_both(|driver| {
        let origin = origin();
        let rig = proxy(driver, &origin);
        let bytes = 64 << 20;
        drop(ask(rig.address(), bytes));
        assert_eq!(rig.record().end, End::ClientClosed);
        let stuck = ask(rig.address(), bytes);
        assert_eq!(rig.record().end, End::ClientTimeout);
        drop(stuck);
        // What was in their pipes is nobody's: others get their own.
        let mut stream = ask(rig.address(), 1 << 20);
        assert!(receive(&mut stream, 1 << 20) == content(1 << 20));
    });
}

#[test]
fn an_origin_that_says_more_than_it_announced_is_not_asked_again() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            while peer.try_message().is_some() {
                let mut more = content(200_000);
                more.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
                if !peer.try_send(head(200_000)) || !peer.try_send(more) {
                    return;
                }
            }
        });
        let rig = proxy(driver, &origin);
        for asked in 1..=3 {
            let mut client = Peer::connect(rig.address());
            client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(client.message().content == content(200_000));
            assert_eq!(origin.connections(), asked);
            drop(client);
        }
        let mut last = Peer::connect(rig.address());
        last.send("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(last.message().content == content(200_000));
        assert_eq!(last.more(Duration::from_secs(5)), Err(Over::Closed));
    });
}

//! How many clients may be connected: in all, and from one source.

use crate::support::{
    clock::until,
    peer::{Peer, SocketPath},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{Builder, Driver, Engine, Event, Metric, Response, Settings, StatusCode};
use socket2::{Domain, Socket, Type};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

fn served(builder: Builder, at: &str) -> Builder {
    builder.serve(at, |_| Ok(Fun(async |_| Ok(Response::text(StatusCode::OK, "served\n")))))
}

/// Three lanes, so that a connection may come to any.
fn capped(driver: Driver, per_source: u32, settings: Settings) -> Rig {
    let builder = Engine::builder().driver(driver).lanes(3).settings(settings);
    Rig::start(served(builder.max_connections_per_source(Some(per_source)), "127.0.0.1:0"))
}

/// A client from another address of this machine.
fn from(source: [u8; 4], to: SocketAddr) -> Peer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("an address of this machine");
    socket.connect(&to.into()).expect("it listens");
    Peer::of(socket.into())
}

/// That it is closed at once, without a word.
#[track_caller]
fn is_turned_away(mut client: Peer) {
    let (rest, _) = client.rest();
    assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
}

#[test]
fn res_08_b_73_a_source_has_no_more_connections_than_it_may() {
    on_both(|driver| {
        const MAX: u32 = 5;
        let rig = capped(driver, MAX, Settings::default());
        let mut clients: Vec<Peer> = (0..MAX).map(|_| Peer::connect(rig.address())).collect();
        assert!(clients.iter_mut().all(|client| client.get("/").status() == 200));
        for _ in 0..20 {
            is_turned_away(Peer::connect(rig.address()));
        }
        assert_eq!(rig.value(Metric::ConnectionsRefused), 20);
        assert_eq!(rig.value(Metric::Connections), u64::from(MAX), "the others were never clients");
        let said: Vec<String> = rig
            .events
            .try_iter()
            .filter(|event| matches!(event, Event::SourceFull { .. }))
            .map(|event| event.to_string())
            .collect();
        assert!((1..=2).contains(&said.len()), "at most once a second: {said:?}");
        assert!(said[0].contains("127.0.0.1") && said[0].contains("5 connections"), "{said:?}");
        // Another source comes in, and so does this one when somebody leaves.
        assert_eq!(from([127, 0, 0, 2], rig.address()).get("/").status(), 200);
        drop(clients.pop());
        until("there is room again", || {
            Peer::connect(rig.address()).try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            rig.value(Metric::Connections) > u64::from(MAX) + 1
        });
        assert!(clients.iter_mut().all(|client| client.get("/").status() == 200), "those who are in stay");
    });
}

#[test]
fn res_08_whoever_leaves_in_whatever_way_makes_room() {
    on_both(|driver| {
        let rig = capped(driver, 1, Settings::default());
        for round in 0..12 {
            let mut client = Peer::connect(rig.address());
            until("it comes in", || {
                if client.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") && client.try_message().is_some() {
                    return true;
                }
                client = Peer::connect(rig.address());
                false
            });
            match round % 3 {
                0 => drop(client),
                1 => client.reset(),
                _ => {
                    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                    client.message();
                    client.ends();
                }
            }
        }
    });
}

#[test]
fn res_08_trusted_proxies_and_unix_sockets_are_not_counted() {
    on_both(|driver| {
        let mut settings = Settings::default();
        settings.trusted_proxies = ["127.0.0.2"].map(|text| text.parse().expect("a network")).into();
        let path = SocketPath::new();
        let builder = Engine::builder().driver(driver).lanes(2).settings(settings);
        let builder = served(builder.max_connections_per_source(Some(1)), "127.0.0.1:0");
        let rig = Rig::start(served(builder, &path.text()));
        let mut proxies: Vec<Peer> = (0..5).map(|_| from([127, 0, 0, 2], rig.address())).collect();
        proxies.extend((0..5).map(|_| Peer::unix(&path.0)));
        assert!(proxies.iter_mut().all(|proxy| proxy.get("/").status() == 200));
        let mut one = Peer::connect(rig.address());
        assert_eq!(one.get("/").status(), 200);
        is_turned_away(Peer::connect(rig.address()));
        let source = rig.event(|event| match event {
            Event::SourceFull { source, .. } => Some(*source),
            _ => None,
        });
        assert_eq!(source, IpAddr::from([127, 0, 0, 1]));
    });
}

#[test]
fn the_maximum_is_one_for_all_lanes() {
    on_both(|driver| {
        const MAX: usize = 3;
        let builder = Engine::builder().driver(driver).lanes(4).max_connections(Some(MAX));
        let rig = Rig::start(served(builder, "127.0.0.1:0"));
        let mut clients: Vec<Peer> = (0..MAX).map(|_| Peer::connect(rig.address())).collect();
        assert!(
            clients.iter_mut().all(|client| client.get("/").status() == 200),
            "whichever lanes they came to"
        );
        let mut waiting: Vec<Peer> = (0..4).map(|_| Peer::connect(rig.address())).collect();
        for client in &mut waiting {
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        }
        let connections = rig.event(|event| match event {
            Event::Full { connections, .. } => Some(*connections),
            _ => None,
        });
        assert_eq!(connections, MAX);
        assert_eq!(waiting[0].more(Duration::from_millis(200)), Ok(false), "it waits");
        assert_eq!(rig.value(Metric::ConnectionsOpen), MAX as u64);
        drop(clients.pop());
        for client in &mut waiting {
            assert_eq!(client.message().status(), 200, "one after the other");
        }
    });
}

//! Proxies before us whose word is taken, and everybody else's.

use crate::support::{
    peer::{Message, Peer, Scripted, SocketPath, ok},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Address, Cluster, Driver, Engine, Network, Request, Response, Settings, StatusCode, Trail, Upstream,
};
use std::{collections::HashSet, net::IpAddr};

/// Says in which fields the way of a request was told to it.
fn teller() -> Scripted {
    Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            let fields = ["x-forwarded-for", "forwarded", "x-forwarded-proto", "x-forwarded-host"];
            let told = fields.map(|name| request.field(name).unwrap_or("-").to_owned());
            peer.send(ok(&told.join(" | ")));
        }
    })
}

fn trusting(networks: &[&str], trail: Trail) -> Settings {
    let mut settings = Settings::default();
    settings.trusted_proxies =
        networks.iter().map(|text| text.parse::<Network>().expect("a network")).collect();
    settings.trail = trail;
    settings
}

/// A proxy that answers `/who` itself, with the client's address, and forwards the rest.
fn proxy(driver: Driver, listen: &str, settings: Settings, origin: &Scripted) -> Rig {
    let cluster = origin.cluster();
    let builder = Engine::builder().driver(driver);
    Rig::start(builder.serve_with(listen, settings, move |lane| {
        let origin: Upstream = lane.upstream(&cluster);
        Ok(Fun(async move |request: Request| match request.path() {
            "/who" => {
                let who = request.client_ip().map_or_else(|| "nobody".to_owned(), |ip| ip.to_string());
                Ok(Response::text(StatusCode::OK, who))
            }
            _ => origin.send(request).await,
        }))
    }))
}

fn ask(client: &mut Peer, target: &str, fields: &str) -> Message {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n"));
    client.message()
}

#[test]
fn b_70_a_trusted_proxy_says_who_the_client_is() {
    on_both(|driver| {
        let origin = teller();
        let settings = trusting(&["127.0.0.0/8", "10.0.0.0/8"], Trail::XForwardedFor);
        let rig = proxy(driver, "127.0.0.1:0", settings, &origin);
        let mut client = Peer::connect(rig.address());
        let peer = client.stream.local_addr().unwrap();
        for (list, who) in [
            ("", "127.0.0.1"),
            ("X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
            ("X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.0.0.9\r\n", "198.51.100.7"),
            ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
            ("X-Forwarded-For: 10.0.0.8, 10.0.0.9\r\n", "10.0.0.8"),
            ("X-Forwarded-For: 6.6.6.6, unknown\r\n", "127.0.0.1"),
            ("X-Forwarded-For: [2001:db8::7]:4711\r\n", "2001:db8::7"),
            // It passes the other list as a stranger wrote it.
            ("Forwarded: for=6.6.6.6\r\n", "127.0.0.1"),
        ] {
            assert_eq!(ask(&mut client, "/who", list).text(), who, "{list}");
            let record = rig.record();
            assert_eq!(record.client.ip(), who.parse().ok(), "{list}");
            assert_eq!(record.peer, peer);
        }
        let fields = "X-Forwarded-For: 6.6.6.6, 198.51.100.7\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\n";
        assert_eq!(
            ask(&mut client, "/", fields).text(),
            "6.6.6.6, 198.51.100.7, 127.0.0.1 | \
             for=198.51.100.7, for=127.0.0.1;host=example.com;proto=http | https | example.com"
        );
    });
}

#[test]
fn b_70_h1q_68_a_stranger_says_nothing() {
    on_both(|driver| {
        let origin = teller();
        for settings in [Settings::default(), trusting(&["10.0.0.0/8", "unix"], Trail::XForwardedFor)] {
            let rig = proxy(driver, "127.0.0.1:0", settings, &origin);
            let mut client = Peer::connect(rig.address());
            let fields =
                "X-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-Proto: https\r\n";
            assert_eq!(ask(&mut client, "/who", fields).text(), "127.0.0.1");
            let record = rig.record();
            assert_eq!(record.client, record.peer);
            assert_eq!(record.peer, client.stream.local_addr().unwrap());
            assert_eq!(
                ask(&mut client, "/", fields).text(),
                "127.0.0.1 | for=127.0.0.1;host=example.com;proto=http | http | example.com"
            );
        }
    });
}

#[test]
fn b_70_the_list_may_be_forwarded() {
    on_both(|driver| {
        let origin = teller();
        let rig = proxy(driver, "127.0.0.1:0", trusting(&["127.0.0.1"], Trail::Forwarded), &origin);
        let mut client = Peer::connect(rig.address());
        let fields =
            "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6, for=\"[2001:db8::7]:4711\";proto=https\r\n";
        assert_eq!(ask(&mut client, "/who", fields).text(), "2001:db8::7");
        assert_eq!(rig.record().client, Address::Ip("[2001:db8::7]:4711".parse().unwrap()));
        assert_eq!(
            ask(&mut client, "/", fields).text(),
            "2001:db8::7, 127.0.0.1 | for=6.6.6.6, for=\"[2001:db8::7]:4711\";proto=https, \
             for=127.0.0.1;host=example.com;proto=http | https | example.com"
        );
    });
}

#[test]
fn b_70_a_proxy_on_a_unix_socket_may_be_trusted() {
    on_both(|driver| {
        let (origin, path) = (teller(), SocketPath::new());
        let rig = proxy(driver, &path.text(), trusting(&["unix"], Trail::XForwardedFor), &origin);
        let mut client = Peer::unix(&path.0);
        assert_eq!(ask(&mut client, "/who", "").text(), "nobody");
        assert_eq!(rig.record().client, Address::Unnamed);
        let fields = "X-Forwarded-For: 6.6.6.6, 198.51.100.7\r\n";
        assert_eq!(ask(&mut client, "/who", fields).text(), "198.51.100.7");
        let record = rig.record();
        assert_eq!(record.client.ip(), Some(IpAddr::from([198, 51, 100, 7])));
        assert_eq!((record.client.port(), record.peer), (Some(0), Address::Unnamed));
        assert_eq!(
            ask(&mut client, "/", fields).text(),
            "6.6.6.6, 198.51.100.7 | for=198.51.100.7, for=unknown;host=example.com;proto=http | http | example.com"
        );
    });
}

#[test]
fn b_70_requests_belong_to_the_client_and_not_to_the_proxy() {
    on_both(|driver| {
        let origins: Vec<Scripted> = (0..4)
            .map(|number| {
                Scripted::start(move |peer| {
                    while peer.try_message().is_some() && peer.try_send(ok(&number.to_string())) {}
                })
            })
            .collect();
        let cluster =
            Cluster::hash(origins.iter().map(|origin| origin.address.to_string())).resolve().unwrap();
        let builder =
            Engine::builder().driver(driver).settings(trusting(&["127.0.0.1"], Trail::XForwardedFor));
        let rig = Rig::start(
            builder.serve("127.0.0.1:0", move |lane| Ok(crate::support::Balancer(lane.upstream(&cluster)))),
        );
        let mut client = Peer::connect(rig.address());
        let used: HashSet<String> = (0..32)
            .map(|n| ask(&mut client, "/", &format!("X-Forwarded-For: 198.51.100.{n}\r\n")).text())
            .collect();
        assert!(used.len() > 1, "32 clients on one connection");
    });
}

#[test]
fn h1q_68_a_list_of_16_kib_is_served_like_any_other() {
    on_both(|driver| {
        let origin = teller();
        let rig = proxy(
            driver,
            "127.0.0.1:0",
            trusting(&["127.0.0.1", "10.0.0.0/8"], Trail::XForwardedFor),
            &origin,
        );
        let mut client = Peer::connect(rig.address());
        let list = "10.0.0.1, ".repeat((16 << 10) / 10);
        assert_eq!(
            ask(&mut client, "/who", &format!("X-Forwarded-For: {list}1.2.3.4\r\n")).text(),
            "1.2.3.4"
        );
        let told = ask(&mut client, "/", &format!("X-Forwarded-For: {list}1.2.3.4\r\n")).text();
        assert!(told.starts_with(&format!("{list}1.2.3.4, 127.0.0.1 | ")));
        // Longer than any way is.
        assert_eq!(
            ask(&mut client, "/who", &format!("X-Forwarded-For: 1.2.3.4, {list}\r\n")).text(),
            "10.0.0.1"
        );
    });
}

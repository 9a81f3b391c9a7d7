//! No local port is left to connect from.

mod support;

use corelane_engine::{Driver, Engine, Metric, Peer as Towards, Request};
use socket2::{Domain, Socket, Type};
use std::{
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use support::{
    Balancer,
    clock::until,
    peer::{Peer, Scripted, ok},
    rig::{Fun, Rig, on_both},
};

/// An address for documentation, which no machine has.
const NOT_OURS: [u8; 4] = [192, 0, 2, 55];

#[test]
fn up_17_without_a_local_address_it_is_a_503_that_is_counted_and_says_nothing_of_the_endpoint() {
    on_both(|driver| {
        let origin = Scripted::echo();
        let to = origin.address;
        let builder = Engine::builder().driver(driver).lanes(1);
        let rig = Rig::start(builder.serve("127.0.0.1:0", move |lane| {
            let lane = lane.clone();
            Ok(Fun(async move |request: Request| {
                let source = (request.path() == "/elsewhere").then_some(NOT_OURS.into());
                lane.connect_to(Towards::http(to).source(source)).send(request).await
            }))
        }));
        let mut client = Peer::connect(rig.address());
        for count in 1..=3 {
            let answer = client.get("/elsewhere");
            assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("1")), "{answer:?}");
            assert_eq!(rig.value(Metric::UpstreamNoPort), count);
        }
        assert_eq!(client.get("/").text(), "GET / HTTP/1.1");
    });
}

/// The same with ports that have really run out, in a network of the test's own: others of this machine need theirs.
#[test]
fn up_17_when_all_ports_are_in_use_who_has_one_is_served_and_it_passes() {
    const NAME: &str = "up_17_when_all_ports_are_in_use_who_has_one_is_served_and_it_passes";
    const INSIDE: &str = "CORELANE_TEST_FEW_PORTS";
    #[expect(clippy::disallowed_methods, reason = "how the test is run stands nowhere else")]
    let is_inside = std::env::var_os(INSIDE).is_some();
    if is_inside {
        return few_ports();
    }
    let program = std::env::current_exe().expect("it runs");
    let script = format!(
        "ip link set lo up && echo 50000 50023 > /proc/sys/net/ipv4/ip_local_port_range && exec \"$0\" --exact {NAME} \
         --nocapture"
    );
    let try_it = "ip link set lo up && echo 50000 50023 > /proc/sys/net/ipv4/ip_local_port_range";
    let can = Command::new("unshare").args(["-rn", "sh", "-c", try_it]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a network of one's own (unshare -rn, ip) cannot be had here");
        return;
    }
    let status =
        Command::new("unshare").args(["-rn", "sh", "-c", &script]).arg(program).env(INSIDE, "1").status();
    assert!(status.is_ok_and(|status| status.success()), "it fails inside");
}

/// A client at a port that is not among those that the system gives out.
fn client(number: u16, to: SocketAddr) -> Peer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("it may be");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 40_000 + number)).into()).expect("it is free");
    socket.connect(&to.into()).expect("it listens");
    Peer::of(socket.into())
}

/// An engine before an origin that answers when the gate is open.
fn gated(driver: Driver) -> (Arc<AtomicBool>, Scripted, Rig) {
    let gate = Arc::new(AtomicBool::new(false));
    let opened = gate.clone();
    let origin = Scripted::start(move |peer| {
        while peer.try_message().is_some() {
            until("the gate is open", || opened.load(Ordering::SeqCst));
            peer.send(ok("fine"));
        }
    });
    let cluster = origin.cluster();
    let builder = Engine::builder().driver(driver).lanes(1);
    let rig = Rig::start(builder.serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))));
    (gate, origin, rig)
}

fn few_ports() {
    const CLIENTS: u16 = 60;
    // All of them listen before there is no port left for that, either.
    let both = [Driver::Auto, Driver::Epoll].map(gated);
    for (number, (gate, origin, rig)) in both.into_iter().enumerate() {
        let from = number as u16 * 200;
        let mut clients: Vec<Peer> = (0..CLIENTS).map(|at| client(from + at, rig.address())).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        let short = || rig.value(Metric::UpstreamNoPort);
        until("ports have run out for some", || {
            origin.connections() + short() as usize == usize::from(CLIENTS)
        });
        assert!(short() > 0 && origin.connections() > 10, "{} and {}", short(), origin.connections());
        gate.store(true, Ordering::SeqCst);
        let statuses: Vec<u16> = clients.iter_mut().map(|client| client.message().status()).collect();
        let refused = statuses.iter().filter(|status| **status == 503).count();
        assert_eq!(refused as u64, short(), "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
        // Connections are there to be used again, so everybody is served now.
        assert!(clients.iter_mut().all(|client| client.get("/").status() == 200));
        assert_eq!(short(), refused as u64);
        drop(clients);
        rig.finish();
    }
}

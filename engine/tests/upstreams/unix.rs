//! Unix sockets, on both sides.

use crate::support::{
    Balancer, PATIENCE,
    clock::until,
    peer::{Peer, Scripted, SocketPath, UnixOrigin, echo, ok},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Address, Cluster, Driver, End, Engine, Event, Metric, Response, StartError, StatusCode, listen_unix,
};
use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixListener,
    },
    thread,
    time::Duration,
};

/// An engine on a unix socket before one.
fn between(driver: Driver, lanes: usize, listen: &SocketPath, to: &SocketPath) -> Rig {
    let cluster = Cluster::round_robin([to.text()]).resolve().expect("a path");
    let builder = Engine::builder().driver(driver).lanes(lanes);
    Rig::start(builder.serve(listen.text(), move |lane| Ok(Balancer(lane.upstream(&cluster)))))
}

#[test]
fn b_06_requests_pass_from_socket_to_socket() {
    on_both(|driver| {
        let (listen, to) = (SocketPath::new(), SocketPath::new());
        let _origin = UnixOrigin::start(&to.0, |peer| {
            while let Some(request) = peer.try_message() {
                let field = |name| request.field(name).unwrap_or("-");
                let forwarded = [field("forwarded"), field("x-forwarded-for"), field("x-forwarded-proto")];
                peer.send(ok(&format!("{} {}", forwarded.join(" "), request.content.len())));
            }
        });
        let rig = between(driver, 1, &listen, &to);
        assert_eq!(rig.handle.addresses(), [Address::unix(&listen.0).unwrap()]);
        let said = rig.event(|event| matches!(event, Event::Listening { .. }).then(|| event.to_string()));
        assert_eq!(said, format!("listening on {}", listen.text()));

        let mut client = Peer::unix(&listen.0);
        // The second and third are sent on the connection of the first.
        for length in [0, 5, 300_000] {
            let content = "x".repeat(length);
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nContent-Length: {length}\r\n\r\n{content}"
            ));
            assert_eq!(client.message().text(), format!("for=unknown;host=a;proto=http - http {length}"));
            let record = rig.record();
            assert_eq!((record.client, record.end), (Address::Unnamed, End::Done));
            assert_eq!(record.attempts[0].endpoint, Address::unix(&to.0).unwrap());
            assert_eq!(record.attempts[0].reused, length > 0);
        }
        assert_eq!(rig.value(Metric::UpstreamConnects), 1);
    });
}

#[test]
fn b_13_a_request_without_a_host_is_for_localhost() {
    on_both(|driver| {
        let (listen, to) = (SocketPath::new(), SocketPath::new());
        let _origin = UnixOrigin::start(&to.0, |peer| {
            while let Some(request) = peer.try_message() {
                peer.send(ok(request.field("host").unwrap_or("-")));
            }
        });
        let _rig = between(driver, 1, &listen, &to);
        let mut client = Peer::unix(&listen.0);
        client.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(client.message().text(), "localhost");
    });
}

#[test]
fn b_06_every_lane_takes_from_one_socket() {
    on_both(|driver| {
        const LANES: usize = 3;
        let path = SocketPath::new();
        let builder = Engine::builder().driver(driver).lanes(LANES);
        let _rig = Rig::start(builder.serve(path.text(), |lane| {
            let id = lane.id();
            Ok(Fun(async move |request: corelane_engine::Request| {
                assert_eq!((request.client(), request.client_ip()), (&Address::Unnamed, None));
                assert!(request.local().path().is_some());
                Ok(Response::text(StatusCode::OK, id.to_string()))
            }))
        }));
        let mut seen = [false; LANES];
        let mut clients = Vec::new();
        until("each lane has a client", || {
            let mut client = Peer::unix(&path.0);
            seen[client.get("/").text().parse::<usize>().unwrap()] = true;
            clients.push(client);
            seen == [true; LANES]
        });
    });
}

#[test]
fn b_06_the_file_is_for_owner_and_group_and_goes_with_the_drain() {
    on_both(|driver| {
        let path = SocketPath::new();
        let answers = |_: &corelane_engine::Lane| Ok(Fun(async |_| Ok(Response::text(StatusCode::OK, "x"))));
        let build = || Engine::builder().driver(driver).lanes(2).serve(path.text(), answers);
        // A dead process leaves its file behind.
        drop(UnixListener::bind(&path.0).unwrap());
        let rig = Rig::start(build());
        let file = fs::metadata(&path.0).unwrap();
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o777, 0o660);

        let taken = build().spawn().expect_err("a live one is taken");
        assert!(matches!(&taken, StartError::Bind { address, .. } if address.path() == Some(&path.0)));
        assert!(taken.to_string().contains("another program answers"), "{taken}");
        assert_eq!(Peer::unix(&path.0).get("/").status(), 200, "and stays");

        rig.handle.drain();
        rig.ended();
        assert!(!path.0.exists());
        fs::write(&path.0, "precious").unwrap();
        let taken = build().spawn().expect_err("a file is no socket");
        assert!(taken.to_string().contains("no socket"), "{taken}");
        assert_eq!(fs::read_to_string(&path.0).unwrap(), "precious");
    });
}

#[test]
fn b_06_a_socket_that_cannot_be_is_said() {
    let answers = |_: &corelane_engine::Lane| Ok(Fun(async |_| Ok(Response::new(StatusCode::OK))));
    for (address, words) in [
        ("unix:", "a path is missing"),
        (&format!("unix:/{}", "x".repeat(200)), "107 bytes"),
        ("unix:/nonexistent/app.sock", "the directory of unix:/nonexistent/app.sock does not exist"),
    ] {
        let said =
            Engine::builder().lanes(1).serve(address, answers).spawn().expect_err("it cannot be").to_string();
        assert!(said.contains(words), "{said}");
    }
    assert!(Cluster::round_robin(["unix:"]).resolve().is_err());
}

#[test]
fn up_20_a_socket_that_is_made_anew_is_connected_to_again() {
    on_both(|driver| {
        let (listen, to) = (SocketPath::new(), SocketPath::new());
        let _rig = between(driver, 1, &listen, &to);
        let mut client = Peer::unix(&listen.0);
        assert_eq!(client.get("/").status(), 502, "there is none yet");
        for _ in 0..2 {
            // The endpoint was suspect, which is no obstacle while there is no other.
            let origin = UnixOrigin::start(&to.0, |peer| {
                while let Some(request) = peer.try_message() {
                    peer.send(ok("here"));
                    if request.head.starts_with("GET /last") {
                        return;
                    }
                }
            });
            assert_eq!(client.get("/").text(), "here");
            drop(origin);
            // The connection in the pool outlives the file, until its origin closes it.
            assert_eq!(client.get("/last").text(), "here");
            assert_eq!(client.get("/").status(), 502);
        }
    });
}

#[test]
fn b_06_a_full_queue_is_waited_for() {
    on_both(|driver| {
        const CLIENTS: usize = 8;
        let (listen, to) = (SocketPath::new(), SocketPath::new());
        // The kernel lets one more wait than it is told: two of eight.
        let (origin, _file) = listen_unix(&to.0, 0o600, 1).unwrap();
        let rig = between(driver, 1, &listen, &to);
        let mut clients: Vec<Peer> = (0..CLIENTS).map(|_| Peer::unix(&listen.0)).collect();
        for client in &mut clients {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        until("they have all been read", || rig.value(Metric::RequestsOpen) == CLIENTS as u64);
        origin.set_nonblocking(false).unwrap();
        thread::spawn(move || {
            for stream in origin.incoming().map_while(Result::ok) {
                thread::spawn(move || echo(&mut Peer::of_unix(stream)));
            }
        });
        for client in &mut clients {
            assert_eq!(client.message().status(), 200);
        }
    });
}

#[test]
fn b_06_an_upstream_may_be_a_socket_behind_tcp_and_the_other_way_round() {
    on_both(|driver| {
        let path = SocketPath::new();
        let _origin = UnixOrigin::start(&path.0, echo);
        let tcp = Scripted::echo();
        let endpoints = [path.text(), tcp.address.to_string()];
        let cluster = Cluster::round_robin(endpoints).resolve().unwrap();
        let rig = Rig::serve(driver, move |lane| Ok(Balancer(lane.upstream(&cluster))));
        let mut client = Peer::connect(rig.address());
        let mut endpoints: Vec<Address> = (0..2)
            .map(|_| {
                assert_eq!(client.get("/x").text(), "GET /x HTTP/1.1");
                rig.record().attempts[0].endpoint.clone()
            })
            .collect();
        endpoints.sort();
        assert_eq!(endpoints, [tcp.address.into(), Address::unix(&path.0).unwrap()]);
    });
}

#[test]
fn b_06_a_client_that_does_not_read_is_given_up() {
    on_both(|driver| {
        let path = SocketPath::new();
        let mut timeouts = corelane_engine::Timeouts::default();
        timeouts.between_bytes = Duration::from_millis(200);
        let builder = Engine::builder().lanes(1).driver(driver).timeouts(timeouts);
        let rig = Rig::start(builder.serve(path.text(), |_| {
            Ok(Fun(async |_| Ok(Response::new(StatusCode::OK).with_body("x".repeat(8 << 20)))))
        }));
        let mut client = Peer::unix(&path.0);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let record = rig.records.recv_timeout(PATIENCE).expect("a record");
        assert_eq!(record.end, End::ClientTimeout);
        let (rest, _) = client.rest();
        assert!(!rest.is_empty() && rest.len() < 8 << 20);
    });
}

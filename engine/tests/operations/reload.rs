//! A new generation while the old one serves.

use crate::support::{
    clock::until,
    peer::{Peer, Scripted},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Builder, Driver, Engine, Error, Event, Lane, Metric, ReloadError, Request, Response, Result, Settings,
    StatusCode,
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A handler that says which generation it is of, and how many were before it on its lane.
struct Generation {
    number: u64,
    before: u64,
}

impl corelane_engine::Handler for Generation {
    async fn handle(&self, _: Request) -> Result<Response> {
        Ok(Response::text(StatusCode::OK, format!("{} after {}", self.number, self.before)))
    }
}

fn builder(driver: Driver, lanes: usize) -> Builder {
    Engine::builder().driver(driver).lanes(lanes)
}

fn generation(builder: Builder, address: &str, number: u64) -> Builder {
    builder.serve_again(address.to_owned(), None, move |_, before: Option<&Generation>| {
        Ok(Generation { number, before: before.map_or(0, |before| before.before + 1) })
    })
}

#[test]
fn b_60_an_open_connection_gets_the_next_generation_with_its_next_request() {
    on_both(|driver| {
        let rig = Rig::start(generation(builder(driver, 2), "127.0.0.1:0", 1));
        let mut clients: Vec<Peer> = (0..8).map(|_| Peer::connect(rig.address())).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.get("/").text(), "1 after 0"));
        for number in 2..6 {
            let next = generation(builder(driver, 2), "127.0.0.1:0", number);
            rig.handle.reload(next).expect("it is in order");
            let expected = format!("{number} after {}", number - 1);
            clients.iter_mut().for_each(|client| assert_eq!(client.get("/").text(), expected));
            assert_eq!(Peer::connect(rig.address()).get("/").text(), expected);
        }
    });
}

#[test]
fn b_60_what_is_in_flight_ends_with_the_handler_that_it_began_with() {
    on_both(|driver| {
        let let_go = Arc::<AtomicBool>::default();
        let build = |number: u64| {
            let let_go = let_go.clone();
            builder(driver, 1).serve("127.0.0.1:0", move |lane: &Lane| {
                let (let_go, lane) = (let_go.clone(), lane.clone());
                Ok(Fun(async move |request: Request| {
                    while request.path() == "/slow" && !let_go.load(Ordering::SeqCst) {
                        lane.sleep(Duration::from_millis(5)).await;
                    }
                    Ok::<_, Error>(Response::text(StatusCode::OK, number.to_string()))
                }))
            })
        };
        let rig = Rig::start(build(1));
        let mut slow = Peer::connect(rig.address());
        slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        until("it is in flight", || rig.value(Metric::RequestsOpen) == 1);
        rig.handle.reload(build(2)).expect("it is in order");
        assert_eq!(Peer::connect(rig.address()).get("/").text(), "2");
        let_go.store(true, Ordering::SeqCst);
        assert_eq!(slow.message().text(), "1");
        assert_eq!(slow.get("/").text(), "2");
    });
}

#[test]
fn op_02_a_generation_that_fails_on_one_lane_changes_nothing_on_any() {
    on_both(|driver| {
        let rig = Rig::start(generation(builder(driver, 3), "127.0.0.1:0", 1));
        let fails = builder(driver, 3).serve("127.0.0.1:0", |lane: &Lane| match lane.id() {
            1 => Err(Error::internal("no such thing")),
            _ => Ok(Generation { number: 2, before: 0 }),
        });
        let error = rig.handle.reload(fails).expect_err("one lane cannot");
        assert!(error.to_string().contains("no such thing"), "{error}");
        let panics = builder(driver, 3).serve("127.0.0.1:0", |lane: &Lane| {
            assert!(lane.id() != 2, "on purpose");
            Ok(Generation { number: 2, before: 0 })
        });
        let error = rig.handle.reload(panics).expect_err("one lane panics");
        assert!(error.to_string().contains("on purpose"), "{error}");
        for _ in 0..20 {
            assert_eq!(Peer::connect(rig.address()).get("/").text(), "1 after 0");
        }
        rig.handle.reload(generation(builder(driver, 3), "127.0.0.1:0", 3)).expect("this one is in order");
        assert_eq!(Peer::connect(rig.address()).get("/").text(), "3 after 1");
    });
}

#[test]
fn op_07_listeners_come_and_go_all_or_none() {
    on_both(|driver| {
        let rig = Rig::start(generation(builder(driver, 2), "127.0.0.1:0", 1));
        let first = rig.address();
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("one");
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken_at = taken.local_addr().expect("it is bound").to_string();

        let mut next = generation(builder(driver, 2), "127.0.0.1:0", 2);
        next = generation(next, &free.to_string(), 2);
        next = generation(next, &taken_at, 2);
        let error = rig.handle.reload(next).expect_err("one address is taken");
        assert!(matches!(error, ReloadError::Start(_)) && error.to_string().contains("taken"), "{error}");
        assert_eq!(Peer::connect(first).get("/").text(), "1 after 0");
        assert!(std::net::TcpStream::connect(free).is_err(), "what was bound for nothing is closed again");

        drop(taken);
        let mut next = generation(builder(driver, 2), "127.0.0.1:0", 3);
        next = generation(next, &free.to_string(), 3);
        rig.handle.reload(next).expect("now all are free");
        let mut stays = Peer::connect(free);
        assert_eq!(stays.get("/").text(), "3 after 0");
        assert_eq!(Peer::connect(first).get("/").text(), "3 after 1");

        let mut leaves = Peer::connect(first);
        assert_eq!(leaves.get("/").text(), "3 after 1");
        let mut idle = Peer::connect(first);
        assert_eq!(idle.get("/").text(), "3 after 1");
        rig.handle.reload(generation(builder(driver, 2), &free.to_string(), 4)).expect("it is in order");
        assert_eq!(stays.get("/").text(), "4 after 1", "it was not touched");
        until("nobody listens there any more", || std::net::TcpStream::connect(first).is_err());
        let last = leaves.get("/");
        assert_eq!(last.text(), "3 after 1");
        leaves.ends_after(&last);
        idle.ends();
        assert_eq!(rig.handle.addresses(), [free]);
    });
}

#[test]
fn op_03_reloads_under_load_fail_no_request() {
    on_both(|driver| {
        let origin = Scripted::echo();
        let cluster = origin.cluster();
        let generations = Arc::<AtomicU64>::default();
        let build = || {
            let (cluster, generations) = (cluster.clone(), generations.clone());
            builder(driver, 2).serve("127.0.0.1:0", move |lane: &Lane| {
                generations.fetch_add(1, Ordering::SeqCst);
                let origin = lane.upstream(&cluster);
                Ok(Fun(async move |request: Request| origin.send(request).await))
            })
        };
        let rig = Rig::start(build());
        let (address, over) = (rig.address(), AtomicBool::new(false));
        thread::scope(|scope| {
            let over = &over;
            for keeps in [true, true, false, false] {
                scope.spawn(move || load(address, keeps, over));
            }
            for _ in 0..50 {
                rig.handle.reload(build()).expect("it is in order");
            }
            over.store(true, Ordering::SeqCst);
        });
        assert_eq!(generations.load(Ordering::SeqCst), 102);
        assert!(origin.connections() <= 8, "pools stay: {}", origin.connections());
    });
}

/// Requests until it is over, on one connection or on one for each; every one is answered.
fn load(address: SocketAddr, keeps: bool, over: &AtomicBool) {
    let mut client = Peer::connect(address);
    while !over.load(Ordering::SeqCst) {
        if !keeps {
            client = Peer::connect(address);
        }
        assert_eq!(client.get("/").status(), 200);
    }
}

#[test]
fn settings_change_with_the_generation_also_for_open_connections() {
    on_both(|driver| {
        let with = |max: Option<u64>| {
            let mut settings = Settings::default();
            settings.content_bytes_max = max;
            builder(driver, 1).settings(settings).serve("127.0.0.1:0", |_| {
                Ok(Fun(async |_| Ok::<_, Error>(Response::text(StatusCode::OK, "fine"))))
            })
        };
        let rig = Rig::start(with(None));
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        let mut client = Peer::connect(rig.address());
        client.send(post);
        assert_eq!(client.message().status(), 200);
        rig.handle.reload(with(Some(4))).expect("it is in order");
        client.send(post);
        assert_eq!(client.message().status(), 413);
    });
}

#[test]
fn op_06_another_number_of_lanes_or_driver_takes_a_restart_and_changes_nothing() {
    let rig = Rig::start(generation(builder(Driver::Epoll, 2), "127.0.0.1:0", 1));
    let error = rig.handle.reload(generation(builder(Driver::Epoll, 3), "127.0.0.1:0", 2)).unwrap_err();
    assert!(matches!(error, ReloadError::Fixed { .. }) && error.to_string().contains("lanes"), "{error}");
    let error = rig.handle.reload(generation(builder(Driver::Uring, 2), "127.0.0.1:0", 2)).unwrap_err();
    assert!(error.to_string().contains("driver"), "{error}");
    rig.handle.drain();
    let error = rig.handle.reload(generation(builder(Driver::Epoll, 2), "127.0.0.1:0", 2)).unwrap_err();
    assert!(matches!(error, ReloadError::Draining), "{error}");
}

#[test]
fn a_cluster_gets_other_endpoints_while_it_is_used() {
    on_both(|driver| {
        let origins = [(); 2].map(|()| Scripted::echo());
        let of = |origin: &Scripted| origin.cluster().name("app");
        let cluster = of(&origins[0]);
        let build = move || {
            let cluster = cluster.clone();
            builder(driver, 2).serve("127.0.0.1:0", move |lane: &Lane| {
                let origin = lane.upstream(&cluster);
                Ok(Fun(async move |request: Request| {
                    let response = origin.send(request).await?;
                    let address = response.upstream().expect("it was asked").address.clone();
                    Ok::<_, Error>(Response::text(StatusCode::OK, address.to_string()))
                }))
            })
        };
        let rig = Rig::start(build());
        let mut clients: Vec<Peer> = (0..8).map(|_| Peer::connect(rig.address())).collect();
        let all_at = |clients: &mut Vec<Peer>, origin: &Scripted| {
            clients.iter_mut().all(|client| client.get("/").text() == origin.address.to_string())
        };
        assert!(all_at(&mut clients, &origins[0]));
        rig.handle.update(&of(&origins[1])).expect("it is resolved");
        until("every lane has moved", || all_at(&mut clients, &origins[1]));
        // A lane that is rebuilt knows it, too.
        rig.handle.end_lane(0);
        rig.event(|event| matches!(event, Event::LaneDied { lane: 0 }).then_some(()));
        rig.event(|event| matches!(event, Event::LaneStarted { lane: 0, .. }).then_some(()));
        for _ in 0..16 {
            let at = Peer::connect(rig.address()).get("/").text();
            assert_eq!(at, origins[1].address.to_string());
        }
        // A reload goes by what it says itself, on lanes that are rebuilt after it, too.
        rig.handle.reload(build()).expect("it is in order");
        rig.handle.end_lane(1);
        rig.event(|event| matches!(event, Event::LaneDied { lane: 1 }).then_some(()));
        rig.event(|event| matches!(event, Event::LaneStarted { lane: 1, .. }).then_some(()));
        for _ in 0..16 {
            let at = Peer::connect(rig.address()).get("/").text();
            assert_eq!(at, origins[0].address.to_string());
        }
    });
}

/// Whether the port refuses connections. One that nobody accepts from any more, and that is still open, lets some in and
/// then says nothing.
fn lets_nobody_in(address: SocketAddr) -> bool {
    let connected = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1));
    connected.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

#[test]
fn a_drain_during_a_reload_that_fails_closes_the_sockets_all_the_same() {
    on_both(|driver| {
        let rig = Rig::start(generation(builder(driver, 2), "127.0.0.1:0", 1));
        let mut inside = Peer::connect(rig.address());
        assert_eq!(inside.get("/").text(), "1 after 0");
        let (handle, drained) = (rig.handle.clone(), AtomicBool::new(false));
        let drained = Arc::new(drained);
        let first = drained.clone();
        // The drain comes while the lanes get ready, from one of them.
        let fails = builder(driver, 2).serve("127.0.0.1:0", move |_: &Lane| {
            if !first.swap(true, Ordering::SeqCst) {
                handle.drain_without_deadline();
            }
            Err::<Generation, _>(Error::internal("on purpose"))
        });
        rig.handle.reload(fails).expect_err("it fails");
        assert!(drained.load(Ordering::SeqCst));
        until("nobody is let in", || lets_nobody_in(rig.address()));
        drop(inside);
    });
}

#[test]
fn a_generation_that_fails_leaves_the_maxima_of_its_clusters_alone() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            while peer.try_message().is_some() {
                // Until the test has as many under way as it wants.
                if peer.more(Duration::from_millis(300)) != Ok(false) {
                    return;
                }
                peer.send(crate::support::peer::ok("late"));
            }
        });
        let build = |max: u32, fails: bool| {
            let cluster = origin.cluster().connections_max(Some(max)).queue(1, Duration::from_millis(50));
            builder(driver, 1).serve("127.0.0.1:0", move |lane: &Lane| {
                let origin = lane.upstream(&cluster);
                if fails {
                    return Err(Error::internal("on purpose"));
                }
                Ok(Fun(async move |request: Request| origin.send(request).await))
            })
        };
        let rig = Rig::start(build(4, false));
        rig.handle.reload(build(1, true)).expect_err("it fails");
        let ask_four = || {
            let mut clients: Vec<Peer> = (0..4).map(|_| Peer::connect(rig.address())).collect();
            for client in &mut clients {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            }
            clients.iter_mut().map(|client| client.message().status()).filter(|status| *status == 200).count()
        };
        assert_eq!(ask_four(), 4, "the maximum is as it was");
        rig.handle.reload(build(1, false)).expect("this one is in order");
        assert_eq!(ask_four(), 1, "and now it is less");
    });
}

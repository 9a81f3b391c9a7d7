//! Several lanes: what they lend each other, what they may only have together, and what becomes of one that fails.

use crate::support::{
    PATIENCE,
    clock::{compute, poll, until},
    peer::{Peer, Scripted, ok},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Builder, Cluster, Driver, Engine, Error, Event, Handler, Lane, Metric, Request, Response, Result,
    StatusCode, Upstream,
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Forwards, and says on which lane.
struct Tells(Upstream, usize);

impl Handler for Tells {
    async fn handle(&self, request: Request) -> Result<Response> {
        let mut response = self.0.send(request).await?;
        response.fields_mut().set("x-lane", self.1.to_string());
        Ok(response)
    }
}

fn forwarding(builder: Builder, cluster: Cluster) -> Builder {
    builder.serve("127.0.0.1:0", move |lane| Ok(Tells(lane.upstream(&cluster), lane.id())))
}

fn lane_of(message: &crate::support::peer::Message) -> usize {
    message.field("x-lane").expect("the lane").parse().expect("a number")
}

/// A client of each lane's, by asking `target` until every lane has answered.
fn one_of_each(address: SocketAddr, lanes: usize, target: &str) -> Vec<Peer> {
    let mut found: Vec<Option<Peer>> = (0..lanes).map(|_| None).collect();
    for _ in 0..1000 {
        if found.iter().all(Option::is_some) {
            break;
        }
        let mut client = Peer::connect(address);
        let lane = lane_of(&client.get(target));
        found[lane].get_or_insert(client);
    }
    found.into_iter().map(|client| client.expect("the kernel spreads connections over the lanes")).collect()
}

#[test]
fn a_lane_without_a_connection_borrows_one() {
    on_both(|driver| {
        let origin = Scripted::echo();
        let builder = Engine::builder().driver(driver).lanes(4);
        let rig = Rig::start(forwarding(builder, origin.cluster()));
        let mut clients = one_of_each(rig.address(), 4, "/first");
        assert_eq!(origin.connections(), 1, "one after the other, one connection does for all lanes");
        for round in 0..20 {
            for client in &mut clients {
                let target = format!("/{round}");
                assert_eq!(client.get(&target).text(), format!("GET {target} HTTP/1.1"));
            }
        }
        assert_eq!(origin.connections(), 1);
        let snapshot = rig.snapshot();
        assert_eq!(snapshot.value(Metric::UpstreamIdle), 1);
        assert_eq!(snapshot.value(Metric::UpstreamConnects), 1);
        assert_eq!(snapshot.value(Metric::UpstreamBorrowed), snapshot.value(Metric::UpstreamLent));
        assert!(snapshot.value(Metric::UpstreamBorrowed) >= 60, "{snapshot:?}");
    });
}

#[test]
fn a_lane_that_has_what_it_needs_sends_no_message() {
    on_both(|driver| {
        let origin = Scripted::echo();
        let builder = Engine::builder().driver(driver).lanes(2);
        let rig = Rig::start(forwarding(builder, origin.cluster()));
        // Both at once, so that each lane has a connection of its own in the end.
        let mut clients = one_of_each(rig.address(), 2, "/first");
        until("each lane has its own", || {
            clients.iter_mut().for_each(|client| client.send("GET /warm HTTP/1.1\r\nHost: a\r\n\r\n"));
            clients.iter_mut().for_each(|client| drop(client.message()));
            rig.value(Metric::UpstreamIdle) == 2
        });
        let before = rig.value(Metric::Letters);
        for _ in 0..100 {
            clients.iter_mut().for_each(|client| drop(client.get("/steady")));
        }
        assert_eq!(rig.value(Metric::Letters), before);
    });
}

#[test]
fn what_an_idle_connection_says_is_not_lent() {
    on_both(|driver| {
        // After each answer the origin says something that nobody asked for, or leaves.
        let done = Arc::<AtomicUsize>::default();
        let count = done.clone();
        let origin = Scripted::start(move |peer| {
            let Some(request) = peer.try_message() else { return };
            peer.send(ok("fine"));
            let speaks = request.head.contains("/speaks");
            if speaks {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
            } else {
                peer.half_close();
            }
            count.fetch_add(1, Ordering::SeqCst);
            drop(peer.try_message());
        });
        let builder = Engine::builder().driver(driver).lanes(2);
        let rig = Rig::start(forwarding(builder, origin.cluster()));
        let mut clients = one_of_each(rig.address(), 2, "/leaves");
        for _ in 0..20 {
            for target in ["/speaks", "/leaves"] {
                for client in &mut clients {
                    let before = done.load(Ordering::SeqCst);
                    assert_eq!(client.get(target).text(), "fine", "H1R-06 on a connection that was lent");
                    until("the origin has said it", || done.load(Ordering::SeqCst) > before);
                }
            }
        }
    });
}

/// An origin that counts how many connections it has at once, and how many requests at once.
struct Counting {
    origin: Scripted,
    most: Arc<AtomicUsize>,
}

fn counting(takes: Duration) -> Counting {
    let (open, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let seen = most.clone();
    let origin = Scripted::start(move |peer| {
        let now = open.fetch_add(1, Ordering::SeqCst) + 1;
        seen.fetch_max(now, Ordering::SeqCst);
        while peer.try_message().is_some() {
            thread::park_timeout(takes);
            if !peer.try_send(ok("fine")) {
                break;
            }
        }
        open.fetch_sub(1, Ordering::SeqCst);
    });
    Counting { origin, most }
}

#[test]
fn b_52_a_maximum_of_one_over_four_lanes_is_one_and_nobody_hangs() {
    on_both(|driver| {
        let counting = counting(Duration::from_millis(1));
        let cluster = counting.origin.cluster().connections_max(Some(1)).queue(1024, PATIENCE);
        let builder = Engine::builder().driver(driver).lanes(4);
        let rig = Rig::start(forwarding(builder, cluster));
        let address = rig.address();
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(move || {
                    let mut client = Peer::connect(address);
                    for _ in 0..25 {
                        assert_eq!(client.get("/").status(), 200);
                    }
                });
            }
        });
        assert_eq!(counting.most.load(Ordering::SeqCst), 1);
        assert!(rig.value(Metric::UpstreamQueued) > 0);
    });
}

#[test]
fn b_52_endpoints_share_their_clusters_maximum() {
    on_both(|driver| {
        let origins = [Scripted::echo(), Scripted::echo()];
        let cluster = Cluster::round_robin(origins.each_ref().map(|origin| origin.address.to_string()))
            .connections_max(Some(1))
            .queue(1024, PATIENCE);
        let builder = Engine::builder().driver(driver).lanes(2);
        let rig = Rig::start(forwarding(builder, cluster));
        let mut clients = one_of_each(rig.address(), 2, "/first");
        for _ in 0..10 {
            clients.iter_mut().for_each(|client| assert_eq!(client.get("/next").status(), 200));
        }
        let snapshot = rig.snapshot();
        assert!(snapshot.value(Metric::UpstreamIdle) <= 1);
        let endpoints = &snapshot.clusters["default"];
        assert!(endpoints.iter().all(|endpoint| endpoint.requests > 5), "{endpoints:?}");
    });
}

#[test]
fn up_14_the_queue_before_a_full_cluster_has_an_end_in_length_and_time() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            while let Some(request) = peer.try_message() {
                if request.head.contains("/waits") {
                    // Until the proxy gives up.
                    drop(peer.try_message());
                    return;
                }
                peer.send(ok("fine"));
            }
        });
        let cluster =
            origin.cluster().connections_max(Some(1)).queue(1, Duration::from_millis(200)).name("small");
        let rig = Rig::start(forwarding(Engine::builder().driver(driver).lanes(1), cluster));
        let get = |client: &mut Peer, target: &str| {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        };
        let [mut holds, mut waits, mut refused] = [(); 3].map(|()| Peer::connect(rig.address()));
        get(&mut holds, "/waits");
        until("it has the connection", || origin.connections() == 1);
        get(&mut waits, "/");
        until("the queue is full", || rig.value(Metric::UpstreamQueued) == 1);
        let answer = refused.get("/");
        assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("1")), "it is refused at once");
        assert_eq!(rig.value(Metric::UpstreamQueueRefused), 1);
        assert_eq!(waits.message().status(), 503, "and who waits is refused in time");
        holds.reset();
        until("the place is free again", || Peer::connect(rig.address()).get("/").status() == 200);
    });
}

#[test]
fn up_14_a_stampede_on_a_cold_origin_meets_a_most_of_connections_and_a_bounded_queue() {
    on_both(|driver| {
        const CROWD: usize = 400;
        const CONNECTIONS: u32 = 8;
        const QUEUE: u32 = 100;
        // A connection that was closed to make a place may be noticed a little later; what is asked at once may not.
        let most = Arc::new(AtomicUsize::new(0));
        let (now, max) = (AtomicUsize::new(0), most.clone());
        let origin = Scripted::start(move |peer| {
            while peer.try_message().is_some() {
                max.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // So slow that there is a queue.
                assert_eq!(peer.more(Duration::from_millis(20)), Ok(false));
                now.fetch_sub(1, Ordering::SeqCst);
                if !peer.try_send(ok("fine")) {
                    return;
                }
            }
        });
        let cluster = origin.cluster().connections_max(Some(CONNECTIONS)).queue(QUEUE, PATIENCE).name("cold");
        let rig = Rig::start(forwarding(Engine::builder().driver(driver).lanes(2), cluster));
        let mut crowd: Vec<Peer> = (0..CROWD).map(|_| Peer::connect(rig.address())).collect();
        for client in &mut crowd {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        let statuses: Vec<u16> = crowd.iter_mut().map(|client| client.message().status()).collect();
        let served = statuses.iter().filter(|status| **status == 200).count();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
        assert!(served >= QUEUE as usize, "{served}");
        assert_eq!(rig.value(Metric::UpstreamQueueRefused) as usize, CROWD - served);
        let most = most.load(Ordering::SeqCst);
        assert!(most <= CONNECTIONS as usize, "{most}");
    });
}

#[test]
fn op_11_a_lane_whose_thread_ends_is_rebuilt_on_the_same_sockets() {
    on_both(|driver| {
        let origin = Scripted::echo();
        let cluster = origin.cluster().connections_max(Some(1)).queue(64, PATIENCE);
        let builder = Engine::builder().driver(driver).lanes(2);
        let rig = Rig::start(forwarding(builder, cluster));
        drop(one_of_each(rig.address(), 2, "/before"));
        for lane in [0, 1, 0] {
            rig.handle.end_lane(lane);
            rig.event(|event| matches!(event, Event::LaneDied { lane: died } if *died == lane).then_some(()));
            rig.event(|event| match event {
                Event::LaneStarted { lane: started, .. } => (*started == lane).then_some(()),
                _ => None,
            });
            // Every lane answers, and the maximum is not lost with the lane that had it.
            drop(one_of_each(rig.address(), 2, "/after"));
        }
    });
}

/// Spins on request, until it is let go.
fn spinning(driver: Driver, lanes: usize, go_on: &Arc<AtomicBool>) -> Rig {
    let go_on = go_on.clone();
    let factory = move |lane: &Lane| {
        let (id, go_on) = (lane.id(), go_on.clone());
        Ok(Fun(async move |request: Request| {
            if request.path() == "/spin" {
                while !go_on.load(Ordering::SeqCst) {
                    compute(Duration::from_millis(5));
                }
            }
            let mut response = Response::text(StatusCode::OK, "fine");
            response.fields_mut().set("x-lane", id.to_string());
            Ok::<_, Error>(response)
        }))
    };
    Rig::start(Engine::builder().driver(driver).lanes(lanes).serve("127.0.0.1:0", factory))
}

#[test]
fn op_15_a_lane_that_is_stuck_is_said_with_its_stack_and_its_clients_are_served() {
    corelane_engine::watch_stacks().expect("a signal");
    let go_on = Arc::<AtomicBool>::default();
    let rig = spinning(Driver::Auto, 2, &go_on);
    let mut clients = one_of_each(rig.address(), 2, "/");
    clients[0].send("GET /spin HTTP/1.1\r\nHost: a\r\n\r\n");
    let stack = rig.event(|event| match event {
        Event::LaneStuck { lane: 0, stack, .. } => Some(stack.clone()),
        _ => None,
    });
    assert!(stack.contains("compute"), "{stack}");
    // Whoever the kernel gives to the lane that is stuck is served by the other.
    until("new clients are served", || {
        (0..20).all(|_| {
            let mut client = Peer::connect(rig.address());
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            matches!(client.more(Duration::from_millis(300)), Ok(true))
        })
    });
    go_on.store(true, Ordering::SeqCst);
    assert_eq!(clients[0].message().status(), 200);
    rig.event(|event| matches!(event, Event::LaneRecovered { lane: 0 }).then_some(()));
    drop(one_of_each(rig.address(), 2, "/"));
}

#[test]
fn res_11_a_hog_on_one_lane_holds_up_nobody_on_another() {
    let go_on = Arc::<AtomicBool>::default();
    let rig = spinning(Driver::Auto, 2, &go_on);
    let mut clients = one_of_each(rig.address(), 2, "/");
    clients[0].send("GET /spin HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..100 {
        assert_eq!(clients[1].get("/").status(), 200);
    }
    go_on.store(true, Ordering::SeqCst);
    assert_eq!(clients[0].message().status(), 200);
}

#[test]
fn b_22_an_endpoint_that_refuses_is_suspect_on_every_lane() {
    on_both(|driver| {
        let origin = Scripted::echo();
        let dead = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("it is bound")
        };
        let cluster = Cluster::round_robin([origin.address.to_string(), dead.to_string()]);
        let builder = Engine::builder().driver(driver).lanes(4);
        let rig = Rig::start(forwarding(builder, cluster));
        let mut clients = one_of_each(rig.address(), 4, "/first");
        let refusals = || rig.value(Metric::UpstreamConnectErrors);
        // Whoever runs into it tells the others: within a second of the first, there are few more.
        assert!(
            poll(PATIENCE, || {
                let before = refusals();
                for _ in 0..10 {
                    clients.iter_mut().for_each(|client| assert_eq!(client.get("/next").status(), 200));
                }
                (refusals() == before && before > 0).then_some(())
            })
            .is_some()
        );
        assert!(refusals() <= 8, "{} refusals for some hundred requests", refusals());
    });
}

#[test]
fn what_another_thread_answers_can_be_awaited() {
    let answers = Lane::run(async |_lane: Lane| {
        let mut answers = Vec::new();
        for number in 0..100 {
            let (tell, told) = tokio::sync::oneshot::channel();
            let other = thread::spawn(move || tell.send(number));
            answers.push(told.await.expect("it answers"));
            other.join().expect("it ends").expect("somebody listened");
        }
        answers
    });
    assert_eq!(answers.expect("a lane"), (0..100).collect::<Vec<_>>());
}

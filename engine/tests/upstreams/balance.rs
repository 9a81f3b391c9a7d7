//! Which endpoint gets a request, and from where it is connected to.

use crate::support::{
    Balancer,
    peer::{Peer, Scripted, SocketPath, UnixOrigin, ok},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Cluster, Driver, Request, Upstream,
    balancer::{Candidates, Choose, EndpointId, Factory, Outcome, Rng},
};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Answers with its number.
fn numbered(number: usize) -> Scripted {
    Scripted::start(
        move |peer| {
            while peer.try_message().is_some() && peer.try_send(ok(&number.to_string())) {}
        },
    )
}

fn texts(origins: &[Scripted]) -> Vec<String> {
    origins.iter().map(|origin| origin.address.to_string()).collect()
}

/// A proxy that says what each request belongs to: its path, or its client for `/`.
fn by_path(driver: Driver, lanes: usize, cluster: Cluster) -> Rig {
    let cluster = cluster.resolve().expect("addresses");
    let builder = corelane_engine::Engine::builder().driver(driver).lanes(lanes);
    Rig::start(builder.serve("127.0.0.1:0", move |lane| {
        let origin: Upstream = lane.upstream(&cluster);
        Ok(Fun(async move |request: Request| {
            if request.path() != "/" {
                request.balance_by(request.path());
            }
            origin.send(request).await
        }))
    }))
}

#[test]
fn what_belongs_together_goes_to_one_endpoint_on_every_lane() {
    on_both(|driver| {
        let origins: Vec<Scripted> = (0..4).map(numbered).collect();
        let rig = by_path(driver, 2, Cluster::hash(texts(&origins)));
        let mut used = HashSet::new();
        for key in 0..12 {
            let first = Peer::connect(rig.address()).get(&format!("/{key}")).text();
            for _ in 0..4 {
                let again = Peer::connect(rig.address()).get(&format!("/{key}")).text();
                assert_eq!(again, first, "whichever lane it comes to");
            }
            used.insert(first);
        }
        assert!(used.len() > 1, "keys are spread");
        let client: HashSet<String> = (0..8).map(|_| Peer::connect(rig.address()).get("/").text()).collect();
        assert_eq!(client.len(), 1, "without a key they belong to the client");
    });
}

#[test]
fn clients_without_an_address_belong_nowhere() {
    on_both(|driver| {
        let origins: Vec<Scripted> = (0..4).map(numbered).collect();
        let (path, cluster) = (SocketPath::new(), Cluster::hash(texts(&origins)).resolve().unwrap());
        let builder = corelane_engine::Engine::builder().driver(driver);
        let _rig = Rig::start(builder.serve(path.text(), move |lane| Ok(Balancer(lane.upstream(&cluster)))));
        let mut client = Peer::unix(&path.0);
        let used: HashSet<String> = (0..64).map(|_| client.get("/").text()).collect();
        assert!(used.len() > 1, "64 of 4 by chance");
    });
}

/// The first, the second, and so on.
struct InTurn {
    next: usize,
    done: Arc<AtomicUsize>,
}

impl Choose for InTurn {
    fn choose(&mut self, all: &Candidates<'_>, _: u64, _: Duration, _: &mut Rng) -> Option<EndpointId> {
        let chosen = all.iter().nth(self.next % all.iter().count());
        self.next += 1;
        chosen.map(|one| one.id())
    }

    fn done(&mut self, _: EndpointId, outcome: Outcome, _: Duration, _: Duration) {
        assert_eq!(outcome, Outcome::Success);
        self.done.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_policy_of_ones_own_chooses() {
    on_both(|driver| {
        let origins: Vec<Scripted> = (0..3).map(numbered).collect();
        let (done, count) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (told, made) = (done.clone(), count.clone());
        let factory = Factory::new(move || {
            made.fetch_add(1, Ordering::SeqCst);
            InTurn { next: 0, done: told.clone() }
        });
        let rig = by_path(driver, 1, Cluster::custom(texts(&origins), factory));
        let mut client = Peer::connect(rig.address());
        let answers: Vec<String> = (0..6).map(|_| client.get("/x").text()).collect();
        assert_eq!(answers, ["0", "1", "2", "0", "1", "2"]);
        assert_eq!(count.load(Ordering::SeqCst), 1, "one for each lane");
        drop(rig.finish());
        assert_eq!(done.load(Ordering::SeqCst), 6);
    });
}

#[test]
fn b_01_an_origin_sees_the_source_address() {
    on_both(|driver| {
        let origin = Scripted::start(|peer| {
            let from = peer.stream.peer_addr().unwrap().ip().to_string();
            while peer.try_message().is_some() && peer.try_send(ok(&from)) {}
        });
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let cluster = origin.cluster().source(source).resolve().unwrap();
        let plain = origin.cluster();
        let rig = Rig::serve(driver, move |lane| {
            let (bound, plain) = (lane.upstream(&cluster), lane.upstream(&plain));
            Ok(Fun(async move |request: Request| match request.path() {
                "/bound" => bound.send(request).await,
                _ => plain.send(request).await,
            }))
        });
        let mut client = Peer::connect(rig.address());
        // A connection of one is never used for the other.
        for _ in 0..2 {
            assert_eq!(client.get("/bound").text(), "127.0.0.2");
            assert_eq!(client.get("/").text(), "127.0.0.1");
        }
        assert_eq!(origin.connections(), 2);
    });
}

#[test]
fn b_01_a_source_that_cannot_be_is_said() {
    let refused = |cluster: Cluster| cluster.resolve().expect_err("it cannot be").to_string();
    let elsewhere = refused(Cluster::round_robin(["127.0.0.1:1"]).source("192.0.2.1".parse().unwrap()));
    assert!(elsewhere.contains("192.0.2.1"), "{elsewhere}");
    let family = refused(Cluster::round_robin(["[::1]:1"]).source("127.0.0.1".parse().unwrap()));
    assert!(family.contains("[::1]:1") && family.contains("family"), "{family}");
}

#[test]
fn b_01_a_unix_socket_has_no_source() {
    on_both(|driver| {
        let path = SocketPath::new();
        let _origin = UnixOrigin::start(&path.0, crate::support::peer::echo);
        let cluster =
            Cluster::round_robin([path.text()]).source(Ipv4Addr::LOCALHOST.into()).resolve().unwrap();
        let rig = Rig::serve(driver, move |lane| Ok(Balancer(lane.upstream(&cluster))));
        assert_eq!(Peer::connect(rig.address()).get("/").status(), 200);
    });
}

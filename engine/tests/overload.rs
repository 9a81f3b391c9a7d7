//! A process that runs short of memory or descriptors: what it sheds, in which order, and that it comes back.

mod support;

use corelane_engine::{
    Driver, End, Engine, Event, Memory, Metric, Overload, Response, Scarce, Shedding, StartError, StatusCode,
};
use std::{fs::File, time::Duration};
use support::{
    PATIENCE, alone,
    clock::until,
    peer::{Peer, Scripted},
    rig::{Fun, Rig},
};

/// Descriptors that the process may have, and those that are taken so that few are left.
struct Descriptors {
    most: u64,
    before: libc::rlimit,
    taken: Vec<File>,
}

#[allow(unsafe_code, reason = "the standard library knows no limits")]
impl Descriptors {
    fn limited_to(most: u64) -> Self {
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a live `rlimit`.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut before) }, 0);
        let limit = libc::rlimit { rlim_cur: most, ..before };
        // SAFETY: the pointer is to a live `rlimit`.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
        Self { most, before, taken: Vec::new() }
    }

    /// Takes as many as are missing to so many per mille of all.
    fn fill(&mut self, per_mille: u64) {
        let open = std::fs::read_dir("/proc/self/fd").expect("it is there").count() as u64 - 1;
        let missing = (self.most * per_mille / 1000).saturating_sub(open);
        self.taken.extend((0..missing).map(|_| File::open("/dev/null").expect("there is one left")));
    }
}

#[allow(unsafe_code, reason = "the standard library knows no limits")]
impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: the pointer is to a live `rlimit`.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const self.before) };
    }
}

/// Waits for the event that says what is shed from now on.
#[track_caller]
fn sheds(rig: &Rig, expected: Shedding, by: Scarce) -> u64 {
    let percent = rig.event(|event| match event {
        Event::Overload { shedding, scarce, used_percent } if *shedding == expected => {
            assert_eq!(*scarce, by, "{event}");
            Some(*used_percent)
        }
        _ => None,
    });
    assert_eq!(rig.handle.pressure().shedding, expected);
    percent
}

/// `/here` is answered here, everything else by the origin.
fn served(driver: Driver, overload: Overload, origin: &Scripted) -> Rig {
    let cluster = origin.cluster();
    let builder = Engine::builder().driver(driver).lanes(1).overload(overload);
    Rig::start(builder.serve("127.0.0.1:0", move |lane| {
        let origin = lane.upstream(&cluster);
        Ok(Fun(async move |request: corelane_engine::Request| match request.path() {
            "/here" => Ok(Response::text(StatusCode::OK, "here\n")),
            _ => origin.send(request).await,
        }))
    }))
}

#[test]
fn res_03_a_process_short_of_descriptors_sheds_step_by_step_and_comes_back() {
    alone("res_03_a_process_short_of_descriptors_sheds_step_by_step_and_comes_back", || {
        for driver in [Driver::Auto, Driver::Epoll] {
            let origin = Scripted::echo();
            let rig = served(driver, Overload::default(), &origin);
            let mut descriptors = Descriptors::limited_to(1000);
            let mut kept = Peer::connect(rig.address());
            let answer = kept.get("/");
            assert!(answer.status() == 200 && !answer.closes(), "{answer:?}");
            until("the origin's connection is kept", || rig.value(Metric::UpstreamIdle) == 1);

            descriptors.fill(860);
            assert!((85..=88).contains(&sheds(&rig, Shedding::NoKeepAlive, Scarce::Descriptors)));
            let answer = kept.get("/here");
            assert_eq!(answer.text(), "here\n");
            kept.ends_after(&answer);

            descriptors.fill(905);
            sheds(&rig, Shedding::Refuse, Scarce::Descriptors);
            let mut refused = Peer::connect(rig.address());
            let answer = refused.get("/here");
            assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("1")), "{answer:?}");
            refused.ends_after(&answer);
            assert_eq!(rig.value(Metric::RequestsShed), 1);
            let record = poll_for_refusal(&rig);
            assert!(record.contains("too little memory or too few descriptors"), "{record}");

            // Who is connected and asks for nothing stays, up to the next step.
            let mut silent = Peer::connect(rig.address());
            until("it is let in", || rig.value(Metric::ConnectionsOpen) == 1);
            assert_eq!(rig.value(Metric::UpstreamIdle), 1);
            descriptors.fill(930);
            sheds(&rig, Shedding::CloseIdle, Scarce::Descriptors);
            silent.ends();
            until("the pool is empty", || rig.value(Metric::UpstreamIdle) == 0);
            until("both are counted", || rig.value(Metric::ConnectionsShed) == 2);

            descriptors.fill(965);
            sheds(&rig, Shedding::StopAccept, Scarce::Descriptors);
            let let_in = rig.value(Metric::Connections);
            let mut waits = Peer::connect(rig.address());
            waits.send("GET /here HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(waits.more(Duration::from_millis(300)), Ok(false), "nobody lets it in");
            assert_eq!((rig.value(Metric::Connections), rig.value(Metric::AcceptErrors)), (let_in, 0));

            descriptors.taken.clear();
            sheds(&rig, Shedding::Nothing, Scarce::Descriptors);
            let answer = waits.message();
            assert!(answer.text() == "here\n" && !answer.closes(), "{answer:?}");
            assert_eq!(waits.get("/").text(), "GET / HTTP/1.1");
            drop(descriptors);
            drop((waits, silent, refused, kept));
            rig.finish();
        }
    });
}

/// The error of the record that was refused.
#[track_caller]
fn poll_for_refusal(rig: &Rig) -> String {
    loop {
        let record = rig.record();
        if record.end == End::Overloaded {
            assert_eq!(record.status, 503);
            return record.error;
        }
    }
}

#[test]
fn res_03_a_process_short_of_memory_refuses_and_comes_back() {
    alone("res_03_a_process_short_of_memory_refuses_and_comes_back", || {
        const MIB: usize = 1 << 20;
        const MOST: usize = 400 * MIB;
        corelane_engine::keep_buffers_apart();
        let mut overload = Overload::default();
        overload.memory = Memory::Bytes(MOST as u64);
        let origin = Scripted::echo();
        let rig = served(Driver::Auto, overload, &origin);
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/").status(), 200);
        until("it has been looked at", || rig.handle.pressure().memory.is_some_and(|used| used > 0.0));
        let resident = (rig.handle.pressure().memory.unwrap_or_default() * MOST as f64) as usize;
        // Touched, so that it is resident.
        let ballast = |percent: usize| vec![1u8; MOST / 100 * percent - resident];
        let first = ballast(87);
        sheds(&rig, Shedding::NoKeepAlive, Scarce::Memory);
        let answer = client.get("/here");
        client.ends_after(&answer);
        let second = vec![1u8; MOST / 100 * 4];
        assert!((90..=92).contains(&sheds(&rig, Shedding::Refuse, Scarce::Memory)));
        assert_eq!(Peer::connect(rig.address()).get("/").status(), 503);
        assert_eq!(origin.connections(), 1, "the origin hears nothing of it");
        drop((first, second));
        sheds(&rig, Shedding::Nothing, Scarce::Memory);
        let mut client = Peer::connect(rig.address());
        let answer = client.get("/");
        assert!(answer.status() == 200 && !answer.closes(), "{answer:?}");
    });
}

#[test]
fn res_03_a_tunnel_and_what_is_under_way_are_left_alone() {
    alone("res_03_a_tunnel_and_what_is_under_way_are_left_alone", || {
        let origin = Scripted::start(|peer| {
            let Some(head) = peer.try_head() else { return };
            if head.contains("/slow") {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
                while peer.more(PATIENCE) == Ok(true) {}
                return;
            }
            peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            while peer.more(PATIENCE) == Ok(true) {
                let bytes = peer.bytes(peer.received().len());
                peer.send(bytes);
            }
        });
        let rig = served(Driver::Auto, Overload::default(), &origin);
        let mut descriptors = Descriptors::limited_to(1000);
        let mut tunnel = Peer::connect(rig.address());
        tunnel.send(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert!(tunnel.head().starts_with("HTTP/1.1 101 "));
        let mut slow = Peer::connect(rig.address());
        slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        slow.head();
        assert_eq!(slow.bytes(4), b"half");
        descriptors.fill(970);
        sheds(&rig, Shedding::StopAccept, Scarce::Descriptors);
        // For longer than it takes to close what is idle.
        for _ in 0..10 {
            tunnel.send("still here");
            assert_eq!(tunnel.bytes(10), b"still here");
            assert_eq!(slow.more(Duration::from_millis(100)), Ok(false));
        }
    });
}

#[test]
fn res_03_steps_that_are_in_no_order_are_refused() {
    let mut overload = Overload::default();
    overload.refuse_percent = Some(50);
    let started = Engine::builder().overload(overload).spawn();
    match started {
        Err(error @ StartError::Overload(_)) => {
            assert!(error.to_string().contains("new requests are refused begins at 50"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

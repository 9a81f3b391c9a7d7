//! What engines leave behind: nothing. One test, because descriptors and threads are the process's.

mod support;

use corelane_engine::{Driver, Engine, Metric, Response, StatusCode, Timeouts};
use std::{collections::BTreeMap, time::Duration};
use support::{
    clock::{poll, until},
    peer::{Peer, Scripted, ok},
    rig::{Fun, Rig},
};

/// How many descriptors of each kind stand in `/proc/self/fd`, without the one by which it is read.
fn descriptors() -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/fd").expect("it is there") {
        let Ok(link) = std::fs::read_link(entry.expect("it can be read").path()) else { continue };
        let link = link.to_string_lossy().into_owned();
        if !link.starts_with("/proc/") {
            // `socket:[1234]` is a socket, and `anon_inode:[io_uring]` a ring.
            let kind = link.trim_end_matches(|c: char| c.is_ascii_digit() || c == ']');
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
    }
    kinds
}

/// Threads of lanes; those of origins come and go with their connections.
fn lanes() -> usize {
    let names = std::fs::read_dir("/proc/self/task")
        .expect("it is there")
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("corelane-")).count()
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    Drained,
    Cut,
    Stopped,
    NotStarted,
}

/// An engine with clients and pooled connections in all states, ended in one of the ways.
fn live_and_die(driver: Driver, origin: &Scripted, how: How) {
    let cluster = origin.cluster();
    let mut timeouts = Timeouts::default();
    timeouts.drain_grace = Duration::from_millis(if how == How::Drained { 30_000 } else { 50 });
    let builder = Engine::builder().driver(driver).lanes(2).timeouts(timeouts);
    let builder = builder.serve("127.0.0.1:0", move |lane| {
        assert!(how != How::NotStarted || lane.id() == 0, "on purpose");
        let origin = lane.upstream(&cluster);
        let busy = lane.clone();
        lane.spawn(async move {
            loop {
                busy.sleep(Duration::from_millis(20)).await;
            }
        });
        Ok(Fun(async move |request: corelane_engine::Request| match request.path() {
            "/waits" => std::future::pending().await,
            "/local" => Ok(Response::text(StatusCode::OK, "here\n")),
            _ => origin.send(request).await,
        }))
    });
    if how == How::NotStarted {
        assert!(builder.spawn().is_err());
        return;
    }
    let rig = Rig::start(builder);
    let (mut idle, silent) = (Peer::connect(rig.address()), Peer::connect(rig.address()));
    assert_eq!(idle.get("/there").text(), "there");
    let mut others: Vec<_> = (0..4).map(|_| Peer::connect(rig.address())).collect();
    if how == How::Drained {
        others.iter_mut().for_each(|client| assert_eq!(client.get("/local").status(), 200));
        others.clear();
    } else {
        for (client, path) in others.iter_mut().zip(["/waits", "/silent", "/endless", "/upload"]) {
            let content = if path == "/upload" { "Content-Length: 10\r\n" } else { "" };
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{content}\r\n"));
        }
        until("all are in flight", || rig.value(Metric::RequestsOpen) == 4);
    }
    if how == How::Stopped {
        rig.handle.stop()
    } else {
        rig.handle.drain()
    }
    rig.ended();
    drop((idle, silent, others));
}

#[test]
fn engines_come_and_go_and_leave_nothing() {
    let origin = Scripted::start(|peer| {
        while let Some(head) = peer.try_head() {
            match head.split(' ').nth(1) {
                Some("/silent" | "/upload") => drop(peer.rest()),
                Some("/endless") => {
                    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
                    peer.rest();
                }
                _ => peer.send(ok("there")),
            }
        }
    });
    let before = descriptors();
    let mut left = Vec::new();
    for driver in [Driver::Auto, Driver::Epoll] {
        for how in [How::Stopped, How::Cut, How::NotStarted, How::Drained] {
            // Draining idle connections takes a second each time.
            let times = if how == How::Drained { 2 } else { 20 };
            (0..times).for_each(|_| live_and_die(driver, &origin, how));
            let back =
                poll(Duration::from_secs(2), || (descriptors() == before && lanes() == 0).then_some(()));
            if back.is_none() {
                left.push(format!("{times} × {how:?} on {driver:?}: {} lanes, {:?}", lanes(), descriptors()));
            }
        }
    }
    assert!(left.is_empty(), "descriptors and lanes that are left, of {before:?}:\n{}", left.join("\n"));
}

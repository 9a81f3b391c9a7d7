//! How many operations a request submits to its lane's ring: exactly, by the kernel's own account of the ring.
//!
//! Every submission is a piece of the request's cost in the kernel, so one more than needed is a fault. How many calls
//! of io_uring_enter submit them is a matter of timing (what is ready at once goes together), which no test can fix.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use corelane_engine::{Driver, Engine};
use std::{fs, net::SocketAddr, path::PathBuf};
use support::{
    Balancer, PATIENCE,
    clock::poll,
    peer::{Peer, Scripted},
};

/// Requests that are looked at, each by itself.
const SAMPLES: usize = 100;
/// Samples into which what the lane does by the clock may fall: it looks after idle connections once a second.
const STRAY_MAX: usize = SAMPLES / 5;

/// The ring of this process's only lane, and the lane's thread.
struct Ring {
    fdinfo: PathBuf,
    stat: PathBuf,
}

/// Positions in a ring's two queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Queues {
    submitted: u32,
    taken: u32,
    completed: u32,
    seen: u32,
}

impl Ring {
    fn of_the_lane() -> Self {
        let is_ring = |path: &PathBuf| {
            fs::read_link(path).is_ok_and(|target| target.to_string_lossy().contains("[io_uring]"))
        };
        let rings: Vec<PathBuf> =
            fs::read_dir("/proc/self/fd").unwrap().map(|fd| fd.unwrap().path()).filter(is_ring).collect();
        assert_eq!(rings.len(), 1, "a lane has a ring: {rings:?}");
        let is_lane = |task: &PathBuf| {
            fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("corelane-0"))
        };
        let tasks: Vec<PathBuf> = fs::read_dir("/proc/self/task")
            .unwrap()
            .map(|task| task.unwrap().path())
            .filter(is_lane)
            .collect();
        assert_eq!(tasks.len(), 1, "a lane has a thread: {tasks:?}");
        let fdinfo = PathBuf::from("/proc/self/fdinfo").join(rings[0].file_name().unwrap());
        Self { fdinfo, stat: tasks[0].join("stat") }
    }

    /// `None` if the kernel is at work on the ring, and doesn't say.
    fn queues(&self) -> Option<Queues> {
        let text = fs::read_to_string(&self.fdinfo).unwrap();
        let position = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().parse().ok()
        };
        Some(Queues {
            submitted: position("SqTail")?,
            taken: position("SqHead")?,
            completed: position("CqTail")?,
            seen: position("CqHead")?,
        })
    }

    fn lane_sleeps(&self) -> bool {
        let stat = fs::read_to_string(&self.stat).unwrap();
        // The state stands behind the name, which is in parentheses.
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
    }

    /// What has been submitted, once the lane has nothing to do: it sleeps, and nothing waits in either queue.
    fn at_rest(&self) -> u32 {
        let at_rest = || {
            let before = self.queues()?;
            let rests =
                self.lane_sleeps() && before.submitted == before.taken && before.completed == before.seen;
            (rests && self.queues()? == before && self.lane_sleeps()).then_some(before.submitted)
        };
        poll(PATIENCE, at_rest).expect("a lane comes to rest")
    }

    /// That `act` submits so many operations, whenever nothing else happens.
    fn expect(&self, what: &str, operations: u32, mut act: impl FnMut()) {
        // What is made once has been made.
        (0..3).for_each(|_| act());
        let counts: Vec<u32> = (0..SAMPLES)
            .map(|_| {
                let before = self.at_rest();
                act();
                self.at_rest().wrapping_sub(before)
            })
            .collect();
        let others = counts.iter().filter(|count| **count != operations).count();
        assert!(others <= STRAY_MAX, "{what} submits {operations} operations, not {counts:?}");
    }
}

/// An engine with one lane on a ring, before an origin that reads each request to its end and answers all alike.
fn with_engine(answer: &'static str, test: impl FnOnce(&Ring, SocketAddr)) {
    let origin = Scripted::start(move |peer| while peer.try_message().is_some() && peer.try_send(answer) {});
    let cluster = origin.cluster();
    let builder = Engine::builder().lanes(1).driver(Driver::Uring);
    let engine = builder.serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))).spawn();
    let engine = match engine {
        Ok(engine) => engine,
        Err(error) => return eprintln!("skipped: {error}"),
    };
    test(&Ring::of_the_lane(), engine.addresses()[0].socket().expect("an IP address"));
    engine.stop();
    engine.join();
}

fn head_of_a_post(content: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: example.com\r\nContent-Length: {}\r\n\r\n", content.len())
}

/// One test, because rings and lanes are told apart by there being one.
#[test]
fn a_request_submits_what_it_must() {
    with_engine("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", |ring, address| {
        let mut client = Peer::connect(address);
        // What waits for a side stays from its second request on: what it sends is received at once when the ring tells of
        // it, and what is sent to it is taken at once.
        ring.expect("a warm GET", 0, || assert_eq!(client.get("/a").text(), "hello"));
        let content = "some content";
        ring.expect("a POST whose content comes with its head", 0, || {
            client.send(head_of_a_post(content) + content);
            assert_eq!(client.message().text(), "hello");
        });
        ring.expect("a POST whose content comes after its head", 0, || {
            client.send(head_of_a_post(content));
            ring.at_rest();
            client.send(content);
            assert_eq!(client.message().text(), "hello");
        });
        // The next to connect, the head, the end, and that the wait for the end, which would stay, is taken back.
        ring.expect("a GET on a connection of its own", 4, || {
            let mut client = Peer::connect(address);
            // It is accepted, and its head is waited for.
            ring.at_rest();
            assert_eq!(client.get("/a").text(), "hello");
        });
        // Of a client that promises to send nothing more, and is there: the next to connect, and its head, if that is not
        // there when it is accepted.
        ring.expect("a last GET on a connection of its own", 2, || {
            let mut client = Peer::connect(address);
            ring.at_rest();
            client.send("GET /a HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
            assert_eq!(client.message().text(), "hello");
            client.ends();
        });
    });
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    with_engine(chunked, |ring, address| {
        let mut client = Peer::connect(address);
        ring.expect("a warm GET that is answered in chunks", 0, || {
            assert_eq!(client.get("/a").text(), "hello")
        });
    });
}

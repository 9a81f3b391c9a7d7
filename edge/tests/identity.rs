//! Every client gets the answer to its own request, whatever others do at the same time: clients that leave, origins
//! that fail in each of their ways, connections that are reused in between (I3, H1R-05, H1R-18, B-09).

#[path = "support/wire/mod.rs"]
mod wire;

use std::fmt::Write;
use std::net::SocketAddr;
use wire::message::{Message, Role};
use wire::plain::{Conn, Origin};
use wire::proxy::Proxy;

/// What the origin is asked to do, in the target.
const KINDS: [&str; 12] = [
    "plain", "plain", "plain", "chunked", "empty", "extra", "close", "interim", "early", "cut", "silent",
    "reset",
];
/// Kinds with which no whole answer of the origin can come.
const FAILING: [&str; 3] = ["cut", "silent", "reset"];

const CLIENTS: u64 = 8;
const ROUNDS: u64 = 500;

/// xorshift64*: the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Content that says whose it is in every part.
fn content(id: &str) -> String {
    let times = 1 + id.bytes().map(usize::from).sum::<usize>() % 400;
    format!("{id};").repeat(times)
}

fn serve(mut conn: Conn) -> Option<()> {
    loop {
        let head = conn.head(Role::Request)?;
        let target = String::from_utf8(head.target().to_vec()).expect("the client wrote it");
        let (id, kind) = target[1..].split_once('/').expect("the client wrote it");
        let to_head = head.start.starts_with(b"HEAD ");
        if kind != "early" {
            let request = conn.message(Role::Request)?;
            let expected = if request.content.is_empty() { String::new() } else { content(id) };
            assert!(request.content == expected.as_bytes(), "{id} has somebody else's content");
        }
        let body = content(id);
        let length = body.len();
        let mut answer = format!("HTTP/1.1 200 OK\r\nX-Id: {id}\r\n");
        match kind {
            "chunked" => {
                answer += "Transfer-Encoding: chunked\r\n\r\n";
                let (first, second) = body.split_at(length / 2);
                if !to_head {
                    write!(
                        answer,
                        "{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
                        first.len(),
                        second.len()
                    )
                    .expect("a string takes everything");
                }
            }
            "empty" => answer = format!("HTTP/1.1 204 No Content\r\nX-Id: {id}\r\n\r\n"),
            "silent" => return None,
            "cut" | "reset" => {
                conn.send(format!("{answer}Content-Length: {}\r\n\r\n{body}", length + 1));
                return if kind == "reset" {
                    conn.reset();
                    None
                } else {
                    None
                };
            }
            _ => {
                let close = if kind == "close" { "Connection: close\r\n" } else { "" };
                let interim = if kind == "interim" { "HTTP/1.1 103 Early Hints\r\n\r\n" } else { "" };
                let sent = if to_head { "" } else { &body };
                let extra =
                    if kind == "extra" { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil" } else { "" };
                answer = format!("{interim}{answer}{close}Content-Length: {length}\r\n\r\n{sent}{extra}");
            }
        }
        conn.send(answer);
        match kind {
            "early" => drop(conn.message(Role::Request)?),
            "close" => return None,
            _ => {}
        }
    }
}

struct Asked {
    id: String,
    kind: &'static str,
    method: &'static str,
}

impl Asked {
    fn new(random: &mut Random, id: String) -> Self {
        let kind = KINDS[random.below(KINDS.len() as u64) as usize];
        Self { id, kind, method: ["GET", "GET", "HEAD", "POST"][random.below(4) as usize] }
    }

    fn bytes(&self) -> String {
        let Self { id, kind, method } = self;
        let head = format!("{method} /{id}/{kind} HTTP/1.1\r\nHost: a\r\n");
        match *method {
            "POST" => format!("{head}Content-Length: {}\r\n\r\n{}", content(id).len(), content(id)),
            _ => format!("{head}\r\n"),
        }
    }

    /// That an answer is this request's. Whether the connection goes on.
    fn check(&self, answer: &Message) -> bool {
        let what = format!("{} /{}/{}: {answer:?}", self.method, self.id, self.kind);
        if FAILING.contains(&self.kind) && answer.status() == Some(502) {
            assert!(answer.values("x-id").next().is_none(), "{what}");
        } else {
            let status = if self.kind == "empty" { 204 } else { 200 };
            assert_eq!(answer.status(), Some(status), "{what}");
            assert_eq!(answer.values("x-id").collect::<Vec<_>>(), [self.id.as_bytes()], "{what}");
            let expected =
                if status == 204 || self.method == "HEAD" { String::new() } else { content(&self.id) };
            assert!(answer.content == expected.as_bytes(), "{what}");
        }
        answer.values("connection").all(|value| value != b"close")
    }
}

/// One client: a connection after the other, a request after the other, some of them together, some abandoned.
fn client(proxy: SocketAddr, seed: u64) -> u64 {
    let mut random = Random(seed * 7919 + 1);
    let mut answered = 0;
    let mut conn = Conn::connect(proxy);
    for round in 0..ROUNDS {
        let together = 1 + random.below(3);
        let asked =
            (0..together).map(|n| Asked::new(&mut random, format!("{seed}-{round}-{n}"))).collect::<Vec<_>>();
        let bytes = asked.iter().map(Asked::bytes).collect::<String>();
        if random.below(6) == 0 {
            // Leaves: before the end of what it sends, or behind it, in order or not.
            conn.send(&bytes[..random.below(bytes.len() as u64 + 1) as usize]);
            let old = std::mem::replace(&mut conn, Conn::connect(proxy));
            if random.below(2) == 0 {
                old.reset()
            } else {
                drop(old)
            }
            continue;
        }
        conn.send(bytes);
        for asked in asked {
            let whole = answer_to(&mut conn, &asked);
            let goes_on = whole.as_ref().is_some_and(|answer| asked.check(answer));
            assert!(
                whole.is_some() || FAILING.contains(&asked.kind),
                "{}/{} got no answer",
                asked.id,
                asked.kind
            );
            answered += 1;
            if !goes_on {
                // What was asked behind it on this connection is not answered.
                conn = Conn::connect(proxy);
                break;
            }
        }
    }
    answered
}

fn answer_to(conn: &mut Conn, asked: &Asked) -> Option<Message> {
    let role = if asked.method == "HEAD" { Role::ResponseToHead } else { Role::Response };
    loop {
        let message = conn.message(role)?;
        if message.status() != Some(103) {
            return Some(message);
        }
        assert_eq!(asked.kind, "interim");
    }
}

fn everybody_gets_their_own(flags: &[&str]) {
    let origin = Origin::start(|conn, _| {
        let _ = serve(conn);
    });
    let mut proxy = Proxy::start(&origin.address.to_string(), flags);
    let answered = std::thread::scope(|scope| {
        let address = proxy.address;
        let clients = (0..CLIENTS).map(|seed| scope.spawn(move || client(address, seed)));
        let clients = clients.collect::<Vec<_>>();
        clients.into_iter().map(|client| client.join().expect("it got what was its own")).sum::<u64>()
    });
    assert!(answered > CLIENTS * ROUNDS / 2, "{answered}");
    proxy.check().expect("it runs, and nothing has panicked");
}

#[test]
fn h1r_05_h1r_18_b_09_everybody_gets_their_own_answer() {
    everybody_gets_their_own(&[]);
}

#[test]
fn h1r_05_h1r_18_b_09_everybody_gets_their_own_answer_on_epoll() {
    everybody_gets_their_own(&["--driver", "epoll"]);
}

#[test]
fn h1r_05_h1r_18_b_09_everybody_gets_their_own_answer_from_two_lanes() {
    everybody_gets_their_own(&["--lanes", "2"]);
}

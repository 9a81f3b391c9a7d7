//! When a request is tried again: each row of the table for HTTP/1, by what the origins receive.

#[path = "support/wire/mod.rs"]
mod wire;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use wire::clock::{PATIENCE, now};
use wire::message::{Message, Role};
use wire::net::End;
use wire::plain::{Conn, Origin, Refusing, Silent, answer, ask, get};
use wire::proxy::Proxy;

/// What an origin does with the second request on its first connection.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Fin,
    Reset,
    /// These bytes, and then a FIN.
    Says(&'static str),
    /// The head is read, not the content; then an RST.
    ResetEarly,
}

/// A request that reached the origin: the number of its connection, and what was in it.
type Seen = (usize, Message);

/// An origin whose first connection fails at its second request, and a proxy that has that connection pooled.
struct Stale {
    proxy: Proxy,
    _origin: Origin,
    seen: Receiver<Seen>,
}

impl Stale {
    fn new(fault: Fault) -> Self {
        Self::with(fault, false)
    }

    /// `forever`: later connections fail at their first request.
    fn with(fault: Fault, forever: bool) -> Self {
        let (sender, seen) = channel();
        let origin = Origin::start(move |conn, number| serve(conn, number, fault, forever, &sender));
        let proxy = Proxy::start(&origin.address.to_string(), &[]);
        assert_eq!(get(proxy.address, "/first").content, b"0");
        let first = seen.recv_timeout(PATIENCE).expect("it was forwarded");
        assert_eq!((first.0, first.1.target()), (0, &b"/first"[..]));
        Self { proxy, _origin: origin, seen }
    }

    /// The numbers of the connections on which requests have come so far.
    fn connections(&self) -> Vec<usize> {
        self.seen.try_iter().map(|(number, _)| number).collect()
    }
}

fn serve(mut conn: Conn, number: usize, fault: Fault, forever: bool, seen: &Sender<Seen>) {
    let mut requests = 0;
    loop {
        let faulty = if number == 0 { requests == 1 } else { forever };
        let early = faulty && matches!(fault, Fault::ResetEarly);
        let message = if early { conn.head(Role::Request) } else { conn.message(Role::Request) };
        let Some(message) = message else { return };
        requests += 1;
        let to_head = message.start.starts_with(b"HEAD ");
        seen.send((number, message)).expect("the test looks at it");
        match fault {
            _ if !faulty && to_head => drop(conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")),
            _ if !faulty => drop(conn.send(answer(number.to_string()))),
            Fault::Fin => return,
            Fault::Says(bytes) => {
                conn.send(bytes);
                return;
            }
            Fault::Reset | Fault::ResetEarly => return conn.reset(),
        }
    }
}

fn request(method: &str, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes =
        format!("{method} /second HTTP/1.1\r\nHost: example.com\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    bytes.extend_from_slice(content);
    bytes
}

/// The status of an answer that the proxy gives in an origin's stead. If it says that the connection ends, that ends
/// in order.
fn refused(proxy: &Proxy, request: impl AsRef<[u8]>) -> u16 {
    let mut client = Conn::connect(proxy.address);
    client.send(request);
    let answer = client.message(Role::Response).expect("a whole answer comes");
    if answer.values("connection").any(|value| value == b"close") {
        assert_eq!(client.rest(), Some((vec![], End::Fin)));
    }
    answer.status().expect("it has a status")
}

#[test]
fn up_03_b_20_idempotent_methods_are_retried_once_a_reused_connection_has_failed() {
    for fault in [Fault::Fin, Fault::Reset] {
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"] {
            let stale = Stale::new(fault);
            let bytes = format!("{method} /second HTTP/1.1\r\nHost: example.com\r\n\r\n");
            let role = if method == "HEAD" { Role::ResponseToHead } else { Role::Response };
            let mut client = Conn::connect(stale.proxy.address);
            client.send(bytes);
            let answer = client.message(role).expect("a whole answer comes");
            assert_eq!(answer.status(), Some(200), "{method} {fault:?}");
            assert_eq!(stale.connections(), [0, 1], "{method} {fault:?}");
        }
    }
}

#[test]
fn up_03_other_methods_are_not_retried() {
    for fault in [Fault::Fin, Fault::Reset] {
        for method in ["POST", "PATCH", "BREW"] {
            let stale = Stale::new(fault);
            assert_eq!(refused(&stale.proxy, request(method, b"")), 502, "{method} {fault:?}");
            assert_eq!(stale.connections(), [0], "{method} {fault:?}");
            // The client that comes next is served by a new connection.
            assert_eq!(get(stale.proxy.address, "/third").content, b"1");
        }
    }
}

#[test]
fn up_03_content_is_replayed_from_a_bounded_buffer() {
    let content = (0..64 << 10).map(|i| (i % 251) as u8).collect::<Vec<_>>();
    for fault in [Fault::Fin, Fault::Reset, Fault::ResetEarly] {
        for len in [1, 1000, 64 << 10] {
            let stale = Stale::new(fault);
            let answer = ask(stale.proxy.address, request("PUT", &content[..len]));
            assert_eq!(
                (answer.status(), answer.content.as_slice()),
                (Some(200), &b"1"[..]),
                "{fault:?} {len}"
            );
            let seen = stale.seen.try_iter().collect::<Vec<_>>();
            assert_eq!(seen.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1], "{fault:?} {len}");
            assert!(seen[1].1.content == content[..len], "the second attempt has all of it: {fault:?} {len}");
        }
    }
}

#[test]
fn up_03_chunked_content_is_replayed_too() {
    let stale = Stale::new(Fault::Reset);
    let bytes = "PUT /second HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        5\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n";
    assert_eq!(ask(stale.proxy.address, bytes).content, b"1");
    let seen = stale.seen.try_iter().collect::<Vec<_>>();
    assert_eq!(seen.len(), 2);
    for (_, message) in seen {
        assert_eq!(message.content, b"hello world");
        assert_eq!(message.trailers, [(b"X-T".to_vec(), b"1".to_vec())]);
    }
}

#[test]
fn up_03_content_beyond_the_buffer_is_not_replayed() {
    let content = vec![b'x'; (64 << 10) + 1];
    for fault in [Fault::Fin, Fault::Reset] {
        let stale = Stale::new(fault);
        assert_eq!(refused(&stale.proxy, request("PUT", &content)), 502, "{fault:?}");
        assert_eq!(stale.connections(), [0], "{fault:?}");
    }
}

#[test]
fn up_03_nothing_is_retried_once_a_byte_of_the_response_has_come() {
    for says in ["H", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"] {
        let stale = Stale::new(Fault::Says(says));
        assert_eq!(refused(&stale.proxy, request("GET", b"")), 502, "{says:?}");
        assert_eq!(stale.connections(), [0], "{says:?}");
    }
}

#[test]
fn up_03_nor_once_an_interim_response_has_come() {
    for says in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\nHTT"] {
        let stale = Stale::new(Fault::Says(says));
        let mut client = Conn::connect(stale.proxy.address);
        client.send(request("GET", b""));
        let interim = client.message(Role::Response).expect("it is forwarded");
        assert!(matches!(interim.status(), Some(100 | 103)));
        assert_eq!(client.message(Role::Response).and_then(|answer| answer.status()), Some(502), "{says:?}");
        assert_eq!(stale.connections(), [0], "{says:?}");
    }
}

#[test]
fn up_15_b_20_what_happened_to_an_idle_connection_is_known_before_it_is_used() {
    for says in ["", "x", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"] {
        let (sender, gone) = channel();
        // Each other connection goes bad when it is idle; those between are not kept.
        let origin = Origin::start(move |mut conn, number| {
            conn.message(Role::Request);
            let close = if number % 2 == 0 { "" } else { "Connection: close\r\n" };
            conn.send(format!("HTTP/1.1 200 OK\r\n{close}Content-Length: 4\r\n\r\n{number:4}"));
            if number % 2 == 0 {
                // The answer has been read when the next request is due: nothing else tells it from what follows.
                sender.send(conn).expect("the test goes on with it");
            }
        });
        let proxy = Proxy::start(&origin.address.to_string(), &[]);
        for round in 0..20 {
            // A POST could not be tried again.
            let first = ask(proxy.address, request("POST", b"one"));
            assert_eq!(first.content, format!("{:4}", 2 * round).as_bytes(), "{says:?}");
            let mut idle = gone.recv_timeout(PATIENCE).expect("it has answered");
            if says.is_empty() {
                idle.fin()
            } else {
                assert!(idle.send(says))
            }
            let second = ask(proxy.address, request("POST", b"two"));
            assert_eq!(second.content, format!("{:4}", 2 * round + 1).as_bytes(), "{says:?}, round {round}");
            assert_eq!(
                idle.rest().map(|(bytes, _)| bytes),
                Some(vec![]),
                "it is closed, and nothing came on it"
            );
        }
    }
}

#[test]
fn up_03_h1q_40_a_request_that_waits_for_a_100_is_retried_before_its_content_was_sent() {
    let (sender, seen) = channel();
    let origin = Origin::start(move |mut conn, number| {
        if number == 0 {
            conn.message(Role::Request);
            conn.send(answer("0"));
            let stale = conn.head(Role::Request).expect("the connection is reused");
            assert_eq!(stale.content, b"");
            return conn.reset();
        }
        conn.head(Role::Request);
        conn.send("HTTP/1.1 100 Continue\r\n\r\n");
        sender.send(conn.message(Role::Request)).expect("the test looks at it");
        conn.send(answer("1"));
    });
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    assert_eq!(get(proxy.address, "/first").content, b"0");
    let mut client = Conn::connect(proxy.address);
    client.send("PUT /second HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.message(Role::Response).and_then(|answer| answer.status()), Some(100));
    client.send("hello");
    assert_eq!(client.message(Role::Response).map(|answer| answer.content), Some(b"1".to_vec()));
    let request = seen.recv_timeout(PATIENCE).expect("it came").expect("it was complete");
    assert_eq!(request.content, b"hello");
}

#[test]
fn up_03_the_second_attempt_is_the_last() {
    let stale = Stale::with(Fault::Reset, true);
    assert_eq!(refused(&stale.proxy, request("GET", b"")), 502);
    assert_eq!(stale.connections(), [0, 1]);
}

#[test]
fn b_21_up_03_a_fresh_connection_is_never_followed_by_another() {
    for method in ["GET", "PUT", "POST"] {
        let (sender, seen) = channel();
        let broken = move |mut conn: Conn, _| {
            let Some(message) = conn.message(Role::Request) else { return };
            sender.send(message).expect("the test looks at it");
        };
        let origin = Origin::start(broken);
        let other = Origin::echo();
        // Each lane goes round by itself.
        let proxy = Proxy::start(&format!("{},{}", origin.address, other.address), &["--lanes", "1"]);
        // Whichever the first goes to, one of the two goes to the broken one.
        let statuses = [1, 2].map(|_| ask(proxy.address, request(method, b"x")).status());
        assert!(statuses.contains(&Some(502)) && statuses.contains(&Some(200)), "{method}: {statuses:?}");
        assert_eq!((seen.try_iter().count(), other.connections()), (1, 1), "{method}");
    }
}

#[test]
fn b_22_up_01_a_refused_connection_is_followed_by_the_next_endpoint_whatever_the_method() {
    let (refusing, origin) = (Refusing::new(), Origin::echo());
    let to = format!("{},{}", refusing.address(), origin.address);
    let proxy = Proxy::start(&to, &[]);
    for method in ["POST", "GET", "PATCH", "PUT"] {
        for len in [0, 100_000] {
            let began = now();
            let answer = ask(proxy.address, request(method, &vec![b'x'; len]));
            assert_eq!(answer.content, format!("{method} /second {len}").as_bytes());
            assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
        }
    }
}

#[test]
fn b_22_up_01_none_left_is_a_502_at_once() {
    let refusing = [Refusing::new(), Refusing::new(), Refusing::new()];
    let to = refusing.each_ref().map(|address| address.address().to_string()).join(",");
    let proxy = Proxy::start(&to, &[]);
    for method in ["GET", "POST"] {
        let began = now();
        assert_eq!(refused(&proxy, request(method, b"hello")), 502);
        assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    }
}

#[test]
fn b_22_up_02_a_connect_timeout_is_followed_by_the_next_endpoint() {
    let (silent, origin) = (Silent::new(), Origin::echo());
    let proxy =
        Proxy::start(&format!("{},{}", silent.address(), origin.address), &["--connect-timeout", "200ms"]);
    for method in ["POST", "GET"] {
        let answer = ask(proxy.address, request(method, b"hello"));
        assert_eq!(answer.content, format!("{method} /second 5").as_bytes());
    }
}

#[test]
fn b_22_up_02_a_connect_timeout_with_none_left_is_a_504() {
    let silent = Silent::new();
    let proxy = Proxy::start(&silent.address().to_string(), &["--connect-timeout", "200ms"]);
    let began = now();
    assert_eq!(refused(&proxy, request("GET", b"")), 504);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(2), "{took:?}");
}

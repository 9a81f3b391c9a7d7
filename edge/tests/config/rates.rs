//! Who is believed, who comes too often, and when another endpoint is asked.

use crate::{
    process::{
        clock::{PATIENCE, poll},
        corelane::{Dir, lines_of},
        origin::Origin,
    },
    served::{Served, is, serve},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

fn statuses(served: &Served, count: usize, lines: &[&str]) -> Vec<u16> {
    (0..count).map(|_| served.ask(lines).status).collect()
}

#[test]
fn too_many_requests_are_429_and_say_when_to_come_back() {
    let served = serve(
        "rates",
        None,
        r#"
        trusted_proxies = "127.0.0.1"
        [[site]]
        listen = "LISTEN"
        rate_limit = { rate = "1/h", burst = 2 }
        error_page.429.body = "slow down"
        route = [
          { path = "/one", respond.body = "x" },
          { path = "/two", respond.body = "x" },
          { path = "/key", respond.body = "x", rate_limit = { rate = "1/h", by = "header:x-key" } },
        ]
        "#,
    );
    let get = |path: &str, field: &str| served.ask(&[&format!("GET {path} HTTP/1.1"), "Host: a", field]);
    let client = |path: &str, client: &str| get(path, &format!("X-Forwarded-For: {client}"));
    assert_eq!(client("/one", "192.0.2.1").status, 200);
    assert_eq!(client("/two", "192.0.2.1").status, 200, "the site counts for its routes together");
    let refused = client("/one", "192.0.2.1");
    is(&refused, 429, "slow down");
    assert!(refused.head.contains("retry-after: 36"), "{refused:?}");
    assert_eq!(client("/one", "192.0.2.2").status, 200, "somebody else");
    // An IPv6 host has 64 bits to itself.
    let v6 = ["2001:db8::1", "2001:db8::2:1", "2001:db8::3"].map(|ip| client("/one", ip).status);
    assert_eq!(v6, [200, 200, 429]);
    let keys = [get("/key", "X-Key: a"), get("/key", "X-Key: b"), get("/key", "X-Key: a")];
    assert_eq!(keys.map(|answer| answer.status), [200, 200, 429]);
    let without = [client("/key", "192.0.2.9"), client("/key", "192.0.2.9"), client("/key", "192.0.2.8")];
    assert_eq!(without.map(|answer| answer.status), [200, 429, 200], "without the field it is the client's");
}

#[test]
fn a_rate_holds_over_lanes_and_is_in_the_log() {
    let dir = Dir::new("rate-log");
    let log = dir.path("access.log");
    let text = format!(
        "lanes = 4\nlog.access = '{}'\n[[site]]\nlisten = 'LISTEN'\nroute = [{{ respond.body = 'x', rate_limit = {{ rate = '1/h', burst = 5 }} }}]\n",
        log.display()
    );
    let served = serve("lanes-rate", None, &text);
    let mut all = statuses(&served, 20, &["GET / HTTP/1.1", "Host: a"]);
    all.sort_unstable();
    assert_eq!(all, [[200; 5].as_slice(), &[429; 15]].concat());
    let lines = lines_of(&log, 20);
    let noted = lines.iter().filter(|line| line.contains("\"rate_limit\":\"client\"")).count();
    assert_eq!(noted, 15, "{lines:?}");
}

#[test]
fn b_70_b_73_a_trusted_proxy_says_who_the_client_is() {
    let origin = Origin::start();
    let text = |trusted: &str| {
        format!(
            r#"
        {trusted}
        [[site]]
        listen = "LISTEN"
        deny = "192.0.2.0/24"
        route = [{{ to = "ORIGIN" }}]
        "#
        )
    };
    let ask = |served: &Served, field: &str| served.ask(&["GET / HTTP/1.1", "Host: a", field]).status;
    let trusting = serve("trusting", Some(&origin), &text("trusted_proxies = ['127.0.0.0/8']"));
    assert_eq!(ask(&trusting, "X-Forwarded-For: 192.0.2.7"), 403);
    assert_eq!(ask(&trusting, "X-Forwarded-For: 198.51.100.1"), 200);
    assert!(origin.head().to_ascii_lowercase().contains("x-forwarded-for: 198.51.100.1, 127.0.0.1\r\n"));
    let wary = serve("wary", Some(&origin), &text(""));
    assert_eq!(ask(&wary, "X-Forwarded-For: 192.0.2.7"), 200, "anybody may say that");
    assert!(origin.head().to_ascii_lowercase().contains("x-forwarded-for: 127.0.0.1\r\n"));
    let other = text("trusted_proxies = ['127.0.0.0/8']\nclient_from = 'forwarded'");
    let other = serve("forwarded", Some(&origin), &other);
    assert_eq!(ask(&other, "Forwarded: for=192.0.2.7"), 403);
    assert_eq!(ask(&other, "X-Forwarded-For: 192.0.2.7"), 200);
}

/// An origin that answers everything with one status.
fn answering(status: u16) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                    let _ = write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n");
                }
            });
        }
    });
    address
}

#[test]
fn another_endpoint_is_asked_after_a_status_that_the_route_names() {
    let (sick, sicker, origin) = (answering(503), answering(599), Origin::start());
    let text = format!(
        r#"
        lanes = 1
        [[site]]
        listen = "LISTEN"
        retry.attempts = 3
        # Two of three endpoints fail, which is not what a budget is for.
        retry.budget = 200
        route = [
          {{ path = "/again", to = ["{sick}", "{sicker}", "ORIGIN"], retry.on_status = [503, 599] }},
          {{ path = "/once", to = ["{sick}"], retry.on_status = 503 }},
          {{ path = "/never", to = ["{sick}"] }},
        ]
        "#
    );
    let served = serve("on-status", Some(&origin), &text);
    assert_eq!(statuses(&served, 6, &["GET /again HTTP/1.1", "Host: a"]), [200; 6]);
    assert_eq!(statuses(&served, 2, &["GET /once HTTP/1.1", "Host: a"]), [503; 2], "nobody else is there");
    assert_eq!(statuses(&served, 1, &["GET /never HTTP/1.1", "Host: a"]), [503]);
    // What may have been carried out is not done twice.
    let posts = statuses(&served, 6, &["POST /again HTTP/1.1", "Host: a", "Content-Length: 0"]);
    assert!(posts.contains(&503) && posts.contains(&599) && posts.contains(&200), "{posts:?}");
}

#[test]
fn b_73_res_08_connections_are_capped_in_all_and_by_source() {
    let served = serve(
        "caps",
        None,
        r#"
        limits = { connections_max = 8, connections_per_source_max = 3 }
        site = [{ listen = "LISTEN", route = [{ respond.body = "x" }] }]
        "#,
    );
    let connect = || TcpStream::connect(served.corelane.address).expect("it listens");
    let is_served = |mut stream: &TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while sent.is_ok() && !answer.ends_with(b"\r\n\r\nx") && stream.read_exact(&mut byte).is_ok() {
            answer.push(byte[0]);
        }
        answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(b"x")
    };
    let held = [connect(), connect(), connect()];
    assert!(held.iter().all(is_served));
    assert!(!is_served(&connect()), "one too many from here");
    assert!(held.iter().all(is_served), "those that are in stay");
    drop(held);
    poll(PATIENCE, || is_served(&connect()).then_some(())).expect("there is room again");
}

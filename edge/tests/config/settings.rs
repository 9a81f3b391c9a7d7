//! What may be said at several levels: the nearest holds.

use crate::{
    process::{
        client::send_get,
        clock::{PATIENCE, poll},
        origin::Origin,
    },
    served::{is, serve},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
};

/// The most specific level that says something holds: top, site, upstream, route.
#[test]
fn sizes_of_content_are_those_of_the_nearest_level() {
    let served = serve(
        "levels",
        None,
        r#"
        content_max = "4b"
        [[site]]
        listen = "LISTEN"
        host = "small"
        route = [{ respond.body = "x" }]
        [[site]]
        listen = "LISTEN"
        content_max = "6b"
        route = [{ path = "/site", respond.body = "x" }, { path = "/route", content_max = "none", respond.body = "x" }]
        "#,
    );
    let post = |host: &str, path: &str, length: usize| {
        let content = "x".repeat(length);
        let length = format!("Content-Length: {length}");
        served
            .ask(&[&format!("POST {path} HTTP/1.1"), &format!("Host: {host}"), &length, "", &content])
            .status
    };
    assert_eq!([post("small", "/", 4), post("small", "/", 5)], [200, 413]);
    assert_eq!([post("large", "/site", 6), post("large", "/site", 7)], [200, 413]);
    assert_eq!(post("large", "/route", 1000), 200);
    assert_eq!(post("large", "/nowhere", 1000), 404);
}

#[test]
fn an_origin_that_says_nothing_is_left_after_the_routes_own_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = r#"
        timeouts.upstream_head = "1h"
        [upstream.slow]
        to = "SILENT"
        timeouts.upstream_head = "200ms"
        [[site]]
        listen = "LISTEN"
        timeouts.upstream_head = "2h"
        route = [{ path = "/upstream", upstream = "slow" }, { path = "/route", upstream = "slow", timeouts.upstream_head = "1ms" }]
        "#;
    let served = serve("silent", None, &text.replace("SILENT", &silent.local_addr().unwrap().to_string()));
    is(&served.get("/upstream"), 504, "504 Gateway Timeout\n");
    is(&served.get("/route"), 504, "504 Gateway Timeout\n");
}

#[test]
fn another_try_is_made_where_the_route_says_so() {
    let (silent, origin) = (TcpListener::bind("127.0.0.1:0").unwrap(), Origin::start());
    let text = r#"
        lanes = 1
        [upstream.app]
        to = ["SILENT", "ORIGIN"]
        timeouts.upstream_head = "300ms"
        retry.attempts = 2
        [[site]]
        listen = "LISTEN"
        route = [{ path = "/once", upstream = "app" }, { path = "/twice", upstream = "app", retry.on_timeout = true }]
        "#;
    let served =
        serve("again", Some(&origin), &text.replace("SILENT", &silent.local_addr().unwrap().to_string()));
    let statuses = |path: &str| [served.get(path).status, served.get(path).status];
    assert_eq!(statuses("/twice"), [200, 200]);
    // In turn, but one that did not answer is avoided for a while.
    assert!(statuses("/once").contains(&200));
    let refused = served.ask(&["POST /twice HTTP/1.1", "Host: a", "Content-Length: 0"]).status;
    assert!([200, 504].contains(&refused), "a POST is tried once: {refused}");
}

#[test]
fn limits_of_heads_are_an_addresss() {
    let served = serve(
        "addresses",
        None,
        r#"
        [[site]]
        listen = "LISTEN"
        limits.request_line_max = "64b"
        route = [{ respond.body = "strict" }]
        [[site]]
        host = "b"
        listen = "[::1]:0"
        limits.request_line_max = "4k"
        route = [{ respond.body = "lax" }]
        "#,
    );
    let long = format!("/{}", "x".repeat(100));
    assert_eq!(served.get(&long).status, 414);
    is(&served.get("/"), 200, "strict");
}

#[test]
fn what_belongs_together_goes_to_one_endpoint() {
    let origins = [Origin::start(), Origin::start(), Origin::start()];
    let to: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.address)).collect();
    let text = format!(
        "[[site]]\nlisten = \"LISTEN\"\nroute = [{{ to = [{}], balance = \"hash:cookie:session\" }}]\n",
        to.join(", ")
    );
    let served = serve("hash", None, &text);
    let count = |session: &str| {
        for _ in 0..6 {
            let cookie = format!("Cookie: theme=dark; session={session}");
            assert_eq!(served.ask(&["GET / HTTP/1.1", "Host: a", &cookie]).status, 200);
        }
        origins.iter().map(|origin| origin.seen()).collect::<Vec<_>>()
    };
    let mut used = Vec::new();
    for session in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let counts = count(session);
        let at = counts.iter().position(|count| *count == 6);
        used.push(at.unwrap_or_else(|| panic!("{session}: {counts:?}")));
    }
    used.sort_unstable();
    used.dedup();
    assert!(used.len() > 1, "sessions are spread");
}

#[test]
fn b_52_no_more_connections_than_are_allowed() {
    let origin = Origin::start();
    let text = r#"
        [[site]]
        listen = "LISTEN"
        route = [{ to = "ORIGIN", connections_max = 1, queue.requests_max = 0 }]
        "#;
    let served = serve("max", Some(&origin), text);
    let held = send_get(served.corelane.address, "/held");
    origin.head();
    is(&served.get("/"), 503, "503 Service Unavailable\n");
    origin.release();
    assert_eq!(held.finish().status, 200);
    let again = || (served.get("/").status == 200).then_some(());
    poll(PATIENCE, again).expect("the place is free again");
}

#[test]
fn b_01_connections_come_from_the_address_that_the_route_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = format!(
        "[[site]]\nlisten = 'LISTEN'\ntimeouts.upstream_head = '100ms'\nroute = [{{ to = '{}', source = '127.0.0.77' }}]\n",
        listener.local_addr().unwrap()
    );
    let served = serve("source", None, &text);
    let sent = send_get(served.corelane.address, "/");
    // One of them is the one that is tried at the start.
    let accepted = [listener.accept().unwrap(), listener.accept().unwrap()];
    assert!(accepted.iter().any(|(_, peer)| peer.ip().to_string() == "127.0.0.77"), "{accepted:?}");
    assert_eq!(sent.finish().status, 504);
}

#[test]
fn h1q_58_underscores_are_an_addresss() {
    let origin = Origin::start();
    let text = |underscores: &str| {
        format!("{underscores}\nsite = [{{ listen = 'LISTEN', route = [{{ to = 'ORIGIN' }}] }}]\n")
    };
    let ask = |underscores: &str| {
        let served = serve("underscores", Some(&origin), &text(underscores));
        served.ask(&["GET / HTTP/1.1", "Host: a", "X_Real: 1"]).status
    };
    assert_eq!(ask(""), 400);
    assert_eq!(ask("underscores = 'pass'"), 200);
    assert!(origin.head().contains("X_Real: 1\r\n"));
    assert_eq!(ask("underscores = 'drop'"), 200);
    assert!(!origin.head().contains("X_Real"));
}

#[test]
fn h1q_65_a_half_close_counts_as_gone_where_the_route_says_so() {
    let origin = Origin::start();
    let text = "site = [{ listen = 'LISTEN', route = [{ to = 'ORIGIN' }, { path = '/held/gone', to = 'ORIGIN', abort_on_half_close = true }] }]";
    let served = serve("half-close", Some(&origin), text);
    let half_closed = |path: &str| {
        let mut stream = TcpStream::connect(served.corelane.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
        origin.head();
        stream.shutdown(Shutdown::Write).expect("it is connected");
        stream
    };
    let mut answer = Vec::new();
    half_closed("/held/gone").read_to_end(&mut answer).expect("it is closed");
    assert_eq!(String::from_utf8_lossy(&answer), "", "nobody waits for an answer");
    let mut waits = half_closed("/held/waits");
    origin.release();
    origin.release();
    waits.read_to_end(&mut answer).expect("it is answered");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

#[test]
fn res_03_memory_that_is_configured_is_watched_and_said_everywhere() {
    let mut served = serve(
        "overload",
        None,
        r#"
        admin.listen = "127.0.0.1:0"
        # Less than the program itself has.
        overload = { memory = "1m", stop_accept = "never" }
        site = [{ listen = "LISTEN", route = [{ respond.body = "x" }] }]
        "#,
    );
    let admin = served.corelane.admin();
    assert!(
        served.corelane.says("% of the memory are used: idle connections are closed").contains(" ERROR ")
    );
    let refused = served.get("/");
    assert_eq!((refused.status, refused.head.contains("\r\nretry-after: 1\r\n")), (503, true), "{refused:?}");
    let metrics = crate::process::client::get(admin, "/metrics").content;
    assert!(metrics.contains("\ncorelane_shedding 3\n"), "{metrics}");
    assert!(metrics.contains("\ncorelane_used_ratio{of=\"memory\"} "), "{metrics}");
    assert!(metrics.contains("\ncorelane_requests_shed_total 1\n"), "{metrics}");
    assert!(metrics.contains("\ncorelane_exchanges_ended_total{reason=\"overloaded\"} 1\n"), "{metrics}");
}

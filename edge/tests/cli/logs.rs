//! The access log: what a line says, what cannot get into one, and what happens when it cannot be written.

use crate::process::{
    client::{exchange, get, get_with},
    clock::{PATIENCE, poll},
    corelane::{Corelane, Dir, lines_of},
    origin::Origin,
};
use serde_json::Value;
use std::path::PathBuf;

/// A proxy that logs to a file of this test's own.
struct Logged {
    origin: Origin,
    corelane: Corelane,
    path: PathBuf,
    _dir: Dir,
}

impl Logged {
    fn start(name: &str, flags: &[&str]) -> Self {
        let (origin, dir) = (Origin::start(), Dir::new(name));
        let path = dir.path("access.log");
        let to = path.display().to_string();
        let corelane = Corelane::proxy(origin.address, &[&["--access-log", &to], flags].concat());
        Self { origin, corelane, path, _dir: dir }
    }

    /// So many lines, each an object.
    fn objects(&self, count: usize) -> Vec<Value> {
        let lines = lines_of(&self.path, count);
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}

/// Everything that a client can put into a line, with as much evil as it may send.
const HOSTILE: &[u8] = b"User-Agent: a\"b\\\xff\xc2\x9b</script>\r\nReferer: \"}\r\n";

#[test]
fn a_json_line_has_the_semantic_names() {
    let logged = Logged::start("json", &[]);
    get_with(logged.corelane.address, "/a%20b?x=1", b"User-Agent: test\r\n");
    let line = &logged.objects(1)[0];
    for (name, value) in [
        ("http.request.method", Value::from("GET")),
        ("url.path", "/a%20b".into()),
        ("url.query", "x=1".into()),
        ("server.address", "example.com".into()),
        ("network.protocol.version", "1.1".into()),
        ("user_agent.original", "test".into()),
        ("http.response.status_code", 200.into()),
        ("client.address", "127.0.0.1".into()),
        ("http.response.body.size", 16.into()),
        ("end", "done".into()),
    ] {
        assert_eq!(line[name], value, "{name}: {line}");
    }
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    let phases = ["route_ms", "connect_ms", "wait_ms", "transfer_ms"];
    let sum: f64 = phases.iter().map(|phase| line[phase].as_f64().unwrap()).sum();
    assert!(sum <= line["duration_ms"].as_f64().unwrap() + 0.1, "{line}");
    assert!(["queue_ms", "parse_ms", "behind_ms"].iter().all(|phase| line[phase].is_f64()), "{line}");
    let attempt = &line["attempts"][0];
    assert_eq!(attempt["endpoint"], logged.origin.address.to_string());
    assert_eq!((&attempt["reused"], &attempt["outcome"]), (&false.into(), &"200".into()));
}

#[test]
fn b_70_the_request_id_is_the_origins_and_the_logs() {
    let logged = Logged::start("id", &[]);
    get(logged.corelane.address, "/");
    let head = logged.origin.head().to_ascii_lowercase();
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("it is made");
    assert_eq!(logged.objects(1)[0]["request_id"], id);
    get_with(logged.corelane.address, "/", b"X-Request-Id: given-1\r\n");
    assert!(logged.origin.head().to_ascii_lowercase().contains("x-request-id: given-1\r\n"));
    assert_eq!(logged.objects(2)[1]["request_id"], "given-1");
}

#[test]
fn b_70_a_failure_has_its_id_and_its_reason() {
    let dir = Dir::new("failure");
    let path = dir.path("access.log");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let corelane = Corelane::proxy(nobody, &["--access-log", &path.display().to_string()]);
    assert_eq!(get_with(corelane.address, "/", b"X-Request-Id: given-2\r\n").status, 502);
    let line: Value = serde_json::from_str(&lines_of(&path, 1)[0]).unwrap();
    assert_eq!(
        (&line["request_id"], &line["http.response.status_code"]),
        (&"given-2".into(), &502.into()),
        "{line}"
    );
    assert_eq!(line["end"], "upstream_connect", "{line}");
    assert!(!line["error"].as_str().unwrap().is_empty(), "{line}");
    assert_eq!(line["attempts"][0]["outcome"], "connect: connection refused", "{line}");
}

#[test]
fn h1q_69_nothing_hostile_gets_into_a_json_line() {
    let logged = Logged::start("hostile-json", &[]);
    assert_eq!(get_with(logged.corelane.address, "/?\"'<>", HOSTILE).status, 200);
    // Lanes write in turns, so the next may come before it.
    logged.objects(1);
    let bad =
        exchange(logged.corelane.address, b"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\nUser-Agent: \0\r\n\r\n");
    assert_eq!(bad.status, 400);
    let lines = logged.objects(2);
    assert_eq!(lines[0]["user_agent.original"], "a\"b\\\u{fffd}\u{9b}</script>");
    assert_eq!(lines[0]["url.query"], "\"'<>");
    assert_eq!(lines[1]["end"], "client_protocol");
    let raw = std::fs::read_to_string(&logged.path).expect("all of it is UTF-8");
    assert!(raw.chars().all(|c| c == '\n' || !c.is_control()), "{raw:?}");
}

#[test]
fn h1q_69_nothing_hostile_gets_into_a_combined_line() {
    let logged = Logged::start("hostile-combined", &["--log-format", "combined"]);
    assert_eq!(get_with(logged.corelane.address, "/?\"", HOSTILE).status, 200);
    let line = &lines_of(&logged.path, 1)[0];
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    let tail = r#"+0000] "GET /?\" HTTP/1.1" 200 16 "\"}" "a\"b\\\xff\xc2\x9b</script>""#;
    assert!(line.ends_with(tail), "{line}");
}

#[test]
fn standard_output_is_the_default() {
    let origin = Origin::start();
    let to = origin.address.to_string();
    let mut corelane = Corelane::start(&["proxy", "--listen", "127.0.0.1:0", "--to", &to]);
    get(corelane.address, "/one");
    let line: Value = serde_json::from_str(&corelane.prints("/one")).unwrap();
    assert_eq!(line["url.path"], "/one");
}

#[test]
fn lines_that_were_logged_are_written_before_the_end() {
    let origin = Origin::start();
    let mut corelane =
        Corelane::proxy(origin.address, &["--access-log", "stdout", "--log-format", "combined"]);
    for _ in 0..20 {
        get(corelane.address, "/");
    }
    corelane.signal("TERM");
    assert_eq!(corelane.ended().code(), Some(0));
    assert_eq!(corelane.printed().len(), 20);
}

#[test]
fn usr1_reopens_a_log_that_was_moved_away() {
    let mut logged = Logged::start("reopen", &[]);
    get(logged.corelane.address, "/before");
    lines_of(&logged.path, 1);
    let moved = logged.path.with_extension("1");
    std::fs::rename(&logged.path, &moved).unwrap();
    logged.corelane.signal("USR1");
    logged.corelane.says("reopened the log");
    get(logged.corelane.address, "/after");
    assert_eq!(logged.objects(1)[0]["url.path"], "/after");
    assert_eq!(lines_of(&moved, 1).len(), 1);
}

#[test]
fn res_09_a_full_disk_is_counted_and_hurts_nobody() {
    let origin = Origin::start();
    let mut corelane =
        Corelane::proxy(origin.address, &["--access-log", "/dev/full", "--admin", "127.0.0.1:0"]);
    let admin = corelane.admin();
    assert_eq!(get(corelane.address, "/").status, 200);
    corelane.says("cannot write the log /dev/full");
    assert_eq!(get(corelane.address, "/").status, 200);
    let dropped =
        || get(admin, "/metrics").content.contains("\ncorelane_access_log_dropped_total 2\n").then_some(());
    poll(PATIENCE, dropped).expect("both lines are counted as dropped");
}

#[test]
fn res_09_a_reader_that_died_hurts_nobody() {
    let origin = Origin::start();
    let mut corelane = Corelane::proxy(origin.address, &["--access-log", "stdout"]);
    corelane.stop_reading();
    let complained = || {
        assert_eq!(get(corelane.address, "/").status, 200);
        corelane.said().contains("cannot write the log stdout").then_some(())
    };
    poll(PATIENCE, complained).expect("the broken pipe is said");
    assert_eq!(get(corelane.address, "/").status, 200);
}

//! What cannot be, each with a sentence and the right exit code.

use crate::support::{
    Directory, OK, Origin, Outcome, PROGRAM, Running, Server, counts, load, load_json, program, timed, until,
};
use std::{net::TcpListener, process::Command, thread};

fn assert_says(outcome: &Outcome, code: i32, says: &[&str]) {
    assert_eq!(outcome.code(), code, "{outcome:?}");
    for word in says {
        assert!(outcome.stderr.contains(word), "`{word}` in {outcome:?}");
    }
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
}

/// Somewhere where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}/", listener.local_addr().expect("an address"))
}

#[test]
fn nobody_listens() {
    let outcome = load(&[&nobody()]);
    assert_says(
        &outcome,
        1,
        &["cannot measure http://127.0.0.1:", "refuses connections; is the server running"],
    );
    assert_eq!(outcome.stdout, "");
    let origin = Origin::start(&[]);
    assert_says(&load(&[&origin.url("/"), &nobody()]), 1, &["refuses connections"]);
}

#[test]
fn urls_that_are_wrong() {
    for (url, says) in [
        ("https://127.0.0.1/", &["TLS is not spoken yet; only http://"][..]),
        ("ftp://127.0.0.1/", &["only http:// is spoken"]),
        ("http://", &["is not a URL", "write it as http://127.0.0.1:8080/path"]),
        ("", &["is not a URL"]),
        ("http://127.0.0.1:99999/", &["is not a URL"]),
        ("http://127.0.0.1:0/", &["is not a URL", "ports are from 1 to 65535"]),
        ("http://:80/", &["names no host"]),
        ("http://u:p@127.0.0.1/", &["--header 'Authorization"]),
        ("-1=http://127.0.0.1/", &["unexpected argument"]),
        ("0=http://127.0.0.1/", &["weight"]),
        ("http://127.0.0.1/ä", &["malformed request target"]),
    ] {
        assert_says(&load(&[url]), 2, says);
    }
}

#[test]
fn a_host_that_nobody_knows() {
    let outcome = load(&["http://no-such-host.invalid/"]);
    assert_says(&outcome, 1, &["the host of http://no-such-host.invalid/ cannot be found"]);
}

#[test]
fn flags_that_do_not_fit() {
    let origin = Origin::start(&[]);
    let url = origin.url("/");
    for (flags, says) in [
        (&["--rate", "0"][..], &["is not a rate"][..]),
        (&["--rate", "-5"], &["unexpected argument"]),
        (&["--rate", "1e-300"], &["is not a rate"]),
        (&["--rate", "1e8"], &["is not a rate"]),
        (&["--arrivals", "poisson"], &["--rate"]),
        (&["--rate", "1", "--arrivals", "often"], &["constant, poisson"]),
        (&["--connections", "0"], &["--connections is to be at least 1"]),
        (&["--connections", "1", "--lanes", "2"], &["at least 2"]),
        (&["--requests", "5", "--duration", "1s"], &["cannot be used with"]),
        (&["--requests", "0"], &["0"]),
        (&["--duration", "10"], &["10s"]),
        (&["--duration", "0s"], &["--duration is more than 0"]),
        (&["--timeout", "0s"], &["--timeout is more than 0"]),
        (&["--pipeline", "0"], &["1..=1024"]),
        (&["--pipeline", "4", "--new-connection"], &["cannot be used with"]),
        (&["--websocket", "--new-connection"], &["cannot be used with"]),
        (&["--websocket", "--body", "x"], &["cannot be used with"]),
        (&["--websocket", "--message-size", "17m"], &["at most 16m"]),
        (&["--message-size", "1k"], &["--websocket"]),
        (&["--body", "x", "--body-size", "1"], &["cannot be used with"]),
        (&["--body-size", "2g"], &["at most 1g"]),
        (&["--method", "GE T"], &["is not a method"]),
        (&["--method", "CONNECT"], &["CONNECT"]),
        (&["--header", "no colon"], &["has no colon"]),
        (&["--header", "X A: b"], &["X A"]),
        (&["--header", "Content-Length: 5"], &["--body-size"]),
        (&["--header", "Connection: close"], &["--new-connection"]),
        (&["--header", "Transfer-Encoding: chunked"], &["decided here"]),
        (&["--header", "A: b\r\nC: d"], &["A"]),
        (&["--expect-status", "99"], &["200..=599"]),
        (&["--lanes", "0"], &["1..=256"]),
        (&["--html", "-"], &["--html", "file"]),
        (&["--hdr", "-"], &["--hdr", "file"]),
    ] {
        assert_says(&load(&[&[url.as_str()], flags].concat()), 2, says);
    }
    assert_says(&load(&[]), 2, &["<URL>"]);
}

#[test]
fn files_that_cannot_be() {
    let origin = Origin::start(&[]);
    let url = origin.url("/");
    for flag in ["--json", "--html", "--hdr"] {
        let (outcome, took) = timed(|| load(&[&url, flag, "/no/such/directory/file", "--duration", "1h"]));
        assert_says(&outcome, 1, &["cannot write /no/such/directory/file"]);
        assert!(took.as_secs() < 40, "said before the run");
    }
    assert_says(&load(&[&url, "--body-file", "/no/such/file"]), 1, &["cannot read /no/such/file"]);
}

#[test]
fn an_earlier_report_is_kept_if_there_is_no_new_one() {
    let directory = Directory::new("kept");
    let file = directory.file("report.json");
    std::fs::write(&file, "earlier").expect("a file");
    assert_eq!(load(&[&nobody(), "--json", &file]).code(), 1);
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "earlier");
    let origin = Origin::start(&[]);
    load(&[&origin.url("/"), "--requests", "5", "--json", &file]);
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("it is there")).expect("JSON");
    assert_eq!(json["requests"], 5);
}

#[test]
fn a_rate_that_cannot_be_reached() {
    let origin = Origin::start(&["--delay", "50ms"]);
    // One connection answers at most 20 a second.
    let arguments = ["--rate", "100", "--connections", "1", "--requests", "30"];
    let outcome = load(&[&[origin.url("/").as_str()], &arguments[..]].concat());
    assert_says(&outcome, 3, &["of 100 requests/s", "the target did not keep up"]);
    assert!(outcome.stdout.contains("requests   30 "), "{outcome:?}");
    assert!(outcome.stdout.contains("waited because all of 1 connections were busy"), "{outcome:?}");
    let json = load_json(3, &[&[origin.url("/").as_str()], &arguments[..]].concat());
    assert_eq!((counts(&json), json["waited"].as_u64()), ((30, vec![]), Some(29)));
    // The last was due at 290 ms and came at 1500 ms at the earliest; but for waiting, each took about 50 ms.
    assert!(json["latency_us"]["max"].as_f64().expect("a number") > 1_200e3, "{json}");
}

#[test]
fn a_rate_that_is_reached_whatever_the_latency() {
    let origin = Origin::start(&["--delay", "700ms"]);
    for arguments in [
        &["--rate", "5", "--requests", "8"][..],
        &["--rate", "5", "--arrivals", "poisson", "--requests", "8"],
        &["--rate", "5", "--duration", "1s", "--warmup", "0s"],
        &["--rate", "5", "--arrivals", "poisson", "--duration", "1s", "--warmup", "0s"],
        &["--rate", "2", "--requests", "1"],
    ] {
        let json = load_json(0, &[&[origin.url("/").as_str()], arguments].concat());
        assert_eq!(json["waited"], 0, "{arguments:?}: {json}");
    }
}

#[test]
fn too_few_descriptors() {
    let origin = Origin::start(&[]);
    let script = "ulimit -n 100 && exec \"$0\" load \"$1\" --connections 200 --requests 200";
    let outcome =
        Running::start(Command::new("bash").args(["-c", script, PROGRAM, &origin.url("/")])).finish();
    assert_says(&outcome, 1, &["200 connections need", "the limit is 100", "ulimit"]);
    // As many as are promised suffice.
    let script = "ulimit -n 100 && exec \"$0\" load \"$1\" --connections 36 --requests 200";
    let outcome =
        Running::start(Command::new("bash").args(["-c", script, PROGRAM, &origin.url("/")])).finish();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    let script = "ulimit -n 200 && exec \"$0\" load \"$1\" --connections 24 --lanes 12 --requests 200";
    let outcome =
        Running::start(Command::new("bash").args(["-c", script, PROGRAM, &origin.url("/")])).finish();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
}

/// Starts a long run, and waits until it sends.
fn long_run(server: &Server, more: &[&str]) -> Running {
    let url = server.url("/");
    let run = Running::start(program(&["load", &url, "--duration", "1h", "--warmup", "0s"]).args(more));
    until("it sends", || (server.requests() >= 50).then_some(()));
    run
}

#[test]
fn an_interrupt_ends_the_run_with_what_there_is() {
    for (signal, more) in
        [("INT", &["--connections", "2"][..]), ("TERM", &["--rate", "1000"]), ("INT", &["--new-connection"])]
    {
        let server = Server::answering(|_, _| OK.to_vec());
        let run = long_run(&server, &[&["--json", "-"], more].concat());
        run.signal(signal);
        let outcome = run.finish();
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        let json = outcome.json();
        assert_eq!(
            (json["interrupted"].as_bool(), counts(&json).1),
            (Some(true), vec![]),
            "{more:?}: {json}"
        );
        // It may take a moment until the last answers have been seen.
        assert!(counts(&json).0 >= 40, "{json}");
    }
}

#[test]
fn an_interrupt_waits_for_no_answer() {
    // The answers to the fifty-first request and all after it never come.
    let server = Server::answering(|_, number| if number < 50 { OK.to_vec() } else { Vec::new() });
    let run = long_run(&server, &["--timeout", "1h", "--connections", "2", "--json", "-"]);
    run.signal("INT");
    let outcome = run.finish();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert_eq!(counts(&outcome.json()), (50, vec![]));
}

#[test]
fn an_interrupt_completes_no_answer() {
    // Answers end with their connection; the last one's is held open when the run is cut short.
    let server = Server::start(|peer, number| {
        peer.message();
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello");
        if number == 50 {
            peer.rest();
        }
    });
    let url = server.url("/");
    let run = ["load", &url, "--duration", "1h", "--warmup", "0s", "--connections", "1", "--json", "-"];
    let run = Running::start(&mut program(&run));
    until("the last answer is under way", || (server.connections() == 51).then_some(()));
    run.signal("INT");
    let outcome = run.finish();
    assert_eq!((outcome.code(), counts(&outcome.json())), (0, (50, vec![])), "{outcome:?}");
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    let server = Server::answering(|_, _| OK.to_vec());
    let run = long_run(&server, &[]);
    run.signal("STOP");
    run.signal("INT");
    run.signal("TERM");
    run.signal("CONT");
    // Both are there before it runs again.
    let outcome = run.finish();
    assert_eq!(outcome.code(), 130, "{outcome:?}");
}

#[test]
fn idle_costs_next_to_nothing() {
    let server = Server::answering(|_, _| OK.to_vec());
    let url = server.url("/");
    let arguments = ["--rate", "1", "--duration", "2s", "--warmup", "0s", "--json", "-"];
    let json = Running::start(program(&["load", &url]).args(arguments)).finish().json();
    assert_eq!(counts(&json), (2, vec![]));
    let cpu = &json["cpu_s"];
    let seconds = cpu["user"].as_f64().expect("a number") + cpu["system"].as_f64().expect("a number");
    assert!(seconds < 0.2, "{cpu}");
}

#[test]
fn waiting_for_answers_costs_next_to_nothing() {
    let server = Server::start(|peer, _| drop(peer.rest()));
    let url = server.url("/");
    let arguments = ["--connections", "200", "--requests", "200", "--timeout", "2s", "--json", "-"];
    let json = Running::start(program(&["load", &url]).args(arguments)).finish().json();
    assert_eq!(counts(&json).1, vec![("timeout".to_owned(), 200)]);
    let cpu = &json["cpu_s"];
    let seconds = cpu["user"].as_f64().expect("a number") + cpu["system"].as_f64().expect("a number");
    assert!(seconds < 0.3, "{cpu}");
}

#[test]
fn help_is_there() {
    for command in ["load", "origin"] {
        let outcome = Running::start(&mut program(&[command, "--help"])).finish();
        assert_eq!(outcome.code(), 0);
        assert!(outcome.stdout.lines().all(|line| line.chars().count() <= 110), "{}", outcome.stdout);
    }
    let outcome = Running::start(&mut program(&[])).finish();
    assert_eq!(outcome.code(), 2);
    let server = thread::spawn(|| Origin::start(&[]));
    assert!(server.join().expect("it starts").terminate().success());
}

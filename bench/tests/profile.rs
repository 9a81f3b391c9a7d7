//! `corelane-bench profile` against a real engine with an admin socket.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

use corelane_control::{About, Address, Admin, Control, Setup, events::EventLog};
use corelane_engine::{
    Cluster, Engine, FlightRecorder, Handle, Handler, Metric, Request, Response, Result, StatusCode, Upstream,
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// How long the origin thinks.
const THINKS: Duration = Duration::from_millis(20);
/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers every request on every connection, after a while.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap()));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            thread::park_timeout(THINKS);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

struct Proxy(Upstream);

impl Handler for Proxy {
    async fn handle(&self, request: Request) -> Result<Response> {
        match request.path() {
            "/local" => Ok(Response::text(StatusCode::OK, "here\n")),
            _ => self.0.send(request).await,
        }
    }
}

/// An engine with an admin socket in a directory of its own.
struct Rig {
    engine: Handle,
    control: Option<Control>,
    directory: PathBuf,
}

impl Rig {
    fn start() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("corelane-profile-{}-{number}", std::process::id()));
        fs::create_dir_all(directory.join("corelane")).unwrap();
        let cluster = Cluster::round_robin([origin().to_string()]).resolve().unwrap();
        let recorder = FlightRecorder { slower_than: THINKS / 2, kept: 4 };
        let builder = Engine::builder().lanes(2).flight_recorder(recorder);
        let builder = builder.serve("127.0.0.1:0", move |lane| Ok(Proxy(lane.upstream(&cluster))));
        let engine = builder.spawn().unwrap();
        let (_, events) = EventLog::start("test").unwrap();
        let setup = Setup {
            about: About { version: "0", commit: "0" },
            admin: vec![Admin::bind(&Address::Unix(directory.join("corelane/admin.sock"))).unwrap()],
            operator: None,
            access_log: None,
            event_log: None,
            upstreams: Vec::new(),
            events,
        };
        let control = Some(Control::start(setup, engine.clone()).unwrap());
        Self { engine, control, directory }
    }

    fn socket(&self) -> String {
        format!("unix:{}", self.directory.join("corelane/admin.sock").display())
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Asks for a path so many times, each on a connection of its own, all at once; and waits until that is over for
    /// the engine, too.
    fn get(&self, path: &str, times: usize) {
        let address = self.engine.addresses()[0].socket().unwrap();
        thread::scope(|scope| {
            for _ in 0..times {
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
                });
            }
        });
        let open = || -> u64 {
            let lanes = self.engine.snapshots(PATIENCE);
            assert_eq!(lanes.len(), 2);
            lanes.iter().map(|lane| lane.value(Metric::RequestsOpen)).sum()
        };
        let tries = PATIENCE.as_millis() as usize;
        let over = (0..tries).any(|_| {
            open() == 0 || {
                thread::park_timeout(Duration::from_millis(1));
                false
            }
        });
        assert!(over, "requests are still open");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.engine.stop();
        if let Some(control) = self.control.take() {
            control.stop();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn profile(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane-bench"));
    command.arg("profile").args(arguments).env_remove("RUNTIME_DIRECTORY").env_remove("XDG_RUNTIME_DIR");
    command.output().unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn it_shows_where_the_time_of_an_engine_went() {
    let rig = Rig::start();
    rig.get("/slow?token=secret", 6);
    let page = rig.file("profile.html");
    let output = profile(&["--admin", &rig.socket(), "--html", &page]);
    let text = said(&output.stdout);
    assert!(output.status.success(), "{text}{}", said(&output.stderr));
    assert!(text.starts_with("6 requests since the engine's start"), "{text}");
    assert!(
        text.contains("\nlane 0 (") && text.contains("\nlane 1 (") && text.contains("\nall lanes\n"),
        "{text}"
    );
    assert!(text.contains("% of the time is wait: the origins take so long"), "{text}");
    assert!(fs::read_to_string(page).unwrap().contains("<svg"));
    let json = profile(&["--admin", &rig.socket(), "--json", "-"]).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    let merged = &json["merged"];
    assert_eq!((&json["requests"], &merged["wait"]["count"]), (&6.into(), &6.into()), "{json}");
    assert!(u128::from(merged["wait"]["p50"].as_u64().unwrap()) >= THINKS.as_micros(), "{json}");
    let waits = [0, 1].map(|lane| json["lanes"][lane]["phases"]["wait"]["count"].as_u64().unwrap());
    assert_eq!(waits.iter().sum::<u64>(), 6, "{json}");
}

#[test]
fn it_shows_an_interval_and_not_what_was_before() {
    let rig = Rig::start();
    rig.get("/before", 5);
    let file = rig.file("profile.json");
    let output = thread::scope(|scope| {
        let measuring =
            scope.spawn(|| profile(&["--admin", &rig.socket(), "--for", "1500ms", "--json", &file]));
        // Until the interval is over: some are in it, whenever that begins.
        while !measuring.is_finished() {
            rig.get("/local", 1);
        }
        measuring.join().unwrap()
    });
    let text = said(&output.stdout);
    assert!(output.status.success(), "{text}{}", said(&output.stderr));
    assert!(text.contains(" requests in 1.") || text.contains(" requests in 2."), "{text}");
    let json: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(json["requests"].as_u64().unwrap() > 0 && json["since_start"] == false, "{json}");
    assert_eq!(json["merged"]["wait"]["count"], 0, "what asked the origin was before: {json}");
}

#[test]
fn it_shows_the_slow_ones_without_their_queries() {
    let rig = Rig::start();
    rig.get("/local", 3);
    rig.get("/slow?token=secret", 3);
    let output = profile(&["--admin", &rig.socket(), "--slow"]);
    let text = said(&output.stdout);
    assert!(output.status.success(), "{text}{}", said(&output.stderr));
    let heading =
        "3 of the last requests slower than 10.0 ms (4 kept on each of 2 lanes), the slowest first\n";
    assert!(text.starts_with(heading), "{text}");
    assert_eq!(text.matches("  GET /slow  200 done\n").count(), 3, "{text}");
    assert_eq!(text.matches("\n           wait 2").count(), 3, "{text}");
    assert!(!text.contains("secret") && !text.contains("/local"), "{text}");
}

#[test]
fn the_socket_is_found_where_corelane_puts_it() {
    let rig = Rig::start();
    rig.get("/local", 1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane-bench"));
    command.arg("profile").env_remove("RUNTIME_DIRECTORY").env("XDG_RUNTIME_DIR", &rig.directory);
    let output = command.output().unwrap();
    assert!(said(&output.stdout).starts_with("1 request since"), "{}", said(&output.stderr));
}

#[test]
fn an_engine_without_requests_has_no_profile() {
    let rig = Rig::start();
    let output = profile(&["--admin", &rig.socket()]);
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output.stdout).contains("No request has ended"), "{}", said(&output.stdout));
}

#[test]
fn bad_use_is_said_in_a_sentence() {
    let missing = "/nonexistent/admin.sock";
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (arguments, code, expected) in [
        (&["--admin", missing][..], 1, "there is no admin socket /nonexistent/admin.sock"),
        (&["--admin", &nobody], 1, "nobody answers on http://"),
        (&["--admin", "nonsense"], 2, "is no admin address"),
        (&["--for", "10"], 2, "is not a duration"),
        (&["--slow", "--for", "10s"], 2, "cannot be used with"),
        (&["--admin", missing, "--html", "/nonexistent/a.html"], 1, "cannot write /nonexistent/a.html"),
    ] {
        let output = profile(arguments);
        let error = said(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

//! The examples are short, run, and do what they say.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};
use support::{
    PATIENCE,
    clock::{poll, timed, until},
    peer::{Message, Peer, Scripted, nobody, ok},
};
use tungstenite::{Message as Frame, client};

/// Lines of an example, at most.
const LINES_MAX: usize = 60;

/// An example that runs, until this is dropped.
struct Example {
    child: Child,
    address: SocketAddr,
    /// What it prints.
    lines: Receiver<String>,
}

fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("it has a name");
    let path = test.ancestors().nth(2).expect("it is in a directory").join("examples").join(name);
    assert!(path.is_file(), "{} is not built: cargo build --examples", path.display());
    path
}

impl Example {
    /// Starts it on a free port.
    fn start(name: &str, origins: &[SocketAddr]) -> Self {
        let mut child = Command::new(program(name))
            .arg("127.0.0.1:0")
            .args(origins.iter().map(SocketAddr::to_string))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let ((line, lines), (event, events)) = (channel(), channel());
        let printed = BufReader::new(child.stdout.take().expect("it is piped"));
        thread::spawn(move || printed.lines().map_while(Result::ok).try_for_each(|words| line.send(words)));
        let said = BufReader::new(child.stderr.take().expect("it is piped"));
        thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|words| event.send(words)));
        let mut example = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), lines };
        let words = "listening on http://";
        let mut said = std::iter::from_fn(|| events.recv_timeout(PATIENCE).ok());
        let address = said.find_map(|line| line.strip_prefix(words).and_then(|address| address.parse().ok()));
        example.address = address.unwrap_or_else(|| panic!("{name} says nothing of {words}"));
        // What it says later is read, and not missed.
        thread::spawn(move || events.iter().for_each(drop));
        example
    }

    fn client(&self) -> Peer {
        Peer::connect(self.address)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An origin that says who it is, and what it was asked.
fn origin(name: &'static str) -> Scripted {
    Scripted::start(move |peer| {
        while let Some(request) = peer.try_message() {
            let named = |field| request.field(field).unwrap_or("-").to_owned();
            let text = format!("{name} {} {} {}", named("x-gateway"), named("x-user"), named("x-tenant"));
            let length = text.len();
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nServer: secret\r\n\r\n{text}"));
        }
    })
}

fn send(client: &mut Peer, method: &str, target: &str, fields: &str) -> Message {
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n"));
    client.message()
}

#[test]
fn every_example_is_short_and_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let this = fs::read_to_string(root.join("tests/examples.rs")).expect("this file");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root.join("examples")).expect("examples") {
        let path = entry.expect("an entry").path();
        let (text, name) =
            (fs::read_to_string(&path).expect("text"), path.file_stem().expect("a name").to_owned());
        let (name, lines) = (name.into_string().expect("text"), text.lines().count());
        assert!(lines <= LINES_MAX, "{name} has {lines} lines");
        assert!(
            text.starts_with("//! ") && text.contains("`cargo run --example"),
            "{name} says how it is run"
        );
        assert!(this.contains(&format!("\"{name}\"")), "{name} has no test");
        names.insert(name);
    }
    assert!(names.len() >= 10, "{names:?}");
}

#[test]
fn reverse_proxy_balances_and_says_a_line_for_each_request() {
    let (one, two) = (origin("one"), origin("two"));
    let example = Example::start("reverse_proxy", &[one.address, two.address]);
    let mut client = example.client();
    let health = client.get("/healthz");
    assert_eq!((health.status(), health.text().as_str()), (200, "up\n"));
    let mut seen = BTreeSet::new();
    for number in 0..20 {
        let answer = client.get(&format!("/{number}"));
        assert_eq!((answer.status(), answer.field("server")), (200, None), "{answer:?}");
        seen.insert(answer.text());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["one corelane - -", "two corelane - -"]);
    let lines: Vec<_> = (0..21).map(|_| example.lines.recv_timeout(PATIENCE).expect("a line")).collect();
    assert!(lines[0].contains(" /healthz 200 ") && lines[20].contains(" /19 200 "), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(" done ")), "{lines:?}");
}

#[test]
fn rewrite_body_finds_words_that_are_torn_apart() {
    let origin = Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            assert_eq!(
                (request.field("accept-encoding"), request.field("range")),
                (None, None),
                "{request:?}"
            );
            peer.send("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nTransfer-Encoding: chunked\r\n\r\n");
            let content = "http://internal.example/internal.exampl internal.example internal.";
            for byte in content.bytes() {
                peer.send([b"1\r\n".as_slice(), &[byte], b"\r\n"].concat());
            }
            peer.send("0\r\n\r\n");
        }
    });
    let example = Example::start("rewrite_body", &[origin.address]);
    let fields = "Accept-Encoding: gzip\r\nRange: bytes=0-1\r\nTE: trailers\r\nConnection: te\r\n";
    let answer = send(&mut example.client(), "GET", "/", fields);
    assert_eq!(answer.text(), "http://www.example.com/internal.exampl www.example.com internal.");
    assert_eq!((answer.field("etag"), answer.trailers.as_str()), (Some("W/\"a\""), "x-replaced: 2\n"));
}

#[test]
fn rate_limit_holds_for_each_key_and_says_when_to_come_back() {
    let origin = origin("one");
    let example = Example::start("rate_limit", &[origin.address]);
    let mut statuses = [0; 2];
    let (_, took) = timed(|| {
        for _ in 0..8 {
            // On another lane each time, maybe.
            let answer = send(&mut example.client(), "GET", "/", "X-Api-Key: a\r\n");
            statuses[usize::from(answer.status() == 429)] += 1;
            assert_eq!(answer.field("retry-after").is_some(), answer.status() == 429, "{answer:?}");
        }
    });
    let more = took.as_secs() as usize + 1;
    assert!((5..=5 + more).contains(&statuses[0]), "{statuses:?} in {took:?}");
    assert_eq!(send(&mut example.client(), "GET", "/", "X-Api-Key: b\r\n").status(), 200);
}

#[test]
fn canary_gets_its_share_and_nobody_notices_when_it_fails() {
    let (stable, canary) = (origin("stable"), origin("canary"));
    let dies = Scripted::start(|peer| drop(peer.try_message()));
    let example = Example::start("canary", &[stable.address, canary.address]);
    let mut client = example.client();
    let asked = (0..40).filter(|_| client.get("/").text().starts_with("canary")).count();
    assert_eq!(asked, 4, "one in ten, on one lane");
    assert!(send(&mut client, "GET", "/", "X-Canary: please\r\n").text().starts_with("canary"));
    for broken in [dies.address, nobody()] {
        let example = Example::start("canary", &[stable.address, broken]);
        let mut client = example.client();
        assert!((0..20).all(|_| client.get("/").text().starts_with("stable")));
        let post = send(&mut client, "POST", "/", "X-Canary: please\r\nContent-Length: 0\r\n");
        let done = broken == dies.address;
        assert_eq!(post.status(), if done { 502 } else { 200 }, "what was done is not done twice");
    }
}

#[test]
fn middleware_authenticates_and_is_polite() {
    let origin = origin("one");
    let example = Example::start("middleware", &[origin.address]);
    let mut client = example.client();
    for (fields, status) in
        [("X-Request-Id: my-id\r\n", 401), ("X-Request-Id: my-id\r\nAuthorization: x\r\n", 403)]
    {
        let refused = send(&mut client, "GET", "/", fields);
        assert_eq!(refused.status(), status);
        assert!(refused.text().ends_with("we are sorry. Ask for my-id.\n"), "{refused:?}");
        assert!(refused.field("server-timing").is_some(), "{refused:?}");
    }
    let alice = "Authorization: Bearer wonderland\r\n";
    assert_eq!(send(&mut client, "GET", "/", alice).text(), "one - alice -");
    let example = Example::start("middleware", &[nobody()]);
    let answer = send(&mut example.client(), "GET", "/", alice);
    assert!(
        answer.status() == 502 && answer.text().starts_with("502 Bad Gateway, we are sorry."),
        "{answer:?}"
    );
}

#[test]
fn custom_policy_finds_the_fastest() {
    let fast = origin("fast");
    let slow = Scripted::start(|peer| {
        while peer.try_message().is_some() {
            thread::park_timeout(Duration::from_millis(30));
            peer.send(ok("slow"));
        }
    });
    let example = Example::start("custom_policy", &[slow.address, fast.address]);
    let mut client = example.client();
    let fast = (0..100).filter(|_| client.get("/").text().starts_with("fast")).count();
    assert!((60..100).contains(&fast), "{fast} of 100");
}

#[test]
fn custom_retry_waits_and_tries_again_where_it_may() {
    let origin = Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            let number: u32 = request.field("x-try").expect("its number").parse().expect("a number");
            let status = match request.head.split(' ').nth(1).expect("a target") {
                "/busy" if number < 3 => "429 Busy",
                "/ill" => "503 Ill",
                _ => "200 OK",
            };
            let text = format!("{number} {}", request.text());
            peer.send(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}", text.len()));
        }
    });
    let example = Example::start("custom_retry", &[origin.address]);
    let mut client = example.client();
    let (busy, took) = timed(|| client.get("/busy"));
    assert_eq!((busy.status(), busy.text().as_str()), (200, "3 "));
    assert!(took >= Duration::from_millis(150), "{took:?}");
    let ill = client.get("/ill");
    assert_eq!((ill.status(), ill.text().as_str()), (503, "4 "));
    for (fields, status, text) in [("", 429, "1 hello"), ("Idempotency-Key: x\r\n", 200, "3 hello")] {
        client.send(format!("POST /busy HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 5\r\n\r\nhello"));
        let answer = client.message();
        assert_eq!((answer.status(), answer.text().as_str()), (status, text));
    }
}

#[test]
fn b_40_websocket_echo_speaks_with_a_library() {
    let example = Example::start("websocket_echo", &[]);
    assert_eq!(example.client().get("/").status(), 400);
    let stream = TcpStream::connect(example.address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let (mut socket, answer) = client(format!("ws://{}/", example.address), stream).expect("a WebSocket");
    assert_eq!(answer.status(), 101);
    for content in [0, 1, 125, 126, 65_535, 65_536, 200_000] {
        for frame in [Frame::text("x".repeat(content)), Frame::binary(vec![7; content])] {
            socket.send(frame.clone()).expect("it is sent");
            assert!(socket.read().expect("an answer") == frame, "{content} bytes");
        }
    }
    socket.send(Frame::Ping("are you there?".into())).expect("it is sent");
    assert_eq!(socket.read().expect("an answer"), Frame::Pong("are you there?".into()));
    socket.close(None).expect("it is sent");
    assert!(socket.read().expect("an answer").is_close());
    // What follows the head in the same segment is not lost.
    let mut early = example.client();
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    early.send([head.as_bytes(), &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']].concat());
    assert!(early.head().contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_eq!(early.bytes(4), [0x81, 2, b'h', b'i']);
}

#[test]
fn client_gets_and_copies() {
    let (says, said) = channel();
    let origin = Scripted::start(move |peer| {
        while let Some(request) = peer.try_message() {
            if request.head.starts_with("PUT ") {
                says.send(request.content.len()).expect("the test listens");
                peer.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
            } else {
                peer.send(ok(&"content".repeat(100_000)));
            }
        }
    });
    let url = |path: &str| format!("http://localhost:{}{path}", origin.address.port());
    let run = |arguments: &[String]| {
        let command = Command::new(program("client")).args(arguments).stdin(Stdio::null()).output();
        command.expect("it runs")
    };
    let got = run(&[url("/file")]);
    assert!(got.status.success() && got.stdout == "content".repeat(100_000).as_bytes());
    assert!(String::from_utf8_lossy(&got.stderr).starts_with("200 OK from 127.0.0.1:"), "{:?}", got.stderr);
    let copied = run(&[url("/file"), url("/copy")]);
    assert!(copied.status.success() && said.recv().expect("a copy") == 700_000);
    assert!(String::from_utf8_lossy(&copied.stderr).contains("201 Created from http://"), "{copied:?}");
    let failed = run(&[format!("http://{}/", nobody())]);
    assert!(
        !failed.status.success() && String::from_utf8_lossy(&failed.stderr).contains("connection refused")
    );
}

#[test]
fn embedded_in_tokio_asks_tokio_and_ends_when_told() {
    let origin = origin("one");
    let mut example = Example::start("embedded_in_tokio", &[origin.address]);
    let mut client = example.client();
    assert_eq!(client.get("/").text(), "one - - acme");
    client.send("GET / HTTP/1.1\r\nHost: somebody.else\r\n\r\n");
    assert_eq!(client.message().status(), 421);
    let sent = Command::new("kill").args(["-INT", &example.child.id().to_string()]).status();
    assert!(sent.expect("kill is there").success());
    let ended = poll(PATIENCE, || example.child.try_wait().expect("it is ours"));
    assert!(ended.expect("it ends").success());
    until("its client is told", || matches!(client.stream.read(&mut [0; 16]), Ok(0) | Err(_)));
}

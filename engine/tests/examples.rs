//! The examples run, and answer.

mod support;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::channel,
    thread,
};
use support::{
    PATIENCE,
    peer::{Peer, Scripted},
};

/// An example that runs, until this is dropped.
struct Example {
    child: Child,
    address: SocketAddr,
}

impl Example {
    /// Starts it on a free port; `None` if it was not built with the tests.
    fn start(name: &str, origins: &[SocketAddr]) -> Option<Self> {
        let test = std::env::current_exe().expect("it has a name");
        let path: PathBuf = test.ancestors().nth(2)?.join("examples").join(name);
        if !path.is_file() {
            eprintln!("skipped: {} is not built (cargo build --examples)", path.display());
            return None;
        }
        let mut child = Command::new(path)
            .arg("127.0.0.1:0")
            .args(origins.iter().map(SocketAddr::to_string))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let (line, lines) = channel();
        let said = BufReader::new(child.stderr.take().expect("it is piped"));
        thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|words| line.send(words)));
        let mut example = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let words = "listening on http://";
        let mut said = std::iter::from_fn(|| lines.recv_timeout(PATIENCE).ok());
        let address = said.find_map(|line| line.strip_prefix(words).and_then(|address| address.parse().ok()));
        example.address = address.unwrap_or_else(|| panic!("{name} says nothing of {words}"));
        Some(example)
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
            let gateway = request.field("x-gateway").unwrap_or("nobody");
            let text = format!("{name}, by way of {gateway}");
            let length = text.len();
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nAlt-Svc: h3=\":443\"\r\n\r\n{text}"
            ));
        }
    })
}

#[test]
fn hello_answers_by_itself() {
    let Some(example) = Example::start("hello", &[]) else { return };
    let mut client = Peer::connect(example.address);
    let answer = client.get("/world");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello, world! You sent 0 bytes.\n"));
    client.send("POST /you HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.message().text(), "hello, you! You sent 5 bytes.\n");
    let length = (64 << 10) + 1;
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}",
        "x".repeat(length)
    ));
    assert_eq!(client.message().status(), 413);
}

#[test]
fn round_robin_takes_turns() {
    let (one, two) = (origin("one"), origin("two"));
    let Some(example) = Example::start("round_robin", &[one.address, two.address]) else { return };
    let mut client = Peer::connect(example.address);
    let mut answers: Vec<_> = (0..4).map(|_| client.get("/").text()).collect();
    assert_ne!(answers[0], answers[1]);
    answers.sort();
    let (one, two) = ("one, by way of nobody", "two, by way of nobody");
    assert_eq!(answers, [one, one, two, two]);
}

#[test]
fn gateway_refuses_marks_and_balances() {
    let (one, two) = (origin("one"), origin("two"));
    let Some(example) = Example::start("gateway", &[one.address, two.address]) else { return };
    let mut client = Peer::connect(example.address);
    let refused = client.get("/login");
    assert_eq!((refused.status(), refused.text().as_str()), (403, "no way!\n"));
    let mut answers: Vec<_> = (0..2)
        .map(|_| {
            let answer = client.get("/");
            assert_eq!((answer.status(), answer.field("alt-svc")), (200, None), "{answer:?}");
            answer.text()
        })
        .collect();
    answers.sort();
    assert_eq!(answers, ["one, by way of corelane", "two, by way of corelane"]);
    client.send("GET /login HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eDp5\r\n\r\n");
    assert_eq!(client.message().status(), 200);
}

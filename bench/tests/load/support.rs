//! The program as a child process, and servers that do what a test wants.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_corelane-bench");
/// Nothing that a test waits for takes so long, also on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(50);

#[expect(clippy::disallowed_methods, reason = "tests poll with a deadline")]
fn now() -> Instant {
    Instant::now()
}

/// Looks again and again until there is something.
#[expect(clippy::disallowed_methods, reason = "tests poll with a deadline")]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now().duration_since(began) < PATIENCE, "within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// How long something takes.
pub(crate) fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    let began = now();
    let outcome = act();
    (outcome, now().duration_since(began))
}

/// A child process that ends with its test.
pub(crate) struct Running {
    child: Child,
    stdout: Option<thread::JoinHandle<String>>,
    stderr: Option<thread::JoinHandle<String>>,
}

fn drain(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        String::from_utf8(all).expect("text")
    })
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        Self { child, stdout, stderr }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().expect("kill runs");
        assert!(sent.success());
    }

    fn ended(&mut self) -> ExitStatus {
        until("the program ends", || self.child.try_wait().expect("it is ours"))
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Outcome {
        let status = self.ended();
        let text = |reader: &mut Option<thread::JoinHandle<String>>| {
            reader.take().map(|reader| reader.join().expect("it reads")).unwrap_or_default()
        };
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        Outcome { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What has become of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// What `--json -` has printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    command
}

/// Runs `corelane-bench load` to its end.
pub(crate) fn load(arguments: &[&str]) -> Outcome {
    Running::start(program(&["load"]).args(arguments)).finish()
}

/// Runs it with `--json -`, and checks the exit code.
pub(crate) fn load_json(code: i32, arguments: &[&str]) -> Value {
    let outcome = load(&[arguments, &["--json", "-"]].concat());
    assert_eq!(outcome.code(), code, "{arguments:?}: {outcome:?}");
    outcome.json()
}

/// Runs an open loop with `--json -`; whether the rate is reached depends on who else uses the machine.
pub(crate) fn load_at_rate(arguments: &[&str]) -> Value {
    let outcome = load(&[arguments, &["--json", "-"]].concat());
    assert!([0, 3].contains(&outcome.code()), "{arguments:?}: {outcome:?}");
    outcome.json()
}

/// Requests that were answered, and errors by their kind, of those kinds that there were.
pub(crate) fn counts(json: &Value) -> (u64, Vec<(String, u64)>) {
    let errors = json["errors"].as_object().expect("errors by kind");
    let errors = errors.iter().map(|(kind, count)| (kind.clone(), count.as_u64().expect("a number")));
    (json["requests"].as_u64().expect("a number"), errors.filter(|(_, count)| *count > 0).collect())
}

/// One kind of error, so many times.
pub(crate) fn only(kind: &str, count: u64) -> Vec<(String, u64)> {
    vec![(kind.to_owned(), count)]
}

/// `corelane-bench origin`.
pub(crate) struct Origin {
    running: Running,
    pub(crate) address: SocketAddr,
}

impl Origin {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = program(&["origin", "--listen", "127.0.0.1:0"]);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let line = lines.next().expect("a line").expect("text");
        let address = line.strip_prefix("listening on http://").expect("its address").parse();
        Self { running: Running { child, stdout: None, stderr: None }, address: address.expect("an address") }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.running.signal("TERM");
        self.running.ended()
    }

    pub(crate) fn kill(self) {
        drop(self);
    }

    pub(crate) fn connect(&self) -> Peer {
        Peer::new(TcpStream::connect(self.address).expect("it listens"))
    }

    /// What it answers to a GET, head and content.
    pub(crate) fn get(&self, path: &str) -> (String, Vec<u8>) {
        let mut peer = self.connect();
        peer.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        peer.answer()
    }
}

/// A message with its content; of what has come in chunks, what was in them.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
}

impl Message {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

pub(crate) fn field(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// One side of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Receives more; `false` at the end.
    fn fill(&mut self) -> bool {
        let mut more = [0; 65536];
        match self.stream.read(&mut more) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&more[..count]);
                true
            }
        }
    }

    /// Takes so many bytes; fewer if the other side ends.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill() {}
        self.buffer.drain(..count.min(self.buffer.len())).collect()
    }

    /// Takes everything up to a mark, and the mark.
    pub(crate) fn take_to(&mut self, mark: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                return String::from_utf8(self.take(at + mark.len())).ok();
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// Everything until the other side ends.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// The next message that has a length or none; `None` at the end.
    pub(crate) fn message(&mut self) -> Option<Message> {
        let head = self.take_to(b"\r\n\r\n")?;
        let length = field(&head, "content-length").map_or(0, |length| length.parse().expect("a number"));
        let content = self.take(length);
        (content.len() == length).then_some(Message { head, content })
    }

    /// An answer; its content may come in chunks.
    pub(crate) fn answer(&mut self) -> (String, Vec<u8>) {
        let message = self.message().expect("an answer");
        if message.field("transfer-encoding").is_none() {
            return (message.head, message.content);
        }
        let mut content = Vec::new();
        loop {
            let size = self.take_to(b"\r\n").expect("a chunk");
            let size = usize::from_str_radix(size.trim(), 16).expect("a size");
            if size == 0 {
                return (message.head, content);
            }
            content.extend(self.take(size));
            self.take(2);
        }
    }
}

/// A server that does what the test wants on each connection on which something comes.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Connections on which a request, or a part of it, has come.
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

impl Server {
    /// `serve` gets the connection with its first byte, and the connection's number, from 0 on.
    pub(crate) fn start(serve: impl Fn(&mut Peer, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::<AtomicUsize>::default();
        let (serve, counted) = (Arc::new(serve), connections.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serve, counted) = (serve.clone(), counted.clone());
                thread::spawn(move || {
                    let mut peer = Peer::new(stream);
                    // The program looks first whether somebody listens.
                    if peer.fill() {
                        serve(&mut peer, counted.fetch_add(1, Ordering::SeqCst));
                    }
                });
            }
        });
        Self { address, connections, requests: Arc::default() }
    }

    /// `answer` gets each request, and says what is sent.
    pub(crate) fn answering(answer: impl Fn(&Message, usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let requests = Arc::<AtomicUsize>::default();
        let counted = requests.clone();
        let mut server = Self::start(move |peer, _| {
            while let Some(message) = peer.message() {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let bytes = answer(&message, number);
                let closes = bytes.windows(17).any(|window| window == b"Connection: close");
                peer.send(&bytes);
                if closes {
                    break;
                }
            }
        });
        server.requests = requests;
        server
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A directory for a test's files.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

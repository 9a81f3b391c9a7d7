//! The peers of an engine, both blocking: a client that says what it is told, and an origin that does.

use super::clock::PATIENCE;
use corelane_engine::Cluster;
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// A response, or a request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Start line and fields.
    pub(crate) head: String,
    pub(crate) content: Vec<u8>,
    /// What followed the last chunk, a line for each field.
    pub(crate) trailers: String,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status: {self:?}"))
    }

    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }

    pub(crate) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// One end of a connection. Whatever it waits for has a deadline.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// How a connection ended, seen from one end of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Closed,
    Reset,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::of(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn unix(path: &Path) -> Self {
        Self::of_unix(UnixStream::connect(path).unwrap())
    }

    /// A stream is a stream: the standard library's types only differ in what they say of addresses.
    pub(crate) fn of_unix(stream: UnixStream) -> Self {
        Self::with_deadlines(TcpStream::from(OwnedFd::from(stream)))
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self::with_deadlines(stream)
    }

    fn with_deadlines(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// The same, to somebody who may have gone.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    pub(crate) fn get(&mut self, target: &str) -> Message {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n"));
        self.message()
    }

    /// Reads some more, within `time`: `Ok(false)` if nothing came.
    pub(crate) fn more(&mut self, time: Duration) -> Result<bool, Over> {
        let mut piece = [0; 64 << 10];
        self.stream.set_read_timeout(Some(time)).unwrap();
        match self.stream.read(&mut piece) {
            Ok(0) => Err(Over::Closed),
            Ok(count) => {
                self.received.extend_from_slice(&piece[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(_) => Err(Over::Reset),
        }
    }

    /// What has been received and not been used.
    pub(crate) fn received(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    fn must(&mut self, what: &str) {
        match self.more(PATIENCE) {
            Ok(true) => {}
            Ok(false) => panic!("within {PATIENCE:?} no {what}, but {:?}", self.received()),
            Err(over) => panic!("{over:?} before {what}, after {:?}", self.received()),
        }
    }

    /// The next head, its empty line included; `None` if the connection ended before it began.
    pub(crate) fn try_head(&mut self) -> Option<String> {
        loop {
            let end = self.received.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let rest = self.received.split_off(end + 4);
                let head = std::mem::replace(&mut self.received, rest);
                return Some(String::from_utf8(head).unwrap());
            }
            match self.more(PATIENCE) {
                Ok(true) => {}
                Ok(false) => panic!("within {PATIENCE:?} no head, but {:?}", self.received()),
                Err(_) if self.received.is_empty() => return None,
                Err(over) => panic!("{over:?} within a head: {:?}", self.received()),
            }
        }
    }

    #[track_caller]
    pub(crate) fn head(&mut self) -> String {
        self.try_head().expect("a head")
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            self.must("end of the content");
        }
        let rest = self.received.split_off(count);
        std::mem::replace(&mut self.received, rest)
    }

    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.received.windows(2).position(|window| window == b"\r\n") {
                let line = self.bytes(end + 2);
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            self.must("line");
        }
    }

    /// The next message with its content; one without a length, and that is not chunked, has none.
    #[track_caller]
    pub(crate) fn message(&mut self) -> Message {
        self.try_message().expect("a message")
    }

    pub(crate) fn try_message(&mut self) -> Option<Message> {
        let mut message = Message { head: self.try_head()?, content: Vec::new(), trailers: String::new() };
        if message.field("transfer-encoding").is_some() {
            (message.content, message.trailers) = self.chunks();
        } else if let Some(length) = message.field("content-length") {
            let length = length.parse().unwrap();
            message.content = self.bytes(length);
        }
        Some(message)
    }

    /// What is left of chunked content, and the fields that follow it, a line for each.
    pub(crate) fn chunks(&mut self) -> (Vec<u8>, String) {
        let (mut content, mut trailers) = (Vec::new(), String::new());
        loop {
            let length = usize::from_str_radix(&self.line(), 16).expect("a chunk's size");
            if length == 0 {
                break;
            }
            content.extend(self.bytes(length));
            assert_eq!(self.line(), "");
        }
        loop {
            match self.line() {
                line if line.is_empty() => return (content, trailers),
                line => trailers += &format!("{line}\n"),
            }
        }
    }

    /// Everything up to the end of the connection, and how that came.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Over) {
        loop {
            match self.more(PATIENCE) {
                Ok(true) => {}
                Ok(false) => panic!("within {PATIENCE:?} no end, but {:?}", self.received()),
                Err(over) => return (std::mem::take(&mut self.received), over),
            }
        }
    }

    /// That the connection ends, and nothing more comes before it does.
    #[track_caller]
    pub(crate) fn ends(&mut self) {
        let (rest, _) = self.rest();
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }

    /// That a message was the connection's last, and says so.
    #[track_caller]
    pub(crate) fn ends_after(&mut self, message: &Message) {
        assert!(message.closes(), "{message:?}");
        self.ends();
    }

    /// Leaves with a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

/// A response of known length.
pub(crate) fn ok(content: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len())
}

/// An origin on a free port, with a thread for each connection. It lives as long as the test's process.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) fn start(serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (serve, connections) = (Arc::new(serve), Arc::<AtomicUsize>::default());
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(&mut Peer::of(stream)));
            }
        });
        Self { address, connections }
    }

    /// One that answers every request with its start line.
    pub(crate) fn echo() -> Self {
        Self::start(echo)
    }

    /// A cluster of this one alone.
    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::round_robin([self.address.to_string()]).resolve().unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Answers every request with its start line.
pub(crate) fn echo(peer: &mut Peer) {
    while let Some(request) = peer.try_message() {
        let line = request.head.lines().next().unwrap();
        if !peer.try_send(ok(line)) {
            return;
        }
    }
}

/// An origin on a unix socket. It goes, and its file with it, when this is dropped.
pub(crate) struct UnixOrigin {
    path: PathBuf,
    ends: Arc<AtomicBool>,
    listens: Option<thread::JoinHandle<()>>,
}

impl UnixOrigin {
    pub(crate) fn start(path: &Path, serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let (serve, ends) = (Arc::new(serve), Arc::<AtomicBool>::default());
        let over = Arc::clone(&ends);
        let listens = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(&mut Peer::of_unix(stream)));
            }
        });
        Self { path: path.to_owned(), ends, listens: Some(listens) }
    }
}

impl Drop for UnixOrigin {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // It sees that at the next connection.
        let _ = UnixStream::connect(&self.path);
        if let Some(listens) = self.listens.take() {
            let _ = listens.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A path for a unix socket that no other test uses; what lies there goes when this is dropped.
pub(crate) struct SocketPath(pub(crate) PathBuf);

impl SocketPath {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let name = format!("corelane-engine-{}-{count}.sock", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// As an address.
    pub(crate) fn text(&self) -> String {
        format!("unix:{}", self.0.display())
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An address at which nobody listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

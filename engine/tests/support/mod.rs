//! A scripted origin and a client, both blocking, for tests of the engine.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it, and fails where it must")]

pub(crate) mod clock;
pub(crate) mod exhausted;
pub(crate) mod peer;
pub(crate) mod rig;

pub(crate) use clock::PATIENCE;
use corelane_engine::{Handler, Request, Response, Result, Upstream};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

/// Forwards everything.
pub(crate) struct Balancer(pub(crate) Upstream);

impl Handler for Balancer {
    async fn handle(&self, request: Request) -> Result<Response> {
        self.0.send(request).await
    }
}

/// Answers every head with the same bytes.
pub(crate) struct Origin(SocketAddr);

impl Origin {
    pub(crate) fn start(answer: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let mut received = Vec::new();
                    let mut piece = [0; 4096];
                    while let Ok(count) = stream.read(&mut piece) {
                        if count == 0 {
                            return;
                        }
                        received.extend_from_slice(&piece[..count]);
                        if received.ends_with(b"\r\n\r\n") {
                            received.clear();
                            if stream.write_all(answer).is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self(address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0
    }
}

/// A client that says what it is told.
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Over any stream.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, received: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads until what was received ends with `end`.
    pub(crate) fn receive_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut piece = [0; 4096];
        while !self.received.ends_with(end) {
            let count = self.stream.read(&mut piece).unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&self.received));
            self.received.extend_from_slice(&piece[..count]);
        }
        std::mem::take(&mut self.received)
    }

    /// Reads to the end of the connection.
    pub(crate) fn receive_all(&mut self) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.received);
        self.stream.read_to_end(&mut all).unwrap();
        all
    }

    pub(crate) fn exchange(&mut self, request: &[u8], end: &[u8]) -> Vec<u8> {
        self.send(request);
        self.receive_until(end)
    }
}

/// Runs a test that measures or limits the process itself in a process of its own: nextest gives it one; `cargo test`
/// does not, so it is started again there, alone.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "CORELANE_TEST_ALONE";
    #[expect(clippy::disallowed_methods, reason = "how the test is run stands nowhere else")]
    let has_own_process = std::env::var_os("NEXTEST").is_some() || std::env::var_os(ALONE).is_some();
    if has_own_process {
        return test();
    }
    let program = std::env::current_exe().unwrap();
    let status =
        std::process::Command::new(program).args(["--exact", name, "--nocapture"]).env(ALONE, "1").status();
    assert!(status.unwrap().success(), "{name} fails alone");
}

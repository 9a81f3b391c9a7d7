//! A client that sends bytes and reads one answer, over TCP or a unix socket.

use super::clock::PATIENCE;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
};

/// An answer, read to the end of its connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and fields, in lower case.
    pub(crate) head: String,
    pub(crate) content: String,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, content) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        Self { status, head: head.to_ascii_lowercase(), content: content.to_owned() }
    }
}

/// A `GET` with these fields.
fn request(path: &str, fields: &[u8]) -> Vec<u8> {
    let line = format!("GET {path} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n");
    [line.as_bytes(), fields, b"\r\n"].concat()
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    get_with(address, path, b"")
}

/// With more fields, each with its CRLF.
pub(crate) fn get_with(address: SocketAddr, path: &str, fields: &[u8]) -> Answer {
    send(address, &request(path, fields)).finish()
}

/// Any bytes.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    send(address, bytes).finish()
}

pub(crate) fn get_unix(path: &Path, target: &str) -> Answer {
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(&request(target, b"")).expect("it reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer in time");
    Answer::of(&bytes)
}

/// A request that has been sent and whose answer has not been read.
#[derive(Debug)]
pub(crate) struct Sent(TcpStream);

/// Sends a `GET` and does not wait.
pub(crate) fn send_get(address: SocketAddr, path: &str) -> Sent {
    send(address, &request(path, b""))
}

pub(crate) fn send(address: SocketAddr, bytes: &[u8]) -> Sent {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(bytes).expect("it reads");
    Sent(stream)
}

impl Sent {
    pub(crate) fn finish(self) -> Answer {
        Answer::of(&self.read_all())
    }

    /// What comes until the connection ends, in whatever way.
    pub(crate) fn read_all(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no answer in time: {bytes:?}")
            }
            _ => bytes,
        }
    }
}

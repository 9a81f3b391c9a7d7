//! Plain blocking connections and origins, for tests that are programs and not scripts.

use super::clock::PATIENCE;
use super::message::{Message, Role, read};
use super::net::End;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A connection, with what has come on it and was not taken.
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Conn {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::new(TcpStream::connect_timeout(&to, PATIENCE).expect("it accepts"))
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a TCP socket");
        Self { stream, unread: Vec::new() }
    }

    /// Writes all, unless the other side has gone.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// The next message; `None` if it does not come to its end.
    pub(crate) fn message(&mut self, role: Role) -> Option<Message> {
        let mut ended = false;
        loop {
            let message = read(&self.unread, role, ended).expect("what comes is HTTP/1.1");
            if let Some(message) = message.filter(|message| message.complete) {
                self.unread.drain(..message.len);
                return Some(message);
            }
            if ended {
                return None;
            }
            ended = self.more().ok()? == 0;
        }
    }

    /// Takes what has come until the head of a message is there, and not its content.
    pub(crate) fn head(&mut self, role: Role) -> Option<Message> {
        loop {
            if let Some(message) = read(&self.unread, role, false).expect("what comes is HTTP/1.1") {
                return Some(message);
            }
            if self.more().ok()? == 0 {
                return None;
            }
        }
    }

    /// Reads once into what is unread.
    pub(crate) fn more(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 64 << 10];
        let len = self.stream.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..len]);
        Ok(len)
    }

    /// Moves what has come already to the start of `buffer`; how much that was.
    pub(crate) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let len = self.unread.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.unread[..len]);
        self.unread.drain(..len);
        len
    }

    /// Everything until the other side ends; `None` if it does not.
    pub(crate) fn rest(&mut self) -> Option<(Vec<u8>, End)> {
        loop {
            match self.more() {
                Ok(0) => return Some((std::mem::take(&mut self.unread), End::Fin)),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return None;
                }
                Err(_) => return Some((std::mem::take(&mut self.unread), End::Reset)),
            }
        }
    }

    pub(crate) fn fin(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends both directions with an RST.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    }
}

/// A request and its whole answer on a connection of its own.
pub(crate) fn ask(proxy: SocketAddr, request: impl AsRef<[u8]>) -> Message {
    let mut client = Conn::connect(proxy);
    client.send(request);
    client.message(Role::Response).expect("a whole answer comes")
}

/// A `GET` and its whole answer.
pub(crate) fn get(proxy: SocketAddr, target: &str) -> Message {
    ask(proxy, format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n"))
}

/// A 200 with this content.
pub(crate) fn answer(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len()).into_bytes();
    bytes.extend_from_slice(content);
    bytes
}

/// An origin on a free port, with a thread for each connection.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Origin {
    /// `serve` gets each connection on which something comes (not one that only tries whether somebody listens), with
    /// its number, from 0.
    pub(crate) fn start(serve: impl Fn(Conn, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let accepted = Arc::new(AtomicUsize::new(0));
        let (serve, count) = (Arc::new(serve), Arc::clone(&accepted));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (serve, count) = (Arc::clone(&serve), Arc::clone(&count));
                std::thread::spawn(move || {
                    if stream.peek(&mut [0]).is_ok_and(|len| len > 0) {
                        serve(Conn::new(stream), count.fetch_add(1, Ordering::SeqCst));
                    }
                });
            }
        });
        Self { address, accepted }
    }

    /// An origin that answers each request with its method, its target and the length of its content.
    pub(crate) fn echo() -> Self {
        Self::start(|mut conn, _| {
            while let Some(request) = conn.message(Role::Request) {
                let start = String::from_utf8_lossy(&request.start).into_owned();
                let (line, _) = start.rsplit_once(' ').expect("it has a version");
                let head = request.start.starts_with(b"HEAD ");
                let bytes = answer(format!("{line} {}", request.content.len()));
                let end = if head { bytes.len() - line.len() - 2 } else { bytes.len() };
                conn.send(&bytes[..end]);
            }
        })
    }

    /// How many connections it has served.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// An address that refuses connections, for as long as the value lives.
pub(crate) struct Refusing(socket2::Socket);

impl Refusing {
    pub(crate) fn new() -> Self {
        Self(bound())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        address_of(&self.0)
    }
}

/// An address at which connections are never established, for as long as the value lives: its queue is full.
pub(crate) struct Silent {
    listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
}

impl Silent {
    pub(crate) fn new() -> Self {
        let listener = bound();
        listener.listen(0).expect("it is bound");
        let address = address_of(&listener);
        // The first fill the queue; the kernel ignores the SYNs of the others.
        let queued = (0..4).map(|_| {
            let socket = tcp();
            socket.set_nonblocking(true).expect("a TCP socket");
            let _ = socket.connect(&address.into());
            socket
        });
        let _queued = queued.collect();
        Self { listener, _queued }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        address_of(&self.listener)
    }
}

fn tcp() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a descriptor is left")
}

fn bound() -> socket2::Socket {
    let socket = tcp();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    socket
}

fn address_of(socket: &socket2::Socket) -> SocketAddr {
    socket.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound")
}

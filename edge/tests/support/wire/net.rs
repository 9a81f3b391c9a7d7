//! Connections of scripted clients and of a scripted origin: one thread per connection reads, all that happens
//! comes through one channel, and one thread, the script's, looks at it and writes.

use super::clock::{Deadline, PATIENCE};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How a connection's other direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// In order: a FIN, seen with everything before it.
    Fin,
    /// With an RST.
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Origin,
}

enum Event {
    Accepted(TcpStream),
    Bytes(usize, Vec<u8>),
    Ended(usize, End),
}

/// One connection, a client's or one that the origin accepted.
pub(crate) struct Peer {
    pub(crate) id: usize,
    pub(crate) side: Side,
    /// What has come and was not taken yet.
    pub(crate) unread: Vec<u8>,
    pub(crate) end: Option<End>,
    /// Gone once it was reset.
    stream: Option<TcpStream>,
    reader: Option<JoinHandle<()>>,
}

/// A `GET` that the origin answered by itself: its path begins with `/canary/` or `/auto/`.
pub(crate) struct Canary {
    pub(crate) target: Vec<u8>,
    pub(crate) peer: usize,
}

/// The connections on both sides of a proxy.
pub(crate) struct Wire {
    pub(crate) origin: SocketAddr,
    pub(crate) peers: Vec<Peer>,
    pub(crate) canaries: Vec<Canary>,
    /// The origin's answers to canaries say `Connection: close`.
    pub(crate) canaries_close: bool,
    events: Receiver<Event>,
    sender: Sender<Event>,
    next_id: usize,
    closing: Arc<AtomicBool>,
}

impl Wire {
    /// An origin on a free port.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let origin = listener.local_addr().expect("it is bound");
        let (sender, events) = channel();
        let closing = Arc::new(AtomicBool::new(false));
        let (accepted, over) = (sender.clone(), Arc::clone(&closing));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) || accepted.send(Event::Accepted(stream)).is_err() {
                    break;
                }
            }
        });
        let (peers, canaries) = (Vec::new(), Vec::new());
        Self { origin, peers, canaries, canaries_close: false, events, sender, next_id: 0, closing }
    }

    /// A new client's connection.
    pub(crate) fn connect(&mut self, to: SocketAddr) -> usize {
        let stream = TcpStream::connect_timeout(&to, PATIENCE).expect("the proxy accepts");
        self.adopt(stream, Side::Client)
    }

    fn adopt(&mut self, stream: TcpStream, side: Side) -> usize {
        let id = self.next_id;
        self.next_id += 1;
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a TCP socket");
        let (reading, sender) = (stream.try_clone().expect("a descriptor is left"), self.sender.clone());
        let reader = Some(std::thread::spawn(move || read_all(id, reading, &sender)));
        self.peers.push(Peer { id, side, unread: Vec::new(), end: None, stream: Some(stream), reader });
        id
    }

    pub(crate) fn peer(&self, id: usize) -> &Peer {
        self.peers.iter().find(|peer| peer.id == id).expect("an id stands for a peer")
    }

    pub(crate) fn peer_mut(&mut self, id: usize) -> &mut Peer {
        self.peers.iter_mut().find(|peer| peer.id == id).expect("an id stands for a peer")
    }

    /// Waits until `done` gives something. `None`: it didn't in time.
    pub(crate) fn wait<T>(&mut self, mut done: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        let deadline = Deadline::after(PATIENCE);
        loop {
            if let Some(result) = done(self) {
                return Some(result);
            }
            let event = self.events.recv_timeout(deadline.left()?).ok()?;
            self.take(event);
        }
    }

    /// Takes what has happened so far.
    pub(crate) fn catch_up(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Accepted(stream) => {
                self.adopt(stream, Side::Origin);
            }
            Event::Bytes(id, bytes) => {
                // What is left over of an earlier case concerns nobody.
                if let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == id) {
                    peer.unread.extend(bytes);
                    self.answer_canaries(id);
                }
            }
            Event::Ended(id, end) => {
                if let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == id) {
                    peer.end = Some(end);
                }
            }
        }
    }

    fn answer_canaries(&mut self, id: usize) {
        let close = if self.canaries_close { "Connection: close\r\n" } else { "" };
        loop {
            let peer = self.peer_mut(id);
            let ours =
                [&b"GET /canary/"[..], b"GET /auto/"].iter().any(|start| peer.unread.starts_with(start));
            let len = super::message::find(&peer.unread, b"\r\n\r\n").map(|at| at + 4);
            let Some(len) = len.filter(|_| ours && peer.side == Side::Origin) else { return };
            let head = peer.unread.drain(..len).collect::<Vec<_>>();
            let target = head.split(|b| *b == b' ').nth(1).unwrap_or_default().to_vec();
            let text = String::from_utf8_lossy(&target);
            let answer = format!("HTTP/1.1 200 OK\r\n{close}Content-Length: {}\r\n\r\n{text}", text.len());
            peer.send(answer.as_bytes());
            self.canaries.push(Canary { target, peer: id });
        }
    }

    /// Closes everything, and waits until all readers have seen the end.
    pub(crate) fn clear(&mut self) {
        for peer in &mut self.peers {
            peer.stop(Shutdown::Both);
        }
        self.catch_up();
    }

    /// Forgets all connections, which [`clear`](Self::clear) has closed.
    pub(crate) fn forget(&mut self) {
        self.peers.clear();
        self.canaries.clear();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, so that it sees the flag and closes the listener.
        let _ = TcpStream::connect(self.origin);
    }
}

impl Peer {
    /// Writes what the other side will take. Once it has gone, there is nobody to write to, and that is no fault
    /// of a script's.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if let Some(stream) = &mut self.stream {
            let _ = stream.write_all(bytes);
        }
    }

    /// Ends our direction.
    pub(crate) fn fin(&self) {
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    /// Ends both directions with an RST.
    pub(crate) fn reset(&mut self) {
        // The reader holds the same socket, and only the last to close it sends the RST.
        self.stop(Shutdown::Read);
        if let Some(stream) = self.stream.take() {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
        }
    }

    fn stop(&mut self, how: Shutdown) {
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(how);
        }
        if let Some(reader) = self.reader.take() {
            reader.join().expect("a reader does not panic");
        }
    }
}

fn read_all(id: usize, mut stream: TcpStream, events: &Sender<Event>) {
    let mut buffer = vec![0; 64 << 10];
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break End::Fin,
            Ok(len) => {
                if events.send(Event::Bytes(id, buffer[..len].to_vec())).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break End::Reset,
        }
    };
    // Nobody listens any more when a test is over.
    let _ = events.send(Event::Ended(id, end));
}

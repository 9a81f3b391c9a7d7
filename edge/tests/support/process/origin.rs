//! An origin: every connection is one request, answered as the test says.

use super::clock::PATIENCE;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

/// Paths that begin so are answered when the test lets them.
const HELD: &str = "/held";
/// The content of every answer.
pub(crate) const CONTENT: &str = "from the origin\n";

/// An origin on a free port. It lives until the test ends.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    heads: Receiver<String>,
    release: Sender<()>,
}

impl Origin {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (seen, heads) = channel();
        let (release, released) = channel();
        thread::spawn(move || {
            // Held requests are let go one after the other.
            let (hold, held) = channel::<TcpStream>();
            thread::spawn(move || {
                for stream in held {
                    if released.recv().is_ok() {
                        answer(stream);
                    }
                }
            });
            let hold = Arc::new(hold);
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, hold) = (seen.clone(), Arc::clone(&hold));
                thread::spawn(move || serve(stream, &seen, &hold));
            }
        });
        Self { address, heads, release }
    }

    /// The head of the next request that it has received.
    pub(crate) fn head(&self) -> String {
        self.heads.recv_timeout(PATIENCE).expect("a request reaches the origin")
    }

    /// How many requests have come since the last time that somebody looked.
    pub(crate) fn seen(&self) -> usize {
        self.heads.try_iter().count()
    }

    /// Lets one held request be answered.
    pub(crate) fn release(&self) {
        self.release.send(()).expect("the origin lives");
    }
}

fn serve(mut stream: TcpStream, seen: &Sender<String>, hold: &Sender<TcpStream>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let is_held = head.split(' ').nth(1).is_some_and(|path| path.starts_with(HELD));
    // A test that has ended does not care.
    let _ = seen.send(head);
    if is_held {
        let _ = hold.send(stream);
    } else {
        answer(stream);
    }
}

fn answer(mut stream: TcpStream) {
    let length = CONTENT.len();
    let _ =
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{CONTENT}");
}

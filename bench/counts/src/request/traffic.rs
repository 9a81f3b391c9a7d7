//! An origin and clients, over loopback: one request at a time on each connection, so that runs are alike.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

const REQUEST: &[u8] =
    b"GET /path?query=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: corelane-counts\r\nAccept: */*\r\n\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";
/// No answer takes this long, even under valgrind.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Starts an origin that answers each request with as many bytes. It lives as long as the process.
pub(super) fn origin(content_bytes: usize) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Mon, 06 Jul 2026 10:00:00 GMT\r\n\
         Content-Type: text/plain\r\nContent-Length: {content_bytes}\r\n\r\n"
    )
    .into_bytes();
    answer.resize(answer.len() + content_bytes, b'x');
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            // One that fails has lost its peer.
            thread::spawn(move || serve(stream, &answer).ok());
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..n]);
        if input.ends_with(HEAD_END) {
            input.clear();
            stream.write_all(answer)?;
        }
    }
}

/// Connections of clients.
pub(super) struct Clients {
    streams: Vec<TcpStream>,
    content_bytes: usize,
}

impl Clients {
    pub(super) fn connect(to: SocketAddr, connections: usize, content_bytes: usize) -> io::Result<Self> {
        let connect = |_| {
            let stream = TcpStream::connect(to)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            Ok(stream)
        };
        Ok(Self { streams: (0..connections).map(connect).collect::<io::Result<_>>()?, content_bytes })
    }

    /// A request on each connection, and then all answers.
    pub(super) fn round(&mut self) -> io::Result<()> {
        for stream in &mut self.streams {
            stream.write_all(REQUEST)?;
        }
        self.streams.iter_mut().try_for_each(|stream| answer(stream, self.content_bytes))
    }
}

/// Reads an answer to its end.
fn answer(stream: &mut TcpStream, content_bytes: usize) -> io::Result<()> {
    let wrong = |input: &[u8]| io::Error::other(format!("an answer is {:?}", String::from_utf8_lossy(input)));
    let mut input = Vec::new();
    let mut buffer = [0; 1 << 16];
    loop {
        let n = stream.read(&mut buffer)?;
        input.extend_from_slice(&buffer[..n]);
        let head = input.windows(HEAD_END.len()).position(|window| window == HEAD_END);
        if n == 0 || (head.is_some() && !input.starts_with(b"HTTP/1.1 200 ")) {
            return Err(wrong(&input));
        }
        match head.map(|head| input.len() - head - HEAD_END.len()) {
            Some(came) if came == content_bytes => return Ok(()),
            Some(came) if came > content_bytes => return Err(wrong(&input)),
            _ => {}
        }
    }
}

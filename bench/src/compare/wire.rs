//! Single requests, by hand: whether a proxy serves, what it adds, and connections that only stay open.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// An answer takes no longer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// A head is no longer.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Content is no longer.
const CONTENT_BYTES_MAX: usize = 1 << 30;

/// A message's first line and its fields, names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) first: String,
    pub(super) fields: Vec<(String, String)>,
}

/// An answer, whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: Head,
    pub(super) content: Vec<u8>,
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        Self { first, fields: lines.filter_map(field).collect() }
    }

    /// The values of a field, joined by commas as RFC 9110 §5.3 lets them be; `name` is in lower case.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let values: Vec<_> =
            self.fields.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect();
        if values.is_empty() { None } else { Some(values.join(", ")) }
    }
}

/// Connects to a port of this machine.
pub(super) fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks for `/` and reads the answer to its end. `more` are lines of fields, each with its end.
pub(super) fn get(stream: &mut TcpStream, host: &str, more: &str) -> io::Result<Answer> {
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").as_bytes())?;
    let (head, mut content) = receive_head(stream)?.ok_or_else(closed)?;
    let status = head.first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| wrong("no status"))?;
    let length: usize = match head.field("content-length").map(|length| length.parse()) {
        Some(Ok(length)) if length <= CONTENT_BYTES_MAX => length,
        _ => return Err(wrong(&format!("status {status} without a Content-Length"))),
    };
    let mut piece = [0; 16 << 10];
    while content.len() < length {
        match stream.read(&mut piece)? {
            0 => return Err(closed()),
            read => content.extend_from_slice(&piece[..read]),
        }
    }
    if content.len() > length {
        return Err(wrong("more content than was promised"));
    }
    Ok(Answer { status, head, content })
}

/// A head and what came after it; `None` if the peer closed before it began.
pub(super) fn receive_head(stream: &mut TcpStream) -> io::Result<Option<(Head, Vec<u8>)>> {
    let mut received = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = received.split_off(end + 4);
            return Ok(Some((Head::parse(&String::from_utf8_lossy(&received)), rest)));
        }
        if received.len() > HEAD_BYTES_MAX {
            return Err(wrong("a head without an end"));
        }
        match stream.read(&mut piece)? {
            0 if received.is_empty() => return Ok(None),
            0 => return Err(closed()),
            read => received.extend_from_slice(&piece[..read]),
        }
    }
}

/// Whether the peer has closed an idle connection, or said something on it.
pub(super) fn has_changed(stream: &TcpStream) -> bool {
    let mut byte = [0];
    let idle = stream.set_nonblocking(true).is_ok()
        && matches!(stream.peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    !idle
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "closed in mid-answer")
}

fn wrong(says: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What `get` makes of an answer.
    fn got(answer: &str) -> io::Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut stream = connect(port).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        peer.write_all(answer.as_bytes()).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let got = get(&mut stream, "a.example", "X-A: 1\r\n");
        let (head, _) = receive_head(&mut peer).unwrap().unwrap();
        assert_eq!(head.first, "GET / HTTP/1.1");
        assert_eq!(head.field("host").as_deref(), Some("a.example"));
        got
    }

    #[test]
    fn an_answer_is_read_to_its_end() {
        let answer = got("HTTP/1.1 200 OK\r\nVIA: a\r\nvia:  b \r\nContent-Length: 5\r\n\r\nhello").unwrap();
        assert_eq!((answer.status, answer.content.as_slice()), (200, b"hello".as_slice()));
        assert_eq!(answer.head.field("via").as_deref(), Some("a, b"));
        assert_eq!(answer.head.field("x"), None);
    }

    #[test]
    fn an_answer_that_is_short_long_or_open_is_refused() {
        for wrong in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Len",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        ] {
            assert!(got(wrong).is_err(), "{wrong:?}");
        }
    }
}

//! A reader of HTTP/1 messages that is as simple as can be, and strict: for those at either end of the engine.

use crate::spec::Framing;
use corelane_engine::simulate::Socket;
use std::{io, rc::Rc};

/// A head, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The start line's three parts.
    pub(crate) start: [String; 3],
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// The values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let is_it = |field: &&(String, String)| field.0.eq_ignore_ascii_case(name);
        self.fields.iter().filter(is_it).map(|(_, value)| value.as_str()).collect()
    }

    /// The number of the message.
    pub(crate) fn id(&self) -> Option<u64> {
        match self.all("x-id")[..] {
            [id] => u64::from_str_radix(id, 16).ok(),
            _ => None,
        }
    }
}

/// What content there was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// It came to its end, as its framing says.
    pub(crate) is_whole: bool,
}

/// Why there is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The connection ended, or broke, between two messages, or within one.
    Ended { within: bool },
    /// What came is no message.
    Garbled(String),
}

/// One direction of a connection.
pub(crate) struct Reader {
    socket: Rc<Socket>,
    buffer: Vec<u8>,
    has_ended: bool,
}

fn garbled<T>(what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken::Garbled(what.into()))
}

impl Reader {
    pub(crate) fn new(socket: Rc<Socket>) -> Self {
        Self { socket, buffer: Vec::new(), has_ended: false }
    }

    /// Whether more has come than messages.
    pub(crate) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    async fn more(&mut self) -> Result<(), Broken> {
        let within = !self.buffer.is_empty();
        if self.has_ended {
            return Err(Broken::Ended { within });
        }
        let received: io::Result<usize> = self.socket.receive(&mut self.buffer).await;
        match received {
            Ok(0) | Err(_) => {
                self.has_ended = true;
                Err(Broken::Ended { within })
            }
            Ok(_) => Ok(()),
        }
    }

    async fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).take(end).collect();
                if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
                    return garbled(format!("a control character in {:?}", String::from_utf8_lossy(&line)));
                }
                // Whatever is above ASCII in a value is passed on unseen (RFC 9110 §5.5).
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.buffer.len() > 100_000 {
                return garbled("a line without an end");
            }
            self.more().await?;
        }
    }

    async fn fields(&mut self) -> Result<Vec<(String, String)>, Broken> {
        let mut fields = Vec::new();
        loop {
            let line = self.line().await.map_err(|broken| match broken {
                Broken::Ended { .. } => Broken::Ended { within: true },
                garbled => garbled,
            })?;
            if line.is_empty() {
                return Ok(fields);
            }
            let Some((name, value)) = line.split_once(':') else {
                return garbled(format!("no field: {line:?}"));
            };
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_token) {
                return garbled(format!("no name of a field: {line:?}"));
            }
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The next head.
    pub(crate) async fn head(&mut self) -> Result<Head, Broken> {
        let line = self.line().await?;
        let parts: Vec<&str> = line.splitn(3, ' ').collect();
        let [first, second, third] = parts[..] else { return garbled(format!("no start line: {line:?}")) };
        let start = [first, second, third].map(str::to_owned);
        Ok(Head { start, fields: self.fields().await? })
    }

    /// What comes, whatever it is; 0 at its end.
    pub(crate) async fn raw(&mut self, into: &mut Vec<u8>) -> io::Result<usize> {
        if self.buffer.is_empty() {
            return self.socket.receive(into).await;
        }
        let count = self.buffer.len();
        into.append(&mut self.buffer);
        Ok(count)
    }

    /// The content that follows a head.
    pub(crate) async fn content(&mut self, framing: Framing, length: usize) -> Result<Content, Broken> {
        let mut content = Content { bytes: Vec::new(), trailers: Vec::new(), is_whole: false };
        let read = match framing {
            Framing::None => Ok(()),
            Framing::Length => self.take(&mut content.bytes, length).await,
            Framing::Close => loop {
                content.bytes.append(&mut self.buffer);
                match self.socket.receive(&mut self.buffer).await {
                    Ok(0) => break Ok(()),
                    Ok(_) => {}
                    Err(_) => break Err(Broken::Ended { within: true }),
                }
            },
            Framing::Chunked => self.chunks(&mut content).await,
        };
        match read {
            Ok(()) => content.is_whole = true,
            Err(Broken::Ended { .. }) => {}
            Err(garbled) => return Err(garbled),
        }
        Ok(content)
    }

    async fn take(&mut self, into: &mut Vec<u8>, count: usize) -> Result<(), Broken> {
        let mut left = count;
        loop {
            let now = left.min(self.buffer.len());
            into.extend(self.buffer.drain(..now));
            left -= now;
            if left == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    async fn chunks(&mut self, content: &mut Content) -> Result<(), Broken> {
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default();
            let is_hex = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
            let Some(size) = usize::from_str_radix(size, 16).ok().filter(|_| is_hex) else {
                return garbled(format!("no size of a chunk: {line:?}"));
            };
            if size == 0 {
                content.trailers = self.fields().await?;
                return Ok(());
            }
            self.take(&mut content.bytes, size).await?;
            let end = self.line().await?;
            if !end.is_empty() {
                return garbled(format!("behind a chunk: {end:?}"));
            }
        }
    }
}

/// How the content of a message is framed (RFC 9112 §6.3), and its length if that is said.
pub(crate) fn framing(head: &Head, is_response: bool, method: &str) -> Result<(Framing, usize), Broken> {
    if is_response {
        let status = head.start[1].as_str();
        if method == "HEAD" || status.starts_with('1') || status == "204" || status == "304" {
            return Ok((Framing::None, 0));
        }
    }
    match (&head.all("transfer-encoding")[..], &head.all("content-length")[..]) {
        ([], []) if is_response => Ok((Framing::Close, 0)),
        ([], []) => Ok((Framing::None, 0)),
        (["chunked"], []) => Ok((Framing::Chunked, 0)),
        ([], [length]) => match length.parse() {
            Ok(length) => Ok((Framing::Length, length)),
            Err(_) => garbled(format!("no length: {length}")),
        },
        (codings, lengths) => garbled(format!("framing is said twice: {codings:?}, {lengths:?}")),
    }
}

//! A small strict reader of HTTP/1.1 messages, on its own legs: it shares no code with what it checks.

use super::text::show;

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Request,
    Response,
    /// A response to `HEAD`.
    ResponseToHead,
}

/// A message, as far as it has come.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The start line without its CRLF.
    pub(crate) start: Vec<u8>,
    /// Names and values in their order, surrounding whitespace removed.
    pub(crate) fields: Vec<Field>,
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
    /// Whether it has come to its end.
    pub(crate) complete: bool,
    /// How many bytes it takes, if it is complete; otherwise how many have come.
    pub(crate) len: usize,
}

pub(crate) type Field = (Vec<u8>, Vec<u8>);

impl Message {
    /// The values of a field.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values(&self.fields, name)
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> Option<u16> {
        let digits = self.start.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &[u8] {
        self.start.split(|b| *b == b' ').nth(1).unwrap_or_default()
    }
}

pub(crate) fn values<'a>(fields: &'a [Field], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v.as_slice())
}

/// Reads the message that `bytes` start with. `None` while its head has not come completely; an error if it is
/// none. `ended`: nothing more will come, in order.
pub(crate) fn read(bytes: &[u8], role: Role, ended: bool) -> Result<Option<Message>, String> {
    let Some(head_len) = find(bytes, b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let mut lines = lines(&bytes[..head_len - 2]);
    let start = lines.next().unwrap_or_default().to_vec();
    check_start(&start, role)?;
    let fields = lines.map(field).collect::<Result<Vec<_>, _>>()?;
    let mut message = Message {
        start,
        fields,
        content: Vec::new(),
        trailers: Vec::new(),
        complete: false,
        len: bytes.len(),
    };
    let rest = &bytes[head_len..];
    let taken = match length(&message, role)? {
        Length::Known(length) => {
            message.content = rest[..rest.len().min(length)].to_vec();
            (rest.len() >= length).then_some(length)
        }
        Length::Chunked => chunked(rest, &mut message)?,
        Length::UntilClose => {
            message.content = rest.to_vec();
            ended.then_some(rest.len())
        }
    };
    if let Some(taken) = taken {
        (message.complete, message.len) = (true, head_len + taken);
    }
    Ok(Some(message))
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Lines that each end in CRLF.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let at = find(rest, b"\r\n")?;
        let line = &rest[..at];
        rest = &rest[at + 2..];
        Some(line)
    })
}

fn check_start(start: &[u8], role: Role) -> Result<(), String> {
    let fine = match role {
        Role::Request => start.ends_with(b" HTTP/1.1") && start.split(|b| *b == b' ').count() == 3,
        _ => {
            start.starts_with(b"HTTP/1.1 ")
                && start.get(9..12).is_some_and(|code| code.iter().all(u8::is_ascii_digit))
                && start.get(12) == Some(&b' ')
        }
    };
    if fine { Ok(()) } else { Err(format!("no start line of a {role:?}: {}", show(start))) }
}

fn field(line: &[u8]) -> Result<Field, String> {
    let wrong = || format!("no field line: {}", show(line));
    let colon = line.iter().position(|b| *b == b':').ok_or_else(wrong)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let control = |b: &u8| (*b < b' ' && *b != b'\t') || *b == 0x7f;
    if name.is_empty() || !name.iter().all(token) || value.iter().any(control) {
        return Err(wrong());
    }
    Ok((name.to_vec(), value.to_vec()))
}

enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

fn length(message: &Message, role: Role) -> Result<Length, String> {
    let declared = message.values("content-length").collect::<Vec<_>>();
    let coding = message.values("transfer-encoding").collect::<Vec<_>>();
    if declared.len() + coding.len() > 1 {
        return Err("more than one field that says a length".to_owned());
    }
    let bodiless = match role {
        Role::ResponseToHead => true,
        Role::Response => matches!(message.status(), Some(100..=199 | 204 | 304)),
        Role::Request => false,
    };
    if let Some(coding) = coding.first().filter(|coding| !coding.eq_ignore_ascii_case(b"chunked")) {
        return Err(format!("a coding that nobody asked for: {}", show(coding)));
    }
    match declared.first() {
        _ if bodiless => Ok(Length::Known(0)),
        None if coding.len() == 1 => Ok(Length::Chunked),
        None if role == Role::Request => Ok(Length::Known(0)),
        None => Ok(Length::UntilClose),
        Some(digits) => std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .map(Length::Known)
            .ok_or_else(|| format!("no length: {}", show(digits))),
    }
}

/// Reads chunked content. How many bytes it takes, if it is complete.
fn chunked(bytes: &[u8], message: &mut Message) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let Some(line_len) = find(&bytes[at..], b"\r\n") else { return Ok(None) };
        let line = &bytes[at..at + line_len];
        let size = std::str::from_utf8(line)
            .ok()
            .filter(|line| line.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|line| usize::from_str_radix(line, 16).ok())
            .ok_or_else(|| format!("no chunk size: {}", show(line)))?;
        at += line_len + 2;
        if size == 0 {
            return trailers(bytes, at, message);
        }
        let data = &bytes[at..bytes.len().min(at + size)];
        message.content.extend_from_slice(data);
        let Some(end) = bytes.get(at + size..at + size + 2) else { return Ok(None) };
        if end != b"\r\n" {
            return Err(format!("no CRLF behind a chunk: {}", show(end)));
        }
        at += size + 2;
    }
}

fn trailers(bytes: &[u8], mut at: usize, message: &mut Message) -> Result<Option<usize>, String> {
    while let Some(line_len) = find(&bytes[at..], b"\r\n") {
        let line = &bytes[at..at + line_len];
        at += line_len + 2;
        if line.is_empty() {
            return Ok(Some(at));
        }
        message.trailers.push(field(line)?);
    }
    Ok(None)
}

#[test]
fn messages_are_read_as_far_as_they_have_come() {
    let whole: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\nnext";
    for cut in 0..whole.len() {
        let message = read(&whole[..cut], Role::Response, true).unwrap();
        assert_eq!(message.is_some_and(|m| m.complete), cut >= whole.len() - 4, "{cut}");
    }
    let message = read(whole, Role::Response, false).unwrap().unwrap();
    assert_eq!((message.content.as_slice(), message.len), (&b"hello"[..], whole.len() - 4));
    assert_eq!(values(&message.trailers, "x-t").next(), Some(&b"1"[..]));

    let until_close = b"HTTP/1.1 200 OK\r\n\r\nabc";
    assert!(!read(until_close, Role::Response, false).unwrap().unwrap().complete);
    assert!(read(until_close, Role::Response, true).unwrap().unwrap().complete);
    let to_head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert!(!read(to_head, Role::Response, true).unwrap().unwrap().complete);
    assert!(read(to_head, Role::ResponseToHead, false).unwrap().unwrap().complete);
}

#[test]
fn what_is_no_message_is_refused() {
    for wrong in [
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
    ] {
        assert!(read(wrong.as_bytes(), Role::Response, false).is_err(), "{wrong:?}");
    }
    assert!(read(b"GET / HTTP/1.0\r\n\r\n", Role::Request, false).is_err());
}

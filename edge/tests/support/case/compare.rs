//! What the origin must have received, beside what it did receive.
//!
//! The fields that the client sent keep their order and case. What the proxy makes anew for this connection, and
//! what it adds, may stand anywhere: those are compared as a set.

use crate::wire::message::{Field, Message};
use crate::wire::text::show;

/// Written anew for each connection: framing and what concerns one connection.
const OF_CONNECTION: [&str; 6] =
    ["content-length", "transfer-encoding", "connection", "te", "upgrade", "expect"];

/// Added to every request, unless the case says what stands there.
const ADDED: [&str; 6] =
    ["via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-request-id"];

/// What a request must be.
pub(crate) struct Expected {
    pub(crate) start: Vec<u8>,
    /// Fields that must be there.
    pub(crate) fields: Vec<Field>,
    /// Fields written anew that may be there, exactly so, or not.
    pub(crate) optional: Vec<Field>,
    pub(crate) trailers: Vec<Field>,
    pub(crate) content: Vec<u8>,
}

impl Expected {
    /// Reads the lines of a case: the head, an empty line, the content.
    pub(crate) fn of(block: &[u8]) -> Result<Self, String> {
        let (head, content) = match crate::wire::message::find(block, b"\r\n\r\n") {
            Some(at) => (&block[..at + 2], block[at + 4..].to_vec()),
            None => (block, Vec::new()),
        };
        let mut lines = head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = lines.next().unwrap_or_default().to_vec();
        let mut expected = Self { start, fields: vec![], optional: vec![], trailers: vec![], content };
        for line in lines.filter(|line| !line.is_empty()) {
            let (list, line) = match line {
                [b'?', line @ ..] => (&mut expected.optional, line),
                [b'+', line @ ..] => (&mut expected.trailers, line),
                line => (&mut expected.fields, line),
            };
            let colon = line.iter().position(|b| *b == b':');
            let colon = colon.ok_or_else(|| format!("`{}` is no field line", show(line)))?;
            list.push((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()));
        }
        Ok(expected)
    }

    /// What differs, if anything does.
    pub(crate) fn differs(&self, actual: &Message, via: &str) -> Result<(), String> {
        if self.start != actual.start {
            return Err(format!("expected `{}`, received `{}`", show(&self.start), show(&actual.start)));
        }
        let (anew, kept) = split(&actual.fields);
        let (mut expected_anew, expected_kept) = split(&self.fields);
        if kept != expected_kept {
            return Err(format!("expected the fields {}, received {}", list(&expected_kept), list(&kept)));
        }
        expected_anew.extend(self.added(via));
        self.set_differs(&anew, &expected_anew)?;
        if self.trailers != actual.trailers {
            let (expected, received) = (list(&self.trailers), list(&actual.trailers));
            return Err(format!("expected the trailers {expected}, received {received}"));
        }
        content_differs(&self.content, &actual.content)
    }

    fn set_differs(&self, anew: &[Field], expected: &[Field]) -> Result<(), String> {
        let mut left = anew.to_vec();
        for field in expected {
            let at = left.iter().position(|actual| same(field, actual));
            let at = at.ok_or_else(|| format!("expected {}, among {}", line(field), list(anew)))?;
            left.swap_remove(at);
        }
        left.retain(|actual| !self.optional.iter().any(|field| same(field, actual)));
        match left.first() {
            Some(field) => Err(format!("nobody expected {}", line(field))),
            None => Ok(()),
        }
    }

    /// What is added to this request by default: what the case itself says of a name goes first.
    fn added(&self, via: &str) -> Vec<Field> {
        let host = crate::wire::message::values(&self.fields, "host").next().unwrap_or_default();
        let host = String::from_utf8_lossy(host).into_owned();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let quoted = if host.chars().all(token) { host.clone() } else { format!("\"{host}\"") };
        let value = |name: &str| match name {
            "via" => format!("1.1 {via}"),
            "x-forwarded-for" => "127.0.0.1".to_owned(),
            "x-forwarded-proto" => "http".to_owned(),
            "x-forwarded-host" => host.clone(),
            "forwarded" => format!("for=127.0.0.1;host={quoted};proto=http"),
            _ => REQUEST_ID.to_owned(),
        };
        let said = |name: &str| crate::wire::message::values(&self.fields, name).next().is_some();
        let added = ADDED.iter().filter(|name| !said(name));
        added.map(|name| (name.as_bytes().to_vec(), value(name).into_bytes())).collect()
    }
}

/// Stands for any id that the proxy has made.
const REQUEST_ID: &str = "<32 hexadecimal digits>";

fn same(expected: &Field, actual: &Field) -> bool {
    let value = match expected.1.as_slice() {
        id if id == REQUEST_ID.as_bytes() => {
            actual.1.len() == 32 && actual.1.iter().all(u8::is_ascii_hexdigit)
        }
        value if is_one_of(&expected.0, &ADDED) => value == actual.1,
        value => value.eq_ignore_ascii_case(&actual.1),
    };
    expected.0.eq_ignore_ascii_case(&actual.0) && value
}

/// Whether content is what it must be.
pub(crate) fn content_differs(expected: &[u8], actual: &[u8]) -> Result<(), String> {
    if expected == actual {
        return Ok(());
    }
    Err(format!("expected the content `{}`, received `{}`", show(expected), show(actual)))
}

/// What may stand anywhere, and what keeps its place.
fn split(fields: &[Field]) -> (Vec<Field>, Vec<Field>) {
    let anew = |field: &Field| is_one_of(&field.0, &OF_CONNECTION) || is_one_of(&field.0, &ADDED);
    fields.iter().cloned().partition(anew)
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|n| n.as_bytes().eq_ignore_ascii_case(name))
}

fn list(fields: &[Field]) -> String {
    fields.iter().map(line).collect::<Vec<_>>().join(" ")
}

fn line((name, value): &Field) -> String {
    format!("`{}: {}`", show(name), show(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{Role, read};

    const ADDED: &str = "via: 1.1 v\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\
        X-Forwarded-Host: a:1\r\nForwarded: for=127.0.0.1;host=\"a:1\";proto=http\r\n\
        X-Request-Id: 0123456789abcdef0123456789abcdef\r\n";

    fn differs(expected: &str, head: &str, tail: &str) -> Result<(), String> {
        let bytes = format!("{head}{ADDED}{tail}");
        let actual = read(bytes.as_bytes(), Role::Request, false)?.ok_or("no head")?;
        Expected::of(expected.as_bytes())?.differs(&actual, "v")
    }

    #[test]
    fn a_request_is_compared_with_what_the_proxy_adds() {
        let expected = "GET / HTTP/1.1\r\nHost: a:1\r\nB: 1\r\nb: 2\r\n?content-length: 0\r\n";
        let head = "GET / HTTP/1.1\r\nHost: a:1\r\n";
        differs(expected, head, "B: 1\r\nb: 2\r\n\r\n").unwrap();
        differs(expected, head, "B: 1\r\nContent-Length: 0\r\nb: 2\r\n\r\n").unwrap();
        for wrong in ["b: 2\r\nB: 1\r\n\r\n", "B: 1\r\nB: 2\r\n\r\n", "B: 1\r\nb: 2\r\nVia: 1.1 v\r\n\r\n"] {
            differs(expected, head, wrong).unwrap_err();
        }
        differs(expected, head, "B: 1\r\nb: 2\r\nConnection: close\r\n\r\n").unwrap_err();
        differs(expected, head, "B: 1\r\nb: 2\r\nContent-Length: 1\r\n\r\nx").unwrap_err();
    }

    #[test]
    fn content_and_trailers_are_compared() {
        let expected = "PUT / HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n+X-T: 1\r\n\r\nab";
        let head = "PUT / HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n";
        differs(expected, head, "\r\n1\r\na\r\n1\r\nb\r\n0\r\nX-T: 1\r\n\r\n").unwrap();
        differs(expected, head, "\r\n2\r\nab\r\n0\r\n\r\n").unwrap_err();
        differs(expected, head, "\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n").unwrap_err();
    }
}

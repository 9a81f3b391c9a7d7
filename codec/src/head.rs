//! Version-neutral heads: what a message says before its content, whichever version carried it.

use crate::fields::Known;
use crate::{Fields, Length};
use http::{Method, StatusCode};

/// The version that a message was received in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    /// As it stands in a start line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }

    /// As it stands in `Via` and in `network.protocol.version`: without the name.
    pub const fn number(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// A protocol that a connection may be switched to. Only what is known to be safe to tunnel is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// `websocket` (RFC 6455).
    WebSocket,
}

impl Upgrade {
    /// The token of the `Upgrade` field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
        }
    }
}

/// The head of a request.
///
/// Fields that concern one connection only (`Connection` and what it names, `Transfer-Encoding`, `TE`, `Upgrade`,
/// `Keep-Alive`, `Proxy-Connection`, `Trailer`, `Expect`, `Content-Length`) are not among [`fields`](Self::fields):
/// their meaning stands in the members beside it, and they are written anew for the next connection.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, case-sensitive.
    pub method: Method,
    /// The version that it was received in.
    pub version: Version,
    /// Origin-form (`/path?query`), or `*` for `OPTIONS`, or `host:port` for `CONNECT`; never absolute-form: the
    /// authority of an absolute-form target has become the `Host` (RFC 9112 §3.2.2).
    pub target: Vec<u8>,
    /// The fields that go end to end, `Host` among them.
    pub fields: Fields,
    /// The length of the content.
    pub content: Length,
    /// The client asks to switch protocols (`Upgrade` and `Connection: upgrade`).
    pub upgrade: Option<Upgrade>,
    /// The client waits for a 100 before it sends the content (`Expect: 100-continue`).
    pub expects_continue: bool,
    /// The client takes trailers (`TE: trailers`).
    pub accepts_trailers: bool,
}

/// A copy into a head that has been used before costs no allocation.
impl Clone for RequestHead {
    fn clone(&self) -> Self {
        let mut head = Self::new();
        head.clone_from(self);
        head
    }

    fn clone_from(&mut self, source: &Self) {
        let (mut target, mut fields) = (std::mem::take(&mut self.target), std::mem::take(&mut self.fields));
        target.clone_from(&source.target);
        fields.clone_from(&source.fields);
        *self = Self { method: source.method.clone(), target, fields, ..*source };
    }
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            method: Method::GET,
            version: Version::Http11,
            target: Vec::new(),
            fields: Fields::new(),
            content: Length::None,
            upgrade: None,
            expects_continue: false,
            accepts_trailers: false,
        }
    }
}

impl RequestHead {
    /// An empty `GET` of nothing, to be filled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything but the memory, so that the next request costs no allocation.
    pub fn clear(&mut self) {
        // In place: what is moved out and back costs more than all the rest.
        let Self { method, version, target, fields, content, upgrade, expects_continue, accepts_trailers } =
            self;
        (*method, *version) = (Method::GET, Version::Http11);
        target.clear();
        fields.clear();
        (*content, *upgrade) = (Length::None, None);
        (*expects_continue, *accepts_trailers) = (false, false);
    }

    /// Makes an absolute-form target (`http://host/path`) a `Host` and an origin-form one, as it is sent (RFC 9112
    /// §3.2.1). What is no such target stays as it is, and cannot be sent.
    pub fn split_target(&mut self) {
        let Some(rest) = self.target.strip_prefix(b"http://") else { return };
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or_default();
        if authority.is_empty() || authority.contains(&b'@') || path.contains(&b'#') {
            return;
        }
        let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
        let target = [slash, path].concat();
        if self.fields.try_set("host", authority).is_ok() {
            self.target = target;
        }
    }

    /// The target up to the first `?`.
    pub fn path(&self) -> &[u8] {
        match memchr::memchr(b'?', &self.target) {
            Some(at) => self.target.get(..at).unwrap_or_default(),
            None => &self.target,
        }
    }

    /// The target after the first `?`, if there is one.
    pub fn query(&self) -> Option<&[u8]> {
        memchr::memchr(b'?', &self.target).and_then(|at| self.target.get(at..)).and_then(|q| q.get(1..))
    }

    /// The host and port that the request is for, as the client wrote them; empty if it may be (HTTP/1.0).
    pub fn authority(&self) -> &[u8] {
        self.fields.known(Known::Host).unwrap_or_default()
    }
}

/// The head of a response. What [`RequestHead`] says of its fields holds here too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status, 100 to 599.
    pub status: StatusCode,
    /// The version that it was received in.
    pub version: Version,
    /// The fields that go end to end.
    pub fields: Fields,
    /// The length of the content that follows this head. For an answer to `HEAD`, a 204 or a 304: none.
    pub content: Length,
    /// What `Content-Length` said, even where no content follows (`HEAD`, 304).
    pub declared_length: Option<u64>,
    /// With a 101: the protocol that the connection has been switched to.
    pub upgrade: Option<Upgrade>,
}

impl Default for ResponseHead {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            version: Version::Http11,
            fields: Fields::new(),
            content: Length::None,
            declared_length: None,
            upgrade: None,
        }
    }
}

impl ResponseHead {
    /// An empty 200, to be filled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        let Self { status, version, fields, content, declared_length, upgrade } = self;
        (*status, *version) = (StatusCode::OK, Version::Http11);
        fields.clear();
        (*content, *declared_length, *upgrade) = (Length::None, None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(target: &str) -> (String, String) {
        let mut head = RequestHead { target: target.into(), ..RequestHead::new() };
        head.split_target();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(head.authority()), text(&head.target))
    }

    #[test]
    fn an_absolute_target_is_split_and_no_other() {
        for (target, host, path) in [
            ("http://a", "a", "/"),
            ("http://a:80/b?c", "a:80", "/b?c"),
            ("http://[::1]:80?c", "[::1]:80", "/?c"),
            ("/b", "", "/b"),
            ("*", "", "*"),
            ("https://a/b", "", "https://a/b"),
            ("http:///b", "", "http:///b"),
            ("http://u@a/b", "", "http://u@a/b"),
            ("http://a/b#c", "", "http://a/b#c"),
            ("http://a\r\nx: y/b", "", "http://a\r\nx: y/b"),
        ] {
            assert_eq!(split(target), (host.to_owned(), path.to_owned()), "{target}");
        }
    }

    #[test]
    fn a_copy_into_a_used_head_is_the_same() {
        let mut head = RequestHead { target: b"/x".to_vec(), accepts_trailers: true, ..RequestHead::new() };
        head.fields.append("a", "b");
        let mut used = RequestHead { method: Method::PUT, expects_continue: true, ..RequestHead::new() };
        used.fields.append("longer", "than the other");
        let room = used.fields.heap_bytes();
        used.clone_from(&head);
        assert_eq!((&used, used.fields.heap_bytes()), (&head, room));
        assert_eq!(head.clone(), head);
    }
}

//! What is requested: URLs, and the bytes that ask for them.

use crate::websocket;
use corelane_codec::{Length, RequestHead, Upgrade, h1};
use corelane_engine::Address;
use http::{Method, Uri};
use std::{fmt, net::ToSocketAddrs, sync::Arc};

/// A URL, and how often it is requested beside the others.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Url {
    pub(crate) weight: f64,
    /// With its port.
    pub(crate) host: String,
    /// As it stands in `Host`.
    pub(crate) authority: String,
    pub(crate) path: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

impl Url {
    /// Reads `http://HOST[:PORT][/PATH]`, or `WEIGHT=http://…`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (weight, url) = match text.split_once('=') {
            Some((weight, url)) if url.contains("://") && !weight.contains("://") => {
                let weight: f64 =
                    weight.parse().map_err(|_| format!("`{weight}` in `{text}` is not a weight"))?;
                if !(weight > 0.0 && weight <= 1e6) {
                    return Err(format!("the weight of `{url}` is to be more than 0 and at most a million"));
                }
                (weight, url)
            }
            _ => (1.0, text),
        };
        let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let uri: Uri = with_scheme.split('#').next().unwrap_or_default().parse().map_err(|error| {
            format!("`{url}` is not a URL ({error}); write it as http://127.0.0.1:8080/path")
        })?;
        match uri.scheme_str() {
            Some("http" | "ws") => {}
            Some("https" | "wss") => return Err(format!("`{url}`: TLS is not spoken yet; only http://")),
            _ => return Err(format!("`{url}`: only http:// is spoken")),
        }
        let authority = uri.authority().ok_or_else(|| format!("`{url}` names no host"))?;
        if authority.as_str().contains('@') {
            return Err(format!("`{url}`: give credentials as --header 'Authorization: …'"));
        }
        if authority.host().is_empty() {
            return Err(format!("`{url}` names no host"));
        }
        let port = authority.as_str()[authority.host().len()..].trim_start_matches(':');
        let port = if port.is_empty() { "80" } else { port };
        let port = port.parse::<u16>().ok().filter(|port| *port > 0);
        let port = port.ok_or_else(|| format!("`{url}` is not a URL: ports are from 1 to 65535"))?;
        Ok(Self {
            weight,
            host: format!("{}:{port}", authority.host()),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    /// The addresses of its host.
    pub(crate) fn resolve(&self) -> Result<Vec<Address>, String> {
        match self.host.to_socket_addrs() {
            Ok(found) => Ok(found.map(Address::Ip).collect()),
            Err(error) => Err(format!("the host of {self} cannot be found: {error}")),
        }
    }
}

/// What every request says beside its URL.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) method: Method,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Arc<[u8]>,
    /// The connection is for this request alone.
    pub(crate) close: bool,
    /// Messages of a WebSocket instead of requests.
    pub(crate) websocket: bool,
}

/// A request, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) weight: f64,
    pub(crate) bytes: Arc<[u8]>,
    /// A codec that has sent the request, to receive the answer with.
    pub(crate) asked: h1::Client,
    /// What opens a connection, where the requests are messages.
    pub(crate) handshake: Option<Handshake>,
}

/// What switches a connection to WebSocket.
#[derive(Debug, Clone)]
pub(crate) struct Handshake {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) asked: h1::Client,
    /// What the other side is to answer.
    pub(crate) accept: String,
}

impl Target {
    pub(crate) fn new(url: &Url, asking: &Asking) -> Result<Self, String> {
        if asking.websocket {
            let key = websocket::key();
            let mut fields = asking.fields.clone();
            fields.push(("Sec-WebSocket-Key".to_owned(), key.clone()));
            fields.push(("Sec-WebSocket-Version".to_owned(), "13".to_owned()));
            let asking = Asking { method: Method::GET, fields, body: Arc::default(), ..asking.clone() };
            let (bytes, asked) = request(url, &asking)?;
            let accept = websocket::accept(&key);
            return Ok(Self {
                weight: url.weight,
                bytes: Arc::default(),
                asked: h1::Client::new(),
                handshake: Some(Handshake { bytes, asked, accept }),
            });
        }
        let (bytes, asked) = request(url, asking)?;
        Ok(Self { weight: url.weight, bytes, asked, handshake: None })
    }

    /// The message that is sent where requests are messages.
    pub(crate) fn with_message(mut self, content: &[u8]) -> Self {
        let mut bytes = Vec::new();
        websocket::write_masked(websocket::Opcode::Binary, content, &mut bytes);
        self.bytes = bytes.into();
        self
    }
}

/// The bytes of a request, and a codec that has sent it.
fn request(url: &Url, asking: &Asking) -> Result<(Arc<[u8]>, h1::Client), String> {
    let mut head = RequestHead::new();
    head.method = asking.method.clone();
    head.target = url.path.clone().into_bytes();
    head.fields.append("Host", &url.authority);
    for (name, value) in &asking.fields {
        let set = if name.eq_ignore_ascii_case("host") {
            head.fields.try_set(name, value)
        } else {
            head.fields.try_append(name, value)
        };
        set.map_err(|error| format!("the header `{name}: {value}`: {error}"))?;
    }
    // RFC 9110 §8.6: where content would be expected, its absence is said.
    if !asking.body.is_empty() || matches!(asking.method, Method::POST | Method::PUT | Method::PATCH) {
        head.content = Length::Known(asking.body.len() as u64);
    }
    head.upgrade = asking.websocket.then_some(Upgrade::WebSocket);
    let (mut codec, mut bytes) = (h1::Client::new(), Vec::new());
    let cannot = |error: corelane_codec::Error| format!("{url} cannot be requested: {}", error.kind.as_str());
    codec.send_head(&head, &mut bytes).map_err(cannot)?;
    if asking.close {
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(b"Connection: close\r\n\r\n");
    }
    codec.send_data(asking.body.len()).map_err(cannot)?;
    bytes.extend_from_slice(&asking.body);
    codec.send_end(None, &mut bytes).map_err(cannot)?;
    Ok((bytes.into(), codec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_have_weights_and_defaults() {
        let url = Url::parse("http://example.com").expect("a URL");
        assert_eq!((url.host.as_str(), url.path.as_str(), url.weight), ("example.com:80", "/", 1.0));
        let url = Url::parse("3=http://127.0.0.1:8080/a?b=c#d").expect("a URL");
        assert_eq!((url.host.as_str(), url.path.as_str(), url.weight), ("127.0.0.1:8080", "/a?b=c", 3.0));
        assert_eq!(url.to_string(), "http://127.0.0.1:8080/a?b=c");
        let url = Url::parse("http://[::1]:81/x=http://y").expect("a URL");
        assert_eq!((url.host.as_str(), url.path.as_str()), ("[::1]:81", "/x=http://y"));
        assert_eq!(Url::parse("localhost:8080").expect("a URL").host, "localhost:8080");
        assert_eq!(Url::parse("http://[::1]:/").expect("a URL").host, "[::1]:80");
    }

    #[test]
    fn wrong_urls_are_said() {
        for (wrong, said) in [
            ("", "not a URL"),
            ("http://", "not a URL"),
            ("https://example.com/", "TLS"),
            ("ftp://example.com/", "only http://"),
            ("http://user:pass@example.com/", "credentials"),
            ("0=http://example.com/", "weight"),
            ("x=http://example.com/", "weight"),
            ("http://exa mple.com/", "not a URL"),
            ("http://example.com:0/", "not a URL"),
            ("http://example.com:99999/", "not a URL"),
            ("http://[::1]:65536/", "not a URL"),
        ] {
            let error = Url::parse(wrong).expect_err(wrong);
            assert!(error.contains(said), "{wrong}: {error}");
        }
    }

    fn asking() -> Asking {
        Asking {
            method: Method::GET,
            fields: Vec::new(),
            body: Arc::default(),
            close: false,
            websocket: false,
        }
    }

    #[test]
    fn a_request_says_what_was_asked_for() {
        let url = Url::parse("http://example.com/a").expect("a URL");
        let text = |asking: &Asking| {
            let target = Target::new(&url, asking).expect("a request");
            String::from_utf8(target.bytes.to_vec()).expect("text")
        };
        assert_eq!(text(&asking()), "GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n");
        let fields = vec![("host".to_owned(), "other".to_owned()), ("X-A".to_owned(), "1".to_owned())];
        let post = Asking {
            method: Method::POST,
            fields,
            body: b"hello".as_slice().into(),
            close: true,
            ..asking()
        };
        let said = text(&post);
        assert!(said.starts_with("POST /a HTTP/1.1\r\n") && said.contains("\r\nX-A: 1\r\n"), "{said}");
        assert!(said.contains("ost: other\r\n") && !said.contains("example.com"), "{said}");
        assert!(said.contains("Content-Length: 5\r\n"), "{said}");
        assert!(said.ends_with("\r\nConnection: close\r\n\r\nhello"), "{said}");
    }

    #[test]
    fn a_header_that_cannot_be_is_said() {
        let url = Url::parse("http://example.com/a").expect("a URL");
        let bad = Asking { fields: vec![("X A".to_owned(), "1".to_owned())], ..asking() };
        assert!(Target::new(&url, &bad).is_err_and(|error| error.contains("X A")));
    }
}

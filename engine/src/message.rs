//! Requests and responses, as a handler sees them.

use crate::{address::Address, body::Body, context::Exchange, error::Result, settings::Settings};
use bytes::Bytes;
use corelane_codec::{Fields, RequestHead, ResponseHead, Upgrade, Version};
use http::{Method, StatusCode};
use std::{borrow::Cow, net::IpAddr, rc::Rc};

/// A request that has come from a client.
///
/// Fields that concern one connection only are not among [`fields`](Self::fields): see [`RequestHead`].
pub struct Request {
    pub(crate) head: RequestHead,
    pub(crate) body: Body,
    pub(crate) exchange: Rc<Exchange>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("head", &self.head).field("body", &self.body).finish_non_exhaustive()
    }
}

fn visible_ascii(bytes: &[u8]) -> &str {
    // A target that the codec took has no other bytes; one that a handler made is checked when it is sent.
    str::from_utf8(bytes).unwrap_or_default()
}

impl Request {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The version that it came in.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The target up to the first `?`, undecoded; `*` for `OPTIONS *`.
    pub fn path(&self) -> &str {
        visible_ascii(self.head.path())
    }

    /// The target after the first `?`, undecoded.
    pub fn query(&self) -> Option<&str> {
        self.head.query().map(visible_ascii)
    }

    /// The host and port that the request is for, as the client wrote them.
    pub fn authority(&self) -> &str {
        visible_ascii(self.head.authority())
    }

    /// The fields.
    pub fn fields(&self) -> &Fields {
        &self.head.fields
    }

    /// The fields, to change.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.head.fields
    }

    /// The whole head.
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// The whole head, to change. What cannot be sent is an error of the send.
    pub fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.head
    }

    /// The content.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Holds this exchange to these settings from now on, such as those of its route. What is before the end of the
    /// head has been held to the listener's.
    ///
    /// # Errors
    /// With status 413 when the content is known to be larger than they allow.
    pub fn set_settings(&mut self, settings: &Rc<Settings>) -> Result<()> {
        self.exchange.set_settings(settings);
        if crate::downstream::is_too_large(self.head.content, settings.content_bytes_max) {
            return Err(crate::downstream::content_too_large());
        }
        Ok(())
    }

    /// What this exchange is held to.
    pub fn settings(&self) -> Rc<Settings> {
        self.exchange.settings().clone()
    }

    /// The protocol that the client wants to switch to.
    pub fn upgrade(&self) -> Option<Upgrade> {
        self.head.upgrade
    }

    /// The other end of the connection: the client, or a proxy between it and us. Who is meant by the request is
    /// [`client_ip`](Self::client_ip).
    pub fn client(&self) -> &Address {
        &self.exchange.connection().peer
    }

    /// The client's IP address: the peer's, unless that is a [trusted proxy](crate::Settings::trusted_proxies) that
    /// says otherwise. `None` if the client came over a unix socket. An IPv4 client of an IPv6 socket has an IPv4
    /// address.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.exchange.client_ip()
    }

    /// What the request belongs to, for clusters that send what belongs together to one endpoint
    /// ([`Cluster::hash`](crate::Cluster::hash)), or choose by a policy of their own: a session, a tenant, a path.
    /// Without it, requests belong to their [client](Self::client_ip), and those of a client without an address to
    /// nobody.
    pub fn balance_by(&self, key: impl AsRef<[u8]>) {
        self.exchange.balance_by(key.as_ref());
    }

    /// The address that the client connected to.
    pub fn local(&self) -> &Address {
        &self.exchange.connection().door.local
    }

    /// The id that the origin gets as `X-Request-Id` and that stands in the record: the client's if it is sane, else
    /// 128 random bits in hexadecimal.
    pub fn id(&self) -> String {
        self.exchange
            .read(|record| String::from_utf8_lossy(&record.request_id).into_owned())
            .unwrap_or_default()
    }

    /// Puts a word into the record, and so into the log line, however the exchange ends. There is room for 16 notes
    /// of 256 bytes; a second note with the same key replaces the first.
    pub fn note(&self, key: impl Into<Cow<'static, str>>, value: impl AsRef<str>) {
        self.exchange.record(|record| record.note(key.into(), value.as_ref()));
    }
}

/// An answer.
pub struct Response {
    pub(crate) head: ResponseHead,
    pub(crate) body: Body,
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("head", &self.head).field("body", &self.body).finish()
    }
}

impl Response {
    /// An answer without content.
    pub fn new(status: StatusCode) -> Self {
        Self { head: ResponseHead { status, ..ResponseHead::new() }, body: Body::empty() }
    }

    /// An answer with a line of plain text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let mut response = Self::new(status).with_body(Bytes::from(text.into()));
        response.head.fields.append("content-type", "text/plain; charset=utf-8");
        response
    }

    /// The same with this content.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.set_body(body);
        self
    }

    /// Replaces the content; what was there is dropped, and an upstream that was sending it is told to stop.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.body = body.into();
        self.head.content = self.body.length();
        self.head.declared_length = None;
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Replaces the status.
    pub fn set_status(&mut self, status: StatusCode) {
        self.head.status = status;
    }

    /// The fields.
    pub fn fields(&self) -> &Fields {
        &self.head.fields
    }

    /// The fields, to change.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.head.fields
    }

    /// The content.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.body
    }

    /// Who answered, and how it was reached; `None` if nobody was asked.
    pub fn upstream(&self) -> Option<UpstreamInfo> {
        self.body.upstream()
    }
}

/// Where a response came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpstreamInfo {
    /// The endpoint.
    pub address: Address,
    /// Whether a pooled connection was used.
    pub reused: bool,
}

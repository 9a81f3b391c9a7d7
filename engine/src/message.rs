//! Requests and responses, as a handler sees them.

use crate::{
    address::Address,
    body::{Body, Source},
    context::Exchange,
    downstream::Downstream,
    error::{Error, ErrorKind, Result, Side},
    kept::{Keep, Kept, free},
    lane::Lane,
    record::Record,
    settings::Settings,
    tunnel::{Rest, Serve, Tunnel},
};
use bytes::Bytes;
use corelane_balancer::{hash_bytes, retry};
use corelane_codec::{Fields, Length, RequestHead, ResponseHead, Upgrade, Version};
use http::{Method, StatusCode};
use std::{borrow::Cow, cell::Cell, net::IpAddr, rc::Rc, time::Duration};

/// A request: one that has come from a client, or one of our own.
///
/// Fields that concern one connection only are not among [`fields`](Self::fields): see [`RequestHead`].
pub struct Request(pub(crate) Kept<RequestParts>);

/// What a request is made of.
#[derive(Default)]
pub(crate) struct RequestParts {
    pub(crate) head: Kept<RequestHead>,
    pub(crate) body: Body,
    standing: Standing,
    /// What an intermediary adds has been added.
    pub(crate) forwarded: bool,
    /// How far the last attempt to send it came.
    pub(crate) last: Option<retry::Attempt>,
}

/// What a request belongs to.
enum Standing {
    Exchange(Rc<Exchange>),
    /// Nothing: it is our own, and has not been sent.
    Draft(Draft),
}

impl Default for Standing {
    fn default() -> Self {
        Self::Draft(Draft::default())
    }
}

/// What an exchange is to have that has not begun.
#[derive(Default)]
struct Draft {
    settings: Option<Rc<Settings>>,
    balance_key: Cell<Option<u64>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("head", &*self.0.head)
            .field("body", &self.0.body)
            .finish_non_exhaustive()
    }
}

fn visible_ascii(bytes: &[u8]) -> &str {
    // A target that the codec took has no other bytes; one that a handler made is checked when it is sent.
    str::from_utf8(bytes).unwrap_or_default()
}

impl Request {
    /// A request of our own, without content: for [`Upstream::send`](crate::Upstream::send), or, with a target such as
    /// `http://example.com/path`, for [`Client::send`](crate::Client::send). Nothing is added to it on its way but a
    /// `Host`, if the target does not name one: the endpoint's address.
    ///
    /// ```
    /// # use corelane_engine::{Method, Request, Result, StatusCode, Upstream};
    /// async fn is_healthy(origin: &Upstream) -> Result<bool> {
    ///     let response = origin.send(Request::new(Method::GET, "/health")).await?;
    ///     Ok(response.status() == StatusCode::OK)
    /// }
    /// ```
    pub fn new(method: Method, target: impl Into<Vec<u8>>) -> Self {
        let mut request = Self::from(RequestHead { method, target: target.into(), ..RequestHead::new() });
        request.0.head.split_target();
        request
    }

    /// The request of a client's that has this head.
    pub(crate) fn of_client(head: Kept<RequestHead>, exchange: &Rc<Exchange>) -> Self {
        let mut parts = Kept::<RequestParts>::blank();
        if !head.content.is_empty() {
            parts.body = Body::from_client(exchange, head.content);
        }
        parts.head = head;
        parts.standing = Standing::Exchange(exchange.clone());
        Self(parts)
    }

    /// The same as if a client had sent it.
    pub(crate) fn on_trial(mut self, exchange: &Rc<Exchange>) -> Self {
        exchange.record(|record| record.of(&self.0.head));
        self.0.standing = Standing::Exchange(exchange.clone());
        self
    }

    fn exchange(&self) -> Option<&Rc<Exchange>> {
        match &self.0.standing {
            Standing::Exchange(exchange) => Some(exchange),
            Standing::Draft(_) => None,
        }
    }

    /// The exchange that it belongs to: one of the lane's own begins if there is none yet.
    pub(crate) fn exchange_on(&mut self, lane: &Lane) -> &Rc<Exchange> {
        if let Standing::Draft(draft) = &mut self.0.standing {
            let Draft { settings, balance_key } = std::mem::take(draft);
            let exchange = Exchange::own(lane, settings.unwrap_or_else(|| lane.settings().clone()));
            if let Some(key) = balance_key.get() {
                exchange.balance_by(key);
            }
            self.0.standing = Standing::Exchange(exchange);
        }
        match &self.0.standing {
            Standing::Exchange(exchange) => exchange,
            Standing::Draft(_) => unreachable!("it belongs to an exchange now"),
        }
    }

    /// The same with this content.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.set_body(body);
        self
    }

    /// Replaces the content. What was there is dropped; what a client still sends of it is not read.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.0.body = body.into();
        self.0.head.content = self.0.body.length();
    }
    /// The method.
    pub fn method(&self) -> &Method {
        &self.0.head.method
    }

    /// The version that it came in.
    pub fn version(&self) -> Version {
        self.0.head.version
    }

    /// The target up to the first `?`, undecoded; `*` for `OPTIONS *`.
    pub fn path(&self) -> &str {
        visible_ascii(self.0.head.path())
    }

    /// The target after the first `?`, undecoded.
    pub fn query(&self) -> Option<&str> {
        self.0.head.query().map(visible_ascii)
    }

    /// The host and port that the request is for, as the client wrote them.
    pub fn authority(&self) -> &str {
        visible_ascii(self.0.head.authority())
    }

    /// The fields.
    pub fn fields(&self) -> &Fields {
        &self.0.head.fields
    }

    /// The fields, to change.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.0.head.fields
    }

    /// The whole head.
    pub fn head(&self) -> &RequestHead {
        &self.0.head
    }

    /// The whole head, to change. What cannot be sent is an error of the send.
    pub fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.0.head
    }

    /// The content.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.0.body
    }

    /// Holds this exchange to these settings from now on, such as those of its route. What is before the end of the
    /// head has been held to the listener's.
    ///
    /// # Errors
    /// With status 413 when the content is known to be larger than they allow.
    pub fn set_settings(&mut self, settings: &Rc<Settings>) -> Result<()> {
        match &mut self.0.standing {
            Standing::Exchange(exchange) => exchange.set_settings(settings),
            Standing::Draft(draft) => draft.settings = Some(settings.clone()),
        }
        if crate::downstream::is_too_large(self.0.head.content, settings.content_bytes_max) {
            return Err(crate::downstream::content_too_large());
        }
        Ok(())
    }

    /// What this exchange is held to.
    pub fn settings(&self) -> Rc<Settings> {
        match &self.0.standing {
            Standing::Exchange(exchange) => exchange.settings().clone(),
            Standing::Draft(draft) => draft.settings.clone().unwrap_or_default(),
        }
    }

    /// Whether it can be sent once more without doing twice what should be done once: nothing of it has reached an
    /// origin, or its method is idempotent; and its content can be sent again.
    ///
    /// ```
    /// # use corelane_engine::{Request, Response, Result, Upstream};
    /// async fn fail_over(first: &Upstream, second: &Upstream, mut request: Request) -> Result<Response> {
    ///     match first.send(&mut request).await {
    ///         Err(_) if request.may_resend() => second.send(request).await,
    ///         outcome => outcome,
    ///     }
    /// }
    /// ```
    pub fn may_resend(&self) -> bool {
        let is_untouched = self.0.last.is_none_or(|last| last.written == retry::Written::Nothing);
        (is_untouched || retry::idempotent(self.0.head.method.as_str())) && self.is_replayable()
    }

    /// Whether all of the content can be sent, again if it has been before.
    pub(crate) fn is_replayable(&self) -> bool {
        self.0.body.is_whole()
    }

    /// The protocol that the client wants to switch to. A request that is sent on asks for the same, and the answer
    /// decides; a handler that speaks it [accepts](Self::upgrade) it instead.
    pub fn wants_upgrade(&self) -> Option<Upgrade> {
        self.0.head.upgrade
    }

    /// Accepts the switch of protocols that the client wants. What this gives is the answer, a 101: fields that the
    /// protocol needs are still to be set. Once it has been sent, `serve` has the connection, including what the client
    /// sent right behind its head, and the exchange ends when it does. It is dropped when the client resets.
    ///
    /// ```
    /// # use corelane_engine::{Request, Response, Result, Tunnel};
    /// async fn echo(request: Request) -> Result<Response> {
    ///     request.upgrade(async |mut tunnel: Tunnel| {
    ///         while let Some(chunk) = tunnel.receive().await? {
    ///             tunnel.send(chunk).await?;
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// With status 400 if the client does not want to switch.
    pub fn upgrade(&self, serve: impl AsyncFnOnce(Tunnel) -> Result<()> + 'static) -> Result<Response> {
        let protocol = self.0.head.upgrade.ok_or(Error::status_of(StatusCode::BAD_REQUEST))?;
        let mut response = Response::new(StatusCode::SWITCHING_PROTOCOLS);
        response.0.head.upgrade = Some(protocol);
        response.0.body = Body(Source::Switch(Serve::new(serve)));
        Ok(response)
    }

    /// Sends an interim response, such as a 103 with `Link` fields, and waits until the client has been sent it.
    /// `false` if it takes none: because it speaks HTTP/1.0, has been answered, or is nobody.
    ///
    /// A client that waits to be asked for its content (`Expect: 100-continue`) is asked by whoever reads it; a 100 is
    /// for those who want to ask before.
    ///
    /// # Errors
    /// The status is not of an interim response, or is a 101 ([`upgrade`](Self::upgrade)); the client has gone, or does
    /// not read.
    pub async fn inform(&self, status: StatusCode, fields: &Fields) -> Result<bool> {
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::internal(format!("{status} is no interim response")));
        }
        let Some(exchange) = self.exchange() else { return Ok(false) };
        if status == StatusCode::CONTINUE && !exchange.expects() {
            return Ok(false);
        }
        exchange.informed().await?;
        let begun = exchange.inform(status, fields);
        exchange.informed().await?;
        Ok(begun)
    }

    fn connection(&self) -> Option<&Rc<Downstream>> {
        self.exchange().and_then(|exchange| exchange.client())
    }

    /// The other end of the connection: the client, or a proxy between it and us; [`Address::Unnamed`] for a request of
    /// our own. Who is meant by the request is [`client_ip`](Self::client_ip).
    pub fn client(&self) -> &Address {
        self.exchange().and_then(|exchange| exchange.peer()).unwrap_or(&Address::Unnamed)
    }

    /// The client's IP address: the peer's, unless that is a [trusted proxy](crate::Settings::trusted_proxies) that
    /// says otherwise. `None` if the client came over a unix socket. An IPv4 client of an IPv6 socket has an IPv4
    /// address.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.exchange().and_then(|exchange| exchange.client_ip())
    }

    /// What the request belongs to, for clusters that send what belongs together to one endpoint
    /// ([`Cluster::hash`](crate::Cluster::hash)), or choose by a policy of their own: a session, a tenant, a path.
    /// Without it, requests belong to their [client](Self::client_ip), and those of a client without an address to
    /// nobody.
    pub fn balance_by(&self, key: impl AsRef<[u8]>) {
        let key = hash_bytes(key.as_ref());
        match &self.0.standing {
            Standing::Exchange(exchange) => exchange.balance_by(key),
            Standing::Draft(draft) => draft.balance_key.set(Some(key)),
        }
    }

    /// The address that the client connected to.
    pub fn local(&self) -> &Address {
        self.connection().map_or(&Address::Unnamed, |connection| &connection.door.local)
    }

    /// What handlers keep of the client's connection from one request to the next: made when it is asked for first, one
    /// for each type, and gone with the connection. A request of our own has a new one each time.
    ///
    /// ```
    /// # use corelane_engine::{Handler, Request, Response, Result, StatusCode};
    /// # use std::cell::Cell;
    /// #[derive(Default)]
    /// struct Requests(Cell<u64>);
    ///
    /// struct Counting;
    ///
    /// impl Handler for Counting {
    ///     async fn handle(&self, request: Request) -> Result<Response> {
    ///         let requests = request.connection_state::<Requests>();
    ///         requests.0.set(requests.0.get() + 1);
    ///         Ok(Response::text(StatusCode::OK, format!("number {} on this connection", requests.0.get())))
    ///     }
    /// }
    /// ```
    pub fn connection_state<T: Default + 'static>(&self) -> Rc<T> {
        self.connection().map_or_else(Rc::default, |connection| connection.state())
    }

    /// The client's connection ends with this exchange: the response says `Connection: close`, and what the client has
    /// sent behind the request is not answered. Nothing for a request of our own.
    pub fn close_connection(&self) {
        if let Some(connection) = self.connection() {
            connection.close_after();
        }
    }

    /// The id that the origin gets as `X-Request-Id` and that stands in the record: the client's if it is sane, else
    /// 128 random bits in hexadecimal.
    pub fn id(&self) -> String {
        let id = |exchange: &Rc<Exchange>| {
            exchange.read(|record| String::from_utf8_lossy(&record.request_id).into_owned())
        };
        self.exchange().and_then(id).unwrap_or_default()
    }

    /// Puts a word into the record, and so into the log line, however the exchange ends. There is room for 16 notes
    /// of 256 bytes; a second note with the same key replaces the first. A request of our own has no log line.
    pub fn note(&self, key: impl Into<Cow<'static, str>>, value: impl AsRef<str>) {
        if let Some(exchange) = self.exchange() {
            exchange.record(|record| record.note(key.into(), value.as_ref()));
        }
    }

    /// Calls `hook` with the record when the exchange is over, however it ends: exactly once, also when the client
    /// leaves and when a handler panics. It runs on the lane, so it must not block. Several are called in turn.
    ///
    /// Nothing is called for a request of our own, nor for one whose exchange is over already, which a task may still
    /// hold.
    pub fn on_end(&self, hook: impl FnOnce(&Record) + 'static) {
        if let Some(exchange) = self.exchange() {
            exchange.on_end(Box::new(hook));
        }
    }
}

/// A request of our own with this head, without content.
impl From<RequestHead> for Request {
    fn from(mut head: RequestHead) -> Self {
        (head.content, head.expects_continue) = (Length::None, false);
        let mut parts = Kept::<RequestParts>::blank();
        parts.head = head.into();
        Self(parts)
    }
}

impl Keep for RequestParts {
    free!(RequestParts);

    fn clear(&mut self) {
        let Self { head, body, standing, forwarded, last } = self;
        *head = Kept::default();
        if !body.is_nothing() {
            *body = Body::empty();
        }
        (*standing, *forwarded, *last) = (Standing::default(), false, None);
    }
}

/// A head that has more memory than this gives it back: what came from a client had a limit, what a handler has made need not.
const HEAD_BYTES_MAX: usize = 64 << 10;

impl Keep for RequestHead {
    free!(RequestHead);

    fn clear(&mut self) {
        if self.target.capacity() + self.fields.heap_bytes() > HEAD_BYTES_MAX {
            *self = Self::new();
        } else {
            Self::clear(self);
        }
    }
}

impl Keep for ResponseHead {
    free!(ResponseHead);

    fn clear(&mut self) {
        if self.fields.heap_bytes() > HEAD_BYTES_MAX {
            *self = Self::new();
        } else {
            Self::clear(self);
        }
    }
}

/// An answer.
pub struct Response(pub(crate) Kept<ResponseParts>);

/// What a response is made of.
#[derive(Default)]
pub(crate) struct ResponseParts {
    pub(crate) head: Kept<ResponseHead>,
    pub(crate) body: Body,
    pub(crate) upstream: Option<UpstreamInfo>,
    /// Why it is no better.
    pub(crate) error: Option<Box<Error>>,
}

impl Keep for ResponseParts {
    free!(ResponseParts);

    fn clear(&mut self) {
        let Self { head, body, upstream, error } = self;
        *head = Kept::default();
        if !body.is_nothing() {
            *body = Body::empty();
        }
        (*upstream, *error) = (None, None);
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Response").field("head", &*self.0.head).field("body", &self.0.body).finish()
    }
}

impl Response {
    /// An answer without content.
    pub fn new(status: StatusCode) -> Self {
        let mut head = Kept::<ResponseHead>::blank();
        head.status = status;
        Self::of(head)
    }

    /// The one with this head, without content.
    pub(crate) fn of(head: Kept<ResponseHead>) -> Self {
        let mut parts = Kept::<ResponseParts>::blank();
        parts.head = head;
        Self(parts)
    }

    /// Its head, of which nothing is left: what remains is the content.
    pub(crate) fn take_head(&mut self) -> Kept<ResponseHead> {
        std::mem::take(&mut self.0.head)
    }

    /// An answer with a line of plain text.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let mut response = Self::new(status).with_body(Bytes::from(text.into()));
        response.0.head.fields.append("content-type", "text/plain; charset=utf-8");
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
        self.0.body = body.into();
        self.0.head.content = self.0.body.length();
        self.0.head.declared_length = None;
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.head.status
    }

    /// Replaces the status.
    pub fn set_status(&mut self, status: StatusCode) {
        self.0.head.status = status;
    }

    /// The fields.
    pub fn fields(&self) -> &Fields {
        &self.0.head.fields
    }

    /// The fields, to change.
    pub fn fields_mut(&mut self) -> &mut Fields {
        &mut self.0.head.fields
    }

    /// The content.
    pub fn body_mut(&mut self) -> &mut Body {
        &mut self.0.body
    }

    /// Who answered, and how it was reached; `None` if nobody was asked.
    pub fn upstream(&self) -> Option<&UpstreamInfo> {
        self.0.upstream.as_ref()
    }

    /// The tunnel to an upstream that has switched protocols: for a handler that wants to see what goes through, and
    /// [accepts](Request::upgrade) the client's switch itself. What is left is no answer that can be sent.
    ///
    /// `None` if it has not switched.
    pub fn take_tunnel(&mut self) -> Option<Tunnel> {
        self.0.head.upgrade.take()?;
        match std::mem::take(&mut self.0.body.0).into_rest() {
            Rest::Origin(transfer) => Tunnel::to_origin(*transfer),
            Rest::Nothing | Rest::Handler(_) => None,
        }
    }

    /// The error that this tells a client of, if it was [made of one](Self::from).
    pub fn error(&self) -> Option<&Error> {
        self.0.error.as_deref()
    }
}

/// The answer that the engine itself gives to an error: its status, and a line of text. The record keeps the error, so a
/// middleware that has something better to say begins with this, and changes it.
///
/// ```
/// # use corelane_engine::{Handler, Request, Response, Result, StatusCode};
/// struct Apologetic<H>(H);
///
/// impl<H: Handler> Handler for Apologetic<H> {
///     async fn handle(&self, request: Request) -> Result<Response> {
///         let mut response = self.0.handle(request).await.unwrap_or_else(Response::from);
///         if response.status().is_server_error() {
///             response.set_body("We are sorry.\n");
///         }
///         Ok(response)
///     }
/// }
/// ```
impl From<Error> for Response {
    fn from(error: Error) -> Self {
        let mut response = Self::of_error(&error);
        response.0.error = Some(Box::new(error));
        response
    }
}

impl Response {
    pub(crate) fn of_error(error: &Error) -> Self {
        let status = error.status();
        let reason = match error.kind() {
            ErrorKind::Protocol(kind) if error.side() == Side::Downstream => kind.as_str(),
            _ => status.canonical_reason().unwrap_or("error"),
        };
        let mut response = Self::text(status, format!("{} {reason}\n", status.as_u16()));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.fields_mut().append("retry-after", "1");
        }
        response
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
    /// How long it took to connect; zero on a pooled connection.
    pub connect: Duration,
    /// From the request's first byte out to the head of the response.
    pub wait: Duration,
}

/// Removes what vouches for bytes that are no longer sent, and makes an `ETag` weak: the content is as good as that which
/// it names, but not the same byte for byte (RFC 9110 §8.8.1).
pub(crate) fn unvouch(fields: &mut Fields) {
    for name in ["content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"] {
        fields.remove(name);
    }
    let strong = fields.get("etag").filter(|etag| !etag.starts_with(b"W/"));
    if let Some(weak) = strong.map(|strong| [b"W/", strong].concat()) {
        // What came in a field can go in one.
        let _ = fields.try_set("etag", weak);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_head_gives_its_memory_back_and_a_usual_one_keeps_it() {
        let heap_bytes_after = |value: Vec<u8>| {
            let mut head = Kept::<RequestHead>::blank();
            head.fields.append("x", value);
            drop(head);
            let head = Kept::<RequestHead>::blank();
            assert!(head.fields.is_empty());
            head.fields.heap_bytes()
        };
        assert_eq!(heap_bytes_after(vec![b'x'; HEAD_BYTES_MAX]), 0);
        assert!((1000..HEAD_BYTES_MAX).contains(&heap_bytes_after(vec![b'x'; 1000])));
    }
}

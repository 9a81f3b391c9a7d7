//! How to write a gateway with this crate, from the first line to the tests. There is nothing to call in here.
//!
//! 1. [A handler](#1-a-handler)
//! 2. [Where a request goes](#2-where-a-request-goes)
//! 3. [When it fails](#3-when-it-fails)
//! 4. [Content](#4-content)
//! 5. [Middleware, errors, and what the log says](#5-middleware-errors-and-what-the-log-says)
//! 6. [Interim responses and other protocols](#6-interim-responses-and-other-protocols)
//! 7. [Requests of one's own, tasks, and work for other threads](#7-requests-of-ones-own-tasks-and-work-for-other-threads)
//! 8. [Limits and times](#8-limits-and-times)
//! 9. [Testing](#9-testing)
//! 10. [Running it](#10-running-it)
//!
//! Who knows Pingora finds each of its callbacks in `docs/pingora.md` of the repository.
//!
//! # 1. A handler
//!
//! A handler is a value with one method. A request goes in, a response comes out: exactly one, by type.
//!
//! ```
//! use corelane_engine::{Handler, Request, Response, Result, StatusCode};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     async fn handle(&self, request: Request) -> Result<Response> {
//!         match request.path() {
//!             "/" => Ok(Response::text(StatusCode::OK, "hello\n")),
//!             _ => Ok(Response::text(StatusCode::NOT_FOUND, "nothing here\n")),
//!         }
//!     }
//! }
//! ```
//!
//! An engine has **lanes**: threads, as many as there are cores, each with its own event loop, listeners, connections and
//! handler. A handler is made once for each lane by a factory, and called for every request that comes in there, one beside
//! the other. So it needs neither `Send` nor locks: a counter is a [`Cell`](std::cell::Cell), a cache a
//! [`RefCell`](std::cell::RefCell). What must hold over all lanes is a recipe, made once and sent to each: [`Cluster`],
//! [`RateLimit`].
//!
//! ```no_run
//! # use corelane_engine::{Cluster, Counter, Engine, Handler, Request, Response, Result, Upstream};
//! # use std::cell::RefCell;
//! # use std::collections::HashMap;
//! struct Gateway {
//!     origin: Upstream,                         // this lane's way to a cluster
//!     seen: RefCell<HashMap<String, u64>>,      // this lane's own
//!     requests: Counter,                        // this lane's part of a number on /metrics
//! }
//!
//! impl Handler for Gateway {
//!     async fn handle(&self, request: Request) -> Result<Response> {
//!         self.requests.add(1);
//!         // Borrowed for one line, and never over an `.await`.
//!         *self.seen.borrow_mut().entry(request.path().to_owned()).or_default() += 1;
//!         self.origin.send(request).await
//!     }
//! }
//!
//! let cluster = Cluster::round_robin(["127.0.0.1:9001", "127.0.0.1:9002"]).resolve()?;
//! Engine::builder()
//!     .serve("127.0.0.1:8080", move |lane| {
//!         Ok(Gateway {
//!             origin: lane.upstream(&cluster),
//!             seen: RefCell::default(),
//!             requests: lane.counter("requests_seen_total"),
//!         })
//!     })
//!     .run()?;
//! # Ok::<(), corelane_engine::Error>(())
//! ```
//!
//! [`Upstream::send`] does what a proxy must: it chooses an endpoint, takes a pooled connection or makes one, adds the fields
//! of an intermediary, sends the head and the content as it comes, and gives the head of the answer. The response that the
//! handler returns is relayed while it comes, with back-pressure. Nothing is collected unless the handler does so.
//!
//! # 2. Where a request goes
//!
//! To a **cluster** that is known beforehand. How it chooses is part of the recipe: [`Cluster::round_robin`],
//! [`p2c`](Cluster::p2c), [`least_request`](Cluster::least_request), [`hash`](Cluster::hash) and others, or a
//! [policy of one's own](Cluster::custom). With `hash`, requests that belong together go to the same endpoint: those of one
//! client, unless [`Request::balance_by`] says something else.
//!
//! Or to any **peer**, decided for this request. Pools are the lane's, so the next request for the same peer finds the
//! connection that this one leaves:
//!
//! ```
//! # use corelane_engine::{Error, Handler, Lane, Peer, Request, Response, Result, StatusCode};
//! # use std::{collections::HashMap, net::SocketAddr};
//! struct Tenants {
//!     lane: Lane,
//!     addresses: HashMap<String, SocketAddr>,
//! }
//!
//! impl Handler for Tenants {
//!     async fn handle(&self, request: Request) -> Result<Response> {
//!         let Some(address) = self.addresses.get(request.authority()) else {
//!             return Err(Error::status_of(StatusCode::MISDIRECTED_REQUEST));
//!         };
//!         request.note("tenant", request.authority());
//!         request.balance_by(request.authority());
//!         self.lane.connect_to(Peer::http(*address)).send(request).await
//!     }
//! }
//! ```
//!
//! [`Response::upstream`] says who answered, whether a pooled connection was used, and how long it took.
//!
//! # 3. When it fails
//!
//! [`Upstream::send`] tries again where that is safe: what was not sent goes to the next endpoint, whatever the method;
//! what may have been done is done again only if it is idempotent, its content was kept (64 KiB by default), and
//! [`RetryPolicy`] allows it. A request that got one byte of an answer is not sent again, unless the policy says so of its
//! status. To fail over to another cluster, send a `&mut Request`, and ask whether it may be sent once more:
//!
//! ```
//! # use corelane_engine::{Request, Response, Result, Upstream};
//! async fn fail_over(near: &Upstream, far: &Upstream, mut request: Request) -> Result<Response> {
//!     match near.send(&mut request).await {
//!         Ok(response) if !response.status().is_server_error() => Ok(response),
//!         outcome if !request.may_resend() => outcome,
//!         _ => {
//!             request.fields_mut().set("x-failed-over", "yes");
//!             far.send(&mut request).await
//!         }
//!     }
//! }
//! ```
//!
//! To decide about each attempt, write the loop: [`Upstream::attempts`] shows it. Fields of an attempt are its own, and an
//! error that ends them all has [every reason](Error::attempts). A loop that only ever goes on ends by itself.
//!
//! # 4. Content
//!
//! [`Body`] is the content of any message, wherever it comes from: a client, an upstream, memory, a
//! [channel](Body::channel). Any of them can be the content of any message, in either direction.
//!
//! * **Read** it piece by piece with [`chunk`](Body::chunk), or all at once with [`collect`](Body::collect), which takes a
//!   limit. What follows it is in [`trailers`](Body::trailers).
//! * **Change** it while it passes with [`transform`](Body::transform): each piece where it lies, on the way up or down. Its
//!   length and its validators are set right by themselves.
//! * **Copy** what passes with [`tee`](Body::tee), up to a limit.
//! * **Make** it with [`channel`](Body::channel): sending waits for whoever reads slowly, and a sender that is dropped before
//!   it has ended breaks the content off, so that nobody takes a part for the whole.
//!
//! ```
//! # use corelane_engine::{Chunk, Fields, Output, Request, Response, Result, Transform, Upstream};
//! /// Counts what passes, and says so behind it.
//! #[derive(Default)]
//! struct Counting(u64);
//!
//! impl Transform for Counting {
//!     fn chunk(&mut self, chunk: Chunk, out: &mut Output) -> Result<()> {
//!         self.0 += chunk.len() as u64;
//!         out.push(chunk);
//!         Ok(())
//!     }
//!
//!     fn end(&mut self, trailers: &mut Fields, _: &mut Output) -> Result<()> {
//!         trailers.set("x-bytes", self.0.to_string());
//!         Ok(())
//!     }
//! }
//!
//! async fn counted(origin: &Upstream, mut request: Request) -> Result<Response> {
//!     request.body_mut().transform(Counting::default());
//!     let mut response = origin.send(request).await?;
//!     response.body_mut().transform(Counting::default());
//!     Ok(response)
//! }
//! ```
//!
//! A transform works on what comes, and that may be compressed, or a part (206): remove `Accept-Encoding` and `Range` from the
//! request where that matters. One that has to wait (for a limiter, for another service) is a task that reads with `chunk`
//! and sends on into a channel.
//!
//! # 5. Middleware, errors, and what the log says
//!
//! Middleware is a struct around a handler. What it needs to know of a request is a local variable; their order is how they
//! are nested.
//!
//! ```
//! # use corelane_engine::{Error, Handler, Request, Response, Result, StatusCode};
//! struct Authenticated<H>(H);
//!
//! impl<H: Handler> Handler for Authenticated<H> {
//!     async fn handle(&self, mut request: Request) -> Result<Response> {
//!         let Some(user) = user_of(&request) else {
//!             return Err(Error::status_of(StatusCode::UNAUTHORIZED));
//!         };
//!         request.note("user", &user);
//!         request.fields_mut().try_set("x-user", user).map_err(Error::internal)?;
//!         self.0.handle(request).await
//!     }
//! }
//! # fn user_of(_: &Request) -> Option<String> { None }
//! ```
//!
//! `?` works everywhere. An [`Error`] says on which [`side`](Error::side), at which [`stage`](Error::stage) and
//! [how](Error::kind) something failed; from that come the [status](Error::status) of the answer and the words in the log.
//! [`Error::status_of`] refuses, [`Error::internal`] wraps whatever went wrong in the handler itself: the client gets a 500
//! and no detail. To give an error a face, make a response of it: `Response::from(error)` is the engine's own page, which
//! can be changed, and the record keeps the error. Even if a middleware hides the failure of an upstream altogether, the
//! record says so.
//!
//! Each exchange ends in exactly one [`Record`]: times, attempts, bytes, and [why it ended](crate::End).
//! [`Builder::on_record`](crate::Builder::on_record) takes them all; [`Request::note`] puts a word into one;
//! [`Request::on_end`] is called with one, once, however it ends:
//!
//! ```
//! # use corelane_engine::{Counter, Request, Response, Result, Upstream};
//! async fn metered(origin: &Upstream, bytes: &Counter, request: Request) -> Result<Response> {
//!     let bytes = bytes.clone();
//!     request.on_end(move |record| bytes.add(record.response_bytes));
//!     origin.send(request).await
//! }
//! ```
//!
//! # 6. Interim responses and other protocols
//!
//! [`Request::inform`] sends a 103 (or whatever else of 1xx) before the answer. Interim responses of an upstream pass by
//! themselves, and so does `Expect: 100-continue`.
//!
//! A request that asks for a WebSocket and is sent on becomes a tunnel if the origin agrees: nothing is to be done.
//! [`Request::upgrade`] accepts the switch instead, and gives the handler the connection as a [`Tunnel`]; with
//! [`Response::take_tunnel`], a handler has both ends.
//!
//! # 7. Requests of one's own, tasks, and work for other threads
//!
//! [`Request::new`] makes a request that no client sent. It goes to an [`Upstream`], or by URL with [`Lane::client`]:
//!
//! ```
//! # use corelane_engine::{Client, Method, Request, Result, StatusCode};
//! async fn is_allowed(client: &Client, request: &Request) -> Result<bool> {
//!     let mut question = Request::new(Method::GET, "http://auth.internal/check");
//!     if let Some(token) = request.fields().get("authorization") {
//!         question.fields_mut().set("authorization", token);
//!     }
//!     Ok(client.send(question).await?.status() == StatusCode::NO_CONTENT)
//! }
//! ```
//!
//! [`Lane::spawn`] runs a task beside the requests, [`Lane::sleep`] and [`Lane::timeout`] know the time, and
//! [`Lane::offload`] does elsewhere what would hold up the lane: hashing a password, asking a library that blocks.
//!
//! **A lane awaits only what happens on it.** A future that another thread would wake (a channel of tokio's, say) does not
//! work there: ask for it by [`Lane::offload`], as the example `embedded_in_tokio` does.
//!
//! # 8. Limits and times
//!
//! Everything has a limit, and every wait an end: [`Limits`], [`Timeouts`], and what stands
//! beside them in [`Settings`]. They hold for all listeners, for [one](crate::Builder::serve_with), or for a request, once it
//! is known what it is:
//!
//! ```
//! # use corelane_engine::{Request, Response, Result, Settings, Upstream};
//! # use std::{rc::Rc, time::Duration};
//! struct Route {
//!     origin: Upstream,
//!     settings: Rc<Settings>,
//! }
//!
//! impl Route {
//!     fn new(origin: Upstream) -> Self {
//!         let mut settings = Settings::default();
//!         settings.content_bytes_max = Some(1 << 20);
//!         settings.timeouts.upstream_head = Duration::from_secs(2);
//!         settings.timeouts.request = Some(Duration::from_secs(10));
//!         Self { origin, settings: Rc::new(settings) }
//!     }
//!
//!     async fn handle(&self, mut request: Request) -> Result<Response> {
//!         request.set_settings(&self.settings)?;
//!         self.origin.send(request).await
//!     }
//! }
//! ```
//!
//! # 9. Testing
//!
//! [`test::call`] calls a handler without a socket, on a lane of the test's own thread:
//!
//! ```
//! use corelane_engine::{Handler, Lane, Method, Request, Response, Result, StatusCode, test};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     async fn handle(&self, request: Request) -> Result<Response> {
//!         Ok(Response::text(StatusCode::OK, format!("hello, {}\n", &request.path()[1..])))
//!     }
//! }
//!
//! test::run(async |_lane: Lane| {
//!     let answer = test::call(&Hello, Request::new(Method::GET, "/world")).await;
//!     assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "hello, world\n"));
//! });
//! ```
//!
//! # 10. Running it
//!
//! [`Builder::run`](crate::Builder::run) runs until the process ends. [`spawn`](crate::Builder::spawn) gives a
//! [`Handle`]: to drain (a signal handler is the program's own business), to look at numbers, to
//! [change endpoints](crate::Handle::update), and to [reload](crate::Handle::reload) listeners and handlers while requests are in
//! flight.
//!
//! ```no_run
//! # use corelane_engine::{Engine, Handler, Metric, Request, Response, Result, StatusCode};
//! # use std::time::Duration;
//! # struct Hello;
//! # impl Handler for Hello {
//! #     async fn handle(&self, _: Request) -> Result<Response> {
//! #         Ok(Response::new(StatusCode::OK))
//! #     }
//! # }
//! let engine = Engine::builder()
//!     .serve("127.0.0.1:8080", |_lane| Ok(Hello))
//!     .on_event(|event| eprintln!("{event}"))
//!     .spawn()?;
//! for lane in engine.snapshots(Duration::from_secs(1)) {
//!     println!("lane {}: {} requests", lane.lane, lane.value(Metric::Requests));
//! }
//! engine.drain(); // what is in flight finishes
//! engine.join();
//! # Ok::<(), corelane_engine::Error>(())
//! ```

#[expect(unused_imports, reason = "for the links above")]
use crate::*;

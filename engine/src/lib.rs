//! A thread-per-core, shared-nothing HTTP proxy engine: write a gateway as one `async fn`.
//!
//! Each **lane** is one thread with one io_uring event loop (or epoll, where the kernel refuses), its own listeners,
//! its own pools of upstream connections, its own buffers and counters. Lanes share nothing on the path of a request.
//!
//! ```no_run
//! use corelane_engine::{Cluster, Engine, Handler, Request, Response, Result, StatusCode, Upstream};
//!
//! struct Gateway {
//!     origin: Upstream,
//! }
//!
//! impl Handler for Gateway {
//!     async fn handle(&self, mut request: Request) -> Result<Response> {
//!         if request.path().starts_with("/admin") {
//!             return Ok(Response::text(StatusCode::FORBIDDEN, "no way!\n"));
//!         }
//!         request.fields_mut().set("x-gateway", "corelane");
//!         self.origin.send(request).await
//!     }
//! }
//!
//! fn main() -> Result<()> {
//!     let origin = Cluster::round_robin(["127.0.0.1:9001", "127.0.0.1:9002"]);
//!     Engine::builder()
//!         .serve("127.0.0.1:8080", move |lane| Ok(Gateway { origin: lane.upstream(&origin) }))
//!         .run()?;
//!     Ok(())
//! }
//! ```
//!
//! # A request is a function call
//!
//! [`Handler::handle`] takes a [`Request`] and returns a [`Response`]: exactly one, by type. Middleware is a struct
//! around a handler; per-request state is a local variable. `?` works everywhere: an [`Error`] says on which side,
//! at which stage and how something failed, and from that come the status, whether a connection may be used again,
//! and the words in the [`Record`].
//!
//! The [`guide`] goes through it all, from the first handler to its tests.
//!
//! # Cancel safety
//!
//! A handler's future is dropped when its client resets the connection, when the exchange's
//! [time](Timeouts::request) is up, and when its lane ends; a handler drops futures itself, with [`Lane::timeout`], say.
//! At every `.await`:
//!
//! * No byte is lost by dropping a future of this crate. A connection owns its operations; futures only wait for
//!   them, and the next to wait gets what the dropped one would have got. So [`Body::chunk`] and
//!   [`TunnelReader::receive`] may be raced against a timer. [`Sender::send`] has sent its piece or has not; only
//!   [`TunnelWriter::send`] may have sent a part.
//! * Dropping [`Upstream::send`], [`NextAttempt::send`], a [`Response`] or its [`Body`] before its end closes the upstream
//!   connection, which is how work at the origin is cancelled; nothing half-used is pooled. A request that was lent
//!   (`&mut`) is as it was before, with as much of its content as is [kept](Settings::replay_bytes_max); if a part has
//!   gone, whoever wants it again gets an error, and never a shorter content.
//! * Dropping a [`Sender`] without [`end`](Sender::end) breaks its content off; dropping the [`Body`] at the other end tells
//!   the sender.
//! * Dropping [`Lane::offload`] does not stop the work.
//! * The record of the exchange is closed, counted, and shown to the [hooks](Request::on_end) on every path.
//!
//! A task of [`Lane::spawn`] may outlive the request that began it. What it still holds of the request has no business
//! with the client any more: content that has not been read is an error there, and an upstream's answer is the task's
//! own. Deadlines wake the task that polled last, so the futures of one request belong into one task: under an executor
//! of its own within a handler (such as `FuturesUnordered`), race them against [`Lane::sleep`].
//!
//! # What a lane must not do
//!
//! * Block. A handler that computes for long holds up every connection of its lane: split the work with
//!   [`Lane::yield_now`], or leave it to [`Lane::offload`].
//!
//! What other threads do can be awaited, such as a channel that they answer on: a lane's wakers may be used anywhere. A
//! future that needs another runtime around it (its timers, its sockets) does not work on a lane: run it there, and await
//! the answer.
#![deny(unsafe_code)]

mod address;
mod body;
mod bug;
mod client;
mod config;
mod content;
mod context;
mod crowd;
mod door;
mod downstream;
mod engine;
mod error;
mod exchange;
mod flight;
pub mod guide;
mod handler;
mod io;
mod kept;
mod lane;
mod letter;
mod link;
mod listener;
mod message;
mod metrics;
mod network;
mod offload;
mod overload;
mod pace;
mod process;
mod rate_limit;
mod record;
mod relay;
mod settings;
mod settle;
mod shared;
#[cfg(feature = "simulate")]
pub mod simulate;
#[cfg(not(feature = "simulate"))]
#[path = "simulate/off.rs"]
mod simulate;
mod sink;
#[allow(unsafe_code, reason = "the one file for what the standard library does not give safely")]
mod sys;
pub mod test;
mod timeouts;
mod times;
mod tunnel;
mod turn;
mod unix;
mod upstream;
mod wheel;

pub use address::{Address, ToAddresses};
pub use body::{Body, Chunk, Copied, Output, Sender, Tee, Transform};
pub use bytes::Bytes;
pub use client::Client;
/// Policies of one's own, and counting: see [`Cluster::custom`].
pub use corelane_balancer as balancer;
pub use corelane_balancer::{Policy, retry::RetryPolicy};
pub use corelane_codec::{
    Fields, Kind, Length, Limits, RequestHead, ResponseHead, Underscores, Upgrade, Version,
    fields::InvalidField, trail::Trail,
};
pub use engine::{
    Builder, Engine, FnSink, Handle, Pin, ReloadError, StartError, available_cpus, probe_driver,
};
pub use error::{Error, ErrorKind, Result, Side, Stage};
pub use flight::{FlightRecorder, Slow};
pub use handler::Handler;
pub use hdrhistogram::Histogram;
pub use http::{Method, StatusCode};
pub use io::driver::{Driver, RING_FLAGS, Running};
pub use lane::Lane;
pub use link::Link;
pub use message::{Request, Response, UpstreamInfo};
pub use metrics::{Counter, EndpointStats, Metric, Phase, Snapshot};
pub use network::Network;
pub use overload::{Memory, Overload, Pressure, Scarce, Shedding, memory_limit};
pub use rate_limit::{RateLimit, RateLimiter};
pub use record::{Attempt, AttemptOutcome, End, Phases, Record};
pub use settings::Settings;
pub use sink::{Event, Level, Sink};
pub use sys::{keep_buffers_apart, raise_descriptor_limit, watch_stacks};
pub use timeouts::Timeouts;
pub use tunnel::{Tunnel, TunnelReader, TunnelWriter};
pub use unix::{SocketFile, listen_unix};
pub use upstream::{Attempts, Cluster, NextAttempt, Peer, Upstream};

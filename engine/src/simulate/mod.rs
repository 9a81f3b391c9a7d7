//! A simulated world in the place of the system, for tests of whole engines by a seed (feature `simulate`).
//!
//! The engine in it is the real one: lanes, exchanges, pools, timers, drains, reloads, and what crosses lanes. What is
//! below [`io`](crate::io) is another: descriptors that only exist here, a network that delays, splits, stalls and breaks, a
//! clock that jumps to the next moment at which something happens, and a scheduler that takes one task after the other. All
//! lanes, clients and origins are on one thread, and whatever is left to chance is drawn from one seed: the same seed gives
//! the same run.
//!
//! ```
//! use corelane_engine::{Engine, Response, StatusCode, simulate::{Faults, World}};
//!
//! let world = World::begin(7, Faults::none());
//! let engine = Engine::builder()
//!     .lanes(2)
//!     .serve("10.0.0.1:80", |_lane| Ok(Hello))
//!     .spawn()?;
//! world.spawn({
//!     let world = world.clone();
//!     async move {
//!         let client = world.connect("10.0.0.1:80".parse().expect("an address")).await.expect("it listens");
//!         client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("it is taken");
//!         let mut answer = Vec::new();
//!         while client.receive(&mut answer).await.expect("no reset") > 0 {}
//!         assert!(answer.starts_with(b"HTTP/1.1 200 "));
//!     }
//! });
//! world.run(std::time::Duration::from_secs(5));
//! engine.drain();
//! engine.join();
//! drop(engine);
//! assert_eq!(world.descriptors(), 0);
//!
//! struct Hello;
//! impl corelane_engine::Handler for Hello {
//!     async fn handle(&self, _request: corelane_engine::Request) -> corelane_engine::Result<Response> {
//!         Ok(Response::text(StatusCode::OK, "hello"))
//!     }
//! }
//! # Ok::<(), corelane_engine::StartError>(())
//! ```

mod actor;
mod bugs;
mod descriptor;
mod faults;
mod kernel;
mod network;
mod schedule;
mod socket;
mod threads;
mod world;

pub use crate::bug::Bug;
pub use actor::{Acceptor, Socket};
pub(crate) use descriptor::{Descriptor, Fd, Watched};
pub use faults::Faults;
pub(crate) use kernel::{Calls, kernel};
pub use world::World;
pub(crate) use world::{Alive, has, world};

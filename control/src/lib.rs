//! What stands beside a corelane engine, on threads of its own: the admin server with metrics and health for machines
//! and people, and the logs. An embedder of the engine can do without it.
//!
//! | module | what it is for |
//! |---|---|
//! | [`admin`] | `/livez`, `/readyz`, `/metrics`, `/stats.json` and more, on TCP or a unix socket |
//! | [`log`] | the access log: lanes collect lines, a thread writes them, and nothing ever waits |
//! | [`events`] | the engine's own log, on standard error |
//! | [`names`] | endpoints' names, looked up again in the background |
//!
//! Nothing here is on the path of a request, and nothing that an admin client does is felt by a lane: a lane copies
//! its numbers when it is asked to, and that is all.

#![forbid(unsafe_code)]

pub mod admin;
mod clock;
mod control;
pub mod events;
pub mod log;
pub mod names;
mod process;
mod profile;
mod prometheus;
mod stats;

pub use admin::{Address, Admin, Operator, Outcome};
pub use control::{About, Control, Setup};
pub use events::Events;

//! Engines as operators know them: starting, reloading, lanes, and limits on clients.
//! One program, because each has all of the engine compiled into it.

#[path = "../support/mod.rs"]
mod support;

mod crowd;
mod docs;
mod lanes;
mod rates;
mod reload;
mod start;

//! Small worlds in which one thing goes wrong, by what it goes wrong with.
//! One program, because each has all of the engine compiled into it.

#[path = "../support/mod.rs"]
mod support;

mod lanes;
mod operations;
mod resources;
mod upstreams;

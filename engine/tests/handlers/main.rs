//! What handlers may do, what they are given, and what clients get of it.
//! One program, because each has all of the engine compiled into it.

#[path = "../support/mod.rs"]
mod support;

mod answers;
mod choices;
mod client;
mod content;
mod handler;
mod records;
mod upgrade;

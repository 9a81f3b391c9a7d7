//! What takes time: how long it may, whom it keeps waiting, and where that shows.
//! One program, because each has all of the engine compiled into it.

#[path = "../support/mod.rs"]
mod support;

mod limits;
mod phases;
mod readers;

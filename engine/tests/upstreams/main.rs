//! How requests get to origins, and what comes back.
//! One program, because each has all of the engine compiled into it.

#[path = "../support/mod.rs"]
mod support;

mod attempts;
mod balance;
mod link;
mod trusted;
mod unix;
mod unseen;

//! The program as people and machines meet it: its command line, its logs, its admin server, its signals.

mod admin;
mod logs;
mod names;
#[path = "../support/process/mod.rs"]
#[allow(dead_code, reason = "the tests of the configuration use more of it")]
mod process;
mod signals;
mod start;

//! The configuration file: what is wrong with one, what it does, and what is said about it.

#[path = "../support/process/mod.rs"]
#[allow(dead_code, reason = "the tests of the command line use more of it")]
mod process;

mod commands;
mod corpus;
mod rates;
mod reload;
mod served;
mod serving;
mod settings;

//! Four programs that somebody writes who has only the documentation, and what they must do.

#[path = "../support/mod.rs"]
mod support;

mod failover;
mod rewriting;
mod tenants;
mod tokens;

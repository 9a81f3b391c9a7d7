//! `corelane-bench load` and `origin` as a stranger meets them: the program, real sockets, and servers that misbehave.

mod answers;
mod bad_use;
mod errors;
mod origin;
mod page;
mod reports;
mod requests;
mod support;
mod websocket;

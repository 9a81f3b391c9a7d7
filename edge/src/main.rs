//! `corelane`: a reverse proxy on lanes, threads that share nothing.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    corelane_engine::keep_buffers_apart();
    // Without it, only the stack of a lane that is stuck is missing from the log.
    let _ = corelane_engine::watch_stacks();
    corelane_edge::run(std::env::args_os(), &env)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

//! `corelane-bench`: measures HTTP servers and proxies.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    corelane_bench::run(std::env::args_os(), &env)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

//! `corelane-bench`: measures HTTP servers and proxies.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    corelane_bench::run(std::env::args_os())
}

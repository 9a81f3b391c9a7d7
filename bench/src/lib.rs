//! What `corelane-bench` is made of: it measures HTTP servers and proxies. The program is [`run`].
//!
//! | module | what it is for |
//! |---|---|
//! | `units` | what durations, sizes and rates look like on the command line |
//! | `failure` | why a command failed, in a sentence, and the exit code |

#![forbid(unsafe_code)]

mod failure;
mod units;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

/// Measures HTTP servers and proxies.
#[derive(Debug, Parser)]
#[command(name = "corelane-bench", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {}

/// The program. It ends the process itself, with 2, when the command line is wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match command(Cli::parse_from(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "error: {failure}");
            failure.exit_code()
        }
    }
}

fn command(cli: Cli) -> Result<(), Failure> {
    match cli.command {}
}

/// Writes to standard output; a reader that has left is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Run(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

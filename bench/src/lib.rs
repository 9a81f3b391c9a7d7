//! What `corelane-bench` is made of: it measures HTTP servers and proxies. The program is [`run`].
//!
//! | module | what it is for |
//! |---|---|
//! | `compare` | proxies side by side |
//! | `load` | sends requests and measures what comes back |
//! | `origin` | a server that behaves as it is told to |
//! | `profile` | where a running engine's requests spend their time |
//! | `soak` | a long run among dying origins, hostile clients and reloads |
//! | `truth` | proves itself on origins whose latencies are known |
//! | `report` | pages with tables and plots |
//! | `websocket` | frames and the handshake's proof |
//! | `clock`, `interrupt` | the clocks of a measurement; Ctrl-C |
//! | `units` | what durations, sizes and rates look like on the command line |
//! | `failure` | why a command failed, in a sentence, and the exit code |

#![forbid(unsafe_code)]

mod clock;
mod compare;
mod failure;
mod interrupt;
mod load;
mod origin;
mod profile;
mod report;
mod soak;
mod truth;
mod units;
mod websocket;

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
enum Command {
    Compare(Box<compare::Args>),
    Load(Box<load::Args>),
    Origin(origin::Args),
    Profile(profile::Args),
    Soak(soak::Args),
    Truth(truth::Args),
}

/// The program; `env` reads the environment. It ends the process itself, with 2, when the command line is wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>, env: &dyn Fn(&str) -> Option<String>) -> ExitCode {
    match command(Cli::parse_from(arguments), env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "error: {failure}");
            failure.exit_code()
        }
    }
}

fn command(cli: Cli, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Failure> {
    match cli.command {
        Command::Compare(args) => compare::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Origin(args) => origin::run(&args),
        Command::Profile(args) => profile::run(&args, env),
        Command::Soak(args) => soak::run(&args),
        Command::Truth(args) => truth::run(&args),
    }
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

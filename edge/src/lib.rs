//! What `corelane` is made of: a reverse proxy on lanes, threads that share nothing. The program is [`run`]; all else
//! is its own, and has nothing to offer to others: embedders use `corelane-engine`.
//!
//! | module | what it is for |
//! |---|---|
//! | `cli` | the command line, as a value |
//! | `units`, `address`, `balance`, `rates`, `logs` | what its durations, sizes, addresses and choices look like |
//! | `words` | what was written and what may have been meant, for errors |
//! | `config` | the configuration file |
//! | `router`, `auth`, `gateway` | from a request to a route, and what the route says |
//! | `proxy`, `demo`, `serving`, `files`, `ask` | the commands |
//! | `plan`, `upstream` | what a command serves |
//! | `serve`, `books`, `live`, `signals`, `admin`, `machine` | an engine with its logs, its admin server and the process's signals, from start to end |
//! | `holder` | who has a port that is taken |
//! | `failure` | why a command failed, in a sentence, and the exit code |
//! | `version` | what `--version` says |

#![forbid(unsafe_code)]

mod address;
mod admin;
mod ask;
mod auth;
mod balance;
mod books;
mod cli;
mod config;
mod demo;
mod failure;
mod files;
mod gateway;
mod holder;
mod live;
mod logs;
mod machine;
mod plan;
mod proxy;
mod rates;
mod router;
mod serve;
mod serving;
mod signals;
mod units;
mod upstream;
mod version;
mod words;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use failure::Failure;
use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

/// What reads the environment.
pub type Environment = &'static (dyn Fn(&str) -> Option<String> + Sync);

/// The program. It ends the process itself, with 2, when the command line is wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>, env: Environment) -> ExitCode {
    match command(Cli::parse_from(arguments), env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let list = failure.list();
            let _ = writeln!(io::stderr(), "{list}error: {failure}");
            failure.exit_code()
        }
    }
}

/// Reads a configuration, in whatever state, for the fuzzer and for nobody else.
#[doc(hidden)]
pub fn fuzz_config(text: &[u8]) {
    config::fuzz(text);
}

fn command(cli: Cli, env: Environment) -> Result<(), Failure> {
    match cli.command {
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Proxy(args)) => proxy::run(&args, env),
        Some(Command::Run(args)) => serving::run(&args, env),
        Some(Command::Check(args)) => print(&files::check(&args.file, env)?),
        Some(Command::Explain(args)) => print(&files::explain(&args, env)?),
        Some(Command::Schema { reference: false }) => print(&config::schema::text()),
        Some(Command::Schema { reference: true }) => print(&config::reference::text()),
        Some(Command::Fmt(args)) => files::fmt(&args),
        Some(Command::Reload(args)) => print(&ask::reload(&args, env)?),
        Some(Command::Drain(args)) => print(&ask::drain(&args, env)?),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "corelane", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        None if cli.version => print(&version::long()),
        None if cli.short_version => print(&version::short()),
        None => Err(Failure::Usage("a command is missing; try: corelane --help".to_owned())),
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

/// The same where nothing depends on it.
fn print_or_ignore(text: &str) {
    let _ = print(text);
}

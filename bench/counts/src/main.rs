//! `corelane-counts`: how many instructions hot functions and whole requests take, counted by valgrind's callgrind,
//! which gives the same numbers again and again where a clock never does.
//!
//! | module | what it is for |
//! |---|---|
//! | `subjects` | the work that is counted |
//! | `callgrind` | runs programs under valgrind |
//! | `profile` | reads what callgrind writes |
//! | `request` | a whole request through the proxy, by function |
//! | `facts` | on what counts depend beside our code |
//! | `baseline` | the counts that are committed, and the gate |

#![forbid(unsafe_code)]

mod baseline;
mod callgrind;
mod facts;
mod profile;
mod request;
mod subjects;

use baseline::Baseline;
use callgrind::{Counted, Here, Scratch};
use facts::Facts;
use request::Asked;
use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
};

const USAGE: &str = "\
Counts instructions under valgrind.

  corelane-counts check            counts, and fails if a count is more than 3 % above the baseline
  corelane-counts record           counts, and writes the baseline of this rustc
  corelane-counts show [WORDS]     counts, and where the instructions are, of subjects whose name has WORDS
  corelane-counts request [--binary target/release/corelane] [--driver uring|epoll] [--connections 1]
                          [--rounds 2000] [--size 128] [--top 40]
                                   instructions of a warm GET through the proxy, by function
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [callgrind::SUBJECTS] => {
            facts::print();
            subjects::run().iter().for_each(|name| println!("{name}"));
            Ok(true)
        }
        ["check"] => check(),
        ["record"] => record(),
        ["show"] => show(""),
        ["show", words] => show(words),
        ["request", ref options @ ..] => match asked(options) {
            Some(asked) => here().and_then(|here| request::run(&here, &asked)).map(|tables| {
                print!("{tables}");
                true
            }),
            None => return usage(),
        },
        _ => return usage(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(1)
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}

/// The proxy as it is released; this program is built under another profile of cargo's, in the directory beside that.
fn released(own: &Path) -> PathBuf {
    own.parent().unwrap_or(own).with_file_name("release").join("corelane")
}

/// `None` if the options are not understood.
fn asked(options: &[&str]) -> Option<Asked> {
    let mut asked = Asked {
        binary: released(&env::current_exe().unwrap_or_default()),
        driver: "uring".to_owned(),
        connections: 1,
        rounds: 2000,
        content_bytes: 128,
        top: 40,
    };
    for option in options.chunks(2) {
        let &[name, value] = option else { return None };
        let number = || value.parse().ok().filter(|number| *number > 0);
        match name {
            "--binary" => asked.binary = PathBuf::from(value),
            "--driver" => value.clone_into(&mut asked.driver),
            "--connections" => asked.connections = number()?,
            "--rounds" => asked.rounds = number()?,
            "--size" => asked.content_bytes = number()?,
            "--top" => asked.top = number()?,
            _ => return None,
        }
    }
    // As valgrind writes it.
    asked.binary = asked.binary.canonicalize().unwrap_or(asked.binary);
    Some(asked)
}

/// Whether nothing costs more than it did.
fn check() -> Result<bool, String> {
    let (facts, counted) = count()?;
    let now = Baseline::of(&facts, &counted);
    let path = facts.baseline_path();
    let before = match Baseline::read(&path)? {
        Some(before) if before.facts == facts => before,
        other => {
            match other {
                None => println!("no baseline for {facts}: nothing is compared"),
                Some(before) => {
                    println!("the baseline is of {}, this is {facts}: nothing is compared", before.facts);
                }
            }
            println!("`{}` would write this one:\n{}", baseline::RECORD, now.to_text());
            return Ok(true);
        }
    };
    let verdict = baseline::compare(&before, &now);
    print!("{verdict}");
    Ok(verdict.passes())
}

fn record() -> Result<bool, String> {
    let (facts, counted) = count()?;
    let path = facts.baseline_path();
    Baseline::of(&facts, &counted).write(&path)?;
    println!("{} counts are in {}", counted.len(), path.display());
    Ok(true)
}

/// The subjects whose name has these words, each with its functions; all of them, without the functions, if there are
/// no words.
fn show(words: &str) -> Result<bool, String> {
    let (_, counted) = count()?;
    let mut found = false;
    for subject in counted.iter().filter(|subject| subject.name.contains(words)) {
        found = true;
        println!("{:>9}  {}", subject.instructions, subject.name);
        if !words.is_empty() {
            subject.profile.by_self().iter().take(20).for_each(|(name, own)| println!("{own:>20}  {name}"));
        }
    }
    if found { Ok(true) } else { Err(format!("no subject has `{words}` in its name")) }
}

fn count() -> Result<(Facts, Vec<Counted>), String> {
    let here = here()?;
    let (vectors, counted) = callgrind::count_subjects(&here)?;
    Ok((Facts::of(&here, vectors)?, counted))
}

fn here() -> Result<Here, String> {
    let program = env::current_exe().map_err(|error| format!("this program has no path: {error}"))?;
    #[expect(clippy::disallowed_methods, reason = "to find a program, as a shell would")]
    // By its path, because it is started without an environment.
    let path = env::var_os("PATH").unwrap_or_default();
    let valgrind = env::split_paths(&path).map(|dir| dir.join("valgrind")).find(|it| it.is_file());
    let valgrind =
        valgrind.ok_or("valgrind is not installed (Debian and Ubuntu: apt-get install valgrind)")?;
    Ok(Here { valgrind, program, scratch: Scratch::within(&env::temp_dir())? })
}

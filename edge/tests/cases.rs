//! The black-box cases: bytes in, expected out, as the files in `tests/cases` say.
//!
//! Each file is a test of its own, with a proxy and an origin of its own. Every case is run whole, byte by byte,
//! and short ones split in two at several places, and must give the same result each time.

#[path = "support/case/mod.rs"]
mod case;
#[path = "support/wire/mod.rs"]
mod wire;

use case::file::{CaseFile, parse};
use case::run::Runner;
use std::fmt::Write;
use std::path::{Path, PathBuf};

macro_rules! files {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), &["--lanes", "1"]);
        })*

        /// And on several lanes: which of them a client comes to, and whose connection a request is sent on, must make
        /// no difference.
        mod four_lanes {
            $(#[test]
            fn $name() {
                super::run(stringify!($name), &["--lanes", "4"]);
            })*
        }

        const FILES: &[&str] = &[$(stringify!($name)),*];
    };
}

files! {
    h1q_framing,
    h1q_head,
    h1q_chunked,
    h1q_semantics,
    h1q_forwarding,
    h1q_limits,
    h1q_timeouts,
    h1r_framing,
    h1r_head,
    h1r_early,
    upstream,
}

/// Once more on the other driver: where reads end, when an end of a connection is seen, and what is still unread
/// then is the driver's doing.
mod epoll {
    #[test]
    fn h1q_chunked() {
        super::run("h1q_chunked", &["--driver", "epoll"]);
    }

    #[test]
    fn h1q_semantics() {
        super::run("h1q_semantics", &["--driver", "epoll"]);
    }

    #[test]
    fn h1r_framing() {
        super::run("h1r_framing", &["--driver", "epoll"]);
    }

    #[test]
    fn h1r_early() {
        super::run("h1r_early", &["--driver", "epoll"]);
    }

    #[test]
    fn upstream() {
        super::run("upstream", &["--driver", "epoll"]);
    }
}

#[test]
fn every_file_is_run_and_can_be_read() {
    let mut found = std::fs::read_dir(directory())
        .expect("the cases are there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .inspect(|path| drop(load(path)))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect::<Vec<_>>();
    let mut listed = FILES.to_vec();
    found.sort();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn load(path: &Path) -> CaseFile {
    let text = std::fs::read_to_string(path).expect("a case file can be read");
    parse(&text).unwrap_or_else(|error| panic!("{}:{error}", path.display()))
}

/// Runs all cases of a file, and says of all that fail what is wrong.
fn run(name: &str, flags: &[&str]) {
    let file = load(&directory().join(format!("{name}.case")));
    let flags = file.flags.iter().cloned().chain(flags.iter().map(|flag| (*flag).to_owned()));
    let mut runner = Runner::start(&flags.collect::<Vec<_>>());
    let mut report = String::new();
    let mut failed = 0;
    for case in &file.cases {
        if let Err((mode, failure)) = runner.run(case) {
            failed += 1;
            let (id, title) = (&case.id, &case.title);
            let place = format!("tests/cases/{name}.case:{}", failure.line);
            writeln!(report, "{place}: {id} ({title}), {mode:?}: {}", failure.what).expect("a string");
        }
    }
    assert!(failed == 0, "{failed} of {} cases fail:\n{report}", file.cases.len());
}

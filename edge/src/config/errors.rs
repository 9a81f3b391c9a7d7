//! Everything that is wrong, said at once.

use super::source::{At, Files};
use crate::words::harmless;
use std::fmt::Write;

/// So many errors are listed; a file with more is not a configuration.
const ERRORS_SHOWN_MAX: usize = 100;

/// What is wrong, and where.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<Finding>);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    at: At,
    says: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Something cannot be read, so that what else is said about it is guessed.
    Unreadable,
    /// Something is not there. It may be in what cannot be read.
    Missing,
    Wrong,
}

impl Errors {
    pub(crate) fn add(&mut self, at: At, says: impl Into<String>) {
        self.push(at, says.into(), Kind::Wrong);
    }

    /// Whatever of the file is repeated in it: a terminal obeys none of it.
    fn push(&mut self, at: At, says: String, kind: Kind) {
        self.0.push(Finding { at, says: harmless(&says), kind });
    }

    /// Something cannot be read.
    pub(crate) fn add_unreadable(&mut self, at: At, says: impl Into<String>) {
        self.push(at, says.into(), Kind::Unreadable);
    }

    /// Something is not there.
    pub(crate) fn add_missing(&mut self, at: At, says: impl Into<String>) {
        self.push(at, says.into(), Kind::Missing);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are, and a line for each, in the order of the files.
    pub(crate) fn list(mut self, files: &Files) -> (usize, String) {
        self.drop_guesses(files);
        self.0.sort();
        self.0.dedup();
        let mut text = String::new();
        for Finding { at, says, .. } in self.0.iter().take(ERRORS_SHOWN_MAX) {
            writeln!(text, "{}: {says}", files.place(*at)).expect("a string takes everything");
        }
        if let Some(more @ 1..) = self.0.len().checked_sub(ERRORS_SHOWN_MAX) {
            writeln!(text, "... and {more} more").expect("a string takes everything");
        }
        (self.0.len(), text)
    }
}

impl Errors {
    /// Drops what follows from something unreadable: values on its line, and what may be missing because of it.
    fn drop_guesses(&mut self, files: &Files) {
        let unreadable = self.0.iter().filter(|finding| finding.kind == Kind::Unreadable);
        let lines: Vec<String> = unreadable.map(|finding| files.line(finding.at)).collect();
        self.0.retain(|finding| match finding.kind {
            Kind::Unreadable => true,
            Kind::Missing => lines.is_empty(),
            Kind::Wrong => !lines.contains(&files.line(finding.at)),
        });
    }
}

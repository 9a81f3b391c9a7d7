//! Everything that is wrong, said at once.

use super::source::{At, Files};
use std::fmt::Write;

/// So many errors are listed; a file with more is not a configuration.
const ERRORS_SHOWN_MAX: usize = 100;
/// Characters of somebody's text that an error repeats.
const QUOTED_CHARS_MAX: usize = 60;

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
        self.0.push(Finding { at, says: says.into(), kind: Kind::Wrong });
    }

    /// Something cannot be read.
    pub(crate) fn add_unreadable(&mut self, at: At, says: impl Into<String>) {
        self.0.push(Finding { at, says: says.into(), kind: Kind::Unreadable });
    }

    /// Something is not there.
    pub(crate) fn add_missing(&mut self, at: At, says: impl Into<String>) {
        self.0.push(Finding { at, says: says.into(), kind: Kind::Missing });
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

/// Somebody's text in an error: short, and without what a terminal would obey.
pub(crate) fn quote(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut quoted: String = text.chars().take(QUOTED_CHARS_MAX).map(harmless).collect();
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        quoted.push_str("...");
    }
    format!("`{quoted}`")
}

/// The one of `known` that somebody may have meant.
pub(crate) fn nearest<'k>(wrong: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A key in the place of another shares at least half of it.
    let allowed = |name: &str| (name.len().max(wrong.len()) / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance <= allowed(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours that make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(QUOTED_CHARS_MAX).collect();
    let other: Vec<char> = other.chars().take(QUOTED_CHARS_MAX).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, a) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, b) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut least = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && one[row - 1] == *b && *a == other[column - 1] {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found() {
        let known = ["listen", "host", "route", "timeouts"];
        for (wrong, right) in [
            ("lisen", Some("listen")),
            ("hots", Some("host")),
            ("routes", Some("route")),
            ("timeout", Some("timeouts")),
            ("upstream", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known), right, "{wrong}");
        }
    }

    #[test]
    fn distances_count_swaps_once() {
        for (one, other, expected) in
            [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3), ("ä", "a", 1)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn op_17_what_is_quoted_is_harmless() {
        assert_eq!(quote("a\u{1b}[31mb\n"), "`a\u{fffd}[31mb\u{fffd}`");
        assert_eq!(quote(&"x".repeat(100)).len(), 60 + 3 + 2);
    }
}

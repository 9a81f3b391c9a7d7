//! What the rules found, collected so that all of it can be said at once.

use std::collections::BTreeSet;
use std::fmt;

/// Errors fail the run; warnings are printed only.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    errors: BTreeSet<Finding>,
    warnings: BTreeSet<Finding>,
}

/// Ordered by place, so that what is printed reads like the tree.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    says: String,
}

impl Findings {
    /// Notes an error; lines count from 1.
    pub(crate) fn error(&mut self, path: &str, line: usize, says: impl Into<String>) {
        self.errors.insert(Finding { path: path.to_owned(), line, says: says.into() });
    }

    /// Notes a warning.
    pub(crate) fn warn(&mut self, path: &str, line: usize, says: impl Into<String>) {
        self.warnings.insert(Finding { path: path.to_owned(), line, says: says.into() });
    }

    /// How many errors there are.
    pub(crate) fn errors(&self) -> usize {
        self.errors.len()
    }

    /// How many warnings there are.
    pub(crate) fn warnings(&self) -> usize {
        self.warnings.len()
    }

    /// The errors as `file:line` and message, for the tests of the rules.
    #[cfg(test)]
    pub(crate) fn error_lines(&self) -> Vec<String> {
        self.errors.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.says)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for error in &self.errors {
            writeln!(f, "error: {error}")?;
        }
        writeln!(f, "tidy: {} errors, {} warnings", self.errors(), self.warnings())
    }
}

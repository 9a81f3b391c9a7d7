//! Why a command failed, in a sentence that says what to do, and the exit code that tells scripts.

use std::{fmt, process::ExitCode};

/// A failure of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Something went wrong, with what is measured or with us: exit code 1.
    Run(String),
    /// The command line asks for what cannot be: exit code 2.
    Usage(String),
    /// All was answered, but not measured as was asked (a rate that was not reached): exit code 3.
    Short(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Run(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Short(_) => ExitCode::from(3),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(says) | Self::Usage(says) | Self::Short(says) => f.write_str(says),
        }
    }
}

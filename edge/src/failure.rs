//! Why a command failed, in a sentence that says what to do, and the exit code that tells scripts.

use std::{fmt, process::ExitCode};

/// A failure of a command. 3 is kept for a bad configuration file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// At run time: exit code 1.
    Run(String),
    /// The command line asks for what cannot be: exit code 2.
    Usage(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Run(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(says) | Self::Usage(says) => f.write_str(says),
        }
    }
}

//! Why a command failed, in a sentence that says what to do, and the exit code that tells scripts.

use std::{fmt, process::ExitCode};

/// A failure of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// At run time: exit code 1.
    Run(String),
    /// The command line asks for what cannot be: exit code 2.
    Usage(String),
    /// The configuration file is bad: exit code 3. A line for each fault, and a sentence for all of them.
    Config { list: String, says: String },
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Run(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Config { .. } => ExitCode::from(3),
        }
    }
}

impl Failure {
    /// Lines that are said before it.
    pub(crate) fn list(&self) -> &str {
        match self {
            Self::Config { list, .. } => list,
            Self::Run(_) | Self::Usage(_) => "",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(says) | Self::Usage(says) | Self::Config { says, .. } => f.write_str(says),
        }
    }
}

//! Logs that never hold up a lane: lines are collected on the lane, handed over in batches through a bounded queue,
//! and written by a plain thread. What does not fit is dropped and counted.

mod access;
mod combined;
mod json;
mod line;
pub(crate) mod text;
mod writer;

pub use access::AccessLog;
pub(crate) use writer::Queue;
pub use writer::{Counts, Target, Writer};

/// How a line of the access log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One JSON object, with OpenTelemetry's semantic names where they exist.
    #[default]
    Json,
    /// Apache's combined format.
    Combined,
}

//! Logs that never hold up a lane: lines are collected on the lane, handed over in batches through a bounded queue,
//! and written by a plain thread. What does not fit is dropped and counted.

mod access;
mod combined;
mod field;
mod fuzz;
mod json;
mod line;
mod template;
pub(crate) mod text;
mod writer;

pub use access::AccessLog;
pub use field::{Field, Known, UnknownField};
#[doc(hidden)]
pub use fuzz::{Texts, lines};
pub use template::{InvalidTemplate, Template};
pub(crate) use text::rfc3339;
pub(crate) use writer::Queue;
pub use writer::{Counts, Opened, Target, Writer};

/// How a line of the access log looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON object, with these fields.
    Json(Vec<Field>),
    /// Apache's combined format.
    Combined,
    /// As somebody says.
    Template(Template),
    /// No line at all, until somebody says otherwise.
    Nothing,
}

impl Default for Format {
    /// JSON with everything that is known.
    fn default() -> Self {
        Self::Json(Field::usual())
    }
}

//! What an operator may ask of the program behind the engine, beside its numbers.

use std::fmt;

/// The program behind the engine. Everything here is called on the control thread and must not block.
pub trait Operator: fmt::Debug + Send + Sync {
    /// Serves a changed configuration from now on, and calls `done` when that has happened or has failed.
    fn reload(&self, done: Box<dyn FnOnce(Outcome) + Send>);

    /// The configuration in force, for people, without its secrets.
    fn config(&self) -> String;
}

/// What became of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is in force; what there is to say about it.
    Done(String),
    /// The configuration is bad, and nothing has changed; everything that is wrong.
    Bad(String),
    /// Something else failed, and nothing has changed.
    Failed(String),
}

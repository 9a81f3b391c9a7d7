//! The cases of `tests/cases`: how they are read, run and compared.

pub(crate) mod compare;
pub(crate) mod file;
pub(crate) mod run;

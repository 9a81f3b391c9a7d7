//! What the black-box tests have in common: the binary under test, connections that are scripted to the byte,
//! and the cases that are written down in files.
#![allow(dead_code, reason = "every test binary uses another part of this")]

pub(crate) mod case_file;
pub(crate) mod case_run;
pub(crate) mod clock;
pub(crate) mod compare;
pub(crate) mod message;
pub(crate) mod net;
pub(crate) mod plain;
pub(crate) mod proxy;
pub(crate) mod text;

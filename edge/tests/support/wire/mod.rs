//! What the black-box tests have in common: the binary under test, and connections that are told byte by byte what
//! to do.
#![allow(dead_code, reason = "every test binary uses another part of this")]

pub(crate) mod clock;
pub(crate) mod message;
pub(crate) mod net;
pub(crate) mod plain;
pub(crate) mod proxy;
pub(crate) mod text;

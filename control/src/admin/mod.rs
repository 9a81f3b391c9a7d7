//! Where an operator looks: an HTTP server of its own, on TCP or a unix socket, which answers `GET` only and changes
//! nothing.

mod address;
pub(crate) mod server;
pub(crate) mod view;

pub use address::{Address, Admin, BindError};

//! Where an operator looks: an HTTP server of its own, on TCP or a unix socket. What changes something (`POST`) is
//! taken on a unix socket only, where the file system says who may connect: to TCP every program of the machine may,
//! a browser that was talked into it among them.

mod address;
mod operator;
pub(crate) mod server;
pub(crate) mod view;

pub use address::{Address, Admin, BindError};
pub use operator::{Operator, Outcome};

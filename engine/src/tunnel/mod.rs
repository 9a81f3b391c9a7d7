//! After a switch of protocols: there are no messages any more, only bytes both ways.

mod own;
mod through;

pub(crate) use own::{Serve, serve};
pub use own::{Tunnel, TunnelReader, TunnelWriter};
pub(crate) use through::run;

use crate::{context::Exchange, metrics::Metric, upstream::Transfer};

/// What is left of an exchange when its head has been sent.
pub(crate) enum Rest {
    /// Nothing.
    Nothing,
    /// A tunnel to an origin. In a box, so that what every exchange returns is small.
    Origin(Box<Transfer>),
    /// A tunnel to the handler.
    Handler(Serve),
}

/// A tunnel that is open, as long as this lives.
struct Open<'a>(&'a Exchange);

impl<'a> Open<'a> {
    fn count(exchange: &'a Exchange) -> Self {
        let metrics = &exchange.lane().0.metrics;
        metrics.count(Metric::Tunnels);
        metrics.add(Metric::TunnelsOpen, 1);
        Self(exchange)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.lane().0.metrics.sub(Metric::TunnelsOpen);
    }
}

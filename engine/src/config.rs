//! What an engine is built from: read by every lane, changed by none.

use crate::{
    io::driver::Driver,
    sink::{Event, Sink},
    timeouts::Timeouts,
};
use corelane_balancer::retry::RetryPolicy;
use corelane_codec::Limits;

pub(crate) type SinkFactory = dyn Fn(usize) -> Box<dyn Sink> + Send + Sync;
pub(crate) type EventHook = dyn Fn(&Event) + Send + Sync;

pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) retry: RetryPolicy,
    pub(crate) driver: Driver,
    /// Our name in `Via`, which nobody else has: a request that carries it has come round in a loop.
    pub(crate) via: String,
    /// Content of a request; more is a 413.
    pub(crate) content_bytes_max: Option<u64>,
    /// Content of a request that is kept for a retry, in bytes.
    pub(crate) replay_bytes_max: usize,
    /// Client connections of one lane.
    pub(crate) connections_max: usize,
    pub(crate) sink: Option<Box<SinkFactory>>,
    pub(crate) event: Option<Box<EventHook>>,
}

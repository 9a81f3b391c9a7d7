//! What an engine is built from and keeps for life: read by every lane, changed by none.

use crate::{
    flight::FlightRecorder,
    io::driver::Driver,
    overload::Overload,
    sink::{Event, Sink},
};

pub(crate) type SinkFactory = dyn Fn(usize) -> Box<dyn Sink> + Send + Sync;
pub(crate) type EventHook = dyn Fn(&Event) + Send + Sync;

pub(crate) struct Config {
    pub(crate) driver: Driver,
    /// Our name in `Via`, which nobody else has: a request that carries it has come round in a loop.
    pub(crate) via: String,
    /// Client connections of all lanes.
    pub(crate) connections_max: usize,
    /// Client connections of one source.
    pub(crate) connections_per_source_max: Option<u32>,
    pub(crate) overload: Overload,
    pub(crate) flight: FlightRecorder,
    pub(crate) sink: Option<Box<SinkFactory>>,
    pub(crate) event: Option<Box<EventHook>>,
}

//! What a command serves, and how: made of flags or of a file, and made again when the file has changed.

use crate::{
    admin::AdminAt,
    cli::ServingArgs,
    logs::{AccessLogTo, Logs},
    upstream::Found,
    words::plural,
};
use corelane_control::log::Format;
use corelane_engine::{Builder, Driver, Overload, Pin, Settings};

/// What is to be served.
pub(crate) struct Plan {
    /// Adds the addresses and their handlers.
    pub(crate) install: Box<dyn Fn(Builder) -> Builder + Send>,
    pub(crate) upstreams: Vec<Found>,
    pub(crate) serving: Serving,
    /// All of it for people, each value with its origin; empty where flags say it.
    pub(crate) explained: String,
    /// In a few words.
    pub(crate) summary: String,
    /// What only a restart changes.
    pub(crate) fixed: Vec<Fixed>,
}

/// How it is to be served.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    /// None: as many as there are CPUs for the process.
    pub(crate) lanes: Option<usize>,
    pub(crate) pin: Pin,
    pub(crate) driver: Driver,
    pub(crate) exchanges: Settings,
    pub(crate) connections: Connections,
    pub(crate) overload: Overload,
    pub(crate) admin: Vec<AdminAt>,
    pub(crate) logs: Logs,
    pub(crate) names: NamesEvery,
}

/// Client connections that there may be, of all lanes together; none: as the engine says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) max: Option<usize>,
    pub(crate) per_source_max: Option<u32>,
}

/// How often names of endpoints are looked up again; none: never.
pub(crate) type NamesEvery = Option<std::time::Duration>;

impl Serving {
    /// As the command line says; `format` for the access log where it says nothing.
    pub(crate) fn of(args: &ServingArgs, format: Format) -> Self {
        Self {
            lanes: args.lanes,
            pin: Pin::Auto,
            driver: args.driver(),
            exchanges: args.exchanges(),
            connections: Connections::default(),
            overload: Overload::default(),
            admin: args.admin.clone(),
            logs: args.logs(format),
            names: args.names(),
        }
    }

    /// The same engine, without handlers.
    pub(crate) fn builder(&self, lanes: usize, builder: Builder) -> Builder {
        builder
            .lanes(lanes)
            .pin(self.pin)
            .driver(self.driver)
            .settings(self.exchanges.clone())
            .max_connections(self.connections.max)
            .max_connections_per_source(self.connections.per_source_max)
            .overload(self.overload)
    }
}

/// A key that a running process cannot change, what it is, and where that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed {
    key: &'static str,
    value: String,
    place: Option<String>,
}

impl Fixed {
    /// All that there are; `place` finds out where a key was set.
    pub(crate) fn all(serving: &Serving, place: impl Fn(&str) -> Option<String>) -> Vec<Self> {
        let admin: Vec<String> = serving.admin.iter().map(|at| format!("{at:?}")).collect();
        let is_on = serving.logs.access != AccessLogTo::Off;
        let lanes = serving.lanes.map_or("auto".to_owned(), |lanes| lanes.to_string());
        let connections = |max: Option<String>| max.unwrap_or("none".to_owned());
        let max = connections(serving.connections.max.map(|max| max.to_string()));
        let per_source = connections(serving.connections.per_source_max.map(|max| max.to_string()));
        [
            ("lanes", lanes),
            ("pin", format!("{:?}", serving.pin).to_lowercase()),
            ("driver", format!("{:?}", serving.driver).to_lowercase()),
            ("admin.listen", admin.join(", ")),
            ("limits.connections_max", max),
            ("limits.connections_per_source_max", per_source),
            ("overload", format!("{:?}", serving.overload)),
            ("log.access", if is_on { "on" } else { "off" }.to_owned()),
        ]
        .into_iter()
        .map(|(key, value)| Self { key, value, place: place(key) })
        .collect()
    }

    /// A line for each difference that a reload cannot make. A log that is switched off is no such thing.
    pub(crate) fn differences(now: &[Self], next: &[Self]) -> Vec<String> {
        let changed = |(now, next): (&Self, &Self)| {
            if now.value == next.value || (next.key == "log.access" && next.value == "off") {
                return None;
            }
            let place = next.place.as_ref().or(now.place.as_ref());
            let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
            Some(format!("{place}`{}` cannot change while the program runs; restart it for that", next.key))
        };
        now.iter().zip(next).filter_map(changed).collect()
    }
}

/// `3 sites, 1 route`.
pub(crate) fn summary(counts: &[(usize, &str)]) -> String {
    counts.iter().map(|(count, what)| plural(*count, what)).collect::<Vec<_>>().join(", ")
}

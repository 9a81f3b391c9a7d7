//! Reads what concerns the process.

use super::{Reader, Scope};
use crate::{
    admin::AdminAt,
    config::{
        reader::{Choice, Located},
        settings::{self, Terms},
    },
    logs::{self, AccessLogTo, Logs},
    plan::{Connections, NamesEvery},
    units,
};
use corelane_control::log::{Format, Target};
use corelane_engine::{Driver, Memory, Network, Overload, Pin, Trail};

pub(super) fn driver(reader: &mut Reader<'_>, top: &mut Scope<'_>) -> Driver {
    match reader.choice(top, "driver") {
        Some("uring") => Driver::Uring,
        Some("epoll") => Driver::Epoll,
        _ => Driver::Auto,
    }
}

pub(super) fn pin(reader: &mut Reader<'_>, top: &mut Scope<'_>) -> Pin {
    match reader.choice(top, "pin") {
        Some("always") => Pin::Always,
        Some("never") => Pin::Never,
        _ => Pin::Auto,
    }
}

pub(super) fn names(reader: &mut Reader<'_>, top: &mut Scope<'_>) -> NamesEvery {
    let mut scope = reader.table_or_defaults(top, "names");
    let every = reader.time(&mut scope, "every").flatten();
    reader.finish(scope);
    every
}

pub(super) fn admin(reader: &mut Reader<'_>, top: &mut Scope<'_>) -> Vec<Located<AdminAt>> {
    let mut scope = reader.table_or_defaults(top, "admin");
    let places: Vec<Located<AdminAt>> = reader.texts(&mut scope, "listen", str::parse);
    for (i, place) in places.iter().enumerate() {
        if places[..i].iter().any(|other| other.value == place.value) {
            reader.error(place.at, "this stands here twice; leave one of the two out");
        } else if place.value == AdminAt::Off && places.len() > 1 {
            reader.error(place.at, "`off` stands alone");
        }
    }
    reader.finish(scope);
    places
}

pub(super) fn logs(reader: &mut Reader<'_>, top: &mut Scope<'_>) -> Logs {
    let mut scope = reader.table_or_defaults(top, "log");
    let access = reader.text(&mut scope, "access", logs::access).map_or(AccessLogTo::Off, |to| to.value);
    let format = reader.choice_or(&mut scope, "format", logs::template);
    let fields_at = scope.place("fields");
    let fields = reader.texts(&mut scope, "fields", logs::field);
    let errors = reader.text(&mut scope, "errors", logs::errors).map_or(Target::Stderr, |to| to.value);
    let least = logs::least(reader.choice(&mut scope, "level").unwrap_or_default());
    reader.finish(scope);
    let format = match (format, fields_at) {
        (Some(Choice::Of("combined")), None) => Format::Combined,
        (Some(Choice::Open(template)), None) => template,
        (Some(Choice::Of("json")) | None, None) => Format::default(),
        // A format that cannot be read has been said.
        (Some(Choice::Of("json")) | None, Some(_)) => {
            Format::Json(fields.into_iter().map(|field| field.value).collect())
        }
        (Some(_), Some(at)) => {
            reader.error(at, "`log.fields` chooses the fields of a line of JSON; another format has its own");
            Format::default()
        }
        (Some(Choice::Of(_)), None) => Format::default(),
    };
    Logs { access, format, errors, least }
}

pub(super) fn overload(reader: &mut Reader<'_>, top: &mut Scope<'_>) -> Overload {
    let mut scope = reader.table_or_defaults(top, "overload");
    let mut overload = Overload::default();
    let size = |text: &str| Some(units::size(text).map(Memory::Bytes));
    overload.memory = match reader.choice_or(&mut scope, "memory", size) {
        Some(Choice::Open(memory)) => memory,
        Some(Choice::Of("none")) => Memory::Unlimited,
        _ => Memory::Group,
    };
    let mut before = ("", 1);
    for (name, step) in [
        ("no_keep_alive", &mut overload.no_keep_alive_percent),
        ("refuse", &mut overload.refuse_percent),
        ("close_idle", &mut overload.close_idle_percent),
        ("stop_accept", &mut overload.stop_accept_percent),
    ] {
        *step = reader.count(&mut scope, name).map(number);
        let Some(percent) = *step else { continue };
        if percent < before.1 {
            let at = scope.place(name).or(scope.place(before.0)).unwrap_or(scope.at);
            let (milder, from) = before;
            reader.error(
                at,
                format!(
                    "`overload.{name}` begins at {percent} per cent, before `overload.{milder}`, which begins at {from}; give \
                     them in order"
                ),
            );
        }
        before = (name, percent);
    }
    reader.finish(scope);
    overload
}

/// What holds where nobody says anything else, and the most connections, which are nobody else's.
pub(super) fn settings(reader: &mut Reader<'_>, top: &mut Scope<'_>) -> (Terms, Connections) {
    let mut all = settings::keys(reader, top, "");
    let trusted: Vec<Located<Network>> = reader.texts(top, "trusted_proxies", str::parse);
    let trail = match reader.choice(top, "client_from") {
        Some("forwarded") => Trail::Forwarded,
        _ => Trail::XForwardedFor,
    };
    let mut connections = Connections::default();
    for table in settings::TABLES {
        let mut below = reader.table_or_defaults(top, table);
        all.extend(settings::keys(reader, &mut below, table));
        if table == "limits" {
            connections.max = reader.count(&mut below, "connections_max").map(number);
            connections.per_source_max = reader.count(&mut below, "connections_per_source_max").map(number);
        }
        reader.finish(below);
    }
    let mut terms = settings::within(&Terms::default(), &[&all]);
    terms.engine.trusted_proxies = trusted.into_iter().map(|network| network.value).collect();
    terms.engine.trail = trail;
    (terms, connections)
}

/// The table's range is far below any overflow.
pub(super) fn number<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}

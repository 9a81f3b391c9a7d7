//! What may be said at several levels, the nearest of which holds: times, sizes, retries. At the top level everything
//! has a value; what a site, an upstream or a route says of it is a list of [`Said`].

use super::{
    reader::{Located, Reader, Scope, Value},
    source::At,
};
use corelane_engine::{Settings, Underscores};
use std::time::Duration;

use Set::{Choice, Flag, Number, NumberOrNone, Numbers, Time, TimeOrNone};
use Since::{Connection, Route};

/// What an exchange is held to: by the engine, and by us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) engine: Settings,
    /// Answers after which another endpoint is tried.
    pub(crate) retry_on: Vec<u16>,
}

/// When a setting begins to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// Before a request has a host, so that it is the same for all sites of an address.
    Connection,
    /// Once there is a route.
    Route,
}

/// A key that may stand at several levels.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Empty where it stands by itself.
    table: &'static str,
    key: &'static str,
    since: Since,
    set: Set,
}

/// What it sets, by the kind of its value.
#[derive(Debug)]
enum Set {
    Time(fn(&mut Terms, Duration)),
    TimeOrNone(fn(&mut Terms, Option<Duration>)),
    Number(fn(&mut Terms, u64)),
    NumberOrNone(fn(&mut Terms, Option<u64>)),
    Numbers(fn(&mut Terms, &[u64])),
    Choice(fn(&mut Terms, &str)),
    Flag(fn(&mut Terms, bool)),
}

impl Setting {
    /// As an operator calls it.
    pub(crate) fn name(&self) -> String {
        if self.table.is_empty() { self.key.to_owned() } else { format!("{}.{}", self.table, self.key) }
    }
}

/// What one level says of a setting.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) setting: &'static Setting,
    pub(crate) at: At,
    value: Value,
}

impl Said {
    pub(crate) fn apply(&self, terms: &mut Terms) {
        match (&self.setting.set, &self.value) {
            (Time(set), Value::Time(Some(time))) => set(terms, *time),
            (TimeOrNone(set), Value::Time(time)) => set(terms, *time),
            (Number(set), Value::Number(Some(number))) => set(terms, *number),
            (NumberOrNone(set), Value::Number(number)) => set(terms, *number),
            (Numbers(set), Value::Numbers(numbers)) => set(terms, numbers),
            (Choice(set), Value::Choice(choice)) => set(terms, choice),
            (Flag(set), Value::Flag(flag)) => set(terms, *flag),
            _ => {}
        }
    }

    /// Whether it holds before a request has a host.
    pub(crate) fn is_connections(&self) -> bool {
        self.setting.since == Connection
    }
}

/// What holds at a level: what holds around it, and what it says itself.
pub(crate) fn within(around: &Terms, levels: &[&[Said]]) -> Terms {
    let mut terms = around.clone();
    for said in levels.iter().copied().flatten() {
        said.apply(&mut terms);
    }
    terms
}

/// What a table says: those of its own keys that are settings, and those of the tables below it.
pub(crate) fn said(reader: &mut Reader<'_>, scope: &mut Scope<'_>) -> Vec<Said> {
    let mut all = keys(reader, scope, "");
    for table in TABLES {
        if let Some(mut below) = scope.has_key(table).then(|| reader.table(scope, table)).flatten() {
            all.extend(keys(reader, &mut below, table));
            reader.finish(below);
        }
    }
    all
}

/// Those of one table, in the order of [`ALL`].
pub(crate) fn keys(reader: &mut Reader<'_>, scope: &mut Scope<'_>, table: &str) -> Vec<Said> {
    let mut all = Vec::new();
    for setting in ALL.iter().filter(|setting| setting.table == table) {
        if scope.has_key(setting.key)
            && let Some(Located { at, value }) = reader.value(scope, setting.key)
        {
            all.push(Said { setting, at, value });
        }
    }
    all
}

/// How long an upstream connection may idle is its upstream's, not its requests'.
pub(crate) fn take_upstream_idle(said: &mut Vec<Said>) -> Option<(At, Duration)> {
    let at =
        said.iter().position(|one| one.setting.table == "timeouts" && one.setting.key == "upstream_idle")?;
    match said.remove(at) {
        Said { at, value: Value::Time(Some(idle)), .. } => Some((at, idle)),
        _ => None,
    }
}

pub(super) const TABLES: [&str; 3] = ["timeouts", "limits", "retry"];

const fn setting(table: &'static str, key: &'static str, since: Since, set: Set) -> Setting {
    Setting { table, key, since, set }
}

/// Every one of them.
static ALL: [Setting; 35] = [
    setting("", "content_max", Route, NumberOrNone(|t, max| t.engine.content_bytes_max = max)),
    setting(
        "",
        "underscores",
        Connection,
        Choice(|t, choice| t.engine.limits.underscores = underscores(choice)),
    ),
    setting("", "abort_on_half_close", Route, Flag(|t, aborts| t.engine.abort_on_half_close = aborts)),
    setting("timeouts", "connect", Route, Time(|t, time| t.engine.timeouts.connect = time)),
    setting("timeouts", "client_head", Connection, Time(|t, time| t.engine.timeouts.client_head = time)),
    setting("timeouts", "upstream_head", Route, Time(|t, time| t.engine.timeouts.upstream_head = time)),
    setting("timeouts", "between_bytes", Route, Time(|t, time| t.engine.timeouts.between_bytes = time)),
    setting("timeouts", "request", Route, TimeOrNone(|t, time| t.engine.timeouts.request = time)),
    setting("timeouts", "client_idle", Connection, Time(|t, time| t.engine.timeouts.client_idle = time)),
    setting("timeouts", "upstream_idle", Connection, Time(|t, time| t.engine.timeouts.upstream_idle = time)),
    setting("timeouts", "tunnel_idle", Route, Time(|t, time| t.engine.timeouts.tunnel_idle = time)),
    setting("timeouts", "expect", Route, Time(|t, time| t.engine.timeouts.expect = time)),
    setting(
        "timeouts",
        "content_rate_min",
        Route,
        Number(|t, rate| t.engine.timeouts.content_rate_min = rate),
    ),
    setting(
        "timeouts",
        "content_rate_grace",
        Route,
        Time(|t, time| t.engine.timeouts.content_rate_grace = time),
    ),
    setting("timeouts", "linger", Connection, Time(|t, time| t.engine.timeouts.linger = time)),
    setting("timeouts", "linger_max", Connection, Number(|t, max| t.engine.timeouts.linger_bytes_max = max)),
    setting("timeouts", "drain_grace", Connection, Time(|t, time| t.engine.timeouts.drain_grace = time)),
    setting(
        "limits",
        "request_line_max",
        Connection,
        Number(|t, max| t.engine.limits.request_line_bytes_max = small(max)),
    ),
    setting(
        "limits",
        "method_max",
        Connection,
        Number(|t, max| t.engine.limits.method_bytes_max = small(max)),
    ),
    setting(
        "limits",
        "request_head_max",
        Connection,
        Number(|t, max| t.engine.limits.request_head_bytes_max = small(max)),
    ),
    setting(
        "limits",
        "request_fields_max",
        Connection,
        Number(|t, max| t.engine.limits.request_fields_max = small(max)),
    ),
    setting(
        "limits",
        "response_head_max",
        Route,
        Number(|t, max| t.engine.limits.response_head_bytes_max = small(max)),
    ),
    setting(
        "limits",
        "response_fields_max",
        Route,
        Number(|t, max| t.engine.limits.response_fields_max = small(max)),
    ),
    setting(
        "limits",
        "trailer_max",
        Connection,
        Number(|t, max| t.engine.limits.trailer_bytes_max = small(max)),
    ),
    setting(
        "limits",
        "trailer_fields_max",
        Connection,
        Number(|t, max| t.engine.limits.trailer_fields_max = small(max)),
    ),
    setting(
        "limits",
        "chunk_extension_max",
        Connection,
        Number(|t, max| t.engine.limits.chunk_extension_bytes_max = max),
    ),
    setting(
        "limits",
        "chunk_extension_per_chunk_max",
        Connection,
        Number(|t, max| t.engine.limits.chunk_extension_bytes_per_chunk = max),
    ),
    setting(
        "limits",
        "interim_responses_max",
        Route,
        Number(|t, max| t.engine.limits.interim_responses_max = small(max)),
    ),
    setting(
        "limits",
        "leading_empty_lines_max",
        Connection,
        Number(|t, max| t.engine.limits.leading_empty_lines_max = small(max)),
    ),
    setting(
        "retry",
        "budget",
        Route,
        Number(|t, percent| t.engine.retry_budget_percent = u16::try_from(percent).unwrap_or(u16::MAX)),
    ),
    setting("retry", "attempts", Route, Number(|t, attempts| t.engine.retry.attempts_max = small(attempts))),
    setting(
        "retry",
        "on_status",
        Route,
        Numbers(|t, statuses| t.retry_on = statuses.iter().copied().map(small).collect()),
    ),
    setting("retry", "on_timeout", Route, Flag(|t, on| t.engine.retry.on_status_or_timeout = on)),
    setting("retry", "on_failure", Route, Flag(|t, on| t.engine.retry.on_fresh_connection = on)),
    setting("retry", "replay_max", Route, Number(|t, max| t.engine.replay_bytes_max = small(max))),
];

fn underscores(choice: &str) -> Underscores {
    match choice {
        "drop" => Underscores::Drop,
        "pass" => Underscores::Pass,
        _ => Underscores::Reject,
    }
}

/// The table's range is far below any overflow.
fn small<T: TryFrom<u64> + Default>(number: u64) -> T {
    T::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of them changes something that no other one changes.
    #[test]
    fn every_setting_sets_something_of_its_own() {
        let mut seen = Vec::new();
        for setting in &ALL {
            let value = match setting.set {
                Time(_) | TimeOrNone(_) => Value::Time(Some(Duration::from_millis(123_456))),
                Number(_) | NumberOrNone(_) => Value::Number(Some(123_456)),
                Choice(_) => Value::Choice("pass"),
                Numbers(_) => Value::Numbers(vec![503]),
                Flag(_) => Value::Flag(true),
            };
            let said = Said { setting, at: At::default(), value };
            let settings = within(&Terms::default(), &[&[said]]);
            assert_ne!(settings, Terms::default(), "{}", setting.name());
            assert!(!seen.contains(&settings), "{}", setting.name());
            seen.push(settings);
        }
    }
}

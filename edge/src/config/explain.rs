//! What holds, and why: every value with its origin, and what becomes of one request.

use super::{
    Loaded,
    data::{Action, Config, Route, Site},
    settings::Terms,
};
use crate::{
    gateway::Table,
    rates::{Limits, RateRule},
    router::is_plain,
    units,
};
use corelane_engine::{Method, RequestHead, Timeouts};
use std::{fmt::Write, sync::Arc};

/// Every value that holds, one on a line, with where it was set.
pub(crate) fn all(loaded: &Loaded) -> String {
    let width = loaded.notes.iter().map(|note| note.path.chars().count()).max().unwrap_or_default().min(48);
    let mut text = String::new();
    for note in &loaded.notes {
        let origin = match note.origin {
            Some(at) => loaded.files.line(at),
            None => "default".to_owned(),
        };
        writeln!(text, "{:<width$} = {}  # {origin}", note.path, note.text)
            .expect("a string takes everything");
    }
    text
}

/// A request as it is asked about.
#[derive(Debug)]
pub(crate) struct Asked {
    head: RequestHead,
    port: u16,
    url: String,
}

impl Asked {
    /// Of a method, a URL and more fields, each `name: value`.
    pub(crate) fn new(method: &str, url: &str, fields: &[String]) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or("expected a URL, such as http://example.com/path")?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| "expected a number for the port")?)
            }
            _ => (authority, 80),
        };
        if host.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("expected a URL as it is sent, such as http://example.com/path".to_owned());
        }
        let mut head = RequestHead::new();
        head.method = Method::from_bytes(method.as_bytes()).map_err(|_| "expected a method, such as GET")?;
        let target = target.split('#').next().unwrap_or_default();
        let slash = if target.starts_with('/') { "" } else { "/" };
        head.target = format!("{slash}{target}").into_bytes();
        head.fields.try_append("host", authority).map_err(|error| error.to_string())?;
        for field in fields {
            let (name, value) = field.split_once(':').ok_or("expected a field, such as 'x-name: value'")?;
            head.fields.try_append(name.trim(), value.trim()).map_err(|error| error.to_string())?;
        }
        Ok(Self { head, port, url: url.to_owned() })
    }
}

/// Which site, which route and which upstream a request gets, and why the other routes do not get it.
pub(crate) fn request(loaded: Loaded, asked: &Asked) -> String {
    let Loaded { config, files, .. } = loaded;
    let config = Arc::new(config);
    let has_port = |site: &Site| site.listen.iter().any(|listen| listen.port() == Some(asked.port));
    // A unix socket has no port, and is asked when no port is meant.
    let has_socket = |site: &Site| site.listen.iter().any(|listen| listen.port().is_none());
    let is_on_port = config.sites.iter().any(has_port);
    let listens = |site: &Site| if is_on_port { has_port(site) } else { has_socket(site) };
    let table = Table::new(config.clone(), &Limits::default(), listens);
    let mut text = format!("{} {}\n", asked.head.method, asked.url);
    let mut line = |what: &str, says: &str| {
        writeln!(text, "{what:<10}{says}").expect("a string takes everything");
    };
    if !config.sites.iter().any(listens) {
        line("refused", &format!("no site listens on port {}", asked.port));
        return text;
    }
    let found = table.site(asked.head.authority());
    let route = found.and_then(|(number, site)| Some((table.route(number, &asked.head)?, site)));
    match found {
        Some((_, site)) => line("site", &format!("{}  # {}", hosts(site), files.line(site.at))),
        None => line("404", "no site has this host"),
    }
    if let Some((_, site)) = found {
        if site.strict_paths && !is_plain(asked.head.path()) {
            line("400", "the path can be read as another one, and the site has strict_paths");
            return text;
        }
        match route.and_then(|(number, site)| site.routes.get(number)) {
            Some(route) => {
                line("route", &format!("{}  # {}", conditions(route), files.line(route.at)));
                for does in action(&config, route) {
                    line("does", &does);
                }
            }
            None => line("404", "no route of the site takes it"),
        }
        for (number, other) in site.routes.iter().enumerate() {
            if route.is_none_or(|(won, _)| won != number) {
                let why = other.conditions.failing(&asked.head);
                let why = match (takes_path(other, &asked.head), why) {
                    (false, _) => "another path",
                    (true, Some(why)) => why,
                    (true, None) => "less specific, or later in the file",
                };
                line("lost", &format!("{}  # {}: {why}", conditions(other), files.line(other.at)));
            }
        }
    }
    for (number, other) in config.sites.iter().enumerate() {
        if found.is_none_or(|(won, _)| won != number) {
            let why = if listens(other) { "another host" } else { "another port" };
            line("lost", &format!("site {}  # {}: {why}", hosts(other), files.line(other.at)));
        }
    }
    text
}

fn takes_path(route: &Route, head: &RequestHead) -> bool {
    route.paths.is_empty() || route.paths.iter().any(|path| path.matches(head.path()))
}

fn hosts(site: &Site) -> String {
    match site.hosts.is_empty() {
        true => "any host".to_owned(),
        false => site.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// A route by its conditions.
fn conditions(route: &Route) -> String {
    let mut text = match route.paths.is_empty() {
        true => "any path".to_owned(),
        false => route.paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    for method in &route.conditions.methods {
        write!(text, " {method}").expect("a string takes everything");
    }
    for (name, _) in &route.conditions.fields {
        write!(text, " header {name}").expect("a string takes everything");
    }
    for (name, _) in &route.conditions.parameters {
        write!(text, " query {}", String::from_utf8_lossy(name)).expect("a string takes everything");
    }
    text
}

/// What a route does, in its order.
fn action(config: &Config, route: &Route) -> Vec<String> {
    let rules = &route.rules;
    let mut all = Vec::new();
    if !rules.allow.is_empty() || !rules.deny.is_empty() {
        all.push("403 for clients that are not allowed".to_owned());
    }
    if let Some(RateRule { rate, .. }) = &rules.rate_limit {
        all.push(format!("429 for more than {}, {} at once, by {}", rate.per, rate.burst, rate.by));
    }
    if let Some(auth) = &rules.auth {
        all.push(format!("401 for clients that are not users of \"{}\"", auth.realm));
    }
    match &route.action {
        Action::Forward(forward) => {
            if let Some(upstream) = config.upstreams.get(forward.upstream) {
                let to: Vec<String> = upstream.to.iter().map(ToString::to_string).collect();
                let balance = &upstream.balance;
                all.push(format!("forward to {} ({balance} of {})", upstream.name, to.join(", ")));
                all.extend(held_to(&route.terms));
            }
        }
        Action::Redirect { status, .. } => all.push(format!("redirect with {}", status.as_u16())),
        Action::Respond { status, .. } => all.push(format!("answer with {}", status.as_u16())),
    }
    all
}

/// Times, sizes and retries, whoever said them.
fn held_to(terms: &Terms) -> [String; 3] {
    let settings = &terms.engine;
    let Timeouts { connect, upstream_head, between_bytes, request, .. } = &settings.timeouts;
    let request = request.map_or("no limit".to_owned(), |request| format!("at most {request:?}"));
    let retry = &settings.retry;
    let mut tried = match retry.attempts_max {
        0 | 1 => "try once".to_owned(),
        attempts => format!("try at most {attempts} times"),
    };
    for (is_so, when) in
        [(retry.on_status_or_timeout, "after a timeout"), (retry.on_fresh_connection, "after a failure")]
    {
        if is_so && retry.attempts_max > 1 {
            write!(tried, ", also {when}").expect("a string takes everything");
        }
    }
    if !terms.retry_on.is_empty() && retry.attempts_max > 1 {
        let statuses: Vec<String> = terms.retry_on.iter().map(u16::to_string).collect();
        write!(tried, ", also after {}", statuses.join(", ")).expect("a string takes everything");
    }
    [
        format!(
            "wait {connect:?} to connect, {upstream_head:?} for the head, {between_bytes:?} between bytes, {request} in all"
        ),
        tried,
        match settings.content_bytes_max {
            Some(max) => format!("take at most {} of content", units::size_text(max)),
            None => "take any amount of content".to_owned(),
        },
    ]
}

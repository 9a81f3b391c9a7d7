//! Reads routes.

use super::{Reader, Scope, Upstreams, rules};
use crate::{
    config::{
        data::{Action, Forward, Route, Rules},
        reader::Located,
        settings::{self, Terms},
        source::At,
        values::{self, Template},
    },
    router::{Conditions, Expect, PathPattern},
    words::quote,
};
use corelane_engine::StatusCode;
use std::{collections::HashMap, time::Duration};

/// Keys of which a route has exactly one.
const ACTIONS: [&str; 4] = ["to", "upstream", "redirect", "respond"];

pub(super) fn routes(
    reader: &mut Reader<'_>,
    site: &mut Scope<'_>,
    around: (&str, &Rules, &Terms),
    upstreams: &mut Upstreams,
) -> Vec<Route> {
    let mut routes = Vec::new();
    let mut seen: HashMap<String, At> = HashMap::new();
    for scope in reader.tables(site, "route") {
        let route = route(reader, scope, around, upstreams);
        for what in what_it_takes(&route) {
            if let Some(first) = seen.insert(what, route.at) {
                let place = reader.files.line(first);
                let says =
                    format!("the route at {place} takes the same requests, so that this one gets none");
                reader.error(route.at, says);
            }
        }
        routes.push(route);
    }
    routes
}

/// A line for each of its paths: routes with the same line take the same requests.
fn what_it_takes(route: &Route) -> Vec<String> {
    let Conditions { methods, fields, parameters } = &route.conditions;
    let rest = format!("{methods:?}{fields:?}{parameters:?}");
    if route.paths.is_empty() {
        return vec![rest];
    }
    route.paths.iter().map(|path| format!("{path} {rest}")).collect()
}

fn route(
    reader: &mut Reader<'_>,
    mut scope: Scope<'_>,
    (owner, site, around): (&str, &Rules, &Terms),
    upstreams: &mut Upstreams,
) -> Route {
    let at = scope.at;
    let paths: Vec<Located<PathPattern>> = reader.texts(&mut scope, "path", str::parse);
    for (i, path) in paths.iter().enumerate() {
        if paths[..i].iter().any(|other| other.value == path.value) {
            reader.error(path.at, format!("`{}` stands here twice; leave one of the two out", path.value));
        }
    }
    let mut paths: Vec<PathPattern> = paths.into_iter().map(|path| path.value).collect();
    paths.sort();
    paths.dedup();
    let conditions = conditions(reader, &mut scope);
    let mut said = settings::said(reader, &mut scope);
    let idle = settings::take_upstream_idle(&mut said);
    let action = action(reader, &mut scope, upstreams, idle);
    let own = rules::rules(reader, &mut scope, &format!("{owner} {paths:?} {conditions:?}"));
    reader.finish(scope);
    let upstream = match &action {
        Action::Forward(forward) => upstreams.said(forward.upstream),
        _ => &[],
    };
    let terms = settings::within(around, &[upstream, &said]);
    Route { at, paths, conditions, action, rules: rules::inherit(own, site), terms }
}

fn conditions(reader: &mut Reader<'_>, scope: &mut Scope<'_>) -> Conditions {
    let methods = reader.texts(scope, "method", values::method);
    let methods = methods.into_iter().map(|method| method.value).collect();
    let mut conditions = Conditions { methods, ..Conditions::default() };
    for (name, values) in reader.pairs(scope, "header") {
        match values::field_name(&name.value) {
            Ok(field) => {
                conditions
                    .fields
                    .extend(values.into_iter().map(|value| (field.clone(), expect(&value.value))));
            }
            Err(_) => reader.error(
                name.at,
                format!("{} cannot be a condition: it is no field that a route sees", quote(&name.value)),
            ),
        }
    }
    for (name, values) in reader.pairs(scope, "query") {
        if !is_query(&name.value) || name.value.contains('=') {
            reader.error(name.at, format!("{} cannot be in a query as it is sent", quote(&name.value)));
        }
        for value in values {
            if !is_query(&value.value) {
                reader.error(value.at, format!("{} cannot be in a query as it is sent", quote(&value.value)));
            }
            conditions.parameters.push((name.value.as_bytes().into(), expect(&value.value)));
        }
    }
    conditions
}

fn expect(value: &str) -> Expect {
    if value == "*" { Expect::Any } else { Expect::Exactly(value.as_bytes().into()) }
}

/// Parameters are compared undecoded, so what cannot be sent would never match.
fn is_query(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !b"&#".contains(&byte))
}

fn action(
    reader: &mut Reader<'_>,
    scope: &mut Scope<'_>,
    upstreams: &mut Upstreams,
    idle: Option<(At, Duration)>,
) -> Action {
    let there: Vec<(&str, At)> =
        ACTIONS.iter().filter_map(|name| Some((*name, scope.place(name)?))).collect();
    match there.as_slice() {
        [] => reader.error(
            scope.at,
            "the route does nothing; expected `to`, `upstream`, `redirect` or `respond`, such as to = [\"127.0.0.1:9001\"]",
        ),
        [(first, _), others @ ..] => {
            for (other, at) in others {
                reader.error(*at, format!("`{first}` and `{other}` are two actions; a route has one"));
            }
        }
    }
    let redirect = redirect(reader, scope);
    let respond = respond(reader, scope);
    let forward = forward(reader, scope, upstreams, idle);
    if redirect.is_some() || respond.is_some() {
        for name in ["balance", "connections_max", "queue", "source", "strip", "rewrite", "request", "retry"]
        {
            if let Some(at) = scope.place(name) {
                reader.error(at, format!("`{name}` has no meaning in a route that forwards nothing"));
            }
        }
    }
    redirect.or(respond).unwrap_or(Action::Forward(forward))
}

fn forward(
    reader: &mut Reader<'_>,
    scope: &mut Scope<'_>,
    upstreams: &mut Upstreams,
    idle: Option<(At, Duration)>,
) -> Forward {
    // Where none can be found, that has been said.
    let upstream = upstreams.of_route(reader, scope, idle).unwrap_or_default();
    let strip = reader.text(scope, "strip", values::plain_path).map(|strip| strip.value);
    let rewrite = reader.text(scope, "rewrite", Template::path).map(|rewrite| rewrite.value);
    Forward { upstream, strip, rewrite }
}

fn redirect(reader: &mut Reader<'_>, scope: &mut Scope<'_>) -> Option<Action> {
    let mut scope = reader.table(scope, "redirect")?;
    let to = reader.text(&mut scope, "to", Template::location);
    let at = scope.place("status").unwrap_or(scope.at);
    let status = reader.count(&mut scope, "status").unwrap_or(308);
    if ![301, 302, 303, 307, 308].contains(&status) && (300..=308).contains(&status) {
        reader.error(at, format!("{status} is no status of a redirect; expected 301, 302, 303, 307 or 308"));
    }
    reader.finish(scope);
    let to = to.map(|to| to.value).or_else(|| Template::location("/").ok())?;
    Some(Action::Redirect { to, status: status_code(status) })
}

fn respond(reader: &mut Reader<'_>, scope: &mut Scope<'_>) -> Option<Action> {
    let mut scope = reader.table(scope, "respond")?;
    let at = scope.place("body");
    let status = reader.count(&mut scope, "status").unwrap_or(200);
    let body = reader.text(&mut scope, "body", |text| Ok(text.to_owned())).map(|body| body.value);
    let body = body.unwrap_or_default();
    let media_type = reader.text(&mut scope, "type", values::field_value).map(|value| value.value);
    if let Some(at) = at
        && [204, 205, 304].contains(&status)
        && !body.is_empty()
    {
        reader.error(at, format!("an answer with status {status} has no content (RFC 9110)"));
    }
    reader.finish(scope);
    Some(Action::Respond { status: status_code(status), body, media_type: media_type.unwrap_or_default() })
}

fn status_code(status: u64) -> StatusCode {
    u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK)
}

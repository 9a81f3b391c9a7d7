//! Reads what a site and a route may both say.

use super::{Reader, Scope, general::number};
use crate::{
    auth,
    balance::By,
    config::{
        data::{BasicAuth, Page, Rules},
        reader::{Located, Pairs},
        values::{self, Edits, User},
    },
    rates::{Per, Rate, RateRule},
    words::quote,
};
use corelane_engine::Network;

/// What one of them says itself. The owner is what the site or the route is for.
pub(super) fn rules(reader: &mut Reader<'_>, scope: &mut Scope<'_>, owner: &str) -> Rules {
    Rules {
        allow: networks(reader, scope, "allow"),
        deny: networks(reader, scope, "deny"),
        auth: basic_auth(reader, scope),
        rate_limit: rate_limit(reader, scope, owner),
        request: edits(reader, scope, "request"),
        response: edits(reader, scope, "response"),
        pages: pages(reader, scope),
    }
}

/// The rules of a route within its site.
pub(super) fn inherit(route: Rules, site: &Rules) -> Rules {
    let networks = |own: Vec<Network>, site: &Vec<Network>| if own.is_empty() { site.clone() } else { own };
    let edits = |own: Edits, site: &Edits| Edits {
        remove: [site.remove.clone(), own.remove].concat(),
        // What the route sets stands where the site set something else.
        set: [site.set.clone(), own.set].concat(),
        add: [site.add.clone(), own.add].concat(),
    };
    Rules {
        allow: networks(route.allow, &site.allow),
        deny: networks(route.deny, &site.deny),
        auth: route.auth.or_else(|| site.auth.clone()),
        rate_limit: route.rate_limit.or_else(|| site.rate_limit.clone()),
        request: edits(route.request, &site.request),
        response: edits(route.response, &site.response),
        pages: [route.pages, site.pages.clone()].concat(),
    }
}

fn networks(reader: &mut Reader<'_>, scope: &mut Scope<'_>, name: &'static str) -> Vec<Network> {
    reader.texts(scope, name, str::parse).into_iter().map(|network| network.value).collect()
}

fn basic_auth(reader: &mut Reader<'_>, scope: &mut Scope<'_>) -> Option<BasicAuth> {
    let mut scope = reader.table(scope, "basic_auth")?;
    let realm = reader.text(&mut scope, "realm", |text| match values::field_value(text) {
        Ok(realm) if !realm.contains(['"', '\\']) && realm.is_ascii() => Ok(realm),
        _ => Err("expected ASCII without quotes, such as \"staff\"".to_owned()),
    });
    let at = scope.place("users").unwrap_or(scope.at);
    let is_there = scope.place("users").is_some();
    let pairs = reader.pairs(&mut scope, "users");
    if is_there && pairs.is_empty() {
        reader.error(at, "`users` is empty: nobody could come in");
    }
    let users = users(reader, pairs);
    reader.finish(scope);
    Some(BasicAuth { realm: realm?.value, users })
}

fn rate_limit(reader: &mut Reader<'_>, scope: &mut Scope<'_>, owner: &str) -> Option<RateRule> {
    let mut scope = reader.table(scope, "rate_limit")?;
    let per: Option<Located<Per>> = reader.text(&mut scope, "rate", str::parse);
    let burst = reader.count(&mut scope, "burst");
    let by: Option<Located<By>> = reader.text(&mut scope, "by", str::parse);
    let keys_max = reader.count(&mut scope, "keys_max");
    let at = scope.place("burst").unwrap_or(scope.at);
    reader.finish(scope);
    let Located { value: per, .. } = per?;
    let burst = burst.map_or(per.count, number);
    let rate = Rate { per, burst, by: by?.value, keys_max: number(keys_max?) };
    if !rate.is_possible() {
        reader.error(at, format!("a burst of {burst} takes more than a lifetime to come back at this rate"));
    }
    Some(RateRule { owner: owner.to_owned(), rate })
}

fn users(reader: &mut Reader<'_>, pairs: Pairs) -> Vec<User> {
    let mut users = Vec::new();
    for (name, hashes) in pairs {
        if name.value.is_empty() || name.value.contains(':') || name.value.chars().any(char::is_control) {
            reader.error(name.at, "a user's name is not empty and has no colon");
        }
        for Located { at, value: hash } in hashes {
            match auth::check_hash(&hash) {
                Ok(()) => users.push(User { name: name.value.clone(), hash }),
                Err(says) => reader.error(at, format!("the hash of {}: {says}", quote(&name.value))),
            }
        }
    }
    users
}

fn edits(reader: &mut Reader<'_>, scope: &mut Scope<'_>, message: &'static str) -> Edits {
    let Some(mut below) = reader.table(scope, message) else { return Edits::default() };
    let mut edits = Edits::default();
    if let Some(mut header) = reader.table(&mut below, "header") {
        edits.set = fields(reader, &mut header, "set", message);
        edits.add = fields(reader, &mut header, "add", message);
        for Located { at, value } in reader.texts(&mut header, "remove", values::field_name) {
            match refused("remove", &value, message) {
                Some(says) => reader.error(at, says),
                None => edits.remove.push(value),
            }
        }
        reader.finish(header);
    }
    reader.finish(below);
    edits
}

/// Why a field of a message cannot be changed in this way.
fn refused(how: &str, name: &str, message: &str) -> Option<String> {
    match (how, name) {
        ("add", "host") => Some("`host` cannot be added: a request has one; `set` it".to_owned()),
        ("remove", "host") => {
            Some("`host` cannot be removed: HTTP/1.1 has no request without it; `set` another one".to_owned())
        }
        _ if message == "request" && values::is_written_by_proxy(name) => {
            Some(format!("the proxy itself writes `{name}` into every request"))
        }
        _ => None,
    }
}

fn fields(
    reader: &mut Reader<'_>,
    scope: &mut Scope<'_>,
    how: &'static str,
    message: &str,
) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for (field, values) in reader.pairs(scope, how) {
        let name = match values::field_name(&field.value) {
            Ok(name) => name,
            Err(says) => {
                reader.error(field.at, format!("{} cannot be a field here: {says}", quote(&field.value)));
                continue;
            }
        };
        if let Some(says) = refused(how, &name, message) {
            reader.error(field.at, says);
            continue;
        }
        for Located { at, value } in values {
            let value = if name == "host" { values::host_value(&value) } else { values::field_value(&value) };
            match value {
                Ok(value) => fields.push((name.clone(), value)),
                Err(says) => reader.error(at, format!("the value of `{name}`: {says}")),
            }
        }
    }
    fields
}

fn pages(reader: &mut Reader<'_>, scope: &mut Scope<'_>) -> Vec<Page> {
    let mut pages = Vec::new();
    for (statuses, mut scope) in reader.named(scope, "error_page") {
        let body = reader.text(&mut scope, "body", |text| Ok(text.to_owned()));
        let media_type = reader.text(&mut scope, "type", values::field_value);
        reader.finish(scope);
        match values::statuses(&statuses.value) {
            Err(says) => {
                let quoted = quote(&statuses.value);
                reader.error(statuses.at, format!("{quoted} is no status of an error: {says}"));
            }
            Ok(statuses) => {
                let page = |(body, media_type): (Located<String>, Located<String>)| Page {
                    statuses,
                    body: body.value,
                    media_type: media_type.value,
                };
                pages.extend(body.zip(media_type).map(page));
            }
        }
    }
    // One status is more specific than a hundred of them.
    pages.sort_by_key(|page: &Page| page.statuses.1 - page.statuses.0);
    pages
}

//! Answers of our own, and what becomes of every answer.

use super::changes::edit;
use crate::config::{
    data::{BasicAuth, Page, Rules},
    values::{Filling, Template},
};
use corelane_engine::{Error, RequestHead, Response, Result, Side, StatusCode};
use std::time::Duration;

/// What holds for every answer: an error page in its place, and changes of its fields.
pub(super) fn finish(rules: &Rules, answer: Result<Response>) -> Result<Response> {
    let mut response = match answer {
        Ok(response) => response,
        // What is the client's fault in the middle of its own message is for the engine to say.
        Err(error) if error.side() == Side::Downstream => return Err(error),
        Err(error) if page(rules, error.status()).is_none() && rules.response.is_empty() => {
            return Err(error);
        }
        Err(error) => plain(error.status()),
    };
    if let Some(page) = page(rules, response.status()) {
        for name in [
            "content-encoding",
            "content-range",
            "content-language",
            "accept-ranges",
            "etag",
            "last-modified",
        ] {
            response.fields_mut().remove(name);
        }
        response.set_body(page.body.clone());
        let _ = response.fields_mut().try_set("content-type", &page.media_type);
    }
    edit(response.fields_mut(), &rules.response);
    Ok(response)
}

fn page(rules: &Rules, status: StatusCode) -> Option<&Page> {
    rules.pages.iter().find(|page| (page.statuses.0..=page.statuses.1).contains(&status.as_u16()))
}

/// As the engine answers an error.
fn plain(status: StatusCode) -> Response {
    let mut response = Response::text(
        status,
        format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or("error")),
    );
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.fields_mut().append("retry-after", "1");
    }
    response
}

pub(super) fn challenge(auth: &BasicAuth) -> Response {
    let mut response = plain(StatusCode::UNAUTHORIZED);
    let realm = &auth.realm;
    let _ = response
        .fields_mut()
        .try_append("www-authenticate", format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
    response
}

/// Where a client is sent; `None` if that depends on a host that it has not said.
pub(super) fn location(to: &Template, head: &RequestHead) -> Option<String> {
    let text = |bytes| str::from_utf8(bytes).unwrap_or_default();
    let host = host_of(text(head.authority()));
    // `OPTIONS *` is about no path.
    let path = if head.path() == b"*" { "/" } else { text(head.path()) };
    let location = to.fill(&Filling { host, path, query: head.query().map(text) });
    if host.is_empty() && to.names_host() {
        return None;
    }
    // A client takes `//name` for another host, whatever it was that put the second slash there.
    match location.strip_prefix('/') {
        Some(rest) => Some(format!("/{}", rest.trim_start_matches(['/', '\\']))),
        None => Some(location),
    }
}

pub(super) fn redirect(status: StatusCode, location: Option<String>) -> Result<Response> {
    let refused = || Error::status_of(StatusCode::BAD_REQUEST);
    let mut response = Response::new(status);
    response.fields_mut().try_append("location", location.ok_or_else(refused)?).map_err(|_| refused())?;
    Ok(response)
}

pub(super) fn respond(status: StatusCode, body: &str, media_type: &str) -> Result<Response> {
    let mut response = Response::new(status);
    if !body.is_empty() {
        response.set_body(body.to_owned());
        let _ = response.fields_mut().try_append("content-type", media_type);
    }
    Ok(response)
}

/// Without a port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

/// More came than may.
pub(super) fn too_many(wait: Duration) -> Response {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.fields_mut().append("retry-after", seconds.max(1).to_string());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_where_they_are_meant_to_go() {
        let to = |template: &str, host: &str, target: &str| {
            let mut head = RequestHead::new();
            head.target = target.into();
            head.fields.append("host", host);
            location(&Template::location(template).unwrap(), &head)
        };
        let all = "https://{host}{path}{query}";
        assert_eq!(to(all, "a.b:80", "/x?y=1").as_deref(), Some("https://a.b/x?y=1"));
        assert_eq!(to(all, "a.b", "*").as_deref(), Some("https://a.b/"));
        assert_eq!(to(all, "", "/x"), None);
        assert_eq!(to("https://c.d{path}", "", "//x").as_deref(), Some("https://c.d//x"));
        for open in ["{path}/", "/{path}/"] {
            assert_eq!(to(open, "a.b", "//evil.example/x").as_deref(), Some("/evil.example/x/"));
        }
        assert_eq!(to("{path}", "a.b", "/\\evil.example").as_deref(), Some("/evil.example"));
    }

    #[test]
    fn hosts_lose_their_ports() {
        for (authority, host) in
            [("a.b:80", "a.b"), ("a.b", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")]
        {
            assert_eq!(host_of(authority), host);
        }
    }
}

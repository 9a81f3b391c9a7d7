//! What `corelane run` serves with: one for each lane and address. It chooses a site and a route, and does what they
//! say.

use crate::{
    auth::{Gatekeeper, Memory, Verifier},
    config::{
        data::{Action, BasicAuth, Config, Forward, Rules, Site},
        values::{Edits, Filling, Template},
    },
    router::{Hosts, Paths, is_plain},
};
use corelane_engine::{
    Cluster, Error, Fields, Handler, Lane, Network, Request, RequestHead, Response, Result, Settings, Side,
    StatusCode, Upstream,
};
use std::{collections::HashMap, net::IpAddr, rc::Rc, sync::Arc};

/// Which site has which host at one address, and which route which path. Every lane looks into the same one.
#[derive(Debug)]
pub(crate) struct Table {
    config: Arc<Config>,
    hosts: Hosts,
    /// Of every site of the configuration that listens here; others are never asked for.
    paths: Vec<Paths>,
    settings: Held,
}

/// What the routes of an address hold their exchanges to, each different one once.
#[derive(Debug, Default)]
struct Held {
    /// What holds until there is a route.
    listeners: Settings,
    others: Vec<Settings>,
    /// Of each site and route the number among the others, unless the listener's hold.
    of_routes: Vec<Vec<Option<u32>>>,
}

impl Held {
    fn new<'s>(sites: impl Iterator<Item = Option<&'s Site>> + Clone) -> Self {
        let mut listeners =
            sites.clone().flatten().next().map(|site| site.settings.clone()).unwrap_or_default();
        // What is too much for every route need not be read; what may be right for one of them must be.
        let of_routes = sites
            .clone()
            .flatten()
            .flat_map(|site| &site.routes)
            .map(|route| route.settings.content_bytes_max);
        listeners.content_bytes_max =
            of_routes.map(|max| max.unwrap_or(u64::MAX)).max().filter(|max| *max < u64::MAX);
        let mut held = Self { listeners, ..Self::default() };
        let mut seen: HashMap<String, u32> = HashMap::new();
        let mut number = |settings: &Settings| {
            if *settings == held.listeners {
                return None;
            }
            let next = u32::try_from(held.others.len()).ok()?;
            let number = *seen.entry(format!("{settings:?}")).or_insert(next);
            if number == next {
                held.others.push(settings.clone());
            }
            Some(number)
        };
        for site in sites {
            let routes = site.map_or(&[][..], |site| &site.routes);
            held.of_routes.push(routes.iter().map(|route| number(&route.settings)).collect());
        }
        held
    }
}

impl Table {
    /// Of the sites for which `is_here` is true.
    pub(crate) fn new(config: Arc<Config>, is_here: impl Fn(&Site) -> bool) -> Self {
        let here = config.sites.iter().map(|site| Some(site).filter(|site| is_here(site)));
        let settings = Held::new(here);
        let (mut hosts, mut paths) = (Hosts::default(), Vec::new());
        for (number, site) in (0..).zip(&config.sites) {
            if !is_here(site) {
                paths.push(Paths::default());
                continue;
            }
            paths.push(Paths::new(
                site.routes.iter().map(|route| (route.paths.as_slice(), &route.conditions)),
            ));
            let patterns = site.hosts.iter().map(Some).chain(site.hosts.is_empty().then_some(None));
            for pattern in patterns {
                // That no two sites have the same host at one address was seen when the file was read.
                let _ = hosts.insert(pattern, number);
            }
        }
        Self { config, hosts, paths, settings }
    }

    pub(crate) fn site(&self, authority: &[u8]) -> Option<(usize, &Site)> {
        let number = self.hosts.find(authority)? as usize;
        Some((number, self.config.sites.get(number)?))
    }

    /// What exchanges are held to until there is a route.
    pub(crate) fn listener_settings(&self) -> &Settings {
        &self.settings.listeners
    }

    /// The number of the route among its site's.
    pub(crate) fn route(&self, site: usize, head: &RequestHead) -> Option<usize> {
        self.paths.get(site)?.find(head).map(|route| route as usize)
    }
}

/// One lane's.
pub(crate) struct Gateway {
    table: Arc<Table>,
    /// Of the configuration's upstreams those that this address needs.
    upstreams: Vec<Option<Upstream>>,
    /// The table's, for this lane.
    settings: Vec<Rc<Settings>>,
    gatekeeper: Option<Gatekeeper>,
}

impl Gateway {
    pub(crate) fn new(
        lane: &Lane,
        table: Arc<Table>,
        clusters: &[Option<Cluster>],
        verifier: Option<&Verifier>,
        before: Option<&Self>,
    ) -> Self {
        let upstreams = clusters.iter().map(|cluster| Some(lane.upstream(cluster.as_ref()?))).collect();
        let gatekeeper = verifier.map(|verifier| Gatekeeper {
            lane: lane.clone(),
            verifier: verifier.clone(),
            memory: before.and_then(Self::memory).unwrap_or_default(),
        });
        let settings = table.settings.others.iter().cloned().map(Rc::new).collect();
        Self { table, upstreams, settings, gatekeeper }
    }
}

impl Handler for Gateway {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let table = &*self.table;
        let Some((number, site)) = table.site(request.head().authority()) else {
            return Err(Error::status_of(StatusCode::NOT_FOUND));
        };
        if site.strict_paths && !is_plain(request.head().path()) {
            return finish(&site.rules, Err(Error::status_of(StatusCode::BAD_REQUEST)));
        }
        let found = table.route(number, request.head());
        let Some((of_site, route)) = found.and_then(|found| Some((found, site.routes.get(found)?))) else {
            return finish(&site.rules, Err(Error::status_of(StatusCode::NOT_FOUND)));
        };
        let rules = &route.rules;
        if let Some(settings) = self.settings_of(number, of_site)
            && let Err(error) = request.set_settings(settings)
        {
            return finish(rules, Err(error));
        }
        if !admits(rules, request.client_ip()) {
            return finish(rules, Err(Error::status_of(StatusCode::FORBIDDEN)));
        }
        if let Some(auth) = &rules.auth {
            match self.authenticate(auth, &request).await {
                Ok(true) => {}
                Ok(false) => return finish(rules, Ok(challenge(auth))),
                Err(error) => return finish(rules, Err(error)),
            }
        }
        let answer = match &route.action {
            Action::Forward(forward) => self.forward(forward, rules, request).await,
            Action::Redirect { to, status } => redirect(*status, location(to, request.head())),
            Action::Respond { status, body, media_type } => respond(*status, body, media_type),
        };
        finish(rules, answer)
    }
}

impl Gateway {
    /// What is known of passwords, which a reload does not change.
    fn memory(&self) -> Option<Rc<Memory>> {
        self.gatekeeper.as_ref().map(|gatekeeper| Rc::clone(&gatekeeper.memory))
    }

    /// What a route holds its exchanges to, unless they are held to it already.
    fn settings_of(&self, site: usize, route: usize) -> Option<&Rc<Settings>> {
        let number = *self.table.settings.of_routes.get(site)?.get(route)?;
        self.settings.get(number? as usize)
    }

    async fn authenticate(&self, auth: &BasicAuth, request: &Request) -> Result<bool> {
        let Some(gatekeeper) = &self.gatekeeper else { return Ok(false) };
        let user = gatekeeper.user(auth, request.fields().get("authorization")).await?;
        if let Some(user) = user {
            request.note("user", user);
        }
        Ok(user.is_some())
    }

    async fn forward(&self, forward: &Forward, rules: &Rules, mut request: Request) -> Result<Response> {
        let Some(Some(upstream)) = self.upstreams.get(forward.upstream) else {
            return Err(Error::internal("a route names an upstream that its address has not"));
        };
        // As the client sent it.
        if let Some(upstream) = self.table.config.upstreams.get(forward.upstream) {
            upstream.balance.mark(&request);
        }
        retarget(forward, request.head_mut());
        edit(request.fields_mut(), &rules.request);
        upstream.send(request).await
    }
}

/// Whether a client may come in; `None`: one of a unix socket.
fn admits(rules: &Rules, client: Option<IpAddr>) -> bool {
    let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(client));
    !is_in(&rules.deny) && (rules.allow.is_empty() || is_in(&rules.allow))
}

/// Takes `strip` off the path and makes `rewrite` of it; the query stays.
fn retarget(forward: &Forward, head: &mut RequestHead) {
    // `OPTIONS *` is about no path.
    if (forward.strip.is_none() && forward.rewrite.is_none()) || head.target.first() != Some(&b'/') {
        return;
    }
    let path_len = head.path().len();
    if let Some(rewrite) = &forward.rewrite {
        let path = str::from_utf8(stripped(forward, head.path())).unwrap_or("/");
        let new = rewrite.fill(&Filling { host: "", path, query: None });
        let new = if new.is_empty() { "/".to_owned() } else { new };
        head.target.splice(..path_len, new.into_bytes());
        return;
    }
    let cut = path_len - stripped(forward, head.path()).len();
    if cut == path_len {
        head.target.splice(..path_len, *b"/");
    } else {
        head.target.drain(..cut);
    }
}

/// What is left of a path: empty, or it begins with a slash.
fn stripped<'p>(forward: &Forward, path: &'p [u8]) -> &'p [u8] {
    let Some(strip) = &forward.strip else { return path };
    match path.strip_prefix(strip.as_bytes()) {
        Some(rest @ ([] | [b'/', ..])) => rest,
        _ => path,
    }
}

/// Changes were checked when the file was read, so none can fail but for lack of room, and then it is left out.
fn edit(fields: &mut Fields, edits: &Edits) {
    for name in &edits.remove {
        fields.remove(name);
    }
    for (name, value) in &edits.set {
        let _ = fields.try_set(name, value);
    }
    for (name, value) in &edits.add {
        let _ = fields.try_append(name, value);
    }
}

/// What holds for every answer: an error page in its place, and changes of its fields.
fn finish(rules: &Rules, answer: Result<Response>) -> Result<Response> {
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

fn page(rules: &Rules, status: StatusCode) -> Option<&crate::config::data::Page> {
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

fn challenge(auth: &BasicAuth) -> Response {
    let mut response = plain(StatusCode::UNAUTHORIZED);
    let realm = &auth.realm;
    let _ = response
        .fields_mut()
        .try_append("www-authenticate", format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
    response
}

/// Where a client is sent; `None` if that depends on a host that it has not said.
fn location(to: &Template, head: &RequestHead) -> Option<String> {
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

fn redirect(status: StatusCode, location: Option<String>) -> Result<Response> {
    let refused = || Error::status_of(StatusCode::BAD_REQUEST);
    let mut response = Response::new(status);
    response.fields_mut().try_append("location", location.ok_or_else(refused)?).map_err(|_| refused())?;
    Ok(response)
}

fn respond(status: StatusCode, body: &str, media_type: &str) -> Result<Response> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(strip: Option<&str>, rewrite: Option<&str>, target: &str) -> String {
        let forward = Forward {
            upstream: 0,
            strip: strip.map(str::to_owned),
            rewrite: rewrite.map(|rewrite| Template::path(rewrite).unwrap()),
        };
        let mut head = RequestHead::new();
        head.target = target.into();
        retarget(&forward, &mut head);
        String::from_utf8(head.target).unwrap()
    }

    #[test]
    fn paths_are_stripped_and_rewritten() {
        assert_eq!(target(Some("/api"), None, "/api/x?y=/api"), "/x?y=/api");
        assert_eq!(target(Some("/api"), None, "/api?y"), "/?y");
        assert_eq!(target(Some("/api"), None, "/api"), "/");
        assert_eq!(target(Some("/api"), None, "/apix"), "/apix");
        assert_eq!(target(Some("/api"), None, "/x/api"), "/x/api");
        assert_eq!(target(None, Some("/v2{path}"), "/x?y"), "/v2/x?y");
        assert_eq!(target(Some("/api"), Some("/v2{path}"), "/api/x?y"), "/v2/x?y");
        assert_eq!(target(Some("/api"), Some("/v2{path}"), "/api"), "/v2");
        assert_eq!(target(Some("/api"), Some("{path}"), "/api/x"), "/x");
        assert_eq!(target(Some("/api"), Some("{path}"), "/api?y"), "/?y");
        assert_eq!(target(None, Some("/fixed"), "/x?y"), "/fixed?y");
        assert_eq!(target(None, Some("/fixed"), "*"), "*");
    }

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

//! What `corelane run` serves with: one for each lane and address. It chooses a site and a route, and does what they
//! say.

mod answers;
mod changes;
mod table;

pub(crate) use table::Table;

use crate::{
    auth::Gatekeeper,
    balance::By,
    config::data::{Action, BasicAuth, Forward, Route, Rules},
    router::is_plain,
};
use answers::{challenge, finish, location, redirect, respond, too_many};
use changes::{edit, retarget};
use corelane_engine::{
    Cluster, Error, Handler, Lane, Network, RateLimiter, Request, Response, Result, Settings, StatusCode,
    Upstream,
};
use std::{net::IpAddr, rc::Rc, sync::Arc, time::Duration};

/// One lane's.
pub(crate) struct Gateway {
    table: Arc<Table>,
    /// Of the configuration's upstreams those that this address needs.
    upstreams: Vec<Option<Upstream>>,
    /// The table's, for this lane.
    settings: Vec<Rc<Settings>>,
    /// The same.
    limiters: Vec<RateLimiter>,
    gatekeeper: Gatekeeper,
}

impl Gateway {
    pub(crate) fn new(
        lane: &Lane,
        table: Arc<Table>,
        clusters: &[Option<Cluster>],
        before: Option<&Self>,
    ) -> Self {
        let upstreams = clusters.iter().map(|cluster| Some(lane.upstream(cluster.as_ref()?))).collect();
        // What is known of passwords a reload does not change.
        let memory = before.map(|before| Rc::clone(&before.gatekeeper.memory)).unwrap_or_default();
        let gatekeeper = Gatekeeper { lane: lane.clone(), memory };
        let settings = table.settings.iter().cloned().map(Rc::new).collect();
        let limiters = table.limits.iter().map(|limit| lane.rate_limit(limit)).collect();
        Self { table, upstreams, settings, limiters, gatekeeper }
    }
}

impl Handler for Gateway {
    async fn handle(&self, request: Request) -> Result<Response> {
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
        let answer = self.answer((number, of_site), route, request).await;
        finish(&route.rules, answer)
    }
}

impl Gateway {
    /// What the route does, in the order in which it does it.
    async fn answer(&self, at: (usize, usize), route: &Route, mut request: Request) -> Result<Response> {
        let (rules, numbers) = (&route.rules, self.table.numbers(at));
        // What the listener holds an exchange to is what it is held to already.
        if let Some(settings) = numbers.settings.and_then(|number| self.settings.get(number as usize)) {
            request.set_settings(settings)?;
        }
        if !admits(rules, request.client_ip()) {
            return Err(Error::status_of(StatusCode::FORBIDDEN));
        }
        if let Some(limit) = &rules.rate_limit
            && let Some(limiter) = numbers.limit.and_then(|number| self.limiters.get(number as usize))
            && let Err(wait) = count(limiter, &limit.rate.by, &request)
        {
            request.note("rate_limit", limit.rate.by.to_string());
            return Ok(too_many(wait));
        }
        if let Some(auth) = &rules.auth
            && !self.authenticate(auth, &request).await?
        {
            return Ok(challenge(auth));
        }
        match &route.action {
            Action::Forward(forward) => self.forward(forward, route, request).await,
            Action::Redirect { to, status } => redirect(*status, location(to, request.head())),
            Action::Respond { status, body, media_type } => respond(*status, body, media_type),
        }
    }

    async fn authenticate(&self, auth: &BasicAuth, request: &Request) -> Result<bool> {
        let user = self.gatekeeper.user(auth, request.fields().get("authorization")).await?;
        if let Some(user) = user {
            request.note("user", user);
        }
        Ok(user.is_some())
    }

    async fn forward(&self, forward: &Forward, route: &Route, mut request: Request) -> Result<Response> {
        let Some(Some(upstream)) = self.upstreams.get(forward.upstream) else {
            return Err(Error::internal("a route names an upstream that its address has not"));
        };
        // As the client sent it.
        self.table.balance(forward.upstream).mark(&request);
        retarget(forward, request.head_mut());
        edit(request.fields_mut(), &route.rules.request);
        if route.terms.retry_on.is_empty() {
            return upstream.send(request).await;
        }
        let mut attempts = upstream.attempts(&mut request);
        loop {
            match attempts.next().await?.send().await {
                Ok(response)
                    if route.terms.retry_on.contains(&response.status().as_u16()) && attempts.may_retry() => {
                }
                Err(_) if attempts.may_retry() => {}
                outcome => return outcome,
            }
        }
    }
}

/// Counts a request, or says how long it had to wait.
fn count(limiter: &RateLimiter, by: &By, request: &Request) -> std::result::Result<(), Duration> {
    match (by.key(request), request.client_ip()) {
        (Some(key), _) => limiter.check(key),
        (None, Some(ip)) => limiter.check_ip(ip),
        (None, None) => limiter.check("unix"),
    }
}

/// Whether a client may come in; `None`: one of a unix socket.
fn admits(rules: &Rules, client: Option<IpAddr>) -> bool {
    let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(client));
    !is_in(&rules.deny) && (rules.allow.is_empty() || is_in(&rules.allow))
}

//! A configuration that has been read: plain data in which everything is what it must be.

use super::{
    settings::Terms,
    source::At,
    values::{Edits, Template, User},
};
use crate::{
    address::Listen,
    admin::AdminAt,
    logs::Logs,
    plan::{Connections, NamesEvery},
    rates::RateRule,
    router::{Conditions, HostPattern, PathPattern},
    upstream::Upstream,
};
use corelane_engine::{Driver, Network, Overload, Pin, StatusCode};

#[derive(Debug)]
pub(crate) struct Config {
    /// None: as many as there are CPUs for the process.
    pub(crate) lanes: Option<usize>,
    pub(crate) pin: Pin,
    pub(crate) driver: Driver,
    pub(crate) connections: Connections,
    pub(crate) overload: Overload,
    /// None: where it usually is.
    pub(crate) admin: Vec<AdminAt>,
    pub(crate) logs: Logs,
    pub(crate) names: NamesEvery,
    /// What holds where nobody says anything else.
    pub(crate) terms: Terms,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) sites: Vec<Site>,
}

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) at: At,
    /// None: any host.
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) listen: Vec<Listen>,
    pub(crate) strict_paths: bool,
    /// What holds where no route takes a request.
    pub(crate) rules: Rules,
    /// What holds where its routes say nothing else. That of its connections is the same for all sites of an address.
    pub(crate) terms: Terms,
    pub(crate) routes: Vec<Route>,
}

#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) at: At,
    /// None: any path.
    pub(crate) paths: Vec<PathPattern>,
    pub(crate) conditions: Conditions,
    pub(crate) action: Action,
    /// With what it has of its site.
    pub(crate) rules: Rules,
    /// The same.
    pub(crate) terms: Terms,
}

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Forward(Forward),
    Redirect { to: Template, status: StatusCode },
    Respond { status: StatusCode, body: String, media_type: String },
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Forward {
    /// Among the configuration's.
    pub(crate) upstream: usize,
    pub(crate) strip: Option<String>,
    pub(crate) rewrite: Option<Template>,
}

/// What a site and a route may both say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) allow: Vec<Network>,
    pub(crate) deny: Vec<Network>,
    pub(crate) auth: Option<BasicAuth>,
    pub(crate) rate_limit: Option<RateRule>,
    pub(crate) request: Edits,
    pub(crate) response: Edits,
    /// The first that fits is taken.
    pub(crate) pages: Vec<Page>,
}

#[derive(Debug, Clone)]
pub(crate) struct BasicAuth {
    pub(crate) realm: String,
    pub(crate) users: Vec<User>,
}

#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// From and to, inclusive.
    pub(crate) statuses: (u16, u16),
    pub(crate) body: String,
    pub(crate) media_type: String,
}

impl Rules {
    pub(crate) fn is_guarded(&self) -> bool {
        !self.allow.is_empty() || !self.deny.is_empty() || self.auth.is_some()
    }
}

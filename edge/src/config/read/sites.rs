//! Reads sites, and sees that no two of them want the same.

use super::{Reader, Scope, Upstreams, routes, rules};
use crate::{
    address::Listen,
    config::{data::Site, reader::Located, source::At},
    router::HostPattern,
    words::quote,
};
use std::collections::HashMap;

pub(super) fn sites(reader: &mut Reader<'_>, top: &mut Scope<'_>, upstreams: &mut Upstreams) -> Vec<Site> {
    let mut claims = Claims::default();
    let mut sites = Vec::new();
    for scope in reader.tables(top, "site") {
        sites.push(site(reader, scope, upstreams, &mut claims));
    }
    sites
}

fn site(
    reader: &mut Reader<'_>,
    mut scope: Scope<'_>,
    upstreams: &mut Upstreams,
    claims: &mut Claims,
) -> Site {
    let at = scope.at;
    let hosts: Vec<Located<HostPattern>> = reader.texts(&mut scope, "host", str::parse);
    let listen: Vec<Located<Listen>> = reader.texts(&mut scope, "listen", str::parse);
    claims.claim(reader, at, &hosts, &listen);
    let strict = reader.flag(&mut scope, "strict_paths");
    let rules = rules::rules(reader, &mut scope);
    let routes = routes::routes(reader, &mut scope, &rules, upstreams);
    reader.finish(scope);
    let guarded = rules.is_guarded() || routes.iter().any(|route| route.rules.is_guarded());
    Site {
        at,
        hosts: hosts.into_iter().map(|host| host.value).collect(),
        listen: listen.into_iter().map(|listen| listen.value).collect(),
        strict_paths: strict.unwrap_or(guarded),
        rules,
        routes,
    }
}

/// Which site has which host at which address, and where that is said.
#[derive(Default)]
struct Claims {
    hosts: HashMap<(Listen, Option<HostPattern>), At>,
    listen: HashMap<Listen, At>,
}

impl Claims {
    fn claim(
        &mut self,
        reader: &mut Reader<'_>,
        site: At,
        hosts: &[Located<HostPattern>],
        listen: &[Located<Listen>],
    ) {
        for (i, Located { at, value }) in listen.iter().enumerate() {
            if listen[..i].iter().any(|other| other.value == *value) {
                reader.error(*at, format!("`{value}` stands here twice; leave one of the two out"));
                continue;
            }
            self.claim_address(reader, *at, value);
            if hosts.is_empty() {
                self.claim_host(reader, site, value, None);
            }
            for host in hosts {
                self.claim_host(reader, host.at, value, Some(&host.value));
            }
        }
    }

    fn claim_host(&mut self, reader: &mut Reader<'_>, at: At, listen: &Listen, host: Option<&HostPattern>) {
        let Some(first) = self.hosts.insert((listen.clone(), host.cloned()), at) else { return };
        let place = reader.files.line(first);
        let says = match host {
            Some(host) => format!(
                "{} on `{listen}` is said at {place}; a host belongs to one site for each address",
                quote(&host.to_string())
            ),
            None => format!("`{listen}` has a site for any host at {place}; give one of the two a `host`"),
        };
        reader.error(at, says);
    }

    /// One address within another: the kernel would give each a share of the connections.
    fn claim_address(&mut self, reader: &mut Reader<'_>, at: At, listen: &Listen) {
        if self.listen.contains_key(listen) {
            return;
        }
        let within = self.listen.iter().find(|(other, _)| listen.overlaps(other));
        if let Some((other, first)) = within {
            let place = reader.files.line(*first);
            reader.error(
                at,
                format!("`{listen}` and `{other}` at {place} are the same port, one within the other; use one of the two"),
            );
        }
        self.listen.insert(listen.clone(), at);
    }
}

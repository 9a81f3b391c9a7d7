//! Reads sites, and sees that no two of them want the same.

use super::{Reader, Scope, Upstreams, routes, rules};
use crate::{
    address::Listen,
    admin::AdminAt,
    config::{
        data::Site,
        reader::Located,
        settings::{self, Said, Terms},
        source::At,
    },
    router::HostPattern,
    words::quote,
};
use corelane_engine::Address;
use std::collections::HashMap;

pub(super) fn sites(
    reader: &mut Reader<'_>,
    top: &mut Scope<'_>,
    around: &Terms,
    upstreams: &mut Upstreams,
) -> Vec<Site> {
    let mut claims = Claims::default();
    let mut sites = Vec::new();
    for scope in reader.tables(top, "site") {
        sites.push(site(reader, scope, around, upstreams, &mut claims));
    }
    sites
}

fn site(
    reader: &mut Reader<'_>,
    mut scope: Scope<'_>,
    around: &Terms,
    upstreams: &mut Upstreams,
    claims: &mut Claims,
) -> Site {
    let at = scope.at;
    let hosts: Vec<Located<HostPattern>> = reader.texts(&mut scope, "host", str::parse);
    let listen: Vec<Located<Listen>> = reader.texts(&mut scope, "listen", str::parse);
    claims.claim(reader, at, &hosts, &listen);
    let strict = reader.flag(&mut scope, "strict_paths");
    let owner = format!("{} on {}", names(&hosts), names(&listen));
    let rules = rules::rules(reader, &mut scope, &owner);
    let said = settings::said(reader, &mut scope);
    let terms = settings::within(around, &[&said]);
    claims.claim_settings(reader, at, &listen, (around, said));
    let routes = routes::routes(reader, &mut scope, (&owner, &rules, &terms), upstreams);
    reader.finish(scope);
    let guarded = rules.is_guarded() || routes.iter().any(|route| route.rules.is_guarded());
    Site {
        at,
        hosts: hosts.into_iter().map(|host| host.value).collect(),
        listen: listen.into_iter().map(|listen| listen.value).collect(),
        strict_paths: strict.unwrap_or(guarded),
        rules,
        terms,
        routes,
    }
}

/// The admin server is not for clients: it never shares an address with a site.
pub(super) fn keep_apart(reader: &mut Reader<'_>, sites: &[Site], admin: &[Located<AdminAt>]) {
    for Located { at, value } in admin {
        let listen = match value {
            AdminAt::Off => continue,
            AdminAt::Tcp(at) => Listen::On(at.clone()),
            AdminAt::Unix(path) => match Address::unix(path) {
                Ok(socket) => Listen::Unix(socket),
                Err(error) => {
                    reader.error(*at, error.to_string());
                    continue;
                }
            },
        };
        let is_there = |site: &&Site| {
            site.listen
                .iter()
                .any(|there| (*there == listen && there.port() != Some(0)) || there.overlaps(&listen))
        };
        if let Some(site) = sites.iter().find(is_there) {
            let place = reader.files.line(site.at);
            reader.error(
                *at,
                format!("the site at {place} listens here too; operators need an address of their own"),
            );
        }
    }
}

fn names<T: ToString>(all: &[Located<T>]) -> String {
    all.iter().map(|one| one.value.to_string()).collect::<Vec<_>>().join(",")
}

/// Which site has which host at which address, and where that is said.
#[derive(Default)]
struct Claims {
    hosts: HashMap<(Listen, Option<HostPattern>), At>,
    listen: HashMap<Listen, At>,
    /// Of the first site of each address: where it is, and what it says of its connections.
    settings: HashMap<Listen, (At, Vec<Said>)>,
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

    /// What holds before a request has a host is the same for all sites of an address.
    fn claim_settings(
        &mut self,
        reader: &mut Reader<'_>,
        site: At,
        listen: &[Located<Listen>],
        (around, mut said): (&Terms, Vec<Said>),
    ) {
        said.retain(Said::is_connections);
        let mut complained: Vec<String> = Vec::new();
        for Located { value: listen, .. } in listen {
            let Some((first_at, first)) = self.settings.get(listen) else {
                self.settings.insert(listen.clone(), (site, said.clone()));
                continue;
            };
            for one in said.iter().chain(first) {
                let only = |all: &[Said]| {
                    let its: Vec<Said> = all
                        .iter()
                        .filter(|other| std::ptr::eq(other.setting, one.setting))
                        .cloned()
                        .collect();
                    settings::within(around, &[&its])
                };
                let name = one.setting.name();
                if only(&said) != only(first) && !complained.contains(&name) {
                    let at = if said.iter().any(|own| own.at == one.at) { one.at } else { site };
                    let place = reader.files.line(*first_at);
                    reader.error(
                        at,
                        format!(
                            "`{name}` is not what it is for the site at {place}, and both listen on `{listen}`: it holds \
                             before a request has a host, so say the same in both, or listen elsewhere"
                        ),
                    );
                    complained.push(name);
                }
            }
        }
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

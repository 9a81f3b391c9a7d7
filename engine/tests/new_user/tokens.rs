//! A gateway that authenticates, and counts per tenant: on `/metrics`, and in the line of each request.

use crate::support::{
    peer::{Peer, Scripted, ok},
    rig::Rig,
};
use corelane_engine::{
    Builder, Cluster, Counter, Engine, Error, Handler, Lane, Request, Response, Result, StatusCode, Upstream,
};
use std::collections::HashMap;

struct Tenant {
    name: String,
    requests: Counter,
    bytes: Counter,
}

struct Gateway {
    tenants: HashMap<Vec<u8>, Tenant>,
    refused: Counter,
    origin: Upstream,
}

impl Gateway {
    fn new(lane: &Lane, tokens: &[(&str, &str)], origin: &Cluster) -> Self {
        let tenant = |(token, name): &(&str, &str)| {
            let counter = |what: &str| lane.counter(&format!("tenant_{name}_{what}_total"));
            let tenant =
                Tenant { name: (*name).to_owned(), requests: counter("requests"), bytes: counter("bytes") };
            (format!("Bearer {token}").into_bytes(), tenant)
        };
        Self {
            tenants: tokens.iter().map(tenant).collect(),
            refused: lane.counter("refused_total"),
            origin: lane.upstream(origin),
        }
    }
}

impl Handler for Gateway {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let tenant = request.fields().get("authorization").and_then(|token| self.tenants.get(token));
        let Some(tenant) = tenant else {
            self.refused.add(1);
            let mut response = Response::from(Error::status_of(StatusCode::UNAUTHORIZED));
            response.fields_mut().set("www-authenticate", "Bearer");
            return Ok(response);
        };
        tenant.requests.add(1);
        request.note("tenant", &tenant.name);
        request.note("tenant_requests", tenant.requests.value().to_string());
        let bytes = tenant.bytes.clone();
        request.on_end(move |record| bytes.add(record.response_bytes));
        // The origin knows the tenant, and not the token.
        request.fields_mut().remove("authorization");
        request.fields_mut().set("x-tenant", &tenant.name);
        self.origin.send(request).await
    }
}

fn gateway(listen: &str, origin: &str) -> Result<Builder> {
    const TOKENS: [(&str, &str); 2] = [("s3cret", "acme"), ("hush", "globex")];
    let origin = Cluster::round_robin([origin]).resolve()?;
    Ok(Engine::builder().serve(listen, move |lane| Ok(Gateway::new(lane, &TOKENS, &origin))))
}

#[test]
fn it_authenticates_and_counts() -> Result<()> {
    let origin = Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            assert_eq!(request.field("authorization"), None);
            peer.send(ok(request.field("x-tenant").expect("a tenant")));
        }
    });
    let rig = Rig::start(gateway("127.0.0.1:0", &origin.address.to_string())?.lanes(1));
    let mut client = Peer::connect(rig.address());
    for (token, count, tenant) in [("s3cret", 1, "acme"), ("hush", 1, "globex"), ("s3cret", 2, "acme")] {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"));
        assert_eq!(client.message().text(), tenant);
        let notes = [("tenant", tenant.to_owned()), ("tenant_requests", count.to_string())];
        assert_eq!(rig.record().notes, notes.map(|(key, value)| (key.to_owned(), value)));
    }
    for refused in ["", "Authorization: Bearer guess\r\n"] {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{refused}\r\n"));
        let answer = client.message();
        assert_eq!((answer.status(), answer.field("www-authenticate")), (401, Some("Bearer")));
        let record = rig.record();
        assert_eq!((record.notes.len(), record.status, record.error.is_empty()), (0, 401, false));
    }
    let counters = rig.snapshot().counters;
    let counted = [
        "tenant_acme_requests_total",
        "tenant_acme_bytes_total",
        "tenant_globex_bytes_total",
        "refused_total",
    ];
    assert_eq!(counted.map(|name| counters[name]), [2, 8, 6, 2]);
    Ok(())
}

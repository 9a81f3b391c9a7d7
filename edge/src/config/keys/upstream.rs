//! Upstreams, and how one of their endpoints is chosen.

use super::{
    Default::{Is, Required},
    Kind, NOTHING, Section, count, form, key, limits, retry, route, times,
};

pub(super) const TO: Kind = Kind::Endpoints(&ENDPOINT);
pub(super) const BALANCE: Kind = Kind::Choice {
    built: &["round-robin", "random", "least-request", "p2c"],
    not_built: &["hash", "sticky", "peak-ewma", "first"],
    open: None,
};

pub(crate) static UPSTREAM: Section = Section {
    name: "[upstream.NAME]",
    help: "Endpoints that serve the same thing.",
    example: "{ to = [\"10.0.0.1:8080\"] }",
    keys: &[
        key("to", TO, Required, "The endpoints; a name with several addresses is that many endpoints."),
        key("balance", BALANCE, Is("round-robin"), "How one of them is chosen."),
        key("timeouts", Kind::Table(&times::OF_UPSTREAM), NOTHING, "How long they may take."),
        key(
            "limits",
            Kind::Table(&limits::OF_RESPONSES),
            NOTHING,
            "How large their responses' heads may be.",
        ),
        key("retry", Kind::Table(&retry::AROUND), NOTHING, "When an attempt is followed by another."),
        key("check", Kind::NotBuilt(route::NO_CHECK), NOTHING, "Health checks."),
        key(
            "tls",
            Kind::NotBuilt("origins are spoken to in clear text until then"),
            NOTHING,
            "TLS to the endpoints.",
        ),
        key(
            "connections_max",
            Kind::NotBuilt("let the origin limit its connections until then"),
            NOTHING,
            "Connections to the endpoints.",
        ),
    ],
};

pub(crate) static ENDPOINT: Section = Section {
    name: "an endpoint",
    help: "An endpoint with a weight; one without is a string.",
    example: "{ address = \"10.0.0.1:8080\", weight = 3 }",
    keys: &[
        key(
            "address",
            Kind::Text(form("HOST:PORT or unix:PATH", "10.0.0.1:8080")),
            Required,
            "Where it listens.",
        ),
        key("weight", count(1, 65_535), Is("1"), "Its share of the requests."),
    ],
};

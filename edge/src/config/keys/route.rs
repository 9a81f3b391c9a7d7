//! Routes: conditions, actions, rules.

use super::{
    Default::{Is, Required, Words},
    Form, Kind, NOTHING, Section, around, count, form, key, limits, retry, site, times, upstream,
};

pub(super) const NO_CHECK: &str = "an endpoint that fails is avoided for a second until then";

const CONDITION: Form =
    Form { what: "a value, or `*` for any", example: "x-name = \"value\"", secret: false };

pub(crate) static ROUTE: Section = Section {
    name: "route",
    help: "Conditions, one action (`to`, `upstream`, `redirect` or `respond`), and rules in the place of the site's.",
    example: "{ path = \"/api/*\", to = [\"10.0.0.1:8080\"] }",
    keys: &[
        key(
            "path",
            Kind::OneOrTexts(form("a path, or a prefix that ends with /*", "/api/*")),
            Words("any path"),
            "The path, undecoded, as it came.",
        ),
        key("method", Kind::OneOrTexts(form("a method", "GET")), Words("any method"), "The method."),
        key(
            "header",
            Kind::Pairs { name: "field names", value: CONDITION },
            NOTHING,
            "Header fields that must be there.",
        ),
        key(
            "query",
            Kind::Pairs { name: "parameters", value: CONDITION },
            NOTHING,
            "Parameters that must be in the query, undecoded.",
        ),
        key("to", upstream::TO, NOTHING, "Forwards to one of these endpoints."),
        key("balance", upstream::BALANCE, Is("round-robin"), "How one of `to` is chosen."),
        upstream::CONNECTIONS_MAX,
        upstream::QUEUE_KEY,
        upstream::SOURCE,
        key(
            "upstream",
            Kind::Text(form("the name of an [upstream.NAME]", "app")),
            NOTHING,
            "Forwards to an upstream that has a name.",
        ),
        key(
            "strip",
            Kind::Text(form("a path", "/api")),
            NOTHING,
            "What is taken off the beginning of the path.",
        ),
        key(
            "rewrite",
            Kind::Text(form("a path that may have {path}", "/v2{path}")),
            NOTHING,
            "What the path becomes, after `strip`; the query stays.",
        ),
        key("redirect", Kind::Table(&REDIRECT), NOTHING, "Sends the client elsewhere."),
        key("respond", Kind::Table(&RESPOND), NOTHING, "Answers with this."),
        key("allow", site::ALLOW, Words("the site's"), "Clients that are served; all others get 403."),
        key("deny", site::ALLOW, Words("the site's"), "Clients that get 403 even if `allow` names them."),
        key("basic_auth", Kind::Table(&site::BASIC_AUTH), Words("the site's"), "Who may come in."),
        key("request", Kind::Table(&site::EDITS), NOTHING, "Changes after the site's, to the upstream."),
        key("response", Kind::Table(&site::EDITS), NOTHING, "Changes after the site's, to the client."),
        key("error_page", site::PAGES, NOTHING, "Pages before the site's."),
        key("timeouts", Kind::Table(&times::OF_ROUTE), NOTHING, "How long its requests may take."),
        key("limits", Kind::Table(&limits::OF_RESPONSES), NOTHING, "How large its responses' heads may be."),
        key("retry", Kind::Table(&retry::AROUND), NOTHING, "When an attempt is followed by another."),
        around(limits::CONTENT_MAX),
        around(limits::ABORT_ON_HALF_CLOSE),
        key("check", Kind::NotBuilt(NO_CHECK), NOTHING, "Health checks."),
        key("rate_limit", Kind::Table(&site::RATE_LIMIT), Words("the site's"), "How many requests per time."),
        key("cache", Kind::NotBuilt("responses are not stored until then"), NOTHING, "Stored responses."),
        key("mirror", Kind::NotBuilt("nothing is copied until then"), NOTHING, "Copies of requests."),
    ],
};

pub(crate) static REDIRECT: Section = Section {
    name: "redirect",
    help: "An answer that sends the client elsewhere.",
    example: "{ to = \"https://{host}{path}{query}\" }",
    keys: &[
        key(
            "to",
            Kind::Text(form(
                "a URL or a path that may have {host}, {path} and {query}",
                "https://{host}{path}{query}",
            )),
            Required,
            "Where to; {query} has its question mark.",
        ),
        key("status", count(300, 308), Is("308"), "301, 302, 303, 307 or 308."),
    ],
};

pub(crate) static RESPOND: Section = Section {
    name: "respond",
    help: "A fixed answer.",
    example: "{ status = 200, body = \"pong\" }",
    keys: &[
        key("status", count(200, 599), Is("200"), "Its status."),
        key("body", Kind::Text(form("the content", "pong")), Is(""), "Its content."),
        key(
            "type",
            Kind::Text(form("a media type", "text/plain; charset=utf-8")),
            Is("text/plain; charset=utf-8"),
            "Its content type.",
        ),
    ],
};

//! Sites, and the rules that a site and a route may both have.

use super::{
    Default::{Is, Required, Words},
    Form, Kind, NOTHING, Section, around, count, form, key, limits, retry, route, times,
};

pub(super) const ALLOW: Kind = Kind::OneOrTexts(form("an address, a network or unix", "10.0.0.0/8"));
pub(super) const PAGES: Kind = Kind::Named { name: "statuses (`404`, `\"5xx\"`)", section: &PAGE };

pub(crate) static SITE: Section = Section {
    name: "[[site]]",
    help: "What is served under some names at some addresses. Its rules hold for each of its routes.",
    example: "{ host = \"example.com\", route = [{ to = [\"10.0.0.1:8080\"] }] }",
    keys: &[
        key(
            "host",
            Kind::OneOrTexts(form("a host, or a wildcard for all below it", "*.example.com")),
            Words("any host"),
            "The names that it is for.",
        ),
        key(
            "listen",
            Kind::OneOrTexts(form("HOST:PORT, :PORT or unix:PATH", "127.0.0.1:8080")),
            Is(":80"),
            "Where it listens; `:80` is every address of the machine. A unix socket has mode 0660.",
        ),
        key("route", Kind::Tables(&route::ROUTE), Required, "What happens to its requests."),
        key(
            "strict_paths",
            Kind::Flag,
            Words("true where the site has `allow`, `deny` or `basic_auth`, else false"),
            "Whether a path that an origin may read as another path is refused with 400.",
        ),
        key("allow", ALLOW, Words("everybody"), "Clients that are served; all others get 403."),
        key("deny", ALLOW, NOTHING, "Clients that get 403 even if `allow` names them."),
        key("basic_auth", Kind::Table(&BASIC_AUTH), NOTHING, "Who may come in, by name and password."),
        key("request", Kind::Table(&EDITS), NOTHING, "What is changed on the way to the upstream."),
        key("response", Kind::Table(&EDITS), NOTHING, "What is changed on the way to the client."),
        key("error_page", PAGES, NOTHING, "What clients see in the place of an error."),
        key("timeouts", Kind::Table(&times::OF_SITE), NOTHING, "How long its requests may take."),
        key("limits", Kind::Table(&limits::OF_SITE), NOTHING, "How large its messages may be."),
        key("retry", Kind::Table(&retry::AROUND), NOTHING, "When an attempt is followed by another."),
        around(limits::CONTENT_MAX),
        around(limits::UNDERSCORES),
        around(limits::ABORT_ON_HALF_CLOSE),
        key(
            "tls",
            Kind::NotBuilt("put a TLS terminator in front of it until then"),
            NOTHING,
            "Certificate and key.",
        ),
        key(
            "rate_limit",
            Kind::Table(&RATE_LIMIT),
            NOTHING,
            "How many requests per time; for its routes together.",
        ),
        key(
            "proxy_protocol",
            Kind::NotBuilt("clients are known by `trusted_proxies` until then"),
            NOTHING,
            "Whether clients come with a PROXY protocol header.",
        ),
        key("cache", Kind::NotBuilt("responses are not stored until then"), NOTHING, "Stored responses."),
    ],
};

pub(crate) static BASIC_AUTH: Section = Section {
    name: "basic_auth",
    help: "Basic authentication (RFC 7617).",
    example: "{ users = { ann = \"$2b$12$...\" } }",
    keys: &[
        key(
            "realm",
            Kind::Text(form("what the client is asked for", "staff")),
            Is("restricted"),
            "What the client shows.",
        ),
        key(
            "users",
            Kind::Pairs {
                name: "user names",
                value: Form {
                    what: "a hash by bcrypt, argon2 or sha-crypt",
                    example: "ann = \"$2b$12$...\"",
                    secret: true,
                },
            },
            Required,
            "User names, each with the hash of the password (`htpasswd -B`, `openssl passwd -5`).",
        ),
    ],
};

pub(crate) static RATE_LIMIT: Section = Section {
    name: "rate_limit",
    help: "So many requests per time, of all lanes together; more get 429 with `Retry-After`, and `rate_limit` among the \
           notes of the log.",
    example: "{ rate = \"10/s\", burst = 20 }",
    keys: &[
        key("rate", Kind::Text(form("so many per time", "10/s")), Required, "In the long run."),
        key(
            "burst",
            count(1, 1 << 30),
            Words("as many as `rate` says"),
            "How many may come at once after a rest.",
        ),
        key(
            "by",
            Kind::Text(form("client, path, header:NAME or cookie:NAME", "header:x-api-key")),
            Is("client"),
            "What is counted by itself. IPv6 clients with the same first 64 bits are one; a request without the field or the cookie counts for its client.",
        ),
        key(
            "keys_max",
            count(1, 1 << 24),
            Is("65536"),
            "How many of them are told apart: 16 bytes of memory for each.",
        ),
    ],
};

pub(crate) static EDITS: Section = Section {
    name: "request, response",
    help: "What is changed in a message.",
    example: "{ header = { set = { x-name = \"value\" } } }",
    keys: &[key("header", Kind::Table(&HEADERS), NOTHING, "Its header fields.")],
};

const FIELDS: Kind = Kind::Pairs {
    name: "field names",
    value: Form { what: "a value", example: "x-name = \"value\"", secret: false },
};

pub(crate) static HEADERS: Section = Section {
    name: "header",
    help: "Changes of header fields: what is removed goes first, then what is set, then what is added.",
    example: "{ set = { x-name = \"value\" } }",
    keys: &[
        key("set", FIELDS, NOTHING, "Fields that replace all with the same name."),
        key("add", FIELDS, NOTHING, "Fields that come after all others."),
        key("remove", Kind::OneOrTexts(form("a field name", "server")), NOTHING, "Fields that go."),
    ],
};

pub(crate) static PAGE: Section = Section {
    name: "error_page",
    help: "A page for a status, or for a hundred of them.",
    example: "{ body = \"We are sorry.\" }",
    keys: &[
        key("body", Kind::Text(form("the content", "We are sorry.")), Required, "Its content."),
        key(
            "type",
            Kind::Text(form("a media type", "text/html; charset=utf-8")),
            Is("text/html; charset=utf-8"),
            "Its content type.",
        ),
    ],
};

//! What concerns the process as a whole.

use super::{
    Default::{Is, Required, Words},
    Kind, NOTHING, Section, Time, choice, form, key, limits, log, overload, retry, site, times, upstream,
};

pub(crate) static TOP: Section = Section {
    name: "the top level",
    help: "The file itself.",
    example: "{ site = [{ route = [{ to = [\"127.0.0.1:9001\"] }] }] }",
    keys: &[
        key(
            "lanes",
            Kind::Count { min: 1, max: 1024, word: Some("auto") },
            Is("auto"),
            "Threads that serve, each with an event loop of its own; \"auto\": one for each CPU that the process may use.",
        ),
        key(
            "pin",
            choice(&["auto", "always", "never"]),
            Is("auto"),
            "Whether each lane keeps to a CPU of its own; \"auto\": if there are as many lanes as CPUs.",
        ),
        key(
            "driver",
            choice(&["auto", "uring", "epoll"]),
            Is("auto"),
            "The event loop: io_uring where the kernel grants it, or one of the two.",
        ),
        limits::CONTENT_MAX,
        limits::UNDERSCORES,
        limits::ABORT_ON_HALF_CLOSE,
        key(
            "include",
            Kind::OneOrTexts(form("a path or a pattern, beside this file", "conf.d/*.toml")),
            NOTHING,
            "Files that are read as if they stood here, sorted by name.",
        ),
        key("admin", Kind::Table(&ADMIN), NOTHING, "Where operators look."),
        key(
            "log",
            Kind::Table(&log::LOG),
            NOTHING,
            "The access log, and the log of what happens to the process.",
        ),
        key(
            "trusted_proxies",
            Kind::OneOrTexts(form("an address, a network, or unix for a unix socket", "10.0.0.0/8")),
            Words("nobody"),
            "Proxies whose word on the client's address is taken, in `client_from`.",
        ),
        key(
            "client_from",
            choice(&["x-forwarded-for", "forwarded"]),
            Is("x-forwarded-for"),
            "The list that they keep; the other one may be anybody's invention.",
        ),
        key("names", Kind::Table(&NAMES), NOTHING, "How names in `to` are looked up."),
        key("timeouts", Kind::Table(&times::TIMEOUTS), NOTHING, "How long things may take."),
        key("limits", Kind::Table(&limits::LIMITS), NOTHING, "How large things may be."),
        key(
            "overload",
            Kind::Table(&overload::OVERLOAD),
            NOTHING,
            "What is shed when memory or descriptors run short.",
        ),
        key("retry", Kind::Table(&retry::RETRY), NOTHING, "When an attempt is followed by another."),
        key("site", Kind::Tables(&site::SITE), Required, "What is served."),
        key(
            "upstream",
            Kind::Named { name: "names", section: &upstream::UPSTREAM },
            NOTHING,
            "Upstreams with a name, for routes that share one.",
        ),
        key(
            "tls",
            Kind::NotBuilt("put a TLS terminator in front of it until then"),
            NOTHING,
            "TLS for every site.",
        ),
    ],
};

pub(crate) static ADMIN: Section = Section {
    name: "[admin]",
    help: "`/livez`, `/readyz`, `/metrics`, `/stats.json`, `/profile.json`, `/slow.json`, `/upstreams`, `/config`; on a unix socket \
           also `POST /reload` and `POST /drain`.",
    example: "{ listen = \"127.0.0.1:9090\" }",
    keys: &[key(
        "listen",
        Kind::OneOrTexts(form("unix:PATH, HOST:PORT or off", "127.0.0.1:9090")),
        Words(
            "`unix:admin.sock` in `$RUNTIME_DIRECTORY`, else in `$XDG_RUNTIME_DIR/corelane`, else in `/run/corelane`",
        ),
        "Where the admin server listens. Without the key it goes without where that cannot be.",
    )],
};

pub(crate) static NAMES: Section = Section {
    name: "[names]",
    help: "Names of endpoints are looked up at the start, and again in the background.",
    example: "{ every = \"30s\" }",
    keys: &[key(
        "every",
        Kind::Time(Time::OrNone),
        Is("30s"),
        "How often; \"none\": only at the start and at a reload. A name that cannot be looked up keeps what was known of it.",
    )],
};

//! Logs.

use super::{
    Default::{Is, Words},
    Kind, Section, choice, form, key,
};

pub(crate) static LOG: Section = Section {
    name: "[log]",
    help: "The access log, with a line for each request, and the log of what happens to the process.",
    example: "{ access = \"stdout\" }",
    keys: &[
        key(
            "access",
            Kind::Text(form("stdout, stderr, off, or a path", "stdout")),
            Is("stdout"),
            "Where the lines of requests go.",
        ),
        key(
            "format",
            Kind::Choice {
                built: &["json", "combined"],
                not_built: &[],
                open: Some(form(
                    "a template with names of fields in braces",
                    "{client.address} {url.path} {end}",
                )),
            },
            Is("json"),
            "How they look.",
        ),
        key(
            "fields",
            Kind::OneOrTexts(form("a field of the access log", "client.address")),
            Words("all but those that say again what another one says"),
            "What a line of JSON tells, in this order.",
        ),
        key(
            "errors",
            Kind::Text(form("stderr, stdout, or a path", "stderr")),
            Is("stderr"),
            "Where the lines about the process go; why it does not start is always on standard error.",
        ),
        key("level", choice(&["info", "warn", "error"]), Is("info"), "The least that is worth such a line."),
    ],
};

//! How large things may be: for the process, for the requests of a site, for the responses of an upstream or to a
//! route.

use super::{
    Default::{Is, Words},
    Key, Kind, NOTHING, Section, around, choice, count, key,
};

const fn size(name: &'static str, max: u64, default: &'static str, help: &'static str) -> Key {
    key(name, Kind::Size { min: 1, max, none: false }, Is(default), help)
}

const fn fields(name: &'static str, default: &'static str, help: &'static str) -> Key {
    key(name, count(1, 1024), Is(default), help)
}

/// The most content of a request; at the top level, at a site, at a route.
pub(super) const CONTENT_MAX: Key = key(
    "content_max",
    Kind::Size { min: 0, max: 1 << 50, none: true },
    Is("1g"),
    "The most content that a request may have; more is answered with 413.",
);

/// At the top level and at a site.
pub(super) const UNDERSCORES: Key = key(
    "underscores",
    choice(&["reject", "drop", "pass"]),
    Is("reject"),
    "What becomes of fields with an underscore in their name, which some origins take for a hyphen: the request is refused with 400, or they are left out, or passed on.",
);
/// At the top level, at a site, at a route.
pub(super) const ABORT_ON_HALF_CLOSE: Key = key(
    "abort_on_half_close",
    Kind::Flag,
    Is("false"),
    "Whether a client that has ended its half of the connection counts as gone; else it gets its answer.",
);

const CONNECTIONS_MAX: Key = key(
    "connections_max",
    count(1, 1 << 24),
    Words("what the limit on descriptors allows, at two for each, less 128"),
    "Client connections of all lanes; those beyond wait in the kernel's queue.",
);
const CONNECTIONS_PER_SOURCE_MAX: Key = key(
    "connections_per_source_max",
    count(1, 1_048_574),
    NOTHING,
    "Of these, those from one address, or from IPv6 addresses with the same first 64 bits; more are closed at once. Trusted proxies are not counted.",
);
const REQUEST_LINE: Key = size("request_line_max", 64 << 10, "8k", "Request line; then 414.");
const METHOD: Key = size("method_max", 256, "32b", "Method; then 400.");
const REQUEST_HEAD: Key = size("request_head_max", 64 << 10, "32k", "Head of a request; then 431.");
const REQUEST_FIELDS: Key = fields("request_fields_max", "128", "Fields in it; then 431.");
const RESPONSE_HEAD: Key = size("response_head_max", 64 << 10, "64k", "Head of a response; then 502.");
const RESPONSE_FIELDS: Key = fields("response_fields_max", "256", "Fields in it; then 502.");
const TRAILER: Key = size("trailer_max", 64 << 10, "4k", "Trailer section; then 431.");
const TRAILER_FIELDS: Key = fields("trailer_fields_max", "16", "Fields in it.");
const CHUNK_EXTENSION: Key =
    size("chunk_extension_max", 64 << 10, "1k", "Chunk extensions of one message: so much, ...");
const CHUNK_EXTENSION_PER_CHUNK: Key =
    size("chunk_extension_per_chunk_max", 1 << 10, "16b", "... and so much more for each chunk.");
const INTERIM: Key =
    fields("interim_responses_max", "16", "Interim (1xx) responses before the final one; then 502.");
const EMPTY_LINES: Key = key(
    "leading_empty_lines_max",
    count(0, 16),
    Is("2"),
    "Empty lines before a request line that are overlooked.",
);

pub(crate) static LIMITS: Section = Section {
    name: "[limits]",
    help: "How large things may be. Each is checked before anything is allocated for it.",
    example: "{ request_head_max = \"32k\" }",
    keys: &[
        CONNECTIONS_MAX,
        CONNECTIONS_PER_SOURCE_MAX,
        REQUEST_LINE,
        METHOD,
        REQUEST_HEAD,
        REQUEST_FIELDS,
        RESPONSE_HEAD,
        RESPONSE_FIELDS,
        TRAILER,
        TRAILER_FIELDS,
        CHUNK_EXTENSION,
        CHUNK_EXTENSION_PER_CHUNK,
        INTERIM,
        EMPTY_LINES,
    ],
};

pub(crate) static OF_SITE: Section = Section {
    name: "limits of a site",
    help: "In the place of those at the top level. All but those of responses are an address's: sites that share one \
           say the same, because a request has no host before its head has been read.",
    example: "{ request_head_max = \"32k\" }",
    keys: &[
        around(REQUEST_LINE),
        around(METHOD),
        around(REQUEST_HEAD),
        around(REQUEST_FIELDS),
        around(RESPONSE_HEAD),
        around(RESPONSE_FIELDS),
        around(TRAILER),
        around(TRAILER_FIELDS),
        around(CHUNK_EXTENSION),
        around(CHUNK_EXTENSION_PER_CHUNK),
        around(INTERIM),
        around(EMPTY_LINES),
    ],
};

pub(crate) static OF_RESPONSES: Section = Section {
    name: "limits of a route or an upstream",
    help: "Of its responses, in the place of those around it.",
    example: "{ response_head_max = \"32k\" }",
    keys: &[around(RESPONSE_HEAD), around(RESPONSE_FIELDS), around(INTERIM)],
};

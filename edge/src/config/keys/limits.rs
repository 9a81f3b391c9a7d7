//! How large things may be.

use super::{
    Default::{Is, Words},
    Key, Kind, NOTHING, Section, count, key,
};

const fn size(name: &'static str, max: u64, default: &'static str, help: &'static str) -> Key {
    key(name, Kind::Size { min: 1, max, none: false }, Is(default), help)
}

const fn fields(name: &'static str, max: u64, default: &'static str, help: &'static str) -> Key {
    key(name, count(1, max), Is(default), help)
}

pub(crate) static LIMITS: Section = Section {
    name: "[limits]",
    help: "How large things may be. Each is checked before anything is allocated for it.",
    example: "{ request_head_max = \"32k\" }",
    keys: &[
        key(
            "connections_max",
            count(1, 1 << 24),
            Words("what the limit on descriptors allows, at two for each, less 128"),
            "Client connections of all lanes; those beyond wait in the kernel's queue.",
        ),
        size("request_line_max", 64 << 10, "8k", "Request line; then 414."),
        size("method_max", 256, "32b", "Method; then 400."),
        size("request_head_max", 64 << 10, "32k", "Head of a request; then 431."),
        fields("request_fields_max", 1024, "128", "Fields in it; then 431."),
        size("response_head_max", 64 << 10, "64k", "Head of a response; then 502."),
        fields("response_fields_max", 1024, "256", "Fields in it; then 502."),
        size("trailer_max", 64 << 10, "4k", "Trailer section; then 431."),
        fields("trailer_fields_max", 1024, "16", "Fields in it."),
        size("chunk_extension_max", 64 << 10, "1k", "Chunk extensions of one message: so much, ..."),
        size("chunk_extension_per_chunk_max", 1 << 10, "16b", "... and so much more for each chunk."),
        fields(
            "interim_responses_max",
            1024,
            "16",
            "Interim (1xx) responses before the final one; then 502.",
        ),
        key(
            "leading_empty_lines_max",
            count(0, 16),
            Is("2"),
            "Empty lines before a request line that are overlooked.",
        ),
        key(
            "connections_per_source_max",
            Kind::NotBuilt("limit connections in the firewall until then"),
            NOTHING,
            "Client connections from one address.",
        ),
    ],
};

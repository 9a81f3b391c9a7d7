//! What is shed when memory or descriptors run short.

use super::{Default::Is, Key, Kind, Section, form, key};

const fn percent(name: &'static str, default: &'static str, help: &'static str) -> Key {
    key(name, Kind::Count { min: 1, max: 100, word: Some("never") }, Is(default), help)
}

pub(crate) static OVERLOAD: Section = Section {
    name: "[overload]",
    help: "What is shed when memory or descriptors run short, and from where on: per cent of what there may be, whichever is \
           scarcer. A step begins no earlier than those above it, and holds until 3 per cent less are used.",
    example: "{ memory = \"512m\" }",
    keys: &[
        key(
            "memory",
            Kind::Choice {
                built: &["group", "none"],
                not_built: &[],
                open: Some(form("a size for what is resident of this process", "512m")),
            },
            Is("group"),
            "How much memory there is: what the control group is allowed (memory.max, memory.high), or a size; \"none\": it is not watched.",
        ),
        percent("no_keep_alive", "85", "Each answer is the last of its client's connection."),
        percent("refuse", "90", "New requests are answered with 503."),
        percent("close_idle", "92", "Idle connections are closed, those of clients and those to upstreams."),
        percent("stop_accept", "95", "Nobody is let in; who comes waits in the kernel's queue."),
    ],
};

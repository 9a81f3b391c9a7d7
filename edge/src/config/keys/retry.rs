//! When an attempt may be followed by another.

use super::{Default::Is, Key, Kind, NOTHING, Section, around, count, key};

const ATTEMPTS: Key = key(
    "attempts",
    count(1, 16),
    Is("2"),
    "The most attempts that may reach an origin, the first included; 1: no second one.",
);
const ON_TIMEOUT: Key = key(
    "on_timeout",
    Kind::Flag,
    Is("false"),
    "Try again when `timeouts.upstream_head` has passed without an answer.",
);
const ON_FAILURE: Key = key(
    "on_failure",
    Kind::Flag,
    Is("false"),
    "Try again when a fresh connection ends before a byte of an answer; on a pooled one that is always done.",
);
const ON_STATUS: Key = key(
    "on_status",
    Kind::OneOrCounts { min: 400, max: 599 },
    NOTHING,
    "Try again when an origin answers with one of these, and an endpoint is left; the last answer is passed on.",
);
const BUDGET: Key = key(
    "budget",
    count(0, 1600),
    Is("20"),
    "How many of an upstream's requests may be tried again, in per cent; ten at once and one a second always may.",
);
const REPLAY_MAX: Key = key(
    "replay_max",
    Kind::Size { min: 0, max: 16 << 20, none: false },
    Is("64k"),
    "Content that is kept for another attempt; a request with more is sent once.",
);

const EXAMPLE: &str = "{ attempts = 2, on_timeout = true }";

pub(crate) static RETRY: Section = Section {
    name: "[retry]",
    help: "When an attempt may be followed by another. What was not sent goes to the next endpoint in any case; what was \
           sent is only sent again if its method is idempotent and its content was kept.",
    example: EXAMPLE,
    keys: &[ATTEMPTS, ON_STATUS, ON_TIMEOUT, ON_FAILURE, BUDGET, REPLAY_MAX],
};

pub(crate) static AROUND: Section = Section {
    name: "retry of a site, an upstream or a route",
    help: "In the place of what holds around it.",
    example: EXAMPLE,
    keys: &[
        around(ATTEMPTS),
        around(ON_STATUS),
        around(ON_TIMEOUT),
        around(ON_FAILURE),
        around(BUDGET),
        around(REPLAY_MAX),
    ],
};

//! Words in errors: what somebody wrote, made harmless, and what may have been meant.

/// Characters of somebody's text that an error repeats.
const QUOTED_CHARS_MAX: usize = 60;

/// Somebody's text in an error: short, and without what a terminal would obey.
pub(crate) fn quote(text: &str) -> String {
    let short: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let mut quoted = harmless(&short);
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        quoted.push_str("...");
    }
    format!("`{quoted}`")
}

/// Without what a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// `1 site`, `2 sites`.
pub(crate) fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The one of `known` that somebody may have meant.
pub(crate) fn nearest<'k>(wrong: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    // A key in the place of another shares at least half of it.
    let allowed = |name: &str| (name.len().max(wrong.len()) / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, name)| *distance <= allowed(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours that make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(QUOTED_CHARS_MAX).collect();
    let other: Vec<char> = other.chars().take(QUOTED_CHARS_MAX).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, a) in one.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, b) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut least = replaced.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && one[row - 1] == *b && *a == other[column - 1] {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found() {
        let known = ["listen", "host", "route", "timeouts"];
        for (wrong, right) in [
            ("lisen", Some("listen")),
            ("hots", Some("host")),
            ("routes", Some("route")),
            ("timeout", Some("timeouts")),
            ("upstream", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known), right, "{wrong}");
        }
    }

    #[test]
    fn distances_count_swaps_once() {
        for (one, other, expected) in
            [("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3), ("ä", "a", 1)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn op_17_what_is_quoted_is_harmless() {
        assert_eq!(quote("a\u{1b}[31mb\n"), "`a\u{fffd}[31mb\u{fffd}`");
        assert_eq!(quote(&"x".repeat(100)).len(), 60 + 3 + 2);
    }
}

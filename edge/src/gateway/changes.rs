//! What a route changes in a message: the path, and header fields.

use crate::config::{
    data::Forward,
    values::{Edits, Filling},
};
use corelane_engine::{Fields, RequestHead};

/// Takes `strip` off the path and makes `rewrite` of it; the query stays.
pub(super) fn retarget(forward: &Forward, head: &mut RequestHead) {
    // `OPTIONS *` is about no path.
    if (forward.strip.is_none() && forward.rewrite.is_none()) || head.target.first() != Some(&b'/') {
        return;
    }
    let path_len = head.path().len();
    if let Some(rewrite) = &forward.rewrite {
        let path = str::from_utf8(stripped(forward, head.path())).unwrap_or("/");
        let new = rewrite.fill(&Filling { host: "", path, query: None });
        let new = if new.is_empty() { "/".to_owned() } else { new };
        head.target.splice(..path_len, new.into_bytes());
        return;
    }
    let cut = path_len - stripped(forward, head.path()).len();
    if cut == path_len {
        head.target.splice(..path_len, *b"/");
    } else {
        head.target.drain(..cut);
    }
}

/// What is left of a path: empty, or it begins with a slash.
fn stripped<'p>(forward: &Forward, path: &'p [u8]) -> &'p [u8] {
    let Some(strip) = &forward.strip else { return path };
    match path.strip_prefix(strip.as_bytes()) {
        Some(rest @ ([] | [b'/', ..])) => rest,
        _ => path,
    }
}

/// Changes were checked when the file was read, so none can fail but for lack of room, and then it is left out.
pub(super) fn edit(fields: &mut Fields, edits: &Edits) {
    for name in &edits.remove {
        fields.remove(name);
    }
    for (name, value) in &edits.set {
        let _ = fields.try_set(name, value);
    }
    for (name, value) in &edits.add {
        let _ = fields.try_append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::Template;

    fn target(strip: Option<&str>, rewrite: Option<&str>, target: &str) -> String {
        let forward = Forward {
            upstream: 0,
            strip: strip.map(str::to_owned),
            rewrite: rewrite.map(|rewrite| Template::path(rewrite).unwrap()),
        };
        let mut head = RequestHead::new();
        head.target = target.into();
        retarget(&forward, &mut head);
        String::from_utf8(head.target).unwrap()
    }

    #[test]
    fn paths_are_stripped_and_rewritten() {
        assert_eq!(target(Some("/api"), None, "/api/x?y=/api"), "/x?y=/api");
        assert_eq!(target(Some("/api"), None, "/api?y"), "/?y");
        assert_eq!(target(Some("/api"), None, "/api"), "/");
        assert_eq!(target(Some("/api"), None, "/apix"), "/apix");
        assert_eq!(target(Some("/api"), None, "/x/api"), "/x/api");
        assert_eq!(target(None, Some("/v2{path}"), "/x?y"), "/v2/x?y");
        assert_eq!(target(Some("/api"), Some("/v2{path}"), "/api/x?y"), "/v2/x?y");
        assert_eq!(target(Some("/api"), Some("/v2{path}"), "/api"), "/v2");
        assert_eq!(target(Some("/api"), Some("{path}"), "/api/x"), "/x");
        assert_eq!(target(Some("/api"), Some("{path}"), "/api?y"), "/?y");
        assert_eq!(target(None, Some("/fixed"), "/x?y"), "/fixed?y");
        assert_eq!(target(None, Some("/fixed"), "*"), "*");
    }
}

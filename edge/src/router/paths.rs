//! From a path to a route: a sorted list of the paths that routes name, each of which knows the next shorter one that
//! it begins with. One binary search finds where a path would stand; what it begins with lies on the way up from
//! there.

use super::conditions::Conditions;
use corelane_engine::RequestHead;
use std::{cmp::Reverse, fmt, str::FromStr};

/// Which paths a route is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PathPattern {
    Exact(String),
    /// What stands before `/*`: it matches this, and this with a slash and anything after it.
    Prefix(String),
}

impl PathPattern {
    /// Whether it is for a path.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == path,
            Self::Prefix(prefix) => is_below(path, prefix.as_bytes()),
        }
    }
}

impl FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err("a path begins with a slash: \"/x\", or \"/x/*\" for it and all below it".to_owned());
        }
        if text.contains(['?', '#']) {
            return Err("a path ends before `?` and `#`; conditions on the query stand in `query`".to_owned());
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a path is compared as it is sent: `%20` for a space, `%` and two digits for what is not ASCII"
                .to_owned());
        }
        let prefix = text.strip_suffix("/*");
        if prefix.unwrap_or(text).contains('*') {
            return Err("a `*` stands only at the end, after a slash: \"/x/*\"".to_owned());
        }
        Ok(match prefix {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(text.to_owned()),
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::Prefix(prefix) => write!(f, "{prefix}/*"),
        }
    }
}

/// The routes of one site.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// Sorted by path.
    nodes: Vec<Node>,
    any: Group,
}

#[derive(Debug)]
struct Node {
    path: Box<[u8]>,
    exact: Group,
    prefix: Group,
    /// The longest other path that this one begins with, byte by byte.
    above: Option<u32>,
}

/// Routes with the same path: more conditions first, then in the order of the file.
#[derive(Debug, Default)]
struct Group(Vec<(Conditions, u32)>);

impl Group {
    fn find(&self, head: &RequestHead) -> Option<u32> {
        self.0.iter().find(|(conditions, _)| conditions.hold(head)).map(|(_, route)| *route)
    }

    fn sort(&mut self) {
        self.0.sort_by_key(|(conditions, route)| (Reverse(conditions.count()), *route));
    }
}

impl Paths {
    /// Of routes in the order of the file: for each its paths (none: any path) and its conditions.
    pub(crate) fn new<'r>(routes: impl IntoIterator<Item = (&'r [PathPattern], &'r Conditions)>) -> Self {
        let mut any = Group::default();
        let mut entries: Vec<(&PathPattern, &Conditions, u32)> = Vec::new();
        for (route, (paths, conditions)) in (0..).zip(routes) {
            if paths.is_empty() {
                any.0.push((conditions.clone(), route));
            }
            entries.extend(paths.iter().map(|path| (path, conditions, route)));
        }
        let text = |pattern: &'r PathPattern| match pattern {
            PathPattern::Exact(path) | PathPattern::Prefix(path) => path.as_bytes(),
        };
        entries.sort_by_key(|(pattern, _, route)| (text(pattern), *route));
        let mut nodes: Vec<Node> = Vec::new();
        for (pattern, conditions, route) in entries {
            let path = text(pattern);
            if nodes.last().is_none_or(|last| *last.path != *path) {
                nodes.push(Node {
                    path: path.into(),
                    exact: Group::default(),
                    prefix: Group::default(),
                    above: None,
                });
            }
            let Some(node) = nodes.last_mut() else { continue };
            match pattern {
                PathPattern::Exact(_) => node.exact.0.push((conditions.clone(), route)),
                PathPattern::Prefix(_) => node.prefix.0.push((conditions.clone(), route)),
            }
        }
        any.sort();
        for node in &mut nodes {
            node.exact.sort();
            node.prefix.sort();
        }
        link(&mut nodes);
        Self { nodes, any }
    }

    /// The most specific route that takes the request.
    pub(crate) fn find(&self, head: &RequestHead) -> Option<u32> {
        let path = head.path();
        let place = self.nodes.partition_point(|node| *node.path <= *path);
        let mut next = place.checked_sub(1);
        while let Some(node) = next.and_then(|at| self.nodes.get(at)) {
            let found = match path.strip_prefix(&*node.path) {
                Some([]) => node.exact.find(head).or_else(|| node.prefix.find(head)),
                Some([b'/', ..]) => node.prefix.find(head),
                _ => None,
            };
            if found.is_some() {
                return found;
            }
            next = node.above.map(|above| above as usize);
        }
        self.any.find(head)
    }
}

/// What begins with a path follows it in the order, so those that a path begins with are the last ones on a stack.
fn link(nodes: &mut [Node]) {
    let mut stack: Vec<u32> = Vec::new();
    for at in 0..nodes.len() {
        while let Some(top) = stack.last() {
            if nodes[at].path.starts_with(&nodes[*top as usize].path) {
                break;
            }
            stack.pop();
        }
        nodes[at].above = stack.last().copied();
        stack.push(
            u32::try_from(at).expect("a configuration has fewer paths than bytes, and those are bounded"),
        );
    }
}

fn is_below(path: &[u8], prefix: &[u8]) -> bool {
    matches!(path.strip_prefix(prefix), Some([] | [b'/', ..]))
}

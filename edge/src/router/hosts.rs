//! From a host to its site.

use std::{collections::HashMap, fmt, str::FromStr};

/// A host name has at most so many bytes (RFC 1035 §2.3.4).
const HOST_BYTES_MAX: usize = 255;

/// A colon and five digits.
const PORT_BYTES_MAX: usize = 6;

/// Whom a site is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    /// In lower case, without a port.
    Exact(String),
    /// What follows `*.`, in lower case.
    Below(String),
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected a host without a port, such as \"example.com\" or \"*.example.com\"";
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_suffix('.').unwrap_or(&lower);
        if lower == "*" {
            return Err("leave `host` out for a site that is for any host".to_owned());
        }
        if let Some(literal) = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let literal: Result<std::net::Ipv6Addr, _> = literal.parse();
            return literal.map(|ip| Self::Exact(format!("[{ip}]"))).map_err(|_| EXPECTED.to_owned());
        }
        let (name, below) = match lower.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (lower, false),
        };
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if name.contains('*') {
            return Err("a `*` stands only at the beginning, before a dot: \"*.example.com\"".to_owned());
        }
        if name.contains(':') {
            return Err(format!("{EXPECTED}; the port belongs to `listen`"));
        }
        if !name.is_ascii() {
            return Err("expected the form that is sent: `xn--` for names that are not ASCII".to_owned());
        }
        if name.len() > HOST_BYTES_MAX || !name.split('.').all(is_label) {
            return Err(EXPECTED.to_owned());
        }
        Ok(if below { Self::Below(name.to_owned()) } else { Self::Exact(name.to_owned()) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

/// The sites of one address.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// Its hashes have keys of this process's own: names that collide are nobody's to choose.
    exact: HashMap<Box<[u8]>, u32>,
    below: HashMap<Box<[u8]>, u32>,
    any: Option<u32>,
    /// The most labels of a wildcard: what is above them need not be looked for.
    labels_max: usize,
}

impl Hosts {
    /// Adds a site, for any host if there is no pattern; `Err` is the site that is there.
    pub(crate) fn insert(&mut self, pattern: Option<&HostPattern>, site: u32) -> Result<(), u32> {
        let there = match pattern {
            None => self.any.replace(site),
            Some(HostPattern::Exact(name)) => self.exact.insert(name.as_bytes().into(), site),
            Some(HostPattern::Below(name)) => {
                self.labels_max = self.labels_max.max(name.split('.').count());
                self.below.insert(name.as_bytes().into(), site)
            }
        };
        there.map_or(Ok(()), Err)
    }

    #[cfg(test)]
    pub(super) fn hash_of(&self, host: &[u8]) -> u64 {
        std::hash::BuildHasher::hash_one(self.exact.hasher(), host)
    }

    /// The site for an authority as a client wrote it: with a port or without, in any case.
    pub(crate) fn find(&self, authority: &[u8]) -> Option<u32> {
        let mut lower = [0; HOST_BYTES_MAX];
        let host = host_of(authority);
        let Some(lower) = lower.get_mut(..host.len()) else { return self.any };
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        let lower: &[u8] = lower;
        self.exact.get(lower).or_else(|| self.wildcard(lower)).copied().or(self.any)
    }

    /// The longest wildcard above a host.
    fn wildcard(&self, host: &[u8]) -> Option<&u32> {
        if self.labels_max == 0 {
            return None;
        }
        // From the end: the last labels are what wildcards are made of.
        let dots = host.iter().enumerate().rev().filter(|(_, byte)| **byte == b'.').take(self.labels_max);
        dots.filter_map(|(at, _)| self.below.get(&host[at + 1..])).last()
    }
}

/// Without port and without the dot of the root.
fn host_of(authority: &[u8]) -> &[u8] {
    let mut host = authority;
    // A port has at most five digits, and the colons of an address in brackets are its own.
    for at in (authority.len().saturating_sub(PORT_BYTES_MAX)..authority.len()).rev() {
        match authority[at] {
            b':' => {
                host = &authority[..at];
                break;
            }
            b']' => break,
            _ => {}
        }
    }
    host.strip_suffix(b".").unwrap_or(host)
}

//! How one of several endpoints is chosen, as it is written on the command line and in the configuration file.

use crate::config::values;
use corelane_engine::{Address, Cluster, Fields, Request};
use std::{borrow::Cow, fmt, str::FromStr};

/// How an endpoint is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) enum Balance {
    /// In turn; by weight where there are weights.
    #[default]
    RoundRobin,
    Random,
    LeastRequest,
    /// The power of two choices.
    P2c,
    /// What belongs together goes to the same one.
    Hash(By),
}

/// What requests have in common that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum By {
    Client,
    Path,
    /// A header field; the name is in lower case.
    Header(String),
    Cookie(String),
}

impl Balance {
    /// The choices that are one word.
    pub(crate) const WORDS: [&str; 4] = ["round-robin", "random", "least-request", "p2c"];

    /// The recipe; weights hold for every way to choose.
    pub(crate) fn cluster(&self, endpoints: &[(Address, Option<u32>)]) -> Cluster {
        let addresses = endpoints.iter().map(|(address, _)| address.to_string());
        let weights = endpoints.iter().map(|(_, weight)| weight.unwrap_or(1));
        let is_weighted = endpoints.iter().any(|(_, weight)| weight.is_some());
        match self {
            Self::RoundRobin if is_weighted => Cluster::weighted_round_robin(addresses.zip(weights)),
            Self::RoundRobin => Cluster::round_robin(addresses),
            Self::Random => Cluster::random(addresses).weights(weights),
            Self::LeastRequest => Cluster::least_request(addresses).weights(weights),
            Self::P2c => Cluster::p2c(addresses).weights(weights),
            Self::Hash(_) => Cluster::hash(addresses).weights(weights),
        }
    }

    /// Tells what a request belongs to; what has no such thing belongs to its client.
    pub(crate) fn mark(&self, request: &Request) {
        if let Self::Hash(by) = self
            && let Some(key) = by.key(request)
        {
            request.balance_by(key);
        }
    }

    /// What is more than a word; `None` if the text is no such thing.
    pub(crate) fn by_hash(text: &str) -> Option<Result<Self, String>> {
        match text.split_once(':') {
            Some(("hash", by)) => {
                Some(by.parse().map(Self::Hash).map_err(|says: String| format!("after `hash:`: {says}")))
            }
            None if text == "weighted" => {
                Some(Err("weights make it so: round-robin honours those that endpoints have".to_owned()))
            }
            None if text == "hash" => {
                Some(Err(format!("say by what: hash:BY, where BY is {}", By::EXPECTED)))
            }
            _ => None,
        }
    }
}

impl By {
    const EXPECTED: &'static str = "client, path, header:NAME or cookie:NAME";

    /// None where a request has no such thing, and for the client, which needs no telling.
    pub(crate) fn key<'r>(&self, request: &'r Request) -> Option<&'r [u8]> {
        match self {
            Self::Client => None,
            Self::Path => Some(request.head().path()),
            Self::Header(name) => request.fields().get(name),
            Self::Cookie(name) => cookie(request.fields(), name),
        }
    }
}

/// The value of the first cookie of that name (RFC 6265 §4.2.1).
fn cookie<'f>(fields: &'f Fields, name: &str) -> Option<&'f [u8]> {
    let pairs = fields.get_all("cookie").flat_map(|field| field.split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

impl FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "client" => Ok(Self::Client),
            None if text == "path" => Ok(Self::Path),
            Some(("header", name)) => values::field_name(name).map(Self::Header),
            Some(("cookie", name)) if values::is_token(name) => Ok(Self::Cookie(name.to_owned())),
            Some(("cookie", _)) => Err("expected the name of a cookie, such as cookie:session".to_owned()),
            _ => Err(format!("expected {}", Self::EXPECTED)),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

impl FromStr for Balance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "round-robin" => Ok(Self::RoundRobin),
            "random" => Ok(Self::Random),
            "least-request" => Ok(Self::LeastRequest),
            "p2c" => Ok(Self::P2c),
            _ => Self::by_hash(text).unwrap_or_else(|| {
                Err(format!(
                    "expected one of {}, or hash:BY, where BY is {}",
                    Self::WORDS.join(", "),
                    By::EXPECTED
                ))
            }),
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::RoundRobin => Cow::Borrowed("round-robin"),
            Self::Random => Cow::Borrowed("random"),
            Self::LeastRequest => Cow::Borrowed("least-request"),
            Self::P2c => Cow::Borrowed("p2c"),
            Self::Hash(by) => Cow::Owned(format!("hash:{by}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_engine::Policy;

    #[test]
    fn a_choice_is_written_as_it_is_read() {
        let hashes = ["hash:client", "hash:path", "hash:header:x-user", "hash:cookie:Session"];
        for text in Balance::WORDS.into_iter().chain(hashes) {
            assert_eq!(text.parse::<Balance>().unwrap().to_string(), text);
        }
        for wrong in [
            "hash",
            "hash:",
            "hash:header",
            "hash:header:",
            "hash:cookie:a b",
            "hash:header:Connection",
            "hash:x",
        ] {
            assert!(wrong.parse::<Balance>().is_err(), "{wrong}");
        }
        assert!("weighted".parse::<Balance>().unwrap_err().contains("round-robin"));
        assert!("best".parse::<Balance>().is_err());
    }

    #[test]
    fn every_choice_makes_a_cluster() {
        let at = |port: u16| Address::Ip(([127, 0, 0, 1], port).into());
        let endpoints = [(at(1), Some(3)), (at(2), None)];
        for (text, policy) in [
            ("round-robin", Policy::WeightedRoundRobin),
            ("random", Policy::Random),
            ("least-request", Policy::LeastRequest),
            ("p2c", Policy::P2c),
            ("hash:path", Policy::Hash),
        ] {
            let cluster = text.parse::<Balance>().unwrap().cluster(&endpoints).resolve().unwrap();
            assert_eq!((cluster.policy(), cluster.addresses().len()), (policy, 2), "{text}");
        }
        assert_eq!(Balance::RoundRobin.cluster(&[(at(1), None)]).policy(), Policy::RoundRobin);
    }

    #[test]
    fn cookies_are_found_among_others() {
        let mut fields = Fields::new();
        fields.append("cookie", "a=1; session=x=y;b=2");
        fields.append("cookie", "c=3");
        for (name, value) in [("a", "1"), ("session", "x=y"), ("b", "2"), ("c", "3")] {
            assert_eq!(cookie(&fields, name), Some(value.as_bytes()), "{name}");
        }
        assert_eq!((cookie(&fields, "sess"), cookie(&fields, "d")), (None, None));
    }
}

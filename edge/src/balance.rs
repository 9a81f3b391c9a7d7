//! How one of several endpoints is chosen, as it is written on the command line and in the configuration file.

use corelane_engine::{Address, Cluster};
use std::{fmt, str::FromStr};

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
            "weighted" => Err("weights make it so: round-robin honours those that endpoints have".to_owned()),
            _ => Err(format!("expected one of {}", Self::WORDS.join(", "))),
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
            Self::LeastRequest => "least-request",
            Self::P2c => "p2c",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_engine::Policy;

    #[test]
    fn a_choice_is_written_as_it_is_read() {
        for word in Balance::WORDS {
            assert_eq!(word.parse::<Balance>().unwrap().to_string(), word);
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
        ] {
            let cluster = text.parse::<Balance>().unwrap().cluster(&endpoints).resolve().unwrap();
            assert_eq!((cluster.policy(), cluster.addresses().len()), (policy, 2), "{text}");
        }
        assert_eq!(Balance::RoundRobin.cluster(&[(at(1), None)]).policy(), Policy::RoundRobin);
    }
}

//! Where a connection leads.

use crate::address::Address;
use std::{fmt, net::IpAddr, sync::Arc};

/// Where a connection leads, and what else two connections must have in common to stand in for each other: each
/// different peer has a pool of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    address: Address,
    source: Option<IpAddr>,
    /// The cluster towards whose connection maximum it counts.
    limited_by: Option<Arc<str>>,
}

impl Peer {
    /// An origin that speaks HTTP/1.1 in clear text.
    pub fn http(address: impl Into<Address>) -> Self {
        Self { address: address.into(), source: None, limited_by: None }
    }

    /// Connections come from this address of the machine's.
    #[must_use]
    pub fn source(mut self, source: Option<IpAddr>) -> Self {
        self.source = source;
        self
    }

    pub(crate) fn limited_by(mut self, cluster: Option<Arc<str>>) -> Self {
        self.limited_by = cluster;
        self
    }

    pub(crate) const fn limit(&self) -> Option<&Arc<str>> {
        self.limited_by.as_ref()
    }

    /// Its address.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Where connections come from, if not from wherever the system thinks best.
    pub const fn source_address(&self) -> Option<IpAddr> {
        self.source
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

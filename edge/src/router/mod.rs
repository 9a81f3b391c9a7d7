//! From a request to a route: hosts, then paths, then conditions. Nothing here allocates for a request.
//!
//! The most specific wins. Of hosts: an exact one, then the longest wildcard, then any host; the site is chosen by the
//! host alone, and a request that none of its routes takes goes to no other. Of paths: an exact one, then the longest
//! prefix, then any path. Of conditions: more over fewer. Then the order in the file.

mod conditions;
mod hosts;
mod paths;
mod strict;

pub(crate) use conditions::{Conditions, Expect};
pub(crate) use hosts::{HostPattern, Hosts};
pub(crate) use paths::{PathPattern, Paths};
pub(crate) use strict::is_plain;

#[cfg(test)]
mod tests;

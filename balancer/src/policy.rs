//! The policies, as they are configured: plain data that every lane makes a picker of.

use std::any::type_name;
use std::fmt;
use std::sync::Arc;

use crate::Choose;

/// How requests are spread over endpoints. A weight of 0 means "gets nothing" to all of them.
///
/// It is a recipe, which can be sent to every lane; each [`Picker`](crate::Picker) has a state of its own. Two
/// are equal when they do the same; of two [`Custom`](Self::Custom) that can be said only when one is a clone of
/// the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Each in turn, whatever its weight. The default. The first is chosen by the seed.
    #[default]
    RoundRobin,
    /// In proportion to weight, and evenly interleaved: nginx's smooth weighted round robin
    /// (`ngx_http_upstream_get_peer`). While none is passed over, shares are exact over each cycle: as many
    /// picks as the sum of the weights divided by their greatest common divisor. The phase is chosen by the
    /// seed.
    WeightedRoundRobin,
    /// By chance, in proportion to weight. Lanes, and processes, that know nothing of each other cannot fall
    /// into step.
    Random,
    /// The least in flight divided by weight, as nginx's `least_conn` does it. Ties are broken by round robin,
    /// in proportion to weight. Good where some requests take much longer than others.
    LeastRequest,
    /// Two by chance, in proportion to weight, and of them the one with less in flight divided by weight: the
    /// power of two choices (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS
    /// 12(10), 2001), as in nginx's `random two least_conn`. Nearly as even as
    /// [`LeastRequest`](Self::LeastRequest), for a cost that hardly grows with the number of endpoints; and
    /// many lanes that each see only a part of the load don't all run to the same endpoint.
    P2c,
    /// Requests with the same key go to the same endpoint, and keys are spread in proportion to weight: weighted
    /// rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
    /// IEEE/ACM ToN 6(1), 1998; with weights as in Schindelhauer and Schomaker, "Weighted distributed hash
    /// tables", SPAA 2005).
    ///
    /// It has no seed: every lane, process and machine chooses alike, whatever the order in which endpoints are
    /// listed, as long as they have the same identities
    /// ([`Picker::with_identities`](crate::Picker::with_identities)). Disruption is minimal: an endpoint that
    /// comes, or gets a greater weight, takes its share of keys from the others, and no key moves between those;
    /// one that goes, is suspect or was tried leaves each of its keys to the next-best endpoint for that key. A
    /// pick visits every endpoint.
    ///
    /// Keys may be any numbers: see [`hash_bytes`](crate::hash_bytes).
    Hash,
    /// Somebody's own: see [`Choose`] and [`custom`](Self::custom).
    Custom(Factory),
}

impl Policy {
    /// A policy of one's own. `make` is called for each picker, so once per lane and cluster, on the lane's
    /// thread; what it makes belongs to that lane, and needs neither `Send` nor locks.
    ///
    /// See [`Choose`] for an example.
    pub fn custom<C: Choose>(make: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self::Custom(Factory::new(make))
    }
}

/// What makes a [`Choose`] for each picker. Clones share one function, and only they are equal.
#[derive(Clone)]
pub struct Factory {
    make: Arc<dyn Fn() -> Box<dyn Choose> + Send + Sync>,
    /// What it makes, for logs.
    makes: &'static str,
}

impl Factory {
    /// A factory that calls `make`.
    pub fn new<C: Choose>(make: impl Fn() -> C + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(move || Box::new(make())), makes: type_name::<C>() }
    }

    /// A new one, with a state of its own.
    pub fn make(&self) -> Box<dyn Choose> {
        (self.make)()
    }
}

impl PartialEq for Factory {
    fn eq(&self, other: &Self) -> bool {
        // The address alone: two tables of methods of one closure may differ.
        Arc::as_ptr(&self.make).cast::<()>() == Arc::as_ptr(&other.make).cast::<()>()
    }
}

impl Eq for Factory {}

impl fmt::Debug for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.makes)
    }
}

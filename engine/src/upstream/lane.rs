//! What a lane has of upstreams.

use super::{Cluster, Members, Peer, Pool, Turnstile, Upstream};
use crate::{address::Address, lane::Lane, shared::desk::Changed};
use std::{
    rc::{Rc, Weak},
    sync::Arc,
};

impl Lane {
    /// This lane's own way to a peer that was not known beforehand, such as one that was looked up for this request. Peers
    /// share the lane's pools: the next request for the same one finds the connection that this one leaves.
    ///
    /// ```
    /// # use corelane_engine::{Lane, Peer, Request, Response, Result};
    /// # use std::{collections::HashMap, net::SocketAddr};
    /// async fn route(lane: &Lane, tenants: &HashMap<String, SocketAddr>, request: Request) -> Result<Response> {
    ///     let Some(address) = tenants.get(request.authority()) else {
    ///         return Ok(Response::new(corelane_engine::StatusCode::MISDIRECTED_REQUEST));
    ///     };
    ///     lane.connect_to(Peer::http(*address)).send(request).await
    /// }
    /// ```
    pub fn connect_to(&self, peer: Peer) -> Upstream {
        if let Some(members) = self.0.peers.borrow().get(&peer) {
            return Upstream::new(self, members.clone());
        }
        let members = Members::new(self, &Cluster::of_peer(&peer));
        self.0.peers.borrow_mut().insert(peer, members.clone());
        Upstream::new(self, members)
    }

    /// A way to a cluster that nobody else asks for, and that metrics do not show.
    pub(crate) fn unlisted(&self, cluster: &Cluster) -> Upstream {
        Upstream::new(self, Members::new(self, cluster))
    }

    /// Forgets peers that nobody has a use for, or a connection to.
    pub(crate) fn forget_peers(&self) {
        self.0.peers.borrow_mut().retain(|_, members| Rc::strong_count(members) > 1 || !members.is_at_rest());
    }

    /// The lane's connections to a peer.
    pub(crate) fn pool(&self, peer: &Peer) -> Rc<Pool> {
        if let Some(pool) = self.0.pools.borrow().get(peer) {
            return pool.clone();
        }
        let turnstile = peer.limit().and_then(|name| self.known_turnstile(name));
        let pool = Pool::new(self, peer, turnstile);
        self.0.pools.borrow_mut().insert(peer.clone(), pool.clone());
        pool
    }

    /// Whether a connection to this peer has a place here.
    pub(crate) fn knows(&self, peer: &Peer) -> bool {
        peer.limit().is_none_or(|name| self.known_turnstile(name).is_some())
    }

    /// The way into a cluster that has a connection maximum.
    pub(crate) fn turnstile(&self, cluster: &Cluster) -> Option<Rc<Turnstile>> {
        let (connections_max, queue_max, wait_max) = cluster.limit()?;
        let name: Arc<str> = Arc::from(cluster.as_name());
        if let Some(known) = self.known_turnstile(&name) {
            return Some(known);
        }
        let limit = self.0.process.limit(&name, connections_max, queue_max);
        let turnstile = Turnstile::new(self, name.clone(), limit, wait_max);
        let mut turnstiles = self.0.turnstiles.borrow_mut();
        turnstiles.retain(|_, turnstile| turnstile.strong_count() > 0);
        turnstiles.insert(name, Rc::downgrade(&turnstile));
        drop(turnstiles);
        Some(turnstile)
    }

    fn known_turnstile(&self, name: &Arc<str>) -> Option<Rc<Turnstile>> {
        self.0.turnstiles.borrow().get(name).and_then(Weak::upgrade)
    }

    /// Another lane could not connect to this address.
    pub(crate) fn suspect(&self, address: &Address) {
        self.0.clusters.borrow().all().for_each(|members| members.suspect(address));
    }

    /// The endpoints of these clusters have changed.
    pub(crate) fn update_clusters(&self, changed: &Changed) {
        for cluster in &changed.clusters {
            let all: Vec<_> = self.0.clusters.borrow().of_name(cluster.as_name()).collect();
            let older = all.iter().filter(|members| members.asked_by() <= changed.plan);
            older.for_each(|members| members.update(cluster));
        }
    }

    /// A plan is carried out: the maxima of its clusters hold.
    pub(crate) fn hold_limits(&self, plan: u64) {
        let all: Vec<_> = self.0.clusters.borrow().all().collect();
        all.iter().filter(|members| members.asked_by() == plan).for_each(|members| members.hold_limit());
    }

    /// There may be a place again, for which requests wait here.
    pub(crate) fn call_for(&self, cluster: &Arc<str>) {
        if let Some(turnstile) = self.known_turnstile(cluster) {
            turnstile.call();
        }
    }

    /// Requests wait elsewhere: an idle connection makes place.
    pub(crate) fn make_room_in(&self, cluster: &Arc<str>) {
        if let Some(turnstile) = self.known_turnstile(cluster) {
            drop(turnstile.make_room());
        }
    }
}

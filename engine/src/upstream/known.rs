//! The clusters that a lane has, found by their names: a configuration has thousands, and a reload asks for each.

use super::{Cluster, Members};
use crate::io::Map;
use std::rc::{Rc, Weak};

/// Dead entries that are worth looking for.
const DEAD_MIN: usize = 64;

/// Clusters by name, for as long as somebody uses them. Those of one name are few: a generation's and its successor's.
#[derive(Default)]
pub(crate) struct Known {
    by_name: Map<String, Vec<Weak<Members>>>,
    /// How many names had somebody when that was last looked at.
    alive: usize,
}

impl Known {
    pub(crate) fn find(&self, cluster: &Cluster) -> Option<Rc<Members>> {
        let mut alike = self.by_name.get(cluster.as_name())?.iter().filter_map(Weak::upgrade);
        alike.find(|members| members.is_of(cluster))
    }

    pub(crate) fn add(&mut self, name: &str, members: &Rc<Members>) {
        // Now and then, so that it costs each of them next to nothing.
        if self.by_name.len() > 2 * self.alive + DEAD_MIN {
            self.by_name.retain(|_, alike| alike.iter().any(|members| members.strong_count() > 0));
            self.alive = self.by_name.len();
        }
        let alike = self.by_name.entry(name.to_owned()).or_default();
        alike.retain(|members| members.strong_count() > 0);
        alike.push(Rc::downgrade(members));
    }

    pub(crate) fn of_name(&self, name: &str) -> impl Iterator<Item = Rc<Members>> {
        self.by_name.get(name).into_iter().flatten().filter_map(Weak::upgrade)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Rc<Members>> {
        self.by_name.values().flatten().filter_map(Weak::upgrade)
    }
}

//! How many are under way.

use std::cell::Cell;
use std::rc::Rc;

/// Counts what is under way on a lane: each guard counts until it is dropped. Clones share one count.
///
/// ```
/// use corelane_balancer::count::InFlight;
///
/// let uploads = InFlight::default();
/// let first = uploads.enter();
/// let second = uploads.enter_below(2).expect("one is under way");
/// assert!(uploads.enter_below(2).is_none(), "two are");
/// drop(first);
/// assert_eq!(uploads.count(), 1);
/// # drop(second);
/// ```
#[derive(Clone, Debug, Default)]
pub struct InFlight {
    count: Rc<Cell<u64>>,
}

/// Counts as one until it is dropped. A guard that is forgotten counts for ever.
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub struct InFlightGuard {
    count: Rc<Cell<u64>>,
}

impl InFlight {
    /// One more.
    pub fn enter(&self) -> InFlightGuard {
        self.count.set(self.count.get() + 1);
        InFlightGuard { count: Rc::clone(&self.count) }
    }

    /// One more, unless there are `max` or more already. A `max` of 0 admits none.
    pub fn enter_below(&self, max: u64) -> Option<InFlightGuard> {
        (self.count() < max).then(|| self.enter())
    }

    /// How many are under way.
    pub fn count(&self) -> u64 {
        self.count.get()
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        // Every guard has added one before, and only guards take away.
        self.count.set(self.count.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_its_guards(
            max in 0..10_u64,
            steps in prop::collection::vec((0..3_u8, any::<usize>()), 0..200),
        ) {
            let in_flight = InFlight::default();
            let other = in_flight.clone();
            let mut guards = Vec::new();
            for (step, which) in steps {
                match step {
                    0 => guards.push(other.enter()),
                    1 => {
                        let before = guards.len() as u64;
                        let entered = in_flight.enter_below(max);
                        prop_assert_eq!(entered.is_some(), before < max);
                        guards.extend(entered);
                    }
                    _ if guards.is_empty() => {}
                    _ => drop(guards.swap_remove(which % guards.len())),
                }
                prop_assert_eq!(in_flight.count(), guards.len() as u64);
            }
            drop(in_flight);
            drop(guards);
            prop_assert_eq!(other.count(), 0);
        }
    }

    #[test]
    fn a_panic_lets_go() {
        let in_flight = InFlight::default();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = in_flight.enter();
            panic!("with a guard");
        }));
        assert!(result.is_err());
        assert_eq!(in_flight.count(), 0);
    }
}

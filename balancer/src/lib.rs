//! Which endpoint next, and may a failed attempt be followed by another.
//!
//! Everything here is a value: it does no I/O, reads no clock, starts no thread, writes no log and is never
//! `async`. Time comes in as `now`, a [`Duration`](std::time::Duration) since an epoch that the caller picks
//! once (a lane takes its start) and that never runs backwards; chance comes in as an [`Rng`]. The same calls
//! in the same order with the same seeds give the same answers.
//!
//! * [`Picker`] spreads requests over a cluster's endpoints, by a [`Policy`]. Each lane builds its own. It has
//!   two verbs: [`pick`](Picker::pick) before an attempt and [`done`](Picker::done) after it.
//! * [`Choose`] is the door for a policy of one's own.
//! * [`Tried`] is the set of endpoints that a request has already been sent to.
//! * [`retry`] says whether an attempt that failed may be followed by another.
//! * [`RetryBudget`] says how many retries there may be among all requests.
//! * [`count`] counts what happens: rates, what is in flight, the most frequent; and limits it.
//!
//! Once a picker is built, `pick` and `done` allocate nothing. [`Tried`] allocates only for an endpoint whose
//! index is [`Tried::INLINE`] or higher.
//!
//! ```
//! use std::time::Duration;
//!
//! use corelane_balancer::{Outcome, Picker, Policy, Rng, Tried};
//!
//! let mut rng = Rng::new(7);
//! let mut picker = Picker::new(Policy::RoundRobin, &[1, 1], rng.next())?;
//! let mut tried = Tried::default();
//! let now = Duration::ZERO;
//!
//! let first = picker.pick(0, now, &mut rng, &tried).expect("there are two");
//! picker.done(first, Outcome::Unreachable, Duration::ZERO, now);
//! tried.insert(first);
//!
//! let second = picker.pick(0, now, &mut rng, &tried).expect("one is left");
//! assert_ne!(first, second);
//! picker.done(second, Outcome::Success, Duration::from_millis(3), now);
//! # Ok::<(), corelane_balancer::InvalidWeights>(())
//! ```

#![forbid(unsafe_code)]

mod choose;
pub mod count;
mod endpoint;
mod hash;
mod least_request;
mod p2c;
mod picker;
mod policy;
mod random;
mod rendezvous;
pub mod retry;
mod retry_budget;
mod rng;
mod round_robin;
mod tried;
mod weighted;

pub use choose::Choose;
pub use endpoint::{Candidate, Candidates, EndpointId};
pub use hash::hash_bytes;
pub use picker::{ENDPOINTS_MAX, InvalidWeights, Outcome, Picker, SUSPECT};
pub use policy::{Factory, Policy};
pub use retry_budget::RetryBudget;
pub use rng::Rng;
pub use tried::Tried;

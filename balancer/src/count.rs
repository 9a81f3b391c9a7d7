//! Counting what happens, and limiting it: rates, what is in flight, how often each key came, which came most.
//!
//! Each is a value of fixed size that belongs to one lane. It allocates when it is built, and never again;
//! `now` is the time since the caller's epoch.
//!
//! | type | what it knows | memory | cost of a call |
//! |---|---|---|---|
//! | [`Rate`] | how many events in the last window | 152 bytes | at most 17 additions |
//! | [`InFlight`] | how many are under way, by guards | 32 bytes | an addition |
//! | [`CountMin`] | about how often any key came | by error and confidence | one cell per row |
//! | [`Top`] | the keys that came most often | by capacity | its logarithm |
//! | [`Limit`], [`Bucket`] | whether one more may pass | 8 bytes per bucket | an addition |
//! | [`Stock`], [`Allowance`] | a lane's share of a number that all lanes share | 8 and 48 bytes | an addition |
//!
//! A key is a number, such as [`hash_bytes`](crate::hash_bytes) of a client's address. Over several lanes, rates
//! and counts are added up; a limit is leased in batches.

use std::time::Duration;

mod allowance;
mod in_flight;
mod limit;
mod rate;
mod sketch;
mod top;

pub use allowance::{Allowance, Stock};
pub use in_flight::{InFlight, InFlightGuard};
pub use limit::{Bucket, InvalidLimit, Limit};
pub use rate::Rate;
pub use sketch::{CountMin, InvalidSketch};
pub use top::{Counted, Top};

/// What no time of ours exceeds: 2^63 ns, 292 years.
const NANOS_MAX: u64 = 1 << 63;

/// Whole nanoseconds, at most [`NANOS_MAX`].
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(NANOS_MAX, |nanos| nanos.min(NANOS_MAX))
}

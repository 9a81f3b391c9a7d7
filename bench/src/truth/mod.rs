//! `corelane-bench truth`: whether this program, on this machine, measures what is there.
//!
//! | module | what it is for |
//! |---|---|
//! | `checks` | what is measured, and what arithmetic says of it |
//! | `child` | this program as child processes: an origin, and load on it |
//! | `table` | what was predicted beside what was measured |

mod checks;
mod child;
mod table;

use crate::{failure::Failure, interrupt, print};
use checks::Extent;
use child::Bench;
use table::Table;

/// Measures origins whose latencies are known, and says how far off it is.
///
/// An origin that stalls, seen by an open and by a closed loop; delays of several distributions; a service time of 50 µs.
/// What is to be found follows from arithmetic. Takes about two minutes, on a machine that has nothing else to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A quarter of the time, and twice the tolerance where chance plays a part
    #[arg(long)]
    quick: bool,
    /// One part of it
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
}

/// What can be checked for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// An origin that stalls, seen by an open and by a closed loop.
    Stalls,
    /// Delays of several distributions.
    Delays,
    /// Service times that are short beside a coarse timer's step.
    ServiceTimes,
}

/// Measures, and says what is off.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let bench = Bench::new(interrupt::flag()?);
    let extent = if args.quick { Extent::QUICK } else { Extent::FULL };
    let mut table = Table::default();
    print(&Table::head())?;
    let wants = |part| args.only.is_none_or(|only| only == part);
    if wants(Part::Stalls) {
        checks::stalls(&bench, &extent, &mut table)?;
    }
    if wants(Part::Delays) {
        checks::delays(&bench, &extent, &mut table)?;
    }
    if wants(Part::ServiceTimes) {
        checks::service_times(&bench, &extent, &mut table)?;
    }
    print(&table.foot())?;
    table.verdict()
}

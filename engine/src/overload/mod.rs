//! Running short of memory or descriptors: what is done, step by step, before the kernel does something worse.
//!
//! The thread that watches the lanes looks at both a few times a second and leaves the step for lanes to see, so that a
//! request costs one relaxed load and nothing is measured on its path. A step holds until what it is about lies clearly
//! below where it began, so that a process at the edge does not go to and fro.

mod memory;
mod watch;

pub use memory::{Memory, memory_limit};
pub(crate) use watch::Watch;

use crossbeam_utils::CachePadded;
use std::{
    fmt,
    sync::atomic::{AtomicU8, AtomicU32, Ordering},
};

/// A step ends when so many per cent less are used than where it begins.
const HYSTERESIS_PERCENT: f64 = 3.0;

/// When the process is taken to run short, and where each step begins: in per cent of the memory that it may have, and
/// of the descriptors, whichever is scarcer; `None`: that step is never taken. Each begins no earlier than those before.
///
/// A step holds until 3 per cent less are used than where it begins. Requests under way and tunnels are never cut off.
///
/// ```
/// use corelane_engine::{Engine, Memory, Overload};
/// let mut overload = Overload::default();
/// overload.memory = Memory::Bytes(512 << 20);
/// overload.refuse_percent = Some(88);
/// let engine = Engine::builder().overload(overload);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overload {
    /// How much memory there is. Default: what the control group is allowed.
    pub memory: Memory,
    /// From here on each answer is the last of its client's connection. Default 85.
    pub no_keep_alive_percent: Option<u8>,
    /// From here on new requests are answered with 503 and `Retry-After`. Default 90.
    pub refuse_percent: Option<u8>,
    /// From here on idle connections are closed, on both sides. Default 92.
    pub close_idle_percent: Option<u8>,
    /// From here on nobody is let in: who comes waits in the kernel's queue. Default 95.
    pub stop_accept_percent: Option<u8>,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            memory: Memory::default(),
            no_keep_alive_percent: Some(85),
            refuse_percent: Some(90),
            close_idle_percent: Some(92),
            stop_accept_percent: Some(95),
        }
    }
}

impl Overload {
    const fn steps(&self) -> [(Shedding, Option<u8>); 4] {
        [
            (Shedding::NoKeepAlive, self.no_keep_alive_percent),
            (Shedding::Refuse, self.refuse_percent),
            (Shedding::CloseIdle, self.close_idle_percent),
            (Shedding::StopAccept, self.stop_accept_percent),
        ]
    }

    /// What is wrong with it, if something is.
    ///
    /// # Errors
    /// A step at 0 or at more than 100 per cent, or one that begins before a milder one.
    pub fn check(&self) -> Result<(), String> {
        let mut before = 1;
        for (step, percent) in self.steps() {
            let Some(percent) = percent else { continue };
            if !(before..=100).contains(&percent) {
                return Err(format!("{step} begins at {percent} per cent; it must be from {before} to 100"));
            }
            before = percent;
        }
        Ok(())
    }

    /// The step at which the process is that was at `before` and now uses so much.
    fn step(&self, used_percent: f64, before: Shedding) -> Shedding {
        let holds = |(step, percent): &(Shedding, Option<u8>)| {
            let ends_below = if *step <= before { HYSTERESIS_PERCENT } else { 0.0 };
            percent.is_some_and(|percent| used_percent >= f64::from(percent) - ends_below)
        };
        self.steps().iter().rev().find(|step| holds(step)).map_or(Shedding::Nothing, |(step, _)| *step)
    }
}

/// What is done because the process runs short; each step holds all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Shedding {
    /// There is enough.
    #[default]
    Nothing,
    /// Each answer is the last of its connection.
    NoKeepAlive,
    /// New requests are refused.
    Refuse,
    /// Idle connections are closed.
    CloseIdle,
    /// Nobody is let in.
    StopAccept,
}

impl Shedding {
    fn of(step: u8) -> Self {
        match step {
            0 => Self::Nothing,
            1 => Self::NoKeepAlive,
            2 => Self::Refuse,
            3 => Self::CloseIdle,
            _ => Self::StopAccept,
        }
    }
}

impl fmt::Display for Shedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing is shed",
            Self::NoKeepAlive => "connections are kept for one answer only",
            Self::Refuse => "new requests are refused",
            Self::CloseIdle => "idle connections are closed",
            Self::StopAccept => "nobody is let in",
        })
    }
}

/// What the process may run short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scarce {
    /// Memory.
    Memory,
    /// Descriptors.
    Descriptors,
}

impl fmt::Display for Scarce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
        })
    }
}

/// How short the process is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// What is done about it.
    pub shedding: Shedding,
    /// The part of the memory that is used, from 0 to 1 and beyond; `None` where there is no limit.
    pub memory: Option<f64>,
    /// The part of the descriptors that is open.
    pub descriptors: f64,
}

/// Where the pressure stands for everybody to see: one thread writes.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    shedding: CachePadded<AtomicU8>,
    /// Parts of a million, and one more, so that 0 is no limit.
    memory: AtomicU32,
    descriptors: AtomicU32,
}

impl Gauge {
    /// What is done at the moment; for lanes, with every request.
    pub(crate) fn shedding(&self) -> Shedding {
        Shedding::of(self.shedding.load(Ordering::Relaxed))
    }

    pub(crate) fn pressure(&self) -> Pressure {
        let part = |parts: u32| f64::from(parts) / 1e6;
        Pressure {
            shedding: self.shedding(),
            memory: self.memory.load(Ordering::Relaxed).checked_sub(1).map(part),
            descriptors: part(self.descriptors.load(Ordering::Relaxed)),
        }
    }

    fn show(&self, pressure: &Pressure) {
        let parts = |part: f64| (part * 1e6).clamp(0.0, 1e9) as u32;
        self.memory.store(pressure.memory.map_or(0, |part| parts(part) + 1), Ordering::Relaxed);
        self.descriptors.store(parts(pressure.descriptors), Ordering::Relaxed);
        self.shedding.store(pressure.shedding as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn res_03_steps_begin_where_they_are_said_to_and_end_clearly_below() {
        let overload = Overload::default();
        let mut at = Shedding::Nothing;
        let mut step = |used: f64| {
            at = overload.step(used, at);
            at
        };
        for (used, expected) in [
            (84.9, Shedding::Nothing),
            (85.0, Shedding::NoKeepAlive),
            (90.0, Shedding::Refuse),
            (92.0, Shedding::CloseIdle),
            (95.0, Shedding::StopAccept),
            (120.0, Shedding::StopAccept),
            (92.1, Shedding::StopAccept),
            (91.9, Shedding::CloseIdle),
            (89.1, Shedding::CloseIdle),
            (88.9, Shedding::Refuse),
            (87.1, Shedding::Refuse),
            (86.9, Shedding::NoKeepAlive),
            (82.1, Shedding::NoKeepAlive),
            (81.9, Shedding::Nothing),
            (84.9, Shedding::Nothing),
            (99.0, Shedding::StopAccept),
            (10.0, Shedding::Nothing),
        ] {
            assert_eq!(step(used), expected, "{used}");
        }
    }

    #[test]
    fn res_03_a_step_may_be_left_out() {
        let overload = Overload { refuse_percent: None, stop_accept_percent: None, ..Overload::default() };
        assert_eq!(overload.check(), Ok(()));
        assert_eq!(overload.step(91.0, Shedding::Nothing), Shedding::NoKeepAlive);
        assert_eq!(overload.step(99.0, Shedding::Nothing), Shedding::CloseIdle);
    }

    #[test]
    fn res_03_steps_are_in_order() {
        let with = |refuse_percent| Overload { refuse_percent, ..Overload::default() }.check();
        assert_eq!(with(Some(85)), Ok(()));
        assert!(with(Some(84)).unwrap_err().contains("from 85 to 100"));
        assert!(with(Some(101)).is_err());
        assert!(with(Some(93)).unwrap_err().contains("idle connections are closed begins at 92"));
        assert!(Overload { no_keep_alive_percent: Some(0), ..Overload::default() }.check().is_err());
    }

    #[test]
    fn what_is_shown_is_what_is_read() {
        let gauge = Gauge::default();
        assert_eq!(gauge.pressure(), Pressure::default());
        for shedding in [Shedding::StopAccept, Shedding::CloseIdle, Shedding::Refuse, Shedding::NoKeepAlive] {
            let pressure = Pressure { shedding, memory: Some(0.5), descriptors: 0.25 };
            gauge.show(&pressure);
            assert_eq!(gauge.pressure(), pressure);
        }
    }
}

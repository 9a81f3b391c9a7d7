//! The look at what there is; for the thread that watches the lanes.

use super::{Overload, Pressure, Scarce, Shedding, memory::Look};
use crate::{process::Process, sink::Event, sys};

/// Looks, and remembers at which step the process is for either reason.
pub(crate) struct Watch {
    overload: Overload,
    memory: Look,
    by_memory: Shedding,
    by_descriptors: Shedding,
}

impl Watch {
    pub(crate) fn new(overload: Overload) -> Self {
        let memory = Look::new(overload.memory);
        Self { overload, memory, by_memory: Shedding::Nothing, by_descriptors: Shedding::Nothing }
    }

    /// Looks, shows it to everybody, and says when a step begins or ends.
    pub(crate) fn look(&mut self, process: &Process) {
        let (memory, descriptors) = (self.memory.used(), sys::descriptors_used());
        let step = |used: f64, before| self.overload.step(100.0 * used, before);
        let by_memory = memory.map_or(Shedding::Nothing, |used| step(used, self.by_memory));
        let by_descriptors = step(descriptors, self.by_descriptors);
        let shedding = by_memory.max(by_descriptors);
        let before = self.by_memory.max(self.by_descriptors);
        // What a step begins for, or what it had been for that ends.
        let is_memory = if shedding > before {
            by_memory >= by_descriptors
        } else {
            self.by_memory >= self.by_descriptors
        };
        (self.by_memory, self.by_descriptors) = (by_memory, by_descriptors);
        process.gauge.show(&Pressure { shedding, memory, descriptors });
        if shedding != before {
            let (scarce, used) = match memory {
                Some(memory) if is_memory => (Scarce::Memory, memory),
                _ => (Scarce::Descriptors, descriptors),
            };
            process.event(&Event::Overload { shedding, scarce, used_percent: (100.0 * used).round() as u64 });
        }
    }
}

//! What a lane does beside requests: time, sweeps, and giving memory back.

use super::Lane;
use crate::{io, metrics::Metric, overload::Shedding, wheel::TICK};
use std::{future::poll_fn, rc::Rc, task::Poll, time::Duration};

/// How often idle connections are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// The same while they are closed because the process runs short.
const SWEEP_SHORT: Duration = Duration::from_millis(250);
/// A lane that is woken so much later than it was to be has stood still.
const STOOD: Duration = Duration::from_millis(250);
/// Deadlines that are met before the others get a turn.
const TIMERS_PER_TURN: usize = 1024;
/// Connections that are looked at before the others get a turn.
const SWEPT_PER_TURN: usize = 4096;
/// How soon the alarm is looked at again if looking failed.
const AGAIN: Duration = Duration::from_millis(1);
/// How often collected records are handed on.
const FLUSH: Duration = Duration::from_millis(100);
/// Free buffers that a lane keeps although it has been idle: 256 KiB.
const BUFFERS_KEPT_IDLE: usize = 8;

impl Lane {
    /// Wakes those whose moment has come.
    pub(crate) async fn keep_time(self) {
        loop {
            if self.0.alarm.gone_off(|| self.now()).await.is_err() {
                // Whoever waits must not wait for ever because one look failed.
                io::nap(AGAIN).await;
            }
        }
    }

    /// Turns the wheel, and sweeps and flushes now and then. Sleeps while there is nothing to turn it for.
    pub(crate) async fn keep_house(self) {
        let (mut swept, mut flushed) = (self.now(), self.now());
        loop {
            poll_fn(|cx| if self.is_quiet(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
            let began = self.now();
            self.sleep(TICK).await;
            let now = self.now();
            self.0.epoch.set(self.0.process.clock.wall() - now);
            let late = now.saturating_sub(began + TICK);
            if late >= STOOD {
                self.has_stood(late);
            }
            while !self.0.wheel.turn(self.awake(), TIMERS_PER_TURN) {
                self.yield_now().await;
            }
            if now.saturating_sub(flushed) >= FLUSH {
                flushed = now;
                self.flush();
            }
            if self.is_draining() {
                self.sweep().await;
                self.wake_main();
            } else if now.saturating_sub(swept) >= if self.sheds_idle() { SWEEP_SHORT } else { SWEEP } {
                swept = now;
                self.sweep().await;
            }
        }
    }

    /// Nothing is due, nobody is connected, nothing is to be flushed, and the last sweep has said and given back all.
    fn is_quiet(&self, cx: &std::task::Context<'_>) -> bool {
        !self.is_draining()
            && !self.0.unflushed.get()
            && !self.0.has_spare.get()
            && !self.has_spares()
            && self.connections() == 0
            && self.0.metrics.value(Metric::ConnectionsIdle) == 0
            && self.0.metrics.value(Metric::UpstreamIdle) == 0
            && self.0.wheel.is_empty(cx)
    }

    pub(crate) fn flush(&self) {
        if self.0.unflushed.replace(false)
            && let Some(sink) = self.0.sink.borrow_mut().as_mut()
        {
            sink.flush();
        }
    }

    /// Whether what is idle is to go, because the process runs short.
    fn sheds_idle(&self) -> bool {
        self.shedding() >= Shedding::CloseIdle
    }

    async fn sweep(&self) {
        let (mut idle, mut dozing, mut at) = (0, 0, 0);
        let sheds = self.sheds_idle();
        let mut shed = 0;
        while at < self.connections() {
            let draining = self.is_draining();
            // Who takes the place of one that has left meanwhile may be passed over until the next time.
            for connection in self.0.connections.borrow().iter().skip(at).take(SWEPT_PER_TURN) {
                let seen = connection.sweep(draining, sheds);
                idle += u64::from(seen.asleep);
                shed += u64::from(sheds && seen.dismissed);
                dozing += usize::from(seen.dozes);
            }
            at += SWEPT_PER_TURN;
            if at < self.connections() {
                self.yield_now().await;
            }
        }
        self.0.metrics.set(Metric::ConnectionsIdle, idle);
        self.forget_peers();
        self.0.pools.borrow_mut().retain(|_, pool| {
            if sheds {
                shed += pool.close() as u64;
            }
            // A pool that nobody uses any more goes with its last connection.
            pool.sweep() > 0 || Rc::strong_count(pool) > 1
        });
        self.0.metrics.add(Metric::ConnectionsShed, shed);
        self.sweep_rate_limits();
        self.give_memory_back(dozing + usize::try_from(shed).unwrap_or(0));
    }

    /// After a burst, memory goes back to the system: a second after the last connection fell asleep, or there was far
    /// more of what is used again than is needed.
    fn give_memory_back(&self, dozing: usize) {
        let busy = self.0.metrics.value(Metric::RequestsOpen) as usize;
        let wanted = BUFFERS_KEPT_IDLE.max(2 * busy);
        let is_spare = self.0.buffers.kept() > wanted || self.has_spares();
        if dozing > 0 || is_spare && !self.0.has_spare.get() {
            self.0.has_spare.set(true);
        } else if self.0.has_spare.replace(false) {
            self.0.buffers.shrink(wanted);
            self.let_go_of_spares();
            io::system::release_free_memory();
        }
    }
}

//! Who watches the lanes: a thread that rebuilds one that has ended, notices one that does not turn, and looks whether the
//! process runs short of something.

use super::{StartError, handle::Shared};
use crate::{
    address::Address,
    io::{Socket, threads},
    letter::Letter,
    overload, simulate,
    sink::Event,
    sys,
};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// How often hearts are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often a heart is asked to beat.
const ASK: Duration = Duration::from_secs(1);
/// A lane that has not answered for so long is stuck.
const STUCK: Duration = Duration::from_secs(2);
/// One that has not answered for so long will not come back.
const LOST: Duration = Duration::from_secs(10);
/// How long a lane that is stuck may take to say where it is.
const STACK_WAIT: Duration = Duration::from_millis(200);
/// Whoever watches was away for so long itself: the machine stood still, or the process.
const PAUSED: Duration = Duration::from_secs(1);
/// A lane that ends again sooner than this after it was rebuilt waits for so long.
const REBUILD_AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct Watcher {
    shared: Arc<Shared>,
    ended: Receiver<usize>,
    tell_ended: Sender<usize>,
    /// Dropped when every lane has ended.
    _finish: Sender<()>,
    lanes: Vec<Watched>,
    looked: Duration,
    overload: overload::Watch,
}

/// What is known of a lane.
#[derive(Default)]
struct Watched {
    has_ended: bool,
    /// When it was rebuilt last.
    rebuilt: Option<Duration>,
    /// When it is to be rebuilt.
    rebuild_at: Option<Duration>,
    /// What becomes of its start.
    started: Option<Receiver<Result<(), StartError>>>,
    /// When its heart was asked last.
    asked: Duration,
    trouble: Trouble,
    /// Who watches its sockets meanwhile.
    adopted_by: Option<usize>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    #[default]
    None,
    Stuck,
    Lost,
}

impl Watcher {
    pub(crate) fn new(
        shared: Arc<Shared>,
        ended: Receiver<usize>,
        tell_ended: Sender<usize>,
        finish: Sender<()>,
    ) -> Self {
        let looked = shared.process.clock.now();
        let lanes = (0..shared.process.lanes()).map(|_| Watched { asked: looked, ..Watched::default() });
        let overload = overload::Watch::new(shared.process.config.overload);
        Self { lanes: lanes.collect(), shared, ended, tell_ended, _finish: finish, looked, overload }
    }

    /// Waits until so many lanes have ended.
    pub(crate) fn wait(&self, lanes: usize) {
        for _ in 0..lanes {
            let _ = threads::receive(&self.ended, None);
        }
    }

    pub(crate) fn start(mut self) -> io::Result<()> {
        let ended = self.ended.clone();
        threads::attend("corelane-watch", ended, LOOK, move |lane| {
            if let Some(lane) = lane {
                self.has_ended(lane);
            }
            self.look();
            self.lanes.iter().any(|lane| !lane.has_ended)
        })
    }

    fn has_ended(&mut self, lane: usize) {
        let now = self.shared.process.clock.now();
        self.shared.process.forget_lane(lane);
        let watched = &mut self.lanes[lane];
        if self.shared.is_draining() {
            watched.has_ended = true;
            return;
        }
        let again = watched.rebuilt.is_some_and(|rebuilt| now.saturating_sub(rebuilt) < REBUILD_AGAIN);
        watched.rebuild_at = Some(if again { now + REBUILD_AGAIN } else { now });
        let watched = &mut self.lanes[lane];
        match watched.started.take().and_then(|started| started.try_recv().ok()) {
            Some(Err(error)) => self.shared.event(&Event::LaneFailed { lane, error: error.to_string() }),
            _ => self.shared.event(&Event::LaneDied { lane }),
        }
    }

    fn look(&mut self) {
        let now = self.shared.process.clock.now();
        let paused = now.saturating_sub(self.looked) > PAUSED;
        self.looked = now;
        // A simulated world has neither memory nor descriptors of this process.
        if simulate::world().is_none() {
            self.overload.look(&self.shared.process);
        }
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].has_ended {
                continue;
            }
            match self.lanes[lane].rebuild_at {
                Some(at) if at <= now => self.rebuild(lane, now),
                Some(_) => {}
                None => self.look_at(lane, now, paused),
            }
        }
    }

    /// Starts the lane again, on the same sockets.
    fn rebuild(&mut self, lane: usize, now: Duration) {
        if self.shared.is_draining() {
            self.lanes[lane].has_ended = true;
            return;
        }
        self.lanes[lane] = Watched { rebuilt: Some(now), asked: now, ..Watched::default() };
        let (tell_started, started) = bounded(1);
        self.lanes[lane].started = Some(started);
        if let Err(error) = self.shared.start_lane(lane, tell_started, self.tell_ended.clone()) {
            self.shared.event(&Event::LaneFailed { lane, error: error.to_string() });
            self.lanes[lane].rebuild_at = Some(now + REBUILD_AGAIN);
        }
    }

    fn look_at(&mut self, lane: usize, now: Duration, paused: bool) {
        let shared = self.shared.clone();
        let desk = &shared.process.desks[lane];
        let watched = &mut self.lanes[lane];
        if desk.heart.beats() {
            if watched.trouble != Trouble::None {
                watched.trouble = Trouble::None;
                self.recovered(lane);
            }
            let watched = &mut self.lanes[lane];
            if now.saturating_sub(watched.asked) >= ASK {
                watched.asked = now;
                desk.heart.ask();
                desk.mail.ring();
            }
            return;
        }
        if paused {
            // It could not answer, because nothing ran.
            watched.asked = now;
        }
        let silent = now.saturating_sub(watched.asked);
        let trouble = match silent {
            _ if silent >= LOST => Trouble::Lost,
            _ if silent >= STUCK => Trouble::Stuck,
            _ => Trouble::None,
        };
        if trouble > watched.trouble {
            let first = std::mem::replace(&mut watched.trouble, trouble) == Trouble::None;
            let stack = sys::stack_of(desk.thread.load(Ordering::Relaxed), STACK_WAIT);
            self.shared.event(&Event::LaneStuck { lane, silent, stack });
            if first {
                self.adopt(lane);
            }
        }
    }

    /// Has the sockets of a lane that is stuck watched by another one, so that clients who were given to it do not wait.
    fn adopt(&mut self, lane: usize) {
        let lanes = self.lanes.len();
        let others = (1..lanes).map(|next| (lane + next) % lanes);
        let sockets: Vec<(Address, Arc<Socket>)> = self.shared.control().sockets(lane);
        for other in others.filter(|other| self.lanes[*other].trouble == Trouble::None) {
            let letter = Letter::Adopt { sockets: sockets.clone(), from: lane };
            if self.shared.process.desks[other].mail.post(letter).is_ok() {
                self.lanes[lane].adopted_by = Some(other);
                return;
            }
        }
    }

    fn recovered(&mut self, lane: usize) {
        self.shared.event(&Event::LaneRecovered { lane });
        if let Some(other) = self.lanes[lane].adopted_by.take() {
            // If it takes no letter now, both watch: that costs a little and loses nobody.
            let _ = self.shared.process.desks[other].mail.post(Letter::GiveUp { from: lane });
        }
    }
}

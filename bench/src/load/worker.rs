//! A lane's part in the load on one address: who sends what, and when.

use super::{
    arrivals::{Next, Schedule, Weights},
    connection::{self, Job},
    plan::{Group, Plan},
    tally::{Fault, Moments, Progress, Tally},
};
use corelane_codec::Limits;
use corelane_engine::{Lane, Link};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

/// How often answers that are late, and the user's wish to end, are looked for.
const SWEEP: Duration = Duration::from_millis(20);
/// The longest wait for the next request before the same is looked for.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// After so many times the timeout without a sign of the target nobody waits for it any more.
const GIVE_UP: u32 = 3;

/// Sends requests to one address from one lane.
pub(crate) struct Worker {
    pub(crate) lane: Lane,
    pub(crate) plan: Arc<Plan>,
    pub(crate) group: Arc<Group>,
    pub(crate) limits: Rc<Limits>,
    /// What is sent, where the requests are messages.
    pub(crate) message: Rc<[u8]>,
    /// The bytes of each target's request, this lane's own.
    pub(crate) requests: Vec<Rc<[u8]>>,
    connections_max: usize,
    schedule: RefCell<Schedule>,
    weights: RefCell<Weights>,
    /// Seats that could send more, each once; the one that has become so last is taken first. Some have found something
    /// to do since.
    idle: RefCell<Vec<Rc<Seat>>>,
    /// How many of them have not.
    parked: Cell<usize>,
    seats: RefCell<Vec<Rc<Seat>>>,
    /// Seats whose tasks run.
    live: Cell<usize>,
    /// The user has had enough: what is under way counts for nothing.
    cut: Cell<bool>,
    /// When there last was a sign of the target.
    heard_of: Cell<Duration>,
    /// Whoever waits for a seat to be idle, and for the end.
    waiting: RefCell<Vec<Waker>>,
    tally: Rc<RefCell<Tally>>,
    progress: Arc<Progress>,
}

/// What a lane's workers share.
pub(crate) struct Shared {
    pub(crate) lane: Lane,
    pub(crate) plan: Arc<Plan>,
    pub(crate) tally: Rc<RefCell<Tally>>,
    pub(crate) progress: Arc<Progress>,
}

impl Worker {
    pub(crate) fn new(
        shared: &Shared,
        group: &Arc<Group>,
        connections_max: usize,
        schedule: Schedule,
        seed: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            lane: shared.lane.clone(),
            plan: shared.plan.clone(),
            group: group.clone(),
            limits: Rc::new(Limits::default()),
            message: shared.plan.message.to_vec().into(),
            requests: group.targets.iter().map(|target| target.bytes.to_vec().into()).collect(),
            connections_max,
            schedule: RefCell::new(schedule),
            weights: RefCell::new(Weights::new(group.targets.iter().map(|target| target.weight), seed)),
            idle: RefCell::default(),
            seats: RefCell::default(),
            parked: Cell::new(0),
            live: Cell::new(0),
            cut: Cell::new(false),
            heard_of: Cell::new(shared.lane.now()),
            waiting: RefCell::default(),
            tally: shared.tally.clone(),
            progress: shared.progress.clone(),
        })
    }

    /// Sends everything that is to be sent, until the last answer has come or failed to; earlier if `stop` is set.
    pub(crate) async fn run(self: Rc<Self>, stop: Arc<AtomicBool>) {
        let sweeper = self.clone();
        let stopped = stop.clone();
        self.lane.spawn(async move {
            while !sweeper.is_done() {
                sweeper.lane.sleep(SWEEP).await;
                sweeper.sweep(stopped.load(Ordering::Relaxed));
            }
        });
        if self.plan.rate.is_some() {
            self.pace(&stop).await;
        } else {
            (0..self.connections_max).for_each(|_| self.open_seat(None));
        }
        poll_fn(|cx| {
            if self.live.get() == 0 {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        self.tally.borrow_mut().unsent += self.schedule.borrow_mut().drop_rest();
    }

    /// Gives each request of an open loop to somebody who is free, at the moment at which it is due.
    async fn pace(self: &Rc<Self>, stop: &AtomicBool) {
        loop {
            let now = self.lane.now();
            let next = self.schedule.borrow().peek(now);
            match next {
                _ if stop.load(Ordering::Relaxed) => break,
                Next::Over => break,
                Next::Later(due) => self.lane.sleep_until(due.min(now + WAIT_MAX)).await,
                Next::Due(_) if self.give_out(now) => {}
                Next::Due(_) => self.somebody_is_idle().await,
            }
        }
        self.send_home();
    }

    /// Whoever has nothing to do ends, now that there is nothing to wait for.
    fn send_home(&self) {
        while let Some(seat) = self.pop_idle() {
            seat.unpark(None);
        }
    }

    /// Gives the request that is due to a seat that is idle, or to a new one; `false` if there is none.
    fn give_out(self: &Rc<Self>, now: Duration) -> bool {
        let idle = self.pop_idle();
        let may_open = self.live.get() < self.connections_max;
        if idle.is_none() && !may_open {
            return false;
        }
        let Next::Due(due) = self.schedule.borrow_mut().take(now) else { return true };
        self.tally.borrow_mut().late(due, now);
        let job = Job { due, target: self.weights.borrow_mut().choose() };
        match idle {
            Some(seat) => seat.unpark(Some(job)),
            None => self.open_seat(Some(job)),
        }
        true
    }

    /// A seat that is idle, and is so no longer.
    fn pop_idle(&self) -> Option<Rc<Seat>> {
        let mut idle = self.idle.borrow_mut();
        let listed = std::iter::from_fn(|| idle.pop());
        let seat = listed.inspect(|seat| seat.listed.set(false)).find(|seat| seat.parked.get())?;
        self.leave_parked(&seat);
        Some(seat)
    }

    fn leave_parked(&self, seat: &Seat) {
        if seat.parked.replace(false) {
            self.parked.set(self.parked.get() - 1);
        }
    }

    async fn somebody_is_idle(&self) {
        let mut waited = false;
        let idle = poll_fn(|cx| {
            if self.parked.get() > 0 || self.live.get() < self.connections_max || waited {
                return Poll::Ready(());
            }
            waited = true;
            self.waiting.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        });
        self.lane.timeout(WAIT_MAX, idle).await;
    }

    fn open_seat(self: &Rc<Self>, job: Option<Job>) {
        let seat = Rc::<Seat>::default();
        seat.given.set(job);
        // No seat ends before there is nothing left to send: there are never more than may be.
        self.seats.borrow_mut().push(seat.clone());
        self.live.set(self.live.get() + 1);
        self.lane.spawn(connection::run(self.clone(), seat));
    }

    /// A seat's task has ended.
    pub(crate) fn gone(&self) {
        self.live.set(self.live.get() - 1);
        self.wake_waiting();
    }

    fn wake_waiting(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    fn is_done(&self) -> bool {
        self.live.get() == 0 && self.is_over(self.lane.now())
    }

    /// Ends what has waited too long, or everything.
    fn sweep(&self, stop: bool) {
        let now = self.lane.now();
        if stop && !self.cut.replace(true) {
            self.schedule.borrow_mut().stop();
            self.send_home();
        }
        for seat in self.seats.borrow().iter() {
            seat.sweep(now, self.plan.timeout, self.cut.get());
        }
    }

    // ---- for connections ----

    /// The next request for a seat that has no connection; `None` if there are no more.
    pub(crate) async fn next(&self, seat: &Rc<Seat>) -> Option<Job> {
        poll_fn(|cx| {
            let now = self.lane.now();
            if let Some(job) = self.take(seat, now) {
                return Poll::Ready(Some(job));
            }
            if self.is_over(now) {
                return Poll::Ready(None);
            }
            self.park(seat, cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Whether there is something to send.
    pub(crate) fn has_work(&self, seat: &Seat, now: Duration) -> bool {
        seat.has_been_given() || matches!(self.schedule.borrow().peek(now), Next::Due(_))
    }

    /// What is to be sent: what the seat was given, or the next that is due.
    pub(crate) fn take(&self, seat: &Seat, now: Duration) -> Option<Job> {
        if let Some(job) = seat.given.take() {
            return Some(job);
        }
        let Next::Due(due) = self.schedule.borrow_mut().take(now) else { return None };
        self.leave_parked(seat);
        if self.plan.rate.is_some() {
            let mut tally = self.tally.borrow_mut();
            let all_busy = self.live.get() >= self.connections_max && self.parked.get() == 0;
            if all_busy { tally.waited(due) } else { tally.late(due, now) }
        }
        Some(Job { due, target: self.weights.borrow_mut().choose() })
    }

    /// Nothing is left to send.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.schedule.borrow().peek(now) == Next::Over
    }

    /// Wakes the seat's task when there is something to send.
    pub(crate) fn park(&self, seat: &Rc<Seat>, waker: &Waker) {
        seat.waker.set(Some(waker.clone()));
        if !seat.parked.replace(true) {
            self.parked.set(self.parked.get() + 1);
            if !seat.listed.replace(true) {
                self.idle.borrow_mut().push(seat.clone());
            }
            self.wake_waiting();
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Waits for something that ends when the user has had enough.
    pub(crate) async fn unless_cut<T>(&self, seat: &Seat, task: impl Future<Output = T>) -> Option<T> {
        let mut task = pin!(task);
        poll_fn(|cx| {
            seat.is_polled_by(cx.waker());
            match self.cut.get() {
                true => Poll::Ready(None),
                false => task.as_mut().poll(cx).map(Some),
            }
        })
        .await
    }

    pub(crate) fn answered(&self, moments: Moments, now: Duration, bytes: u64) {
        self.heard_of.set(now);
        self.tally.borrow_mut().answered(moments, now, bytes, &self.progress);
    }

    pub(crate) fn failed(&self, fault: Fault, moments: Moments, says: impl FnOnce() -> String) {
        if !self.cut.get() {
            self.tally.borrow_mut().failed(fault, (moments, self.lane.now()), &self.progress, says);
        }
    }

    /// A connection could be made, or not. A run that ends with its requests, and not with its time, would end very late
    /// where nobody accepts connections any more.
    pub(crate) fn connected(&self, is_open: bool) {
        let now = self.lane.now();
        if is_open {
            self.heard_of.set(now);
        } else if self.plan.duration.is_none()
            && now.saturating_sub(self.heard_of.get()) > GIVE_UP * self.plan.timeout
        {
            self.tally.borrow_mut().unsent += self.schedule.borrow_mut().drop_rest();
            self.send_home();
        }
    }
}

/// Where one connection after another sits.
#[derive(Default)]
pub(crate) struct Seat {
    link: RefCell<Option<Rc<Link>>>,
    /// Since when its oldest request has been under way.
    since: Cell<Option<Duration>>,
    timed_out: Cell<bool>,
    given: Cell<Option<Job>>,
    /// It could send more.
    parked: Cell<bool>,
    /// It stands among those that could.
    listed: Cell<bool>,
    waker: Cell<Option<Waker>>,
    /// Of the task that opens its connections.
    task: RefCell<Option<Waker>>,
}

impl Seat {
    /// A connection has been opened.
    pub(crate) fn sit(&self, link: &Rc<Link>) {
        *self.link.borrow_mut() = Some(link.clone());
        self.timed_out.set(false);
    }

    /// It is over.
    pub(crate) fn leave(&self) {
        self.link.take();
        self.since.set(None);
    }

    pub(crate) fn waits_since(&self, since: Option<Duration>) {
        self.since.set(since);
    }

    pub(crate) fn has_timed_out(&self) -> bool {
        self.timed_out.get()
    }

    /// Says whom to wake when all is over.
    fn is_polled_by(&self, waker: &Waker) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    fn has_been_given(&self) -> bool {
        let given = self.given.take();
        self.given.set(given);
        given.is_some()
    }

    fn unpark(&self, job: Option<Job>) {
        self.given.set(job);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn sweep(&self, now: Duration, timeout: Duration, cut: bool) {
        let late = self.since.get().is_some_and(|since| now.saturating_sub(since) > timeout);
        if cut && let Some(task) = &*self.task.borrow() {
            // What it waits for may not end otherwise.
            task.wake_by_ref();
        }
        if (late || cut)
            && let Some(link) = &*self.link.borrow()
        {
            self.timed_out.set(late);
            link.abort();
        }
    }
}

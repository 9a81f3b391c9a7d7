//! The threads that send.

use super::{
    arrivals::Schedule,
    plan::{Plan, share},
    tally::{Progress, Tally},
    worker::{Shared, Worker},
};
use crate::{clock, failure::Failure};
use corelane_engine::{Client, Lane, StartError};
use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What a lane has measured.
pub(crate) struct Measured {
    pub(crate) tally: Tally,
    /// The part of its time that its thread was busy.
    pub(crate) busy: f64,
}

/// A lane that fails takes the others with it: nobody waits for a measurement that has no result.
struct StopAll<'a>(&'a AtomicBool);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A lane at work.
pub(crate) struct Running {
    thread: JoinHandle<Result<Measured, StartError>>,
    pub(crate) progress: Arc<Progress>,
}

impl Running {
    /// Starts all lanes.
    pub(crate) fn start(plan: &Arc<Plan>, stop: &Arc<AtomicBool>) -> Result<Vec<Self>, Failure> {
        (0..plan.lanes)
            .map(|lane| {
                let progress = Arc::<Progress>::default();
                let (plan, stop, shown) = (plan.clone(), stop.clone(), progress.clone());
                let thread = thread::Builder::new().name(format!("load-{lane}")).spawn(move || {
                    let failing = StopAll(&stop);
                    let measured = Client::run(async |client: Client| {
                        measure(client.lane(), lane, &plan, &shown, &stop).await
                    });
                    if measured.is_ok() {
                        std::mem::forget(failing);
                    }
                    measured
                });
                let thread =
                    thread.map_err(|error| Failure::Run(format!("cannot start a thread: {error}")))?;
                Ok(Self { thread, progress })
            })
            .collect()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// What it has measured.
    pub(crate) fn join(self) -> Result<Measured, Failure> {
        match self.thread.join() {
            Ok(Ok(measured)) => Ok(measured),
            Ok(Err(error)) => Err(Failure::Run(format!("a lane cannot start: {error}"))),
            Err(_) => Err(Failure::Run("a lane panicked, which is a fault of this program".to_owned())),
        }
    }
}

async fn measure(
    lane: &Lane,
    number: usize,
    plan: &Arc<Plan>,
    progress: &Arc<Progress>,
    stop: &Arc<AtomicBool>,
) -> Measured {
    let begin = lane.now();
    let from = begin + plan.warm_up;
    let to = plan.window().map_or(Duration::MAX, |window| from.saturating_add(window));
    let new_tally = || Tally::new((from, to), plan.rate.is_none());
    let tally = Rc::new(RefCell::new(new_tally()));
    let shared =
        Shared { lane: lane.clone(), plan: plan.clone(), tally: tally.clone(), progress: progress.clone() };
    // Not before the measurement begins: a warm-up is mostly connecting.
    let cpu = Rc::new(RefCell::new((clock::monotonic(), clock::thread_cpu())));
    let (later, warm, measuring) = (lane.clone(), cpu.clone(), progress.clone());
    lane.spawn(async move {
        later.sleep_until(from).await;
        *warm.borrow_mut() = (clock::monotonic(), clock::thread_cpu());
        measuring.measuring.store(1, Ordering::Relaxed);
    });
    let workers = workers(&shared, number, begin, from);
    let tasks: Vec<_> = workers.into_iter().map(|worker| worker.run(stop.clone())).collect();
    all(lane, tasks).await;
    let (then, busy_then) = *cpu.borrow();
    let (wall, busy) = (clock::monotonic() - then, clock::thread_cpu() - busy_then);
    drop(shared);
    let busy = if wall > Duration::ZERO { (busy.as_secs_f64() / wall.as_secs_f64()).min(1.0) } else { 0.0 };
    Measured { tally: tally.replace(new_tally()), busy }
}

/// A worker for each address, with its part of the requests and of the connections.
fn workers(shared: &Shared, lane: usize, begin: Duration, from: Duration) -> Vec<Rc<Worker>> {
    let plan = &shared.plan;
    let mut requests_left = plan.requests.map(|requests| share(requests, lane, plan.lanes));
    let connections = share(plan.connections as u64, lane, plan.lanes);
    let mut workers = Vec::new();
    for (at, group) in plan.groups.iter().enumerate() {
        let is_last = at + 1 == plan.groups.len();
        let requests = plan.requests.map(|requests| {
            let left = requests_left.unwrap_or(0);
            let mine = share(requests, lane, plan.lanes) as f64 * group.part;
            let mine = if is_last { left } else { left.min(mine.round() as u64) };
            requests_left = Some(left - mine);
            mine
        });
        let seed = (lane * plan.groups.len() + at) as u64;
        let schedule = match plan.rate {
            None => Schedule::closed(),
            Some(rate) => {
                let rate = rate / plan.lanes as f64 * group.part;
                // Lanes take turns.
                let offset = Duration::from_secs_f64(lane as f64 / plan.lanes as f64 / rate);
                Schedule::open(plan.arrivals, rate, begin + offset, seed)
            }
        };
        let end = plan.duration.map_or(Duration::MAX, |duration| from + duration);
        let connections = ((connections as f64 * group.part).round() as usize).max(1);
        let schedule = schedule.until(end, from, requests);
        workers.push(Worker::new(shared, group, connections, schedule, !seed));
    }
    workers
}

/// Runs all at once, until all have ended.
async fn all(lane: &Lane, tasks: Vec<impl Future<Output = ()> + 'static>) {
    let left = Rc::new(RefCell::new((tasks.len(), None::<std::task::Waker>)));
    for task in tasks {
        let left = left.clone();
        lane.spawn(async move {
            task.await;
            let mut left = left.borrow_mut();
            left.0 -= 1;
            if let Some(waker) = left.1.take() {
                waker.wake();
            }
        });
    }
    std::future::poll_fn(|cx| {
        let mut left = left.borrow_mut();
        if left.0 == 0 {
            return std::task::Poll::Ready(());
        }
        left.1 = Some(cx.waker().clone());
        std::task::Poll::Pending
    })
    .await;
}

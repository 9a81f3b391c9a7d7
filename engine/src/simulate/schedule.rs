//! Which task is polled next.
//!
//! A lane polls what is ready in the order in which it became so, then, if that was woken, its thread's main future, and
//! only then looks at what has happened outside: as the real loop does. Among lanes, chance decides, one poll at a time.

use super::world::{World, world};
use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Wake, Waker},
};

type Polled = Pin<Box<dyn Future<Output = ()>>>;
type Panicked = Rc<dyn Fn(String)>;

/// Whatever is not a lane's: clients, origins, threads.
const OUTSIDE: usize = 0;

#[derive(Default)]
pub(super) struct Schedule {
    hosts: RefCell<Vec<Host>>,
    tasks: RefCell<Vec<Task>>,
    free: RefCell<Vec<usize>>,
    /// How many of them are not a lane's.
    outside: Cell<usize>,
    /// Of the next task: each has its own.
    numbers: Cell<u64>,
    /// Whose task is being polled.
    current: Cell<Option<usize>>,
    /// What wakes comes from outside.
    is_outside: Cell<bool>,
}

/// A thread.
#[derive(Default)]
struct Host {
    ready: VecDeque<usize>,
    /// Woken by what has happened outside, which the thread has not looked at yet.
    arrived: Vec<usize>,
    main: Option<usize>,
    is_main_woken: bool,
    panicked: Option<Panicked>,
}

struct Task {
    future: Option<Polled>,
    host: usize,
    is_ready: bool,
    waker: Waker,
    number: u64,
}

struct Wakes {
    task: usize,
    number: u64,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(world) = world() {
            world.0.schedule.wake(self.task, self.number);
        }
    }
}

impl Schedule {
    fn wake(&self, task: usize, number: u64) {
        let mut tasks = self.tasks.borrow_mut();
        let Some(found) = tasks.get_mut(task).filter(|task| task.number == number && !task.is_ready) else {
            return;
        };
        found.is_ready = true;
        let (mut hosts, host) = (self.hosts.borrow_mut(), found.host);
        let Some(host) = hosts.get_mut(host) else { return };
        if host.main == Some(task) {
            host.is_main_woken = true;
        } else if self.is_outside.get() {
            host.arrived.push(task);
        } else {
            host.ready.push_back(task);
        }
    }

    pub(super) fn outside(&self, what: impl FnOnce()) {
        let before = self.is_outside.replace(true);
        what();
        self.is_outside.set(before);
    }

    fn count(&self, host: usize, change: isize) {
        if host == OUTSIDE {
            self.outside.set(self.outside.get().saturating_add_signed(change));
        }
    }

    fn add(&self, host: usize, future: Polled) -> usize {
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| self.tasks.borrow().len());
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        let waker = Waker::from(Arc::new(Wakes { task: index, number }));
        let task = Task { future: Some(future), host, is_ready: false, waker: waker.clone(), number };
        self.count(host, 1);
        let mut tasks = self.tasks.borrow_mut();
        if index == tasks.len() {
            tasks.push(task);
        } else {
            tasks[index] = task;
        }
        drop(tasks);
        let mut hosts = self.hosts.borrow_mut();
        while hosts.len() <= host {
            hosts.push(Host::default());
        }
        drop(hosts);
        self.wake(index, number);
        index
    }

    /// The task to be polled next.
    fn next(&self, world: &World) -> Option<usize> {
        loop {
            let mut hosts = self.hosts.borrow_mut();
            let has_work =
                |host: &Host| !host.ready.is_empty() || host.is_main_woken || !host.arrived.is_empty();
            let busy = hosts.iter().filter(|host| has_work(host)).count();
            let pick = match busy {
                0 => return None,
                1 => 0,
                _ => world.below(busy as u64) as usize,
            };
            let host = hosts.iter_mut().filter(|host| has_work(host)).nth(pick).expect("it was counted");
            if let Some(task) = host.ready.pop_front() {
                return Some(task);
            }
            if std::mem::take(&mut host.is_main_woken) {
                return host.main;
            }
            while !host.arrived.is_empty() {
                let at = if world.chance(world.0.faults.get().disorder) {
                    world.below(host.arrived.len() as u64) as usize
                } else {
                    0
                };
                let task = host.arrived.remove(at);
                host.ready.push_back(task);
            }
        }
    }
}

impl World {
    /// Runs `task` outside of every lane: a client, an origin.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.schedule.add(OUTSIDE, Box::pin(task));
    }

    /// Runs `task` on the lane whose task this is.
    pub(crate) fn spawn_here(&self, task: impl Future<Output = ()> + 'static) {
        let host = self.0.schedule.current.get().unwrap_or(OUTSIDE);
        self.0.schedule.add(host, Box::pin(task));
    }

    /// Runs a lane: it ends when `main` does. `panicked` hears of its tasks that have panicked.
    pub(crate) fn begin_lane(
        &self,
        lane: usize,
        main: impl Future<Output = ()> + 'static,
        panicked: impl Fn(String) + 'static,
    ) {
        let schedule = &self.0.schedule;
        let host = OUTSIDE + 1 + lane;
        let task = schedule.add(host, Box::pin(main));
        let mut hosts = schedule.hosts.borrow_mut();
        hosts[host] = Host { main: Some(task), is_main_woken: true, ..Host::default() };
        hosts[host].panicked = Some(Rc::new(panicked));
    }

    /// Whether a lane is at work, and not somebody outside.
    pub(super) fn is_on_lane(&self) -> bool {
        self.0.schedule.current.get().is_some_and(|host| host != OUTSIDE)
    }

    pub(super) fn is_polling(&self) -> bool {
        self.0.schedule.current.get().is_some()
    }

    /// How many tasks lanes have at the moment.
    pub fn lane_tasks(&self) -> usize {
        self.0
            .schedule
            .tasks
            .borrow()
            .iter()
            .filter(|task| task.future.is_some() && task.host != OUTSIDE)
            .count()
    }

    /// How many clients and origins there are at the moment, and whatever else was spawned outside of lanes.
    pub fn actors(&self) -> usize {
        self.0.schedule.outside.get().saturating_sub(self.0.threads.alive())
    }

    /// Polls a task that is ready; `false` if none is.
    pub(super) fn poll_one(&self) -> bool {
        let schedule = &self.0.schedule;
        let Some(index) = schedule.next(self) else { return false };
        let (future, waker, host) = {
            let mut tasks = schedule.tasks.borrow_mut();
            let task = &mut tasks[index];
            task.is_ready = false;
            (task.future.take(), task.waker.clone(), task.host)
        };
        let Some(mut future) = future else { return true };
        self.note(index as u64);
        schedule.current.set(Some(host));
        let polled =
            catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        match polled {
            Ok(poll) if poll.is_pending() => schedule.tasks.borrow_mut()[index].future = Some(future),
            Ok(_) => {
                drop(future);
                self.has_ended(index, host);
            }
            Err(payload) => {
                let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
                self.has_panicked(index, host, &*payload);
            }
        }
        schedule.current.set(None);
        true
    }

    fn has_panicked(&self, index: usize, host: usize, payload: &(dyn Any + Send)) {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        self.0.panics.borrow_mut().push(message.clone());
        let hears = self.0.schedule.hosts.borrow().get(host).and_then(|host| host.panicked.clone());
        if let Some(hears) = hears {
            hears(message);
        }
        self.has_ended(index, host);
    }

    fn has_ended(&self, index: usize, host: usize) {
        let schedule = &self.0.schedule;
        schedule.tasks.borrow_mut()[index].number = u64::MAX;
        schedule.free.borrow_mut().push(index);
        schedule.count(host, -1);
        let is_main = schedule.hosts.borrow().get(host).is_some_and(|host| host.main == Some(index));
        if is_main {
            schedule.hosts.borrow_mut()[host] = Host::default();
            self.drop_tasks(|task| task.host == host);
        }
    }

    fn drop_tasks(&self, which: impl Fn(&Task) -> bool) {
        let schedule = &self.0.schedule;
        let mut gone = Vec::new();
        for (index, task) in schedule.tasks.borrow_mut().iter_mut().enumerate() {
            if which(task) && task.number != u64::MAX {
                task.number = u64::MAX;
                schedule.free.borrow_mut().push(index);
                schedule.count(task.host, -1);
                gone.extend(task.future.take());
            }
        }
        // What they hold may wake others, and close descriptors.
        drop(gone);
    }

    pub(super) fn drop_everything(&self) {
        self.drop_tasks(|_| true);
        self.0.schedule.hosts.take();
    }
}

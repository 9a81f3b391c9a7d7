//! The simulated system: its descriptors, and those of its calls that are not about the network.

use super::{
    descriptor::{Descriptor, Fd},
    network::Network,
    world::{World, world},
};
use crate::io::Arrival;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    os::fd::RawFd,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// The first simulated descriptor: the system's own never come so far.
const FIRST: RawFd = 1 << 28;

/// Whether it is a simulated descriptor.
pub(crate) const fn is_simulated(fd: RawFd) -> bool {
    fd >= FIRST
}

/// The calls of the simulated system, if it is one of its descriptors, and there still is a world.
pub(crate) fn kernel(fd: RawFd) -> Option<Calls> {
    if is_simulated(fd) { world().map(Calls) } else { None }
}

/// What there is in the system.
#[derive(Default)]
pub(super) struct Kernel {
    table: RefCell<Vec<Option<Entry>>>,
    pub(super) network: Network,
}

struct Entry {
    object: Object,
    is_lanes: bool,
}

/// What a descriptor stands for.
#[derive(Clone)]
pub(super) enum Object {
    Socket(usize),
    Listener(usize),
    Counter(Rc<Counter>),
    Timer(Rc<TimerState>),
    PipeOut(Rc<PipeState>),
    PipeIn(Rc<PipeState>),
    Spare,
}

/// An eventfd.
#[derive(Default)]
pub(super) struct Counter {
    count: Cell<u64>,
    waiting: Waiting,
}

/// A timerfd.
#[derive(Default)]
pub(super) struct TimerState {
    has_expired: Cell<bool>,
    /// Which of its settings is in force.
    setting: Cell<u64>,
    waiting: Waiting,
}

/// A pipe.
pub(super) struct PipeState {
    bytes: RefCell<VecDeque<u8>>,
    room: usize,
}

/// Those who wait for something.
#[derive(Default)]
pub(super) struct Waiting {
    wakers: RefCell<Vec<Waker>>,
    /// How often it has come about.
    times: Cell<u64>,
}

impl Waiting {
    pub(super) fn times(&self) -> u64 {
        self.times.get()
    }

    pub(super) fn add(&self, cx: &Context<'_>) {
        let mut waiting = self.wakers.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    /// Wakes them all, now or a little later.
    pub(super) fn wake(&self, world: &World) {
        let faults = world.0.faults.get();
        self.times.set(self.times.get() + 1);
        for waker in self.wakers.take() {
            let mut wait = Duration::from_nanos(world.below(2_000));
            if world.chance(faults.late_wake) {
                wait += Duration::from_micros(world.below(10_000));
            }
            world.after(wait, move |_| waker.wake());
        }
    }
}

/// The calls of the simulated system. Each does what the real one does; see their manual pages.
pub(crate) struct Calls(pub(super) World);

impl Calls {
    /// Those of this thread's world.
    pub(crate) fn of(world: World) -> Self {
        Self(world)
    }

    pub(super) fn kernel(&self) -> &Kernel {
        &self.0.0.kernel
    }

    /// A new descriptor.
    pub(super) fn open(&self, object: Object) -> io::Result<Fd> {
        let is_lanes = !self.0.is_polling() || self.0.is_on_lane();
        if is_lanes && self.0.chance(self.0.0.faults.get().no_descriptor) {
            self.forget(&object);
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        let mut table = self.kernel().table.borrow_mut();
        let index = table.iter().position(Option::is_none).unwrap_or(table.len());
        if index == table.len() {
            table.push(None);
        }
        if let Object::Socket(socket) = object {
            self.kernel().network.hold(socket, is_lanes);
        }
        table[index] = Some(Entry { object, is_lanes });
        self.0.note(index as u64);
        Ok(Fd::Simulated(Descriptor::new(FIRST + RawFd::try_from(index).expect("there are not so many"))))
    }

    pub(super) fn object(&self, fd: RawFd) -> io::Result<Object> {
        let table = self.kernel().table.borrow();
        let entry = usize::try_from(fd - FIRST).ok().and_then(|index| table.get(index)?.as_ref());
        entry.map(|entry| entry.object.clone()).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    pub(crate) fn close(&self, fd: RawFd) {
        let index = usize::try_from(fd - FIRST).expect("it is one of ours");
        let entry = self.kernel().table.borrow_mut().get_mut(index).and_then(Option::take);
        if let Some(entry) = entry {
            self.forget(&entry.object);
        }
    }

    /// What has no descriptor any more goes.
    fn forget(&self, object: &Object) {
        match object {
            Object::Socket(socket) => self.let_go(*socket),
            Object::Listener(listener) => self.stop_listening(*listener),
            _ => {}
        }
    }

    pub(crate) fn duplicate(&self, fd: RawFd) -> io::Result<Fd> {
        let object = self.object(fd)?;
        if let Object::Listener(listener) = object {
            self.kernel().network.hold_listener(listener);
        }
        self.open(object)
    }

    pub(crate) fn eventfd(&self) -> io::Result<Fd> {
        self.open(Object::Counter(Rc::default()))
    }

    pub(crate) fn timerfd(&self) -> io::Result<Fd> {
        self.open(Object::Timer(Rc::default()))
    }

    pub(crate) fn reserve(&self) -> Option<Fd> {
        self.open(Object::Spare).ok()
    }

    pub(crate) fn ring(&self, fd: RawFd) {
        if let Ok(Object::Counter(counter)) = self.object(fd) {
            counter.count.set(counter.count.get() + 1);
            counter.waiting.wake(&self.0);
        }
    }

    pub(crate) fn silence(&self, fd: RawFd) {
        match self.object(fd) {
            Ok(Object::Counter(counter)) => counter.count.set(0),
            Ok(Object::Timer(timer)) => timer.has_expired.set(false),
            _ => {}
        }
    }

    pub(crate) fn arm(&self, fd: RawFd, wait: Duration) {
        let Ok(Object::Timer(timer)) = self.object(fd) else { return };
        let setting = timer.setting.get() + 1;
        timer.setting.set(setting);
        timer.has_expired.set(false);
        let mut late = Duration::from_micros(self.0.below(60));
        if self.0.chance(self.0.0.faults.get().late_timer) {
            late += Duration::from_micros(self.0.below(20_000));
        }
        self.0.after(wait.saturating_add(late), move |world| {
            if timer.setting.get() == setting {
                timer.has_expired.set(true);
                timer.waiting.wake(world);
            }
        });
    }

    pub(crate) fn pipe(&self, bytes: usize) -> io::Result<(Fd, Fd)> {
        let pipe = Rc::new(PipeState { bytes: RefCell::default(), room: bytes });
        Ok((self.open(Object::PipeOut(pipe.clone()))?, self.open(Object::PipeIn(pipe))?))
    }

    pub(crate) fn splice(&self, from: RawFd, to: RawFd, bytes: usize) -> io::Result<usize> {
        match (self.object(from)?, self.object(to)?) {
            (Object::Socket(socket), Object::PipeIn(pipe)) => {
                let room = pipe.room.saturating_sub(pipe.bytes.borrow().len()).min(bytes);
                if room == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let mut moved = vec![0; room];
                let count = self.receive(socket, &mut moved)?;
                pipe.bytes.borrow_mut().extend(&moved[..count]);
                Ok(count)
            }
            (Object::PipeOut(pipe), Object::Socket(socket)) => {
                let mut waiting = pipe.bytes.borrow_mut();
                let most = bytes.min(waiting.len());
                if most == 0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                let count = self.send(socket, &waiting.make_contiguous()[..most])?;
                waiting.drain(..count);
                Ok(count)
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn socket(&self, fd: RawFd) -> io::Result<usize> {
        match self.object(fd)? {
            Object::Socket(socket) => Ok(socket),
            _ => Err(io::Error::from_raw_os_error(libc::ENOTSOCK)),
        }
    }

    pub(crate) fn send_now(&self, fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
        self.send(self.socket(fd)?, bytes)
    }

    pub(crate) fn receive_now(&self, fd: RawFd, bytes: &mut Vec<u8>, end: usize) -> io::Result<usize> {
        let filled = bytes.len();
        let room = end.min(bytes.capacity()).saturating_sub(filled);
        let mut into = vec![0; room];
        let count = self.receive(self.socket(fd)?, &mut into)?;
        bytes.extend_from_slice(&into[..count]);
        Ok(count)
    }

    pub(crate) fn peek(&self, fd: RawFd) -> Arrival {
        self.socket(fd).map_or(Arrival::Failed, |socket| self.look_at(socket))
    }

    pub(crate) fn shutdown(&self, fd: RawFd, how: std::net::Shutdown) {
        if let Ok(socket) = self.socket(fd) {
            self.shut_down(socket, how);
        }
    }

    /// How long what a socket has sent may go unacknowledged, or what the connections of a listener will send.
    pub(crate) fn be_patient(&self, fd: RawFd, patience: Duration) {
        match self.object(fd) {
            Ok(Object::Socket(socket)) => self.kernel().network.with(socket, |end| end.patience = patience),
            Ok(Object::Listener(listener)) => self.kernel().network.be_patient(listener, patience),
            _ => {}
        }
    }

    pub(crate) fn reset(&self, fd: RawFd) {
        if let Ok(socket) = self.socket(fd) {
            self.break_off(socket);
        }
    }

    pub(super) fn moved(&self, fd: RawFd) -> Duration {
        let network = &self.kernel().network;
        self.socket(fd).map_or(Duration::ZERO, |socket| network.with(socket, |end| end.moved))
    }

    pub(super) fn has_vanished(&self, fd: RawFd) -> bool {
        let network = &self.kernel().network;
        self.socket(fd).is_ok_and(|socket| network.with(socket, |end| end.has_vanished))
    }

    pub(crate) fn queued_bytes(&self, fd: RawFd) -> u64 {
        self.socket(fd).map_or(0, |socket| self.kernel().network.queued(socket))
    }

    pub(crate) fn socket_error(&self, fd: RawFd) -> io::Result<()> {
        self.kernel().network.take_error(self.socket(fd)?)
    }
}

/// Whether a descriptor is ready; if not, the task is woken when it is.
pub(super) fn poll_ready(fd: RawFd, to_read: bool, cx: &Context<'_>) -> Poll<()> {
    let Some(calls) = kernel(fd) else { return Poll::Ready(()) };
    let network = &calls.kernel().network;
    match calls.object(fd) {
        Ok(Object::Counter(counter)) if counter.count.get() == 0 => counter.waiting.add(cx),
        Ok(Object::Timer(timer)) if !timer.has_expired.get() => timer.waiting.add(cx),
        Ok(Object::Socket(socket)) if !network.is_ready(socket, to_read) => network.wait(socket, to_read, cx),
        Ok(Object::Listener(listener)) if !network.has_guest(listener) => {
            network.wait_for_guest(listener, cx)
        }
        _ => return Poll::Ready(()),
    }
    maybe_spurious(&calls.0, cx)
}

/// How often there has been something new for a socket; `None` if it has ended, which is for ever.
pub(super) fn news(fd: RawFd, to_read: bool) -> Option<u64> {
    let calls = kernel(fd)?;
    let Ok(Object::Socket(socket)) = calls.object(fd) else { return None };
    calls.kernel().network.with(socket, |end| end.news(to_read))
}

/// Wakes the task when there is something new for a socket.
pub(super) fn await_news(fd: RawFd, to_read: bool, cx: &Context<'_>) {
    let Some(calls) = kernel(fd) else { return };
    if let Ok(Object::Socket(socket)) = calls.object(fd) {
        calls.kernel().network.wait(socket, to_read, cx);
        let _ = maybe_spurious(&calls.0, cx);
    }
}

/// Now and then somebody is woken for nothing.
fn maybe_spurious(world: &World, cx: &Context<'_>) -> Poll<()> {
    if world.chance(world.0.faults.get().spurious_wake) {
        let waker = cx.waker().clone();
        world.after(Duration::from_micros(world.below(100_000)), move |_| waker.wake());
    }
    Poll::Pending
}

impl World {
    /// How many descriptors lanes have open, and whoever is responsible for them.
    pub fn descriptors(&self) -> usize {
        let table = self.0.kernel.table.borrow();
        table.iter().flatten().filter(|entry| entry.is_lanes).count()
    }
}

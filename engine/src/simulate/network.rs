//! The simulated network: who listens, who connects, and what becomes of it.

use super::{
    descriptor::Fd,
    kernel::{Calls, Object, Waiting},
    socket::{End, PATIENCE, State},
    world::World,
};
use crate::io::Arrival;
use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr},
    task::Context,
    time::Duration,
};

/// Those who may wait to be accepted.
const BACKLOG: usize = 4096;
/// The longest way through the network when nothing is wrong.
const WAY_NANOS_MAX: u64 = 60_000;

#[derive(Default)]
pub(super) struct Network {
    ends: RefCell<Vec<End>>,
    listeners: RefCell<Vec<Listening>>,
    next_port: RefCell<u16>,
}

/// A listening socket.
struct Listening {
    address: SocketAddr,
    queue: VecDeque<usize>,
    descriptors: usize,
    waiting: Waiting,
    /// That of the connections that come.
    patience: Duration,
}

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl Network {
    pub(super) fn with<T>(&self, end: usize, f: impl FnOnce(&mut End) -> T) -> T {
        f(&mut self.ends.borrow_mut()[end])
    }

    pub(super) fn hold(&self, end: usize, is_lanes: bool) {
        self.with(end, |end| {
            end.descriptors += 1;
            end.is_lanes = is_lanes;
        });
    }

    pub(super) fn hold_listener(&self, listener: usize) {
        self.listeners.borrow_mut()[listener].descriptors += 1;
    }

    pub(super) fn be_patient(&self, listener: usize, patience: Duration) {
        self.listeners.borrow_mut()[listener].patience = patience;
    }

    pub(super) fn queued(&self, end: usize) -> u64 {
        self.with(end, |end| (end.unsent.len() + end.in_flight) as u64)
    }

    pub(super) fn take_error(&self, end: usize) -> io::Result<()> {
        self.with(end, |end| end.error.take().map_or(Ok(()), |number| Err(error(number))))
    }

    pub(super) fn is_ready(&self, end: usize, to_read: bool) -> bool {
        self.with(end, |end| if to_read { end.is_readable() } else { end.is_writable() })
    }

    pub(super) fn wait(&self, end: usize, to_read: bool, cx: &Context<'_>) {
        self.with(end, |end| if to_read { end.readers.add(cx) } else { end.writers.add(cx) });
    }

    pub(super) fn has_guest(&self, listener: usize) -> bool {
        !self.listeners.borrow()[listener].queue.is_empty()
    }

    pub(super) fn wait_for_guest(&self, listener: usize, cx: &Context<'_>) {
        self.listeners.borrow()[listener].waiting.add(cx);
    }

    /// What was drawn for connections that there are is taken back.
    pub(super) fn calm(&self) {
        for end in self.ends.borrow_mut().iter_mut() {
            (end.resets_at, end.vanishes_at) = (None, None);
        }
    }

    fn add(&self, end: End) -> usize {
        let mut ends = self.ends.borrow_mut();
        ends.push(end);
        ends.len() - 1
    }

    fn port(&self) -> u16 {
        let mut port = self.next_port.borrow_mut();
        *port = if *port < 10_000 { 10_000 } else { *port + 1 };
        *port
    }
}

impl Calls {
    pub(super) fn way(&self) -> Duration {
        Duration::from_nanos(2_000 + self.0.below(WAY_NANOS_MAX))
    }

    fn network(&self) -> &Network {
        &self.kernel().network
    }

    /// Listens, alone or beside others.
    pub(crate) fn listen(&self, address: SocketAddr, alone: bool) -> io::Result<(Fd, SocketAddr)> {
        let mut address = address;
        if address.port() == 0 {
            address.set_port(self.network().port());
        }
        let taken = |other: &Listening| other.descriptors > 0 && other.address == address;
        if alone && self.network().listeners.borrow().iter().any(taken) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let mut listeners = self.network().listeners.borrow_mut();
        listeners.push(Listening {
            address,
            queue: VecDeque::new(),
            descriptors: 1,
            waiting: Waiting::default(),
            patience: PATIENCE,
        });
        let listener = listeners.len() - 1;
        drop(listeners);
        Ok((self.open(Object::Listener(listener))?, address))
    }

    /// A descriptor of a listener is closed; with the last one whoever waits there is reset.
    pub(super) fn stop_listening(&self, listener: usize) {
        let queue = {
            let mut listeners = self.network().listeners.borrow_mut();
            let listening = &mut listeners[listener];
            listening.descriptors -= 1;
            if listening.descriptors > 0 {
                return;
            }
            std::mem::take(&mut listening.queue)
        };
        queue.into_iter().for_each(|end| self.break_off(end));
    }

    pub(crate) fn accept(&self, fd: std::os::fd::RawFd) -> io::Result<(Fd, SocketAddr)> {
        const ERRORS: [i32; 6] =
            [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::ECONNABORTED, libc::EPERM];
        let Object::Listener(listener) = self.object(fd)? else { return Err(error(libc::EINVAL)) };
        if !self.network().has_guest(listener) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.0.is_on_lane() && self.0.chance(self.0.0.faults.get().failed_accept) {
            return Err(error(ERRORS[self.0.below(ERRORS.len() as u64) as usize]));
        }
        let end = self.network().listeners.borrow_mut()[listener].queue.pop_front().expect("somebody waits");
        let peer = self.network().with(end, |end| end.peer_address);
        match self.open(Object::Socket(end)) {
            Ok(fd) => Ok((fd, peer)),
            Err(error) => {
                // As the real one: without a descriptor, who waits goes on waiting.
                self.network().listeners.borrow_mut()[listener].queue.push_front(end);
                Err(error)
            }
        }
    }

    pub(crate) fn connect(&self, to: SocketAddr, source: Option<IpAddr>) -> io::Result<(Fd, bool)> {
        let faults = self.0.0.faults.get();
        let is_lanes = self.0.is_on_lane();
        if is_lanes && self.0.chance(faults.failed_connect) {
            const ERRORS: [i32; 4] = [libc::EADDRNOTAVAIL, libc::ENOBUFS, libc::EMFILE, libc::ENETUNREACH];
            return Err(error(ERRORS[self.0.below(ERRORS.len() as u64) as usize]));
        }
        let source = source.unwrap_or(IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1)));
        let from = SocketAddr::new(source, self.network().port());
        let end = self.network().add(End::new(to, State::Connecting, faults.room_bytes));
        let fd = self.open(Object::Socket(end))?;
        let mut wait = self.way() + self.way();
        if is_lanes && self.0.chance(faults.late_connect) {
            wait += Duration::from_nanos(self.0.below(faults.stall_max.as_nanos() as u64));
        }
        let is_refused = is_lanes && self.0.chance(faults.refuse);
        if is_lanes && self.0.chance(faults.silent_connect) {
            // The system's own limit.
            wait = Duration::from_secs(130);
            self.0.after(wait, move |world| Self::of(world.clone()).fails(end, libc::ETIMEDOUT));
            return Ok((fd, false));
        }
        self.0.after(wait, move |world| {
            let calls = Self::of(world.clone());
            if is_refused || calls.arrive(end, to, from).is_none() {
                calls.fails(end, libc::ECONNREFUSED);
            }
        });
        Ok((fd, false))
    }

    /// A connect arrives where somebody listens, if somebody does.
    fn arrive(&self, client: usize, to: SocketAddr, from: SocketAddr) -> Option<()> {
        if self.network().with(client, |end| end.is_gone()) {
            return Some(());
        }
        let listening: Vec<usize> = {
            let listeners = self.network().listeners.borrow();
            let open = |listening: &Listening| {
                listening.descriptors > 0 && listening.address == to && listening.queue.len() < BACKLOG
            };
            listeners.iter().enumerate().filter(|(_, it)| open(it)).map(|(index, _)| index).collect()
        };
        if listening.is_empty() {
            return None;
        }
        let listener = listening[self.0.below(listening.len() as u64) as usize];
        let server = self.network().add(End::new(
            from,
            State::Open { peer: client },
            self.0.0.faults.get().room_bytes,
        ));
        let patience = self.network().listeners.borrow()[listener].patience;
        self.network().with(server, |end| end.patience = patience);
        self.plan_faults(client, server);
        self.network().with(client, |end| {
            end.state = State::Open { peer: server };
            end.writers.wake(&self.0);
            end.readers.wake(&self.0);
        });
        let mut listeners = self.network().listeners.borrow_mut();
        listeners[listener].queue.push_back(server);
        listeners[listener].waiting.wake(&self.0);
        Some(())
    }

    /// What is going to happen to a connection is drawn when it is made.
    fn plan_faults(&self, client: usize, server: usize) {
        let faults = self.0.0.faults.get();
        for end in [client, server] {
            // Half of those that break do so among the first bytes.
            let at = |world: &World| match world.below(2) {
                0 => world.below(400),
                _ => world.below(100_000),
            };
            let resets_at = self.0.chance(faults.reset).then(|| at(&self.0));
            let vanishes_at = self.0.chance(faults.vanish).then(|| at(&self.0));
            self.network().with(end, |end| {
                end.resets_at = resets_at;
                end.vanishes_at = vanishes_at;
            });
        }
    }

    pub(super) fn look_at(&self, end: usize) -> Arrival {
        self.network().with(end, |end| {
            if !end.received.is_empty() {
                return Arrival::Bytes;
            }
            if end.has_fin || end.is_read_shut {
                return Arrival::End;
            }
            // Looking takes the error away, as it does in the real one: the next look finds the end.
            if end.error.take().is_some() {
                return Arrival::Failed;
            }
            if end.is_dead() { Arrival::End } else { Arrival::Nothing }
        })
    }

    pub(super) fn shut_down(&self, end: usize, how: Shutdown) {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.network().with(end, |end| {
                end.is_read_shut = true;
                end.readers.wake(&self.0);
            });
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.network().with(end, |end| {
                end.is_write_shut = true;
                end.writers.wake(&self.0);
            });
            self.push(end);
        }
    }
}

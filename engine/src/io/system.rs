//! The system's calls, or those of a simulated world, if the descriptor is one of its, or this thread has one. The
//! functions are those of [`sys`], which says what each does.

use super::Arrival;
use crate::{
    address::Address,
    simulate::{Calls, Descriptor, kernel, world},
    sys,
};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
    io,
    net::{IpAddr, Shutdown, SocketAddr},
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

pub(crate) use crate::simulate::Fd;
pub(crate) use sys::{Alone, BACKLOG, is_exhaustion, is_out_of_descriptors, raise_descriptor_limit};

/// The same in every run.
pub(crate) type HashState = BuildHasherDefault<DefaultHasher>;
pub(crate) type Map<K, V> = HashMap<K, V, HashState>;

pub(crate) fn own(fd: OwnedFd) -> Fd {
    Fd::System(fd)
}

pub(crate) fn of_system(fd: Fd) -> Result<OwnedFd, Descriptor> {
    match fd {
        Fd::System(fd) => Ok(fd),
        Fd::Simulated(fd) => Err(fd),
    }
}

fn calls() -> Option<Calls> {
    world().map(Calls::of)
}

pub(crate) fn accept(listener: RawFd) -> io::Result<(Fd, Address)> {
    match kernel(listener) {
        Some(calls) => calls.accept(listener).map(|(fd, peer)| (fd, Address::Ip(peer))),
        None => sys::accept(listener).map(|(fd, peer)| (own(fd), peer)),
    }
}

pub(crate) fn monotonic() -> u64 {
    world().map_or_else(sys::monotonic, |world| world.now().as_nanos() as u64)
}

pub(crate) fn random() -> u64 {
    world().map_or_else(sys::random, |world| world.random())
}

pub(crate) fn eventfd() -> io::Result<Fd> {
    calls().map_or_else(|| sys::eventfd().map(own), |calls| calls.eventfd())
}

pub(crate) fn timerfd() -> io::Result<Fd> {
    calls().map_or_else(|| sys::timerfd().map(own), |calls| calls.timerfd())
}

pub(crate) fn ring(fd: RawFd) {
    kernel(fd).map_or_else(|| sys::ring(fd), |calls| calls.ring(fd));
}

pub(crate) fn silence(fd: RawFd) {
    kernel(fd).map_or_else(|| sys::silence(fd), |calls| calls.silence(fd));
}

pub(crate) fn arm(fd: RawFd, wait: Duration) {
    kernel(fd).map_or_else(|| sys::arm(fd, wait), |calls| calls.arm(fd, wait));
}

pub(crate) fn send_now(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    kernel(fd).map_or_else(|| sys::send_now(fd, bytes), |calls| calls.send_now(fd, bytes))
}

pub(crate) fn receive_now(fd: RawFd, bytes: &mut Vec<u8>, end: usize) -> io::Result<usize> {
    match kernel(fd) {
        Some(calls) => calls.receive_now(fd, bytes, end),
        None => sys::receive_now(fd, bytes, end),
    }
}

pub(crate) fn pipe(bytes: usize) -> io::Result<(Fd, Fd)> {
    match calls() {
        Some(calls) => calls.pipe(bytes),
        None => sys::pipe(bytes).map(|(read, write)| (own(read), own(write))),
    }
}

pub(crate) fn splice(from: RawFd, to: RawFd, bytes: usize) -> io::Result<usize> {
    kernel(from).map_or_else(|| sys::splice(from, to, bytes), |calls| calls.splice(from, to, bytes))
}

pub(crate) fn duplicate(fd: RawFd) -> io::Result<Fd> {
    kernel(fd).map_or_else(|| sys::duplicate(fd).map(own), |calls| calls.duplicate(fd))
}

pub(crate) fn shutdown(fd: RawFd, how: Shutdown) {
    kernel(fd).map_or_else(|| sys::shutdown(fd, how), |calls| calls.shutdown(fd, how));
}

pub(crate) fn be_patient(listener: RawFd, between_bytes: Duration) {
    match kernel(listener) {
        Some(calls) => calls.be_patient(listener, sys::patience(between_bytes)),
        None => sys::be_patient(listener, between_bytes),
    }
}

pub(crate) fn reset(fd: RawFd) {
    kernel(fd).map_or_else(|| sys::reset(fd), |calls| calls.reset(fd));
}

pub(crate) fn queued_bytes(fd: RawFd) -> u64 {
    kernel(fd).map_or_else(|| sys::queued_bytes(fd), |calls| calls.queued_bytes(fd))
}

pub(crate) fn socket_error(fd: RawFd) -> io::Result<()> {
    kernel(fd).map_or_else(|| sys::socket_error(fd), |calls| calls.socket_error(fd))
}

pub(crate) fn peek(fd: RawFd) -> Arrival {
    kernel(fd).map_or_else(|| sys::peek(fd), |calls| calls.peek(fd))
}

pub(crate) fn reserve() -> Option<Fd> {
    calls().map_or_else(|| sys::reserve().map(own), |calls| calls.reserve())
}

pub(crate) fn connect(
    address: &Address,
    source: Option<IpAddr>,
    between_bytes: Duration,
) -> io::Result<(Fd, bool)> {
    match (calls(), address) {
        (Some(calls), Address::Ip(to)) => {
            let (fd, connected) = calls.connect(*to, source)?;
            calls.be_patient(fd.as_raw_fd(), sys::patience(between_bytes));
            Ok((fd, connected))
        }
        _ => sys::connect(address, source, between_bytes).map(|(fd, connected)| (own(fd), connected)),
    }
}

pub(crate) fn check_source(source: IpAddr) -> io::Result<()> {
    if world().is_some() { Ok(()) } else { sys::check_source(source) }
}

pub(crate) fn listen(address: SocketAddr, first: bool) -> io::Result<(Fd, SocketAddr)> {
    match calls() {
        Some(calls) => calls.listen(address, first),
        None => sys::listen(address, first).map(|(fd, address)| (own(fd), address)),
    }
}

pub(crate) fn alone(port: u16) -> Option<Alone> {
    if world().is_some() { None } else { sys::alone(port) }
}

pub(crate) fn release_free_memory() {
    if world().is_none() {
        sys::release_free_memory();
    }
}

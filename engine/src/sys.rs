//! What the standard library does not give safely: the only module of the engine with `unsafe` in it.

mod epoll;
mod ring;

pub(crate) use {epoll::Epoll, ring::Ring};

use crate::{address::Address, io::Arrival};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::{
    fmt::Write,
    io,
    net::{IpAddr, Shutdown, SocketAddr},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// By which it is told.
    pub(crate) token: u64,
    /// See poll(2).
    pub(crate) events: u32,
    /// From now on, each time that it comes about anew; else once.
    pub(crate) stays: bool,
    /// A wait for this descriptor is over, and has not been taken back.
    pub(crate) again: bool,
}

/// Something that was waited for has come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fired {
    /// By which it was asked for.
    pub(crate) token: u64,
    /// What: see poll(2).
    pub(crate) events: u32,
    /// The wait was to stay, and has ended nevertheless.
    pub(crate) is_over: bool,
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Accepts one connection: non-blocking and close-on-exec from the first moment.
pub(crate) fn accept(listener: RawFd) -> io::Result<(OwnedFd, Address)> {
    // SAFETY: `try_init` hands out storage for a socket address and its length; accept4 writes at most that much
    // and says how much it wrote. A descriptor that it returns is new and ours.
    unsafe {
        let (fd, address) = SockAddr::try_init(|storage, length| {
            checked(libc::accept4(listener, storage.cast(), length, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC))
        })?;
        // The name that a unix client may have bound tells nothing.
        Ok((OwnedFd::from_raw_fd(fd), address.as_socket().map_or(Address::Unnamed, Address::Ip)))
    }
}

/// The kernel's monotonic clock. The standard library's `Instant` reads the same, but gives it away only after a checked
/// subtraction that costs more than the reading; a lane reads the clock several times for each request.
/// In nanoseconds: what is done with it takes fewer instructions, too.
pub(crate) fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the timespec in; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs().wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec.unsigned_abs())
}

/// A non-blocking, close-on-exec eventfd at zero.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: eventfd takes no pointer; a descriptor that it returns is new and ours.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?)) }
}

/// Adds one to an eventfd. Its counter cannot overflow in practice, and a full one rings all the same.
pub(crate) fn ring(fd: RawFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the pointer and the length are of a live array; the caller keeps `fd` open.
    unsafe { libc::write(fd, one.as_ptr().cast(), one.len()) };
}

/// Reads what an eventfd or a timerfd has to say, so that it is readable no more until there is something new.
pub(crate) fn silence(fd: RawFd) {
    let mut said = [0u8; 8];
    // SAFETY: the pointer and the length are of a live array; the caller keeps `fd` open.
    unsafe { libc::read(fd, said.as_mut_ptr().cast(), said.len()) };
}

/// A timer of the monotonic clock, disarmed: readable once it has gone off.
pub(crate) fn timerfd() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: timerfd_create takes no pointer; a descriptor that it returns is new and ours.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::timerfd_create(libc::CLOCK_MONOTONIC, flags))?)) }
}

/// Has a [`timerfd`] go off once, after `wait`, which is not zero.
pub(crate) fn arm(fd: RawFd, wait: Duration) {
    let value = libc::timespec {
        tv_sec: libc::time_t::try_from(wait.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: wait.subsec_nanos().into(),
    };
    let once = libc::itimerspec { it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    // SAFETY: the kernel reads `once` during the call, and is not asked for the old value.
    unsafe { libc::timerfd_settime(fd, 0, &raw const once, std::ptr::null_mut()) };
}

/// Sends some of `bytes` if the system takes it now; `WouldBlock` if it does not.
///
/// This and [`receive_now`] are the calls that every request makes. They go past the C library's own functions, which
/// are points where a thread may be cancelled: in a process of several threads that costs two locked instructions more.
pub(crate) fn send_now(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::c_long::from(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
    let nobody = std::ptr::null::<libc::sockaddr>();
    // SAFETY: the pointer and the length are of a live slice, which is only read; no address is given.
    let sent = unsafe {
        let fd = libc::c_long::from(fd);
        libc::syscall(libc::SYS_sendto, fd, bytes.as_ptr(), bytes.len(), flags, nobody, 0 as libc::c_long)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives behind what `bytes` holds, up to `end` of its capacity, what has come by now; `WouldBlock` if nothing has.
pub(crate) fn receive_now(fd: RawFd, bytes: &mut Vec<u8>, end: usize) -> io::Result<usize> {
    let filled = bytes.len();
    let room = end.min(bytes.capacity()).saturating_sub(filled);
    let (flags, nobody) = (libc::c_long::from(libc::MSG_DONTWAIT), std::ptr::null_mut::<libc::sockaddr>());
    // SAFETY: the pointer is behind what is initialised, and `room` bytes from there are within the capacity; no address
    // is asked for.
    let received = unsafe {
        let (fd, behind) = (libc::c_long::from(fd), bytes.as_mut_ptr().add(filled));
        libc::syscall(libc::SYS_recvfrom, fd, behind, room, flags, nobody, nobody)
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has initialised `received` bytes more, which is at most `room`.
    unsafe { bytes.set_len(filled + received) };
    Ok(received)
}

/// A pipe, its end to read from and its end to write to, neither of which blocks. It holds `bytes` if it may.
pub(crate) fn pipe(bytes: usize) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the pointer is to two live integers, which the kernel fills.
    checked(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    // SAFETY: both descriptors are new and ours; the last call takes no pointer, and may fail: then the pipe is smaller.
    unsafe {
        libc::fcntl(ends[1], libc::F_SETPIPE_SZ, libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX));
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

/// Moves up to `bytes` from one descriptor to another, one of which is a pipe, without copying them where the kernel can.
pub(crate) fn splice(from: RawFd, to: RawFd, bytes: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: both offsets are null, as they must be for sockets and pipes.
    let moved = unsafe { libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), bytes, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Another descriptor for what `fd` stands for, closed on exec.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed; the caller keeps `fd` open. A descriptor that it returns is new and ours.
    unsafe { Ok(OwnedFd::from_raw_fd(checked(libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3))?)) }
}

/// Shuts down one or both directions; operations in flight on them finish.
pub(crate) fn shutdown(fd: RawFd, how: Shutdown) {
    let how = match how {
        Shutdown::Read => libc::SHUT_RD,
        Shutdown::Write => libc::SHUT_WR,
        Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: no pointer is passed; the caller keeps `fd` open. A failure (the peer has gone) changes nothing.
    unsafe { libc::shutdown(fd, how) };
}

/// Breaks a connection off with a reset, at once, which tells the peer that what it got is not the whole. A unix socket
/// has no such thing, and is shut down.
pub(crate) fn reset(fd: RawFd) {
    // SAFETY: an all-zero `sockaddr` is a valid value; its family is AF_UNSPEC, which dissolves a connection
    // (connect(2)).
    let nowhere: libc::sockaddr = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live `sockaddr` and the length is its size; the caller keeps `fd` open.
    let done =
        unsafe { libc::connect(fd, &raw const nowhere, size_of::<libc::sockaddr>() as libc::socklen_t) };
    if done < 0 {
        shutdown(fd, Shutdown::Both);
    }
}

/// Bytes that the kernel has taken for a peer and that the peer has not acknowledged.
pub(crate) fn queued_bytes(fd: RawFd) -> u64 {
    let mut queued: libc::c_int = 0;
    // SAFETY: TIOCOUTQ (SIOCOUTQ, see tcp(7)) writes an int through the pointer; the caller keeps `fd` open.
    unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut queued) };
    u64::try_from(queued).unwrap_or(0)
}

/// The error that a socket has pending (`SO_ERROR`): the outcome of a connect in the background.
pub(crate) fn socket_error(fd: RawFd) -> io::Result<()> {
    let mut error: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: both pointers are to live values and the length is the value's size; the caller keeps `fd` open.
    checked(unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &raw mut length)
    })?;
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// What waits to be received on a connected socket, without taking it.
pub(crate) fn peek(fd: RawFd) -> Arrival {
    let mut byte = 0u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: the pointer and length are of a live byte; the caller keeps `fd` open.
    match unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, flags) } {
        0 => Arrival::End,
        1 => Arrival::Bytes,
        _ if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => Arrival::Nothing,
        _ => Arrival::Failed,
    }
}

/// Whether it is this machine or process that has run out of something.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL | libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN)
    )
}

/// Whether no descriptor is left, for this process or for the machine.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// How long the kernel goes on with a TCP connection whose peer acknowledges nothing, or whose window stays shut
/// (`TCP_USER_TIMEOUT`, tcp(7)), at least: twice the default of [`Timeouts::between_bytes`](crate::Timeouts). It ends what
/// no deadline of ours sees any more, such as an answer that was left to the kernel when its connection was closed; its own
/// limit is some fifteen minutes of retries, and none for a window that stays shut.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// How patient the kernel is with a peer that we give `between_bytes`: see [`UNACKNOWLEDGED`].
pub(crate) fn patience(between_bytes: Duration) -> Duration {
    // The kernel counts milliseconds in 31 bits.
    between_bytes.saturating_mul(2).clamp(UNACKNOWLEDGED, Duration::from_millis(i32::MAX as u64))
}

/// Has the kernel be as patient as we are with the peers of a listener's connections: they inherit it when they come, which
/// is a setsockopt less for each, and keep it when it is changed.
pub(crate) fn be_patient(listener: RawFd, between_bytes: Duration) {
    // SAFETY: the caller keeps the listener open.
    let listener = unsafe { BorrowedFd::borrow_raw(listener) };
    // A unix socket has no such option, and no need of it.
    let _ = SockRef::from(&listener).set_tcp_user_timeout(Some(patience(between_bytes)));
}

/// A descriptor to give up when there is no other.
pub(crate) fn reserve() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}

/// Begins to connect; `false`: it goes on in the background, and the socket becomes writable when it is over. On an IP
/// network it begins at `source`, if that is given, and the kernel is told how [patient](patience) to be.
pub(crate) fn connect(
    address: &Address,
    source: Option<IpAddr>,
    between_bytes: Duration,
) -> io::Result<(OwnedFd, bool)> {
    let stream = Type::STREAM.nonblocking().cloexec();
    let (socket, to) = match address {
        Address::Ip(address) => {
            let socket = Socket::new(Domain::for_address(*address), stream, Some(Protocol::TCP))?;
            socket.set_tcp_nodelay(true)?;
            socket.set_tcp_user_timeout(Some(patience(between_bytes)))?;
            if let Some(source) = source {
                // The port is chosen when it connects, and then may be one that is in use towards another address:
                // otherwise no more than some 28,000 connections could begin at one source (ip(7)).
                bind_no_port(&socket)?;
                socket.bind(&SocketAddr::new(source, 0).into())?;
            }
            (socket, (*address).into())
        }
        Address::Unix(path) => (Socket::new(Domain::UNIX, stream, None)?, SockAddr::unix(path)?),
        Address::Unnamed => return Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    let connected = match socket.connect(&to) {
        Ok(()) => true,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => false,
        Err(error) => return Err(error),
    };
    Ok((socket.into(), connected))
}

fn bind_no_port(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer is to a live int and the length is its size; the socket is open.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            length,
        )
    };
    checked(set).map(drop)
}

/// Whether connections can begin at this address.
pub(crate) fn check_source(source: IpAddr) -> io::Result<()> {
    let address = SocketAddr::new(source, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.bind(&address.into())
}

/// Connections that may wait to be accepted; the kernel's own limit (net.core.somaxconn) may be lower.
pub(crate) const BACKLOG: i32 = 4096;

/// Opens a listening socket that shares its address with the other lanes of this process.
///
/// `SO_REUSEPORT` would bind silently beside a stranger, so the address is tried without it first.
pub(crate) fn listen(address: SocketAddr, first: bool) -> io::Result<(OwnedFd, SocketAddr)> {
    let open = |shared: bool| -> io::Result<Socket> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking().cloexec(),
            Some(Protocol::TCP),
        )?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        Ok(socket)
    };
    if first && address.port() != 0 {
        drop(open(false)?);
    }
    let socket = open(true)?;
    // Accepted sockets inherit both: two setsockopt less for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.listen(BACKLOG)?;
    let socket = std::net::TcpListener::from(socket);
    let address = socket.local_addr()?;
    Ok((socket.into(), address))
}

/// The right to open listening sockets at a port, which one process at a time has: an abstract unix socket (unix(7)),
/// which belongs to the network namespace as the port does, and goes with the process.
pub(crate) struct Alone(#[expect(dead_code, reason = "it is held")] Socket);

/// Waits for the right to open listening sockets at `port`.
pub(crate) fn alone(port: u16) -> Option<Alone> {
    Alone::at(port)
}

impl Alone {
    /// Waits for it a second at most. Without it, all goes on: a stranger who holds the name must not be in the way.
    fn at(port: u16) -> Option<Self> {
        const PAUSE: Duration = Duration::from_millis(10);
        const PAUSES: u32 = 100;
        let name = SockAddr::unix(format!("\0corelane-listen-{port}")).ok()?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None).ok()?;
        for _ in 0..PAUSES {
            match socket.bind(&name) {
                Ok(()) => return Some(Self(socket)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    let _ = crossbeam_channel::after(PAUSE).recv();
                }
                Err(_) => break,
            }
        }
        None
    }
}

/// Gives free memory back to the system, so that a burst is not held for ever.
pub(crate) fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer; glibc locks its own arenas.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Tells the system's allocator to keep large buffers apart from what lives long, so that the memory of a burst can be
/// given back. For programs that are the proxy: it holds for the whole process. Nothing happens on other allocators.
pub fn keep_buffers_apart() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer; to be called while there is one thread, though glibc locks its own state.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 24 << 10);
    }
}

/// How many descriptors this process may have open: the soft limit, after raising it to the hard one.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live `rlimit`.
    checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        // SAFETY: the pointer is to a live `rlimit`.
        if checked(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) }).is_ok() {
            return Ok(raised.rlim_cur);
        }
    }
    Ok(limit.rlim_cur)
}

/// The part of the descriptors that this process may have which are open, from 0 to 1; 0 where that cannot be seen.
pub(crate) fn descriptors_used() -> f64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live `rlimit`.
    if checked(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }).is_err() {
        return 0.0;
    }
    let open = "/proc/self/fd";
    let open = match std::fs::metadata(open).map(|directory| directory.len()) {
        // Kernels before 6.2 do not tell (proc_pid_fd(5)), so they are counted, among them the one that counts.
        Ok(0) => std::fs::read_dir(open).map_or(0, |open| (open.count() as u64).saturating_sub(1)),
        Ok(open) => open,
        Err(_) => 0,
    };
    open as f64 / limit.rlim_cur.max(1) as f64
}

/// Calls of a stack that are told.
const STACK_DEPTH_MAX: usize = 64;
/// Where a thread that was asked leaves the addresses of its calls, and then their number.
static STACK: [AtomicUsize; STACK_DEPTH_MAX] = [const { AtomicUsize::new(0) }; STACK_DEPTH_MAX];
static STACK_DEPTH: AtomicUsize = AtomicUsize::new(0);
static STACKS_ARE_WATCHED: AtomicBool = AtomicBool::new(false);

/// Lets the engine say where a lane is that is stuck ([`Event::LaneStuck`](crate::Event::LaneStuck)). It takes the
/// signal URG of the whole process for that, so it is for programs that are the proxy; without it, nothing is lost but
/// that.
pub fn watch_stacks() -> io::Result<()> {
    extern "C" fn tell(_: libc::c_int) {
        let mut depth = 0;
        let leave = |frame: &backtrace::Frame| {
            STACK[depth].store(frame.ip().addr(), Ordering::Relaxed);
            depth += 1;
            depth < STACK_DEPTH_MAX
        };
        // SAFETY: one thread at a time is asked, and nothing else in here is called by several. Walking a stack takes
        // no memory and, since glibc 2.35, no lock.
        unsafe { backtrace::trace_unsynchronized(leave) };
        STACK_DEPTH.store(depth, Ordering::Release);
    }
    // What the first walk has to set up is set up outside of a signal.
    tell(libc::SIGURG);
    // SAFETY: an all-zero `sigaction` is a valid value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = tell as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the pointer is to a live `sigaction` whose handler may run at any time: it stores into atomics.
    checked(unsafe { libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut()) })?;
    STACKS_ARE_WATCHED.store(true, Ordering::Relaxed);
    Ok(())
}

/// The calling thread's number, for [`stack_of`].
pub(crate) fn thread_id() -> i32 {
    // SAFETY: takes no pointer and never fails.
    unsafe { libc::gettid() }
}

/// Where a thread of this process is, a line for each call; empty if nobody [watches](watch_stacks), or if it does not
/// answer within `wait`. For one thread to call.
pub(crate) fn stack_of(thread: i32, wait: Duration) -> String {
    const LOOK_AGAIN: Duration = Duration::from_millis(5);
    if !STACKS_ARE_WATCHED.load(Ordering::Relaxed) {
        return String::new();
    }
    STACK_DEPTH.store(0, Ordering::Relaxed);
    // SAFETY: no pointer is passed; a thread that has ended is an error and no more.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGURG) };
    let mut depth = 0;
    for _ in 0..wait.as_millis().div_ceil(LOOK_AGAIN.as_millis()) {
        let _ = crossbeam_channel::after(LOOK_AGAIN).recv();
        depth = STACK_DEPTH.load(Ordering::Acquire);
        if depth > 0 {
            break;
        }
    }
    let mut lines = String::new();
    for address in &STACK[..depth] {
        let address = std::ptr::without_provenance_mut(address.load(Ordering::Relaxed));
        backtrace::resolve(address, |symbol| {
            let name = symbol.name().map_or_else(|| "?".to_owned(), |name| format!("{name:#}"));
            // What asked is not of interest.
            if name.contains("watch_stacks") || name.contains("trace_unsynchronized") {
                return;
            }
            let _ = write!(lines, "  {name}");
            if let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno()) {
                let _ = write!(lines, " at {}:{line}", file.display());
            }
            lines.push('\n');
        });
    }
    lines
}

/// Random bits from the kernel, for seeds and identifiers.
pub(crate) fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the pointer and length are of a live array. A short read leaves zeroes, and eight bytes are never
    // short once the kernel's pool is ready (getrandom(2)).
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slo_07_the_kernel_gives_up_on_peers_that_acknowledge_nothing() {
        let s = Duration::from_secs;
        let (listener, address) = listen(([127, 0, 0, 1], 0).into(), true).expect("a port");
        let (fd, address) = (listener.as_raw_fd(), Address::Ip(address));
        let knocks = |between_bytes| connect(&address, None, between_bytes).expect("it listens").0;
        let next = || loop {
            match accept(fd) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => break accepted.expect("it waits").0,
            }
        };
        let patience = |fd: &OwnedFd| SockRef::from(fd).tcp_user_timeout().expect("TCP has it");
        let mut accepted = Vec::new();
        for (between_bytes, most) in [(None, 120), (Some(300), 600), (Some(400), 800), (Some(20), 120)] {
            if let Some(between_bytes) = between_bytes {
                be_patient(fd, s(between_bytes));
            }
            let ours = knocks(s(between_bytes.unwrap_or(60)));
            assert_eq!(patience(&ours), Some(s(most)));
            // Nobody tells the kernel of a connection: it inherits what its listener has when it comes …
            let theirs = next();
            assert_eq!(patience(&theirs), Some(s(most)));
            accepted.push((ours, theirs, most));
        }
        // … and keeps it when that is changed.
        for (_, theirs, most) in &accepted {
            assert_eq!(patience(theirs), Some(s(*most)));
        }
        be_patient(fd, Duration::MAX);
        assert_eq!(patience(&listener), Some(Duration::from_millis(i32::MAX as u64)), "it takes no more");
    }
}

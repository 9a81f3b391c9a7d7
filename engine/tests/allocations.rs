//! What a proxied request allocates, exactly: nothing on warm connections, and so much on a new one. Counted on the
//! lane's own thread, whatever other threads do.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, reason = "a counting allocator")]

mod support;

use corelane_engine::{
    Cluster, Driver, Engine, Error, Handler, Lane, Metric, RateLimit, RateLimiter, Request, Response, Result,
    Settings, Timeouts, Upstream, balancer::count::Limit,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicIsize, AtomicU64, Ordering},
    },
    time::Duration,
};
use support::{
    Balancer, Client, Origin, alone,
    clock::{PATIENCE, poll, until},
    peer::{Peer, Scripted, SocketPath, UnixOrigin},
    rig::Fun,
};

struct Counting;

/// Allocations of the threads that are lanes.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// Bytes of the heap that are in use.
static BYTES: AtomicIsize = AtomicIsize::new(0);

thread_local! {
    static IS_LANE: Cell<Option<bool>> = const { Cell::new(None) };
}

fn count() {
    let is_lane = IS_LANE.try_with(|is_lane| {
        is_lane.get().unwrap_or_else(|| {
            // Asking for the name may allocate, so that is not counted and asked once.
            is_lane.set(Some(false));
            let lane = std::thread::current()
                .name()
                .is_some_and(|name| name.trim_start_matches("corelane-").parse::<usize>().is_ok());
            is_lane.set(Some(lane));
            lane
        })
    });
    if is_lane == Ok(true) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        BYTES.fetch_add(layout.size().cast_signed(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        BYTES.fetch_add(size.cast_signed() - layout.size().cast_signed(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: now\r\nServer: x\r\n\r\nhello";
/// Requests of one window.
const REQUESTS: u64 = 500;
/// Windows, of which the first is not counted.
const WINDOWS: u64 = 8;
/// Content is kept so that it can be sent again: where it is kept, and its bytes.
const ALLOCATIONS_OF_A_REPLAY: u64 = 2;
/// Connections of one window.
const CONNECTIONS: u64 = 100;
/// A connection's state and its task.
const ALLOCATIONS_OF_A_CONNECTION: u64 = 2;

fn warm_gets(driver: Driver) {
    let origin = Origin::start(ANSWER);
    let cluster = Cluster::round_robin([origin.address().to_string()]).resolve().expect("an address");
    let engine = Engine::builder()
        .lanes(1)
        .driver(driver)
        .serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster))))
        .spawn()
        .expect("it starts");
    let mut client = Client::connect(engine.addresses()[0].socket().expect("an IP address"));
    measure(driver, || {
        let answer = client.exchange(
            b"GET /a/path?with=query HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n",
            b"hello",
        );
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    });
    engine.stop();
    engine.join();
}

/// Makes the same request over and over, and sees that it allocates nothing.
fn measure(driver: Driver, get: impl FnMut()) {
    measure_each(driver, 0, REQUESTS, get);
}

/// Does the same over and over, `times` in a window, and sees that it allocates so often.
fn measure_each(driver: Driver, allocations: u64, times: u64, mut act: impl FnMut()) {
    let mut window = || (0..times).for_each(|_| act());
    window();
    let windows: Vec<u64> = (1..WINDOWS)
        .map(|_| {
            let before = COUNT.load(Ordering::Relaxed);
            window();
            COUNT.load(Ordering::Relaxed) - before
        })
        .collect();
    // What the lane does once a second for its house may allocate, too, in the window that it falls into.
    let exact = allocations * times;
    assert!(
        windows.contains(&exact) && windows.iter().all(|count| count.abs_diff(exact) < 16),
        "{times} times {allocations} allocations on {driver:?}, not {windows:?}"
    );
}

/// The client is behind a trusted proxy and counted, the origin is found by a hash and sits behind a unix socket.
struct Counted {
    limiter: RateLimiter,
    origin: Upstream,
}

impl Handler for Counted {
    async fn handle(&self, request: Request) -> Result<Response> {
        let client = request.client_ip().expect("it is said");
        assert_eq!(client, IpAddr::from([192, 0, 2, 7]));
        self.limiter.check_ip(client).map_err(|_| Error::internal("there is no end to it"))?;
        request.balance_by("a session");
        self.origin.send(request).await
    }
}

fn warm_gets_between_sockets(driver: Driver) {
    let (path, listen) = (SocketPath::new(), SocketPath::new());
    let _origin =
        UnixOrigin::start(&path.0, |peer| while peer.try_message().is_some() && peer.try_send(ANSWER) {});
    let cluster = Cluster::hash([path.text()]).resolve().expect("a path");
    let limit =
        RateLimit::new(Limit::new(1_000_000, Duration::from_secs(1), 1_000_000).expect("a limit"), 1000);
    let mut settings = Settings::default();
    settings.trusted_proxies = ["unix", "10.0.0.0/8"].map(|text| text.parse().expect("a network")).into();
    let builder = Engine::builder().lanes(1).driver(driver).settings(settings);
    let engine = builder
        .serve(listen.text(), move |lane| {
            Ok(Counted { limiter: lane.rate_limit(&limit), origin: lane.upstream(&cluster) })
        })
        .spawn()
        .expect("it starts");
    let mut client = Client::over(Peer::unix(&listen.0).stream);
    measure(driver, || {
        let answer = client.exchange(
            b"GET /a HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.1\r\n\r\n",
            b"hello",
        );
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    });
    engine.stop();
    engine.join();
}

/// The peer is decided for each request, and each attempt has a field of its own.
struct Deciding(Lane, SocketAddr);

impl Handler for Deciding {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let upstream = self.0.connect_to(corelane_engine::Peer::http(self.1));
        let mut attempts = upstream.attempts(&mut request);
        let mut attempt = attempts.next().await?;
        attempt.fields_mut().set("x-try", "first");
        let response = attempt.send().await?;
        assert!(!attempts.worth_retrying(&response));
        Ok(response)
    }
}

fn warm_gets_in_the_open_form(driver: Driver) {
    let origin = Origin::start(ANSWER).address();
    let builder = Engine::builder().lanes(1).driver(driver);
    let engine = builder
        .serve("127.0.0.1:0", move |lane| Ok(Deciding(lane.clone(), origin)))
        .spawn()
        .expect("it starts");
    let mut client = Client::connect(engine.addresses()[0].socket().expect("an IP address"));
    measure(driver, || {
        let answer = client.exchange(b"GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n", b"hello");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    });
    engine.stop();
    engine.join();
}

/// Content both ways, whose framing is taken off and put on again.
fn warm_posts(driver: Driver) {
    const CHUNKED: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n";
    let origin = Scripted::start(|peer| while peer.try_message().is_some() && peer.try_send(CHUNKED) {});
    let cluster = origin.cluster();
    let builder = Engine::builder().lanes(1).driver(driver);
    let engine = builder
        .serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster))))
        .spawn()
        .expect("it starts");
    let mut client = Peer::connect(engine.addresses()[0].socket().expect("an IP address"));
    let head = "POST /a HTTP/1.1\r\nHost: example.com\r\n";
    for content in
        ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let request = format!("{head}{content}");
        measure_each(driver, ALLOCATIONS_OF_A_REPLAY, REQUESTS, || {
            client.send(&request);
            assert_eq!(client.message().text(), "hello world");
        });
    }
    engine.stop();
    engine.join();
}

/// A connection for each request. Slots, buffers and seats are the lane's and used again.
fn gets_on_new_connections(driver: Driver, allocations: u64) {
    let origin = Origin::start(ANSWER);
    let cluster = Cluster::round_robin([origin.address().to_string()]).resolve().expect("an address");
    let builder = Engine::builder().lanes(1).driver(driver);
    let engine = builder.serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))).spawn();
    let engine = match engine {
        Ok(engine) => engine,
        Err(error) if driver == Driver::Uring => return eprintln!("skipped: {error}"),
        Err(error) => panic!("{error}"),
    };
    let address = engine.addresses()[0].socket().expect("an IP address");
    measure_each(driver, allocations, CONNECTIONS, || {
        let request = b"GET /a HTTP/1.1\r\nHost: example.com\r\n\r\n";
        let answer = Client::connect(address).exchange(request, b"hello");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
    });
    engine.stop();
    engine.join();
}

/// Clients of a burst, and as many as a lane is always ready for.
const BURST: usize = 300;
const FEW: usize = 64;
/// What a burst may leave beside what a few leave.
const LEFT_BYTES_MAX: isize = 64 << 10;

/// All ask at once, are answered when all have asked, and go.
fn burst(driver: Driver) {
    let go = Arc::new(AtomicBool::new(false));
    let origin = Scripted::start(|peer| while peer.try_message().is_some() && peer.try_send(ANSWER) {});
    let (cluster, gate) = (origin.cluster(), go.clone());
    let mut timeouts = Timeouts::default();
    // What the wheel holds for a deadline is not free before it.
    let soon = Duration::from_secs(2);
    (timeouts.client_head, timeouts.client_idle, timeouts.upstream_idle) = (soon, soon, soon / 2);
    (timeouts.upstream_head, timeouts.between_bytes) = (soon, soon);
    let engine = Engine::builder()
        .lanes(1)
        .driver(driver)
        .timeouts(timeouts)
        .serve("127.0.0.1:0", move |lane| {
            let (origin, lane, gate) = (lane.upstream(&cluster), lane.clone(), gate.clone());
            Ok(Fun(async move |request: Request| {
                while !gate.load(Ordering::Relaxed) {
                    lane.sleep(Duration::from_millis(20)).await;
                }
                origin.send(request).await
            }))
        })
        .spawn()
        .expect("it starts");
    let address = engine.addresses()[0].socket().expect("an IP address");
    let value = |metric| engine.snapshots(PATIENCE).iter().map(|lane| lane.value(metric)).sum::<u64>();
    let burst = |clients: usize| {
        go.store(false, Ordering::Relaxed);
        let ask = || {
            let mut client = Peer::connect(address);
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        };
        let mut clients: Vec<Peer> = (0..clients).map(|_| ask()).collect();
        until("all wait", || value(Metric::RequestsOpen) == clients.len() as u64);
        let most = BYTES.load(Ordering::Relaxed);
        go.store(true, Ordering::Relaxed);
        clients.iter_mut().for_each(|client| assert_eq!(client.message().status(), 200));
        most
    };
    burst(FEW);
    let open = [Metric::ConnectionsOpen, Metric::UpstreamIdle, Metric::Deadlines];
    until("it is at rest", || open.iter().all(|metric| value(*metric) == 0));
    let before = BYTES.load(Ordering::Relaxed);
    let most = burst(BURST) - before;
    assert!(most > 8 * LEFT_BYTES_MAX, "{most} bytes for a burst");
    let left = || BYTES.load(Ordering::Relaxed) - before;
    let is_back = poll(PATIENCE, || (left() < LEFT_BYTES_MAX).then_some(()));
    assert!(is_back.is_some(), "{} of {most} bytes are left on {driver:?}", left());
    engine.stop();
    engine.join();
}

/// One test for both drivers, because the count is the process's.
#[test]
fn a_burst_leaves_little_in_memory() {
    alone("a_burst_leaves_little_in_memory", || {
        burst(Driver::Epoll);
        burst(Driver::Auto);
    });
}

/// One test for both drivers, because the count is the process's.
#[test]
fn a_new_connection_allocates_what_it_keeps() {
    alone("a_new_connection_allocates_what_it_keeps", || {
        gets_on_new_connections(Driver::Epoll, ALLOCATIONS_OF_A_CONNECTION);
        gets_on_new_connections(Driver::Uring, ALLOCATIONS_OF_A_CONNECTION);
    });
}

/// One test for both drivers, because the count is the process's.
#[test]
fn a_warm_request_allocates_nothing() {
    warm_gets(Driver::Epoll);
    warm_gets(Driver::Auto);
    warm_gets_between_sockets(Driver::Epoll);
    warm_gets_between_sockets(Driver::Auto);
    warm_gets_in_the_open_form(Driver::Epoll);
    warm_gets_in_the_open_form(Driver::Auto);
    warm_posts(Driver::Epoll);
    warm_posts(Driver::Auto);
}

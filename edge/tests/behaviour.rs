//! Behaviours that need more than one script: volume, time, abandoned work, the log.

#[path = "support/wire/mod.rs"]
mod wire;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use wire::clock::{Deadline, PATIENCE, now, poll};
use wire::message::Role;
use wire::net::End;
use wire::plain::{Conn, Origin, answer, ask, get};
use wire::proxy::Proxy;

const MIB: u64 = 1 << 20;
/// What a transfer may add to the proxy's largest resident size, the kernel's counting included.
const GROWTH_KIB_MAX: u64 = 8 << 10;

/// Waits until a count stands still: whoever moves it has been stopped.
fn wait_until_still(count: &AtomicU64) -> u64 {
    let mut last = u64::MAX;
    let mut looks = 0;
    poll(PATIENCE * 4, || {
        // A look every 50 ms; two that see the same are enough.
        std::thread::park_timeout(Duration::from_millis(50));
        let seen = count.load(Ordering::SeqCst);
        looks = if seen == last { looks + 1 } else { 0 };
        last = seen;
        (looks >= 2).then_some(seen)
    })
    .expect("it is stopped")
}

#[test]
fn b_25_work_for_a_client_that_left_is_cancelled_at_once() {
    let (sender, times) = channel();
    let origin = Origin::start(move |mut conn, _| {
        if conn.message(Role::Request).is_some_and(|request| request.target() == b"/busy") {
            sender.send(None).expect("the test looks at it");
            conn.rest();
            sender.send(Some(now())).expect("the test looks at it");
        } else {
            conn.send(answer("ready"));
        }
    });
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    let mut took = (0..21)
        .map(|_| {
            let mut client = Conn::connect(proxy.address);
            client.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(times.recv_timeout(PATIENCE), Ok(None));
            let left = now();
            client.reset();
            let ended = times.recv_timeout(PATIENCE).expect("the origin sees it").expect("in its turn");
            ended.duration_since(left)
        })
        .collect::<Vec<_>>();
    took.sort_unstable();
    // One that is slow says something of the machine; half of them, of the proxy.
    assert!(took[10] <= Duration::from_millis(10), "{took:?}");
}

#[test]
fn b_25_h1q_32_nothing_spins_and_nothing_is_left_when_clients_leave() {
    let origin = Origin::start(|mut conn, _| {
        while let Some(request) = conn.head(Role::Request) {
            if request.target() == b"/auto" {
                conn.message(Role::Request);
            } else {
                // An early answer, with the content still on its way.
                conn.send(answer("early"));
                conn.rest();
                return;
            }
            conn.send(answer("auto"));
        }
    });
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    get(proxy.address, "/auto");
    let sockets = poll(PATIENCE, || Some(proxy.sockets())).expect("it can be counted");
    for number in 0..50 {
        let mut client = Conn::connect(proxy.address);
        client.send("POST /stuck HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
        let early = client.message(Role::Response).expect("it comes at once");
        assert_eq!(early.content, b"early");
        if number % 2 == 0 { client.reset() } else { drop(client) }
    }
    let ticks = proxy.cpu_ticks();
    let back = poll(PATIENCE, || (proxy.sockets() <= sockets).then_some(()));
    assert!(back.is_some(), "{} sockets are open, {sockets} were", proxy.sockets());
    // Nothing more happens, so nothing more is used: half a second is 50 ticks for whoever spins.
    let nothing: Option<()> = poll(Duration::from_millis(500), || None);
    assert!(nothing.is_none() && proxy.cpu_ticks() - ticks <= 10, "{} ticks", proxy.cpu_ticks() - ticks);
}

#[test]
fn b_30_h1r_17_an_early_answer_to_a_long_upload_arrives_whole_although_the_origin_closes() {
    const UPLOAD_BYTES: usize = 15 << 20;
    for (reset, answer_len) in [(false, 1_000_000), (false, 100_000), (true, 10_000)] {
        let content = (0..answer_len).map(|i| (i % 251) as u8).collect::<Vec<_>>();
        let early = answer(&content);
        let origin = Origin::start(move |mut conn, _| {
            conn.head(Role::Request);
            conn.send(&early);
            if reset {
                // Most of the upload is unread.
                return conn.reset();
            }
            conn.fin();
            conn.rest();
        });
        let proxy = Proxy::start(&origin.address.to_string(), &[]);
        for round in 0..30 {
            let mut client = Conn::connect(proxy.address);
            let mut uploading = client.stream.try_clone().expect("a descriptor is left");
            let upload = std::thread::spawn(move || {
                let head = format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {UPLOAD_BYTES}\r\n\r\n");
                // The proxy may stop to read, and close, once the answer is out.
                let _ = uploading
                    .write_all(head.as_bytes())
                    .and_then(|()| uploading.write_all(&vec![0; UPLOAD_BYTES]));
            });
            let answer = client.message(Role::Response);
            let Some(answer) = answer else {
                let came = client.rest().map(|(bytes, end)| (bytes.len(), end));
                panic!("no whole answer, but {came:?}; reset: {reset}, round {round}")
            };
            assert_eq!(answer.status(), Some(200));
            assert!(answer.content == content, "reset: {reset}, round {round}");
            drop(client);
            upload.join().expect("it does not panic");
        }
    }
}

#[test]
fn b_30_both_directions_go_on_at_once() {
    let origin = Origin::start(|mut conn, _| {
        // Sends back each piece as it comes, in chunks.
        conn.head(Role::Request);
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut sent = 0;
        while sent < 100 {
            let request = conn.head(Role::Request).expect("it was there");
            for byte in &request.content[sent..] {
                conn.send(format!("1\r\n{}\r\n", char::from(*byte)));
            }
            sent = request.content.len();
            if sent < 100 && !conn.more().is_ok_and(|len| len > 0) {
                return;
            }
        }
        conn.send("0\r\n\r\n");
    });
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    let mut client = Conn::connect(proxy.address);
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    for number in 0..100 {
        client.send([b'a' + number % 26]);
        // The next byte leaves when this one has come back.
        let back = poll(PATIENCE, || {
            let message = client.head(Role::Response)?;
            if message.content.len() > usize::from(number) {
                return Some(message.content);
            }
            client.more().expect("it goes on");
            None
        });
        assert_eq!(back.and_then(|back| back.last().copied()), Some(b'a' + number % 26));
    }
    assert_eq!(client.message(Role::Response).map(|message| message.content.len()), Some(100));
}

#[test]
fn b_31_a_client_that_does_not_read_is_given_up() {
    let sent = Arc::new(AtomicU64::new(0));
    let (sender, ended) = channel();
    let count = Arc::clone(&sent);
    let origin = Origin::start(move |mut conn, _| {
        conn.message(Role::Request);
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 256 * MIB));
        let piece = vec![b'x'; 64 << 10];
        while conn.send(&piece) {
            count.fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
        sender.send(()).expect("the test looks at it");
    });
    let proxy = Proxy::start(&origin.address.to_string(), &["--between-bytes-timeout", "500ms"]);
    let before = proxy.memory_kib("VmHWM");
    let mut client = Conn::connect(proxy.address);
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    ended.recv_timeout(PATIENCE).expect("the origin's connection is given up");
    assert!(sent.load(Ordering::SeqCst) < 64 * MIB, "{} bytes were taken", sent.load(Ordering::SeqCst));
    assert!(proxy.memory_kib("VmHWM") - before < GROWTH_KIB_MAX);
    // What is left in the kernel's buffers may still come; then the end, and never the whole.
    let (bytes, _) = client.rest().expect("it ends");
    assert!((bytes.len() as u64) < 64 * MIB);
}

#[test]
fn h1q_01_slo_08_a_refused_client_that_still_sends_is_not_reset_within_limits_and_not_kept_beyond_them() {
    let origin = Origin::echo();
    let mut proxy = Proxy::start(&origin.address.to_string(), &["--linger", "1s"]);
    get(proxy.address, "/warm");
    let sockets = proxy.sockets();
    let refused = |proxy: &Proxy| {
        let mut client = Conn::connect(proxy.address);
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n");
        assert_eq!(client.message(Role::Response).and_then(|answer| answer.status()), Some(400));
        assert_eq!(client.rest(), Some((vec![], End::Fin)));
        client
    };
    for _ in 0..10 {
        // 48 of the 64 KiB. A client that reads late finds its answer, since no RST has come before.
        let mut client = refused(&proxy);
        for _ in 0..12 {
            assert!(client.send([b'x'; 4 << 10]));
            proxy.wait_until_idle();
            assert!(client.stream.take_error().expect("a TCP socket").is_none(), "it was reset");
        }
    }
    assert!(poll(PATIENCE, || (proxy.sockets() <= sockets).then_some(())).is_some(), "their end is seen");
    // One that goes on and on, and one that neither sends nor closes.
    let (mut sending, _silent) = (refused(&proxy), refused(&proxy));
    let mut sent = 0;
    while sending.send([b'x'; 4 << 10]) {
        proxy.wait_until_idle();
        sent += 4;
        assert!(sent < 16 << 10, "{sent} KiB were taken of a client that was refused");
    }
    assert!(
        poll(PATIENCE, || (proxy.sockets() <= sockets).then_some(())).is_some(),
        "both are closed in the end"
    );
}

/// A client that uploads for as long as it is let, on a thread of its own.
fn upload_on(client: &Conn, count: &Arc<AtomicU64>) -> std::thread::JoinHandle<()> {
    let (mut uploading, count) =
        (client.stream.try_clone().expect("a descriptor is left"), Arc::clone(count));
    std::thread::spawn(move || {
        let piece = vec![b'x'; 64 << 10];
        let head = format!("PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 512 * MIB);
        let mut sent = uploading.write_all(head.as_bytes());
        while sent.is_ok() && count.fetch_add(piece.len() as u64, Ordering::SeqCst) < 512 * MIB {
            sent = uploading.write_all(&piece);
        }
    })
}

/// An origin that reads a head, says something, and then neither reads nor closes for as long as a test takes.
fn deaf_origin(says: Vec<u8>) -> Origin {
    Origin::start(move |mut conn, _| {
        conn.head(Role::Request);
        conn.send(&says);
        let nothing: Option<()> = poll(PATIENCE * 6, || None);
        assert!(nothing.is_none());
    })
}

#[test]
fn up_08_an_origin_that_stops_reading_is_given_up() {
    let origin = deaf_origin(Vec::new());
    let proxy = Proxy::start(&origin.address.to_string(), &["--between-bytes-timeout", "500ms"]);
    let (before, sockets) = (proxy.memory_kib("VmHWM"), proxy.sockets());
    let mut client = Conn::connect(proxy.address);
    let count = Arc::new(AtomicU64::new(0));
    let upload = upload_on(&client, &count);
    let status = client.message(Role::Response).and_then(|answer| answer.status());
    assert!(matches!(status, Some(502 | 504)), "{status:?}");
    assert!(client.rest().is_some(), "the client's connection ends");
    upload.join().expect("it does not panic");
    assert!(count.load(Ordering::SeqCst) < 64 * MIB);
    assert!(proxy.memory_kib("VmHWM") - before < GROWTH_KIB_MAX);
    assert!(
        poll(PATIENCE, || (proxy.sockets() <= sockets).then_some(())).is_some(),
        "both connections are closed"
    );
}

#[test]
fn h1r_16_an_origin_that_answers_early_and_then_stops_reading_holds_nobody() {
    let origin = deaf_origin(answer("early"));
    let proxy = Proxy::start(&origin.address.to_string(), &["--between-bytes-timeout", "500ms"]);
    let sockets = proxy.sockets();
    let mut client = Conn::connect(proxy.address);
    let count = Arc::new(AtomicU64::new(0));
    let upload = upload_on(&client, &count);
    assert_eq!(client.message(Role::Response).map(|answer| answer.content), Some(b"early".to_vec()));
    assert!(client.rest().is_some(), "the client's connection ends");
    upload.join().expect("it does not panic");
    assert!(
        poll(PATIENCE, || (proxy.sockets() <= sockets).then_some(())).is_some(),
        "both connections are closed"
    );
}

#[test]
fn b_32_a_head_that_trickles_is_bounded_by_one_deadline() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&origin.address.to_string(), &["--client-head-timeout", "500ms"]);
    let began = now();
    let mut client = Conn::connect(proxy.address);
    // Reading with a limit is the pace: a byte each 20 ms, which no deadline per read would see.
    client.stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a TCP socket");
    let deadline = Deadline::after(PATIENCE);
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(1000));
    for byte in text.bytes() {
        client.send([byte]);
        if client.more().is_ok() || deadline.left().is_none() {
            break;
        }
    }
    let took = began.elapsed();
    let answer = client.message(Role::Response).expect("a 408 comes");
    assert_eq!(answer.status(), Some(408));
    assert!(took >= Duration::from_millis(450) && took < Duration::from_millis(1500), "{took:?}");
    assert_eq!(client.rest(), Some((vec![], End::Fin)));
}

#[test]
fn b_33_a_slow_client_stops_the_origin_and_costs_a_bounded_buffer() {
    const CONTENT_BYTES: u64 = 256 * MIB;
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let origin = Origin::start(move |mut conn, _| {
        let Some(request) = conn.message(Role::Request) else { return };
        if request.target() != b"/big" {
            conn.send(answer("warm"));
            return;
        }
        conn.stream.set_write_timeout(Some(PATIENCE * 4)).expect("a TCP socket");
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {CONTENT_BYTES}\r\n\r\n"));
        let piece = vec![b'x'; MIB as usize];
        for _ in 0..CONTENT_BYTES / MIB {
            assert!(conn.send(&piece));
            count.fetch_add(MIB, Ordering::SeqCst);
        }
    });
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    get(proxy.address, "/warm");
    let before = proxy.memory_kib("VmHWM");
    let mut client = Conn::connect(proxy.address);
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut received = client.head(Role::Response).expect("it comes").content.len() as u64;
    let mut buffer = vec![0; MIB as usize];
    while received < CONTENT_BYTES {
        if received < 4 * MIB {
            let ahead = wait_until_still(&sent);
            assert!(ahead < received + 64 * MIB, "{ahead} bytes were taken, {received} received");
        }
        received += client.stream.read(&mut buffer).expect("it goes on") as u64;
    }
    assert_eq!(received, CONTENT_BYTES);
    let growth = proxy.memory_kib("VmHWM") - before;
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
}

#[test]
fn b_33_a_slow_origin_stops_the_client_and_costs_a_bounded_buffer() {
    const CONTENT_BYTES: u64 = 256 * MIB;
    let going = Arc::new(AtomicU64::new(0));
    let may_go = Arc::clone(&going);
    let origin = Origin::start(move |mut conn, _| {
        let head = conn.head(Role::Request).expect("it comes");
        if head.target() != b"/big" {
            conn.send(answer("warm"));
            return;
        }
        // Nothing more is read until the test has seen that the client is stopped.
        let go = poll(PATIENCE * 4, || (may_go.load(Ordering::SeqCst) > 0).then_some(()));
        go.expect("the test says so");
        let mut received = head.content.len() as u64;
        let mut buffer = vec![0; MIB as usize];
        while received < CONTENT_BYTES {
            received += conn.stream.read(&mut buffer).expect("it goes on") as u64;
        }
        conn.send(answer(received.to_string()));
    });
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    get(proxy.address, "/warm");
    let before = proxy.memory_kib("VmHWM");
    let mut client = Conn::connect(proxy.address);
    let sent = Arc::new(AtomicU64::new(0));
    let (count, mut uploading) =
        (Arc::clone(&sent), client.stream.try_clone().expect("a descriptor is left"));
    uploading.set_write_timeout(Some(PATIENCE * 4)).expect("a TCP socket");
    let upload = std::thread::spawn(move || {
        let head = format!("PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: {CONTENT_BYTES}\r\n\r\n");
        uploading.write_all(head.as_bytes()).expect("it is taken");
        let piece = vec![b'x'; MIB as usize];
        for _ in 0..CONTENT_BYTES / MIB {
            uploading.write_all(&piece).expect("it is taken");
            count.fetch_add(MIB, Ordering::SeqCst);
        }
    });
    let ahead = wait_until_still(&sent);
    assert!(ahead < 64 * MIB, "{ahead} bytes were taken");
    going.store(1, Ordering::SeqCst);
    upload.join().expect("it goes on");
    client.stream.set_read_timeout(Some(PATIENCE * 4)).expect("a TCP socket");
    let answer = client.message(Role::Response).expect("the answer comes");
    assert_eq!(answer.content, CONTENT_BYTES.to_string().as_bytes());
    let growth = proxy.memory_kib("VmHWM") - before;
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
}

#[test]
fn b_33_b_40_a_tunnel_whose_reader_is_slow_costs_a_bounded_buffer_each_way() {
    const SWITCH: &str = "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    const BYTES: u64 = 64 * MIB;
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let origin = Origin::start(move |mut conn, _| {
        conn.message(Role::Request);
        conn.stream.set_write_timeout(Some(PATIENCE * 4)).expect("a TCP socket");
        conn.send(format!("HTTP/1.1 101 Switching Protocols\r\n{SWITCH}"));
        let piece = vec![b'x'; 64 << 10];
        while count.load(Ordering::SeqCst) < BYTES && conn.send(&piece) {
            count.fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
        // Then what comes the other way, until the client ends it.
        let (bytes, end) = conn.rest().expect("it ends");
        assert_eq!(end, End::Fin);
        conn.send(format!("{:10}", bytes.len()));
    });
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    let before = proxy.memory_kib("VmHWM");
    let mut client = Conn::connect(proxy.address);
    client.send(format!("GET /chat HTTP/1.1\r\nHost: a\r\n{SWITCH}"));
    assert_eq!(client.message(Role::Response).and_then(|answer| answer.status()), Some(101));
    let ahead = wait_until_still(&sent);
    assert!(ahead < BYTES, "all of it was taken, and nobody reads");
    let mut buffer = vec![0; BYTES as usize];
    let begun = client.take(&mut buffer);
    client.stream.read_exact(&mut buffer[begun..]).expect("all of it comes");
    assert!(buffer.iter().all(|byte| *byte == b'x'));
    client.send(vec![b'y'; 3_000_000]);
    client.fin();
    assert_eq!(client.rest(), Some((b"   3000000".to_vec(), End::Fin)));
    let growth = proxy.memory_kib("VmHWM") - before;
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
}

#[test]
fn b_33_h1q_63_a_pipeline_whose_answers_nobody_reads_stops() {
    let origin =
        Origin::start(
            |mut conn, _| {
                while conn.message(Role::Request).is_some() && conn.send(answer("x".repeat(4096))) {}
            },
        );
    let proxy = Proxy::start(&origin.address.to_string(), &["--between-bytes-timeout", "1s"]);
    get(proxy.address, "/warm");
    let before = proxy.memory_kib("VmHWM");
    let mut client = Conn::connect(proxy.address);
    client.stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a TCP socket");
    let requests = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    let taken = (0..4096).take_while(|_| client.send(&requests)).count();
    assert!(taken < 4096, "{taken} thousand requests were taken, and nobody reads the answers");
    let growth = proxy.memory_kib("VmHWM") - before;
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB");
}

#[test]
fn h1q_59_a_head_at_its_limit_costs_no_more_than_a_connection_may() {
    const CONNECTIONS: u64 = 50;
    let origin = Origin::echo();
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    get(proxy.address, "/warm");
    let before = proxy.memory_kib("VmHWM");
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(32_700));
    let clients = (0..CONNECTIONS)
        .map(|_| {
            let mut client = Conn::connect(proxy.address);
            client.send(&head);
            client
        })
        .collect::<Vec<_>>();
    // Answered behind the others, so all of them have been read.
    get(proxy.address, "/last");
    let growth = proxy.memory_kib("VmHWM") - before;
    // A 64 KiB buffer and a head each, and what the allocator rounds up.
    assert!(growth < CONNECTIONS * 160, "{growth} KiB for {CONNECTIONS} connections");
    drop(clients);
}

/// A directory of its own for a test, gone with the value.
struct Place(std::path::PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corelane-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("it can be made");
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn b_70_h1q_69_what_a_client_sends_stands_escaped_in_the_log_beside_its_id() {
    let place = Place::new("log");
    let origin = Origin::echo();
    for format in ["json", "combined"] {
        let path = place.0.join(format);
        let log = path.to_string_lossy().into_owned();
        let proxy =
            Proxy::start(&origin.address.to_string(), &["--access-log", &log, "--log-format", format]);
        let mut request =
            b"GET /%0a%1b\"<>?a=\"%00 HTTP/1.1\r\nHost: a\r\nX-Request-Id: my-own-id-0001\r\n".to_vec();
        request.extend_from_slice(
            b"User-Agent: \"quoted\\\" \x9b31m \xff\xfe\ttab\r\nReferer: \x85\xe2\x80\xa8\r\n\r\n",
        );
        assert_eq!(ask(proxy.address, request).status(), Some(200));
        assert_eq!(ask(proxy.address, "GET /\x1b HTTP/1.1\r\nHost: a\r\n\r\n").status(), Some(400));
        let lines = poll(PATIENCE, || {
            let lines = std::fs::read(&path).ok()?;
            (lines.iter().filter(|b| **b == b'\n').count() >= 2).then_some(lines)
        });
        let lines = lines.expect("both are logged");
        let control = lines.iter().find(|b| (**b < b' ' && **b != b'\n') || **b == 0x7f);
        assert_eq!(control, None, "{format}: {}", lines.escape_ascii());
        let text = String::from_utf8(lines).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert!(!text.contains(['\u{85}', '\u{9b}', '\u{2028}']), "{format}: {text:?}");
        assert_eq!(text.lines().count(), 2, "{format}: {text}");
        if format == "json" {
            for line in text.lines() {
                serde_json::from_str::<serde_json::Value>(line)
                    .unwrap_or_else(|error| panic!("{error}: {line}"));
            }
            assert!(text.contains("my-own-id-0001"), "{text}");
        }
    }
}

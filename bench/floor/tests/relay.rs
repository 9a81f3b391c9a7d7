//! The floor must be correct to be worth comparing with: every byte arrives, in order, and nothing is leaked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);

struct Floor {
    process: Child,
    address: SocketAddr,
    descriptors: usize,
}

impl Floor {
    /// Starts the relay; `None`, said on stderr, where the kernel or a sandbox refuses io_uring.
    fn start(to: SocketAddr) -> Option<Self> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_corelane-floor"))
            .args(["--listen", "127.0.0.1:0", "--to", &to.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary was built");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        let address = line.trim().strip_prefix("listening on ").and_then(|text| text.parse().ok());
        let Some(address) = address else {
            process.wait().expect("our child");
            eprintln!("the floor did not start, as where io_uring is refused: not tested");
            return None;
        };
        let descriptors = count_descriptors(process.id());
        Some(Self { process, address, descriptors })
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("listening");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("not zero");
        stream
    }

    fn assert_nothing_leaked(&self) {
        let clean = (0..1000).any(|_| {
            thread::park_timeout(Duration::from_millis(5));
            count_descriptors(self.process.id()) == self.descriptors
        });
        assert!(clean, "{} descriptors, {} at first", count_descriptors(self.process.id()), self.descriptors);
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.process.kill().expect("still running");
        self.process.wait().expect("our child");
    }
}

fn count_descriptors(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, |entries| entries.count())
}

/// An upstream that hands each connection to `serve` on a thread of its own.
fn upstream(serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("accepted");
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn echo(mut stream: TcpStream) {
    let mut reader = stream.try_clone().expect("a descriptor");
    // An error is a client that left, which one of the tests wants.
    let _ = std::io::copy(&mut reader, &mut stream);
}

/// Answers the first byte with `CONTENT` bytes.
fn answer(mut stream: TcpStream) {
    let mut byte = [0];
    if stream.read_exact(&mut byte).is_ok() {
        let _ = stream.write_all(&content(byte[0]));
    }
}

/// More than the socket buffers on the way can hold, so that the relay's own buffers fill.
const CONTENT: usize = 12 << 20;

fn content(seed: u8) -> Vec<u8> {
    (0..CONTENT).map(|index| (index.wrapping_mul(2_654_435_761) >> 7) as u8 ^ seed).collect()
}

#[test]
fn echoes_every_byte_in_order_both_ways_at_once() {
    let Some(floor) = Floor::start(upstream(echo)) else { return };
    thread::scope(|scope| {
        // Two, because the pool is shared and an echo needs buffers in both directions: with more of them, one direction
        // can hold all the buffers that the other waits for, which is what a floor without fairness does.
        for seed in 0..2 {
            let mut stream = floor.connect();
            scope.spawn(move || {
                let mut writer = stream.try_clone().expect("a descriptor");
                let sender = thread::spawn(move || {
                    writer.write_all(&content(seed)).expect("taken");
                    writer.shutdown(Shutdown::Write).expect("connected");
                });
                let mut received = Vec::new();
                stream.read_to_end(&mut received).expect("a clean end");
                assert!(received == content(seed));
                sender.join().expect("sent");
            });
        }
    });
    floor.assert_nothing_leaked();
}

#[test]
fn a_half_close_is_passed_on_and_the_answer_still_comes() {
    fn count_then_answer(mut stream: TcpStream) {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("a clean end");
        stream.write_all(received.len().to_string().as_bytes()).expect("the client still listens");
    }
    let Some(floor) = Floor::start(upstream(count_then_answer)) else { return };
    let mut stream = floor.connect();
    stream.write_all(&[7; 100_000]).expect("taken");
    stream.shutdown(Shutdown::Write).expect("connected");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a clean end");
    assert_eq!(answer, "100000");
    floor.assert_nothing_leaked();
}

#[test]
fn one_stuck_reader_does_not_take_the_pool() {
    let Some(floor) = Floor::start(upstream(answer)) else { return };
    let mut stuck = floor.connect();
    stuck.write_all(&[1]).expect("taken");
    thread::park_timeout(Duration::from_millis(200));
    let mut other = floor.connect();
    other.write_all(&[2]).expect("taken");
    let mut received = Vec::new();
    other.read_to_end(&mut received).expect("a clean end");
    assert!(received == content(2));
    received.clear();
    stuck.read_to_end(&mut received).expect("a clean end");
    assert!(received == content(1));
    drop((stuck, other));
    floor.assert_nothing_leaked();
}

#[test]
fn an_exhausted_pool_delays_and_loses_nothing() {
    let Some(floor) = Floor::start(upstream(answer)) else { return };
    // At 16 pieces and more for each, these want twice the buffers that there are.
    let mut streams: Vec<_> = (0..64).map(|_| floor.connect()).collect();
    streams.iter_mut().for_each(|stream| stream.write_all(&[3]).expect("taken"));
    thread::park_timeout(Duration::from_millis(500));
    let expected = content(3);
    // Some leave without reading; all buffers that they hold must come back.
    streams.truncate(48);
    thread::scope(|scope| {
        for mut stream in streams {
            let expected = &expected;
            scope.spawn(move || {
                let mut received = Vec::new();
                stream.read_to_end(&mut received).expect("a clean end");
                assert!(received == *expected);
            });
        }
    });
    floor.assert_nothing_leaked();
}

#[test]
fn an_upstream_that_refuses_or_a_client_that_vanishes_leaves_nothing_behind() {
    let refusing = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound");
    let Some(floor) = Floor::start(refusing) else { return };
    let mut received = Vec::new();
    // A reset is as good as an end.
    let _ = floor.connect().read_to_end(&mut received);
    assert!(received.is_empty());
    floor.assert_nothing_leaked();

    let Some(floor) = Floor::start(upstream(echo)) else { return };
    for _ in 0..200 {
        let mut stream = floor.connect();
        stream.write_all(&[9; 50_000]).expect("taken");
        // Dropped with the echo unread: the kernel sends a reset.
    }
    floor.assert_nothing_leaked();
}

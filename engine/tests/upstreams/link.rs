//! Connections of a lane's own, and waits that are exact.

use crate::support::{
    PATIENCE,
    rig::{Fun, on_both},
};
use corelane_engine::{Address, Engine, Lane, Link, Response, StatusCode};
use std::{
    cell::RefCell,
    future::poll_fn,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    sync::{Arc, mpsc::channel},
    thread,
    time::Duration,
};

/// Runs a test on a lane of each driver; nothing here takes so long.
fn on_lanes(test: impl AsyncFn(&Lane) + Send + Sync + 'static) {
    let test = Arc::new(test);
    on_both(|driver| {
        let (test, (done, outcome)) = (test.clone(), channel());
        let handle = Engine::builder()
            .driver(driver)
            .lanes(1)
            .serve("127.0.0.1:0", move |lane| {
                let (test, done, lane) = (test.clone(), done.clone(), lane.clone());
                let here = lane.clone();
                lane.spawn(async move {
                    let ended = here.timeout(PATIENCE, test(&here)).await;
                    let _ = done.send(ended.is_some());
                });
                Ok(Fun(async |_| Ok(Response::new(StatusCode::OK))))
            })
            .spawn()
            .expect("it starts");
        // A test that panics says nothing.
        assert_eq!(outcome.recv_timeout(2 * PATIENCE), Ok(true), "it ends, and in time");
        handle.stop();
        handle.join();
    });
}

/// Accepts one connection and does something with it.
fn peer(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || serve(listener.accept().expect("a connection").0));
    address
}

async fn receive_all(link: &Link) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let count = link.with_input(|input| {
            all.extend_from_slice(input);
            input.len()
        });
        link.consume(count);
        if !link.fill().await.expect("it is whole") {
            return all;
        }
    }
}

#[test]
fn bytes_go_both_ways() {
    on_lanes(async |lane| {
        let content: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
        let address = peer(move |mut stream| {
            let mut received = Vec::new();
            stream.read_to_end(&mut received).expect("all of it");
            stream.write_all(&received).expect("it is taken");
        });
        let link = lane.connect(&Address::Ip(address)).await.expect("somebody listens");
        link.send(&content).await.expect("it is taken");
        link.end();
        let back = receive_all(&link).await;
        assert!(link.has_ended());
        assert!(!link.fill().await.expect("the end again"));
        assert!(back == content, "{} bytes came back", back.len());
    });
}

#[test]
fn input_waits_until_it_is_consumed() {
    on_lanes(async |lane| {
        let address = peer(|mut stream| {
            stream.write_all(b"one").expect("it is taken");
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).expect("a word");
            stream.write_all(b"two").expect("it is taken");
        });
        let link = lane.connect(&Address::Ip(address)).await.expect("somebody listens");
        assert!(link.fill().await.expect("bytes"));
        assert!(link.with_input(|input| input == b"one"));
        link.consume(1);
        link.send(b"more").await.expect("it is taken");
        assert!(link.fill().await.expect("bytes"));
        assert!(link.with_input(|input| input == b"netwo"));
        link.consume(5);
        assert!(link.with_input(<[u8]>::is_empty));
        assert!(!link.fill().await.expect("the end"));
    });
}

#[test]
fn a_peer_that_reads_nothing_holds_the_sender_back() {
    on_lanes(async |lane| {
        let (go, gone) = channel::<()>();
        let (tell, told) = channel();
        let address = peer(move |mut stream| {
            let _ = gone.recv();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).expect("all of it");
            let _ = tell.send(received.len());
        });
        let link = lane.connect(&Address::Ip(address)).await.expect("somebody listens");
        let piece = vec![b'x'; Link::SEND_BYTES_MAX];
        let mut sent = 0;
        // A moment without progress: the system's buffers are full. What was dropped then is sent nevertheless.
        while lane.timeout(Duration::from_millis(200), link.send(&piece)).await.is_some() {
            sent += piece.len();
            assert!(sent < 1 << 30, "it is held back");
        }
        assert!(link.is_sending());
        let _ = go.send(());
        poll_fn(|cx| link.poll_sent(cx)).await.expect("it is taken");
        assert!(!link.is_sending());
        link.end();
        while link.fill().await.expect("it is whole") {}
        assert_eq!(told.recv(), Ok(sent + piece.len()));
    });
}

#[test]
fn what_was_begun_is_sent_without_being_waited_for() {
    on_lanes(async |lane| {
        let address = peer(|mut stream| {
            let mut asked = [0; 4];
            stream.read_exact(&mut asked).expect("a word");
            stream.write_all(&asked).expect("it is taken");
        });
        let link = lane.connect(&Address::Ip(address)).await.expect("somebody listens");
        link.begin_send(|_| {});
        assert!(!link.is_sending(), "there was nothing");
        link.begin_send(|out| out.extend_from_slice(b"word"));
        assert!(link.fill().await.expect("bytes"));
        assert!(link.with_input(|input| input == b"word"));
    });
}

#[test]
fn a_reset_is_an_error() {
    on_lanes(async |lane| {
        let address = peer(|stream| {
            // Closing with something unread is a reset.
            stream.peek(&mut [0; 1]).expect("a byte");
        });
        let link = lane.connect(&Address::Ip(address)).await.expect("somebody listens");
        link.send(b"unread").await.expect("it is taken");
        let error = link.fill().await.expect_err("it is reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_abort_wakes_whoever_waits() {
    on_lanes(async |lane| {
        let address = peer(|mut stream| {
            let _ = stream.read(&mut [0; 1]);
            let _ = stream.shutdown(Shutdown::Both);
        });
        let link = Rc::new(lane.connect(&Address::Ip(address)).await.expect("somebody listens"));
        let (aborting, later) = (link.clone(), lane.clone());
        lane.spawn(async move {
            later.sleep(Duration::from_millis(5)).await;
            aborting.abort();
        });
        assert!(!link.fill().await.unwrap_or(false), "it has ended");
    });
}

#[test]
fn a_refusal_is_the_systems() {
    on_lanes(async |lane| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let error = lane.connect(&Address::Ip(address)).await.map(drop);
        assert_eq!(error.expect_err("nobody listens").kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_wait_may_be_for_ever() {
    on_lanes(async |lane| {
        let forever = [lane.sleep(Duration::MAX), lane.sleep(Duration::from_secs(u64::MAX))];
        for wait in forever {
            assert!(lane.timeout(Duration::from_millis(1), wait).await.is_none());
        }
        assert_eq!(lane.timeout(Duration::MAX, std::future::ready(7)).await, Some(7));
        assert!(lane.timeout(Duration::from_millis(1), lane.sleep_until(Duration::MAX)).await.is_none());
    });
}

#[test]
fn exact_waits_end_in_their_order_and_never_early() {
    on_lanes(async |lane| {
        let begin = lane.now() + Duration::from_millis(2);
        let (done, order) = (lane.now(), Rc::new(RefCell::new(Vec::new())));
        for micros in [900, 100, 500, 300, 700] {
            let (lane_too, order) = (lane.clone(), order.clone());
            lane.spawn(async move {
                let due = begin + Duration::from_micros(micros);
                lane_too.sleep_until(due).await;
                assert!(lane_too.now() >= due);
                order.borrow_mut().push(micros);
            });
        }
        // One that is given up takes nobody's place.
        lane.timeout(Duration::from_millis(1), lane.sleep_until(begin + Duration::from_secs(3600))).await;
        lane.sleep_until(done).await;
        while order.borrow().len() < 5 {
            lane.sleep_until(lane.now() + Duration::from_micros(200)).await;
        }
        assert_eq!(*order.borrow(), [100, 300, 500, 700, 900]);
    });
}

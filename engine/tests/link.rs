//! Connections of a lane's own, and waits that are exact.

use corelane_engine::{Address, Client, Lane, Link};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    thread,
    time::Duration,
};

/// Runs a lane; nothing here takes so long.
fn on_lane<T>(test: impl AsyncFnOnce(&Lane) -> T) -> T {
    Client::run(async |client: Client| {
        let lane = client.lane();
        lane.timeout(Duration::from_secs(10), test(lane)).await.expect("it ends in time")
    })
    .expect("a lane starts")
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
    let content: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let expected = content.clone();
    let address = peer(move |mut stream| {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("all of it");
        stream.write_all(&received).expect("it is taken");
    });
    let back = on_lane(async |lane| {
        let link = lane.connect(&Address::Ip(address)).await.expect("somebody listens");
        link.send(&content).await.expect("it is taken");
        link.end();
        let back = receive_all(&link).await;
        assert!(link.has_ended());
        assert!(!link.fill().await.expect("the end again"));
        back
    });
    assert!(back == expected, "{} bytes came back", back.len());
}

#[test]
fn input_waits_until_it_is_consumed() {
    let address = peer(|mut stream| {
        stream.write_all(b"one").expect("it is taken");
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).expect("a word");
        stream.write_all(b"two").expect("it is taken");
    });
    on_lane(async |lane| {
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
fn an_abort_wakes_whoever_waits() {
    let address = peer(|mut stream| {
        let _ = stream.read(&mut [0; 1]);
        let _ = stream.shutdown(Shutdown::Both);
    });
    on_lane(async |lane| {
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
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let error = on_lane(async |lane| lane.connect(&Address::Ip(address)).await.map(drop));
    assert_eq!(error.expect_err("nobody listens").kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn exact_waits_end_in_their_order_and_never_early() {
    on_lane(async |lane| {
        let begin = lane.now() + Duration::from_millis(2);
        let (done, order) = (lane.now(), Rc::new(std::cell::RefCell::new(Vec::new())));
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

//! Signals: how the process ends, and what it does instead.

use crate::process::{
    client::{get, send_get},
    clock::{PATIENCE, poll},
    corelane::Corelane,
    origin::{CONTENT, Origin},
};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// A proxy with a request in flight that the origin holds.
fn start(flags: &[&str]) -> (Origin, Corelane, crate::process::client::Sent) {
    let origin = Origin::start();
    let corelane = Corelane::proxy(origin.address, flags);
    let sent = send_get(corelane.address, "/held");
    origin.head();
    (origin, corelane, sent)
}

#[test]
fn b_61_op_08_term_finishes_what_is_in_flight() {
    let (origin, mut corelane, sent) = start(&["--admin", "127.0.0.1:0"]);
    let admin = corelane.admin();
    assert_eq!(get(admin, "/readyz").status, 200);
    corelane.signal("TERM");
    let ready = || Some(get(admin, "/readyz")).filter(|answer| answer.status == 503);
    assert_eq!(poll(PATIENCE, ready).expect("it is not ready any more").content, "draining\n");
    assert_eq!(get(admin, "/livez").status, 200, "it lives");
    assert!(get(admin, "/metrics").content.contains("\ncorelane_draining 1\n"));
    origin.release();
    let answer = sent.finish();
    assert_eq!((answer.status, answer.content.as_str()), (200, CONTENT));
    assert_eq!(corelane.ended().code(), Some(0));
    assert!(corelane.says("ended; nothing was cut off").contains(" INFO "));
}

#[test]
fn b_61_op_08_a_drain_refuses_new_connections() {
    let (origin, mut corelane, sent) = start(&[]);
    corelane.signal("TERM");
    // Not left waiting in a queue that nobody empties: the client can go elsewhere.
    let refused = || match TcpStream::connect_timeout(&corelane.address, Duration::from_millis(100)) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Some(()),
        _ => None,
    };
    poll(PATIENCE, refused).expect("it listens no more");
    origin.release();
    assert_eq!(sent.finish().status, 200);
    assert_eq!(corelane.ended().code(), Some(0));
}

#[test]
fn op_10_a_second_int_stops_at_once() {
    let (_origin, mut corelane, sent) = start(&[]);
    corelane.signal("INT");
    corelane.says("draining");
    corelane.signal("INT");
    assert_eq!(corelane.ended().code(), Some(0));
    corelane.says("ended; 1 connections were cut off");
    sent.read_all();
}

#[test]
fn the_end_of_the_grace_cuts_off_and_says_how_many() {
    let (_origin, mut corelane, sent) = start(&["--drain-grace", "100ms"]);
    corelane.signal("TERM");
    assert_eq!(corelane.ended().code(), Some(0));
    corelane.says("ended; 1 connections were cut off");
    sent.read_all();
}

#[test]
fn quit_has_no_deadline() {
    let (origin, mut corelane, sent) = start(&["--drain-grace", "1ms"]);
    corelane.signal("QUIT");
    corelane.says("draining without a deadline");
    corelane.says(" drains 1 connections");
    // That something does not happen takes a while to see: three times as long as a lane's clock is coarse.
    assert_eq!(poll(Duration::from_millis(150), || corelane.has_ended()), None);
    origin.release();
    assert_eq!(sent.finish().content, CONTENT);
    assert_eq!(corelane.ended().code(), Some(0));
    corelane.says("ended; nothing was cut off");
}

#[test]
fn op_10_a_storm_of_signals_changes_nothing() {
    let (origin, mut corelane, sent) = start(&[]);
    for _ in 0..30 {
        for signal in ["HUP", "PIPE", "USR1", "USR2"] {
            corelane.signal(signal);
        }
    }
    corelane.says("HUP: there is no configuration file to reload");
    corelane.says("there is no access log to reopen");
    assert_eq!(get(corelane.address, "/").status, 200);
    corelane.signal("TERM");
    for signal in ["HUP", "QUIT", "USR1", "QUIT"] {
        corelane.signal(signal);
    }
    origin.release();
    assert_eq!(sent.finish().status, 200);
    assert_eq!(corelane.ended().code(), Some(0));
}

#[test]
fn an_idle_proxy_ends_at_once() {
    let origin = Origin::start();
    let mut corelane = Corelane::proxy(origin.address, &["--lanes", "2"]);
    corelane.signal("TERM");
    assert_eq!(corelane.ended().code(), Some(0));
}

/// A process that was stopped, or a machine that was frozen, has seen nothing meanwhile: that is nobody's delay.
#[test]
fn res_12_a_pause_of_the_process_makes_nobody_late() {
    const HELD: usize = 20;
    let origin = Origin::start();
    let flags = [
        "--upstream-head-timeout",
        "--client-head-timeout",
        "--client-idle-timeout",
        "--between-bytes-timeout",
    ];
    let flags: Vec<&str> = flags.iter().flat_map(|flag| [*flag, "1s"]).collect();
    let corelane = Corelane::proxy(origin.address, &flags);
    let sent: Vec<_> = (0..HELD).map(|_| send_get(corelane.address, "/held")).collect();
    sent.iter().for_each(|_| drop(origin.head()));
    let mut half = TcpStream::connect(corelane.address).expect("it listens");
    half.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").expect("there is room");
    // It has been let in, for it was before this one.
    assert_eq!(get(corelane.address, "/").status, 200);
    corelane.signal("STOP");
    // Some are answered while it stands still, for twice as long as anything may take.
    (0..HELD / 2).for_each(|_| origin.release());
    assert_eq!(poll(Duration::from_secs(2), || None::<()>), None);
    corelane.signal("CONT");
    (HELD / 2..HELD).for_each(|_| origin.release());
    half.write_all(b"Connection: close\r\n\r\n").expect("there is room");
    for sent in sent {
        let answer = sent.finish();
        assert_eq!((answer.status, answer.content.as_str()), (200, CONTENT));
    }
    let mut answer = String::new();
    half.set_read_timeout(Some(PATIENCE)).expect("a socket");
    half.read_to_string(&mut answer).expect("an answer in time");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Time goes on behind it: whoever is late now is told.
    let late = send_get(corelane.address, "/held").finish();
    assert_eq!(late.status, 504);
}

//! What a handler may do, and what becomes of its client, of its record, and of everybody else.

use crate::support::{
    clock::{now, timed, until},
    peer::Peer,
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{Driver, End, Error, Event, Lane, Metric, Request, Response, Result, StatusCode};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

/// Waits on the lane until the test says so.
async fn wait_for(lane: &Lane, gate: &AtomicBool) {
    while !gate.load(Ordering::SeqCst) {
        lane.sleep(Duration::from_millis(1)).await;
    }
}

/// Polls a future once, and drops it.
async fn once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Polls a future until it is ready or so much time has passed, and drops it.
async fn within<T>(lane: &Lane, time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut late) = (pin!(future), pin!(lane.sleep(time)));
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        late.as_mut().poll(cx).map(|()| None)
    })
    .await
}

fn text(words: impl Into<String>) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, words))
}

#[test]
fn a_panic_costs_its_own_client_a_500_and_nobody_else_anything() {
    on_both(|driver| {
        let gate = Arc::new(AtomicBool::new(false));
        let opened = Arc::clone(&gate);
        let rig = Rig::serve(driver, move |lane| {
            let (lane, gate) = (lane.clone(), Arc::clone(&gate));
            Ok(Fun(async move |request: Request| {
                match request.path() {
                    "/at-once" => panic!("at {}", "once"),
                    "/later" => {
                        lane.sleep(Duration::from_millis(5)).await;
                        std::panic::panic_any("later");
                    }
                    "/odd" => std::panic::panic_any(7),
                    "/waits" => wait_for(&lane, &gate).await,
                    _ => {}
                }
                text("fine\n")
            }))
        });
        let (mut idle, mut busy) = (Peer::connect(rig.address()), Peer::connect(rig.address()));
        assert_eq!(idle.get("/").status(), 200);
        rig.record();
        busy.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
        for (number, (path, words)) in
            [("/at-once", "at once"), ("/later", "later"), ("/odd", "no message")].into_iter().enumerate()
        {
            let mut client = Peer::connect(rig.address());
            let id = format!("panicking-{number}");
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n"));
            let answer = client.message();
            assert_eq!((answer.status(), answer.text().as_str()), (500, "500 Internal Server Error\n"));
            client.ends_after(&answer);
            let said = rig.event(|event| match event {
                Event::HandlerPanicked { lane, message, request_id } => {
                    Some((*lane, message.clone(), request_id.clone()))
                }
                _ => None,
            });
            assert_eq!(said, (0, words.to_owned(), id.clone()));
            assert_eq!(rig.value(Metric::Panics), number as u64 + 1);
            let record = rig.record();
            assert_eq!((record.end, record.status, record.request_id), (End::Panicked, 500, id));
            assert!(record.error.contains("panicked"), "{}", record.error);
            // Whoever was there before still is, on the same connection.
            assert_eq!(idle.get("/").status(), 200);
            assert_eq!(rig.record().end, End::Done);
        }
        opened.store(true, Ordering::SeqCst);
        assert_eq!(busy.message().status(), 200);
        assert_eq!(busy.get("/").status(), 200);
        assert_eq!(rig.value(Metric::EnginePanics), 0);
        assert_eq!(rig.value(Metric::RequestsOpen), 0);
    });
}

#[test]
fn a_panic_before_the_content_was_read_closes_and_one_in_content_too() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |mut request: Request| {
                if request.path() == "/read" {
                    request.body_mut().chunk().await?;
                }
                panic!("with content under way");
            }))
        });
        for path in ["/unread", "/read"] {
            let mut client = Peer::connect(rig.address());
            client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhel"));
            let answer = client.message();
            assert_eq!(answer.status(), 500, "{path}");
            client.ends_after(&answer);
            assert_eq!(rig.record().end, End::Panicked);
        }
    });
}

#[test]
fn errors_become_answers_and_stand_in_the_record() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| match request.path() {
                "/teapot" => Err(Error::status_of(StatusCode::IM_A_TEAPOT)),
                "/busy" => Err(Error::status_of(StatusCode::SERVICE_UNAVAILABLE)),
                "/own" => Err(Error::internal("the cupboard is bare")),
                "/io" => Err(std::io::Error::other("the disk is full").into()),
                _ => text("fine\n"),
            }))
        });
        let mut client = Peer::connect(rig.address());
        for (path, status, words) in [
            ("/teapot", 418, "418"),
            ("/busy", 503, "503"),
            ("/own", 500, "the cupboard is bare"),
            ("/io", 500, "the disk is full"),
        ] {
            let answer = client.get(path);
            assert_eq!(answer.status(), status, "{path}");
            assert!(answer.text().starts_with(&status.to_string()), "{answer:?}");
            assert!(!answer.text().contains("bare") && !answer.text().contains("disk"), "{answer:?}");
            assert_eq!(answer.field("retry-after").is_some(), status == 503, "{answer:?}");
            let record = rig.record();
            assert_eq!((record.end, record.status), (End::Handler, status));
            assert!(record.error.contains(words), "{}", record.error);
        }
        // The same connection all the time: the requests had been read to their end.
        assert_eq!(client.get("/").status(), 200);
        let record = rig.record();
        assert_eq!((record.end, record.error.as_str()), (End::Done, ""));
        assert_eq!(rig.value(Metric::Connections), 1);
        assert_eq!(rig.value(Metric::Responses5xx), 3);
    });
}

#[test]
fn notes_reach_the_record_within_their_limits() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| {
                match request.path() {
                    "/many" => (0..20).for_each(|number| request.note(format!("key-{number}"), "value")),
                    "/long" => {
                        request.note("ascii", "a".repeat(1000));
                        // 255 bytes and then one of two: cut in front of it.
                        request.note("umlauts", format!("{}{}", "a".repeat(255), "ä".repeat(10)));
                    }
                    "/twice" => {
                        request.note("key", "first");
                        request.note("key", "second");
                    }
                    "/panic" => {
                        request.note("before", "the panic");
                        panic!("noted");
                    }
                    _ => {
                        request.note("before", "the error");
                        return Err(Error::status_of(StatusCode::FORBIDDEN));
                    }
                }
                text("noted\n")
            }))
        });
        let notes = |path: &str| {
            Peer::connect(rig.address()).get(path);
            rig.record().notes
        };
        let many = notes("/many");
        assert_eq!(many.len(), 16);
        assert_eq!(many[15], ("key-15".to_owned(), "value".to_owned()));
        let long = notes("/long");
        assert_eq!(long[0].1, "a".repeat(256));
        assert_eq!(long[1].1, "a".repeat(255));
        assert_eq!(notes("/twice"), [("key".to_owned(), "second".to_owned())]);
        assert_eq!(notes("/panic"), [("before".to_owned(), "the panic".to_owned())]);
        assert_eq!(notes("/error"), [("before".to_owned(), "the error".to_owned())]);
        // A record is used again: nothing of one stands in the next.
        assert_eq!(notes("/twice").len(), 1);
    });
}

/// Content in which every byte says where it stands.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn chunks_that_are_raced_and_dropped_lose_no_byte() {
    const LEN: usize = 200_000;
    on_both(|driver| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&dropped);
        let rig = Rig::serve(driver, move |lane| {
            let (lane, dropped) = (lane.clone(), Arc::clone(&dropped));
            Ok(Fun(async move |mut request: Request| {
                let (mut all, mut turn) = (Vec::new(), 0);
                loop {
                    turn += 1;
                    let chunk = match turn % 3 {
                        0 => once(request.body_mut().chunk()).await,
                        1 => within(&lane, Duration::from_millis(1), request.body_mut().chunk()).await,
                        _ => {
                            lane.yield_now().await;
                            once(request.body_mut().chunk()).await
                        }
                    };
                    match chunk {
                        None => drop(dropped.fetch_add(1, Ordering::SeqCst)),
                        Some(chunk) => match chunk? {
                            Some(chunk) => all.extend_from_slice(&chunk),
                            None => break,
                        },
                    }
                    if turn % 3 == 0 {
                        lane.sleep(Duration::ZERO).await;
                    }
                }
                // The end stays the end.
                assert!(request.body_mut().chunk().await?.is_none());
                let right = all == pattern(LEN);
                text(format!("{} {right}", all.len()))
            }))
        });
        let content = pattern(LEN);
        for chunked in [false, true] {
            let mut client = Peer::connect(rig.address());
            client.send("POST / HTTP/1.1\r\nHost: a\r\n");
            client.send(match chunked {
                true => "Transfer-Encoding: chunked\r\n\r\n".to_owned(),
                false => format!("Content-Length: {LEN}\r\n\r\n"),
            });
            // Some are dropped before anything has come.
            let before = seen.load(Ordering::SeqCst);
            until("it asks", || seen.load(Ordering::SeqCst) > before + 5);
            // Pieces of many sizes, with pauses in which the handler finds nothing.
            let (mut at, mut size) = (0, 1);
            while at < LEN {
                let piece = &content[at..LEN.min(at + size)];
                if chunked {
                    client.send(format!("{:x}\r\n", piece.len()));
                }
                client.send(piece);
                if chunked {
                    client.send("\r\n");
                }
                (at, size) = (at + piece.len(), size * 3 % 30_011 + 1);
                std::thread::park_timeout(Duration::from_millis(2));
            }
            if chunked {
                client.send("0\r\n\r\n");
            }
            assert_eq!(client.message().text(), format!("{LEN} true"), "chunked: {chunked}");
            assert_eq!(rig.record().request_bytes, LEN as u64);
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
            assert!(client.message().text().starts_with("0 "), "the connection is in order");
            rig.record();
        }
    });
}

#[test]
fn a_handler_is_dropped_when_its_client_resets() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    on_both(|driver| {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        let rig = Rig::serve(driver, move |_| {
            let flag = Arc::clone(&flag);
            Ok(Fun(async move |_| {
                let _dropped = Dropped(Arc::clone(&flag));
                std::future::pending().await
            }))
        });
        let mut client = Peer::connect(rig.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        until("it is handled", || rig.value(Metric::RequestsOpen) == 1);
        assert!(!seen.load(Ordering::SeqCst));
        let left = now();
        client.reset();
        let record = rig.record();
        assert!(now().duration_since(left) < Duration::from_secs(1));
        assert_eq!((record.end, record.status), (End::ClientClosed, 0));
        until("it is dropped", || seen.load(Ordering::SeqCst));
        assert_eq!(rig.value(Metric::RequestsOpen), 0);
    });
}

#[test]
fn a_busy_handler_yields_to_the_others() {
    on_both(|driver: Driver| {
        let gate = Arc::new(AtomicBool::new(false));
        let opened = Arc::clone(&gate);
        let rig = Rig::serve(driver, move |lane| {
            let (lane, gate) = (lane.clone(), Arc::clone(&gate));
            Ok(Fun(async move |request: Request| {
                while request.path() == "/busy" && !gate.load(Ordering::SeqCst) {
                    lane.yield_now().await;
                }
                text("done\n")
            }))
        });
        let mut busy = Peer::connect(rig.address());
        busy.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut others = Peer::connect(rig.address());
        let (_, took) = timed(|| (0..20).for_each(|_| assert_eq!(others.get("/").status(), 200)));
        assert!(took < Duration::from_secs(2), "{took:?}");
        opened.store(true, Ordering::SeqCst);
        assert_eq!(busy.message().status(), 200);
    });
}

#[test]
fn a_panic_while_a_handler_is_dropped_costs_one_connection() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    on_both(|driver| {
        let rig = Rig::serve(driver, |_| {
            Ok(Fun(async |request: Request| {
                if request.path() == "/" {
                    return text("fine\n");
                }
                let _panics = Panics;
                std::future::pending().await
            }))
        });
        let mut other = Peer::connect(rig.address());
        assert_eq!(other.get("/").status(), 200);
        rig.record();
        for count in 1..=3 {
            let mut client = Peer::connect(rig.address());
            client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
            until("it is handled", || rig.value(Metric::RequestsOpen) == 1);
            client.reset();
            let record = rig.record();
            assert_eq!((record.target.as_str(), record.status), ("/waits", 0));
            until("it is counted", || rig.value(Metric::EnginePanics) == count);
            assert_eq!(other.get("/").status(), 200);
            rig.record();
        }
        rig.event(|event| matches!(event, Event::LanePanicked { lane: 0, .. }).then_some(()));
        let snapshot = rig.snapshot();
        assert_eq!((snapshot.value(Metric::RequestsOpen), snapshot.value(Metric::ConnectionsOpen)), (0, 1));
    });
}

#[test]
fn a_task_beside_the_requests_panics_alone() {
    on_both(|driver| {
        let rig = Rig::serve(driver, |lane| {
            let beside = lane.clone();
            Ok(Fun(async move |request: Request| {
                if request.path() == "/spawn" {
                    let lane = beside.clone();
                    beside.spawn(async move {
                        lane.sleep(Duration::from_millis(1)).await;
                        panic!("beside the requests");
                    });
                }
                text("fine\n")
            }))
        });
        let mut client = Peer::connect(rig.address());
        assert_eq!(client.get("/spawn").status(), 200);
        let said = rig.event(|event| match event {
            Event::LanePanicked { lane: 0, message } => Some(message.clone()),
            _ => None,
        });
        assert_eq!(said, "beside the requests");
        assert_eq!(rig.value(Metric::EnginePanics), 1);
        assert_eq!(client.get("/").status(), 200);
        assert_eq!(rig.value(Metric::Panics), 0);
    });
}

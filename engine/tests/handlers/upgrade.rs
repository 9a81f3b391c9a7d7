//! Interim responses, switches of protocols, and who is told when it is over.

use crate::support::{
    PATIENCE,
    clock::{on_time, timed, until},
    peer::{Over, Peer, Scripted, ok},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Driver, End, Engine, Error, Fields, Lane, Metric, Request, Response, Result, StatusCode, Timeouts,
    Tunnel, Upgrade,
};
use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, channel},
    },
    time::Duration,
};

const SWITCH: &str = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

async fn echo(mut tunnel: Tunnel) -> Result<()> {
    while let Some(chunk) = tunnel.receive().await? {
        tunnel.send(chunk).await?;
    }
    Ok(())
}

fn switching(driver: Driver, set: impl FnOnce(&mut Timeouts)) -> Rig {
    let mut timeouts = Timeouts::default();
    set(&mut timeouts);
    let builder = Engine::builder().driver(driver).timeouts(timeouts);
    Rig::start(builder.serve("127.0.0.1:0", |lane: &Lane| {
        let lane = lane.clone();
        Ok(Fun(async move |request: Request| match request.path() {
            "/echo" => {
                let mut response = request.upgrade(echo)?;
                response.fields_mut().set("sec-websocket-accept", "yes");
                Ok(response)
            }
            "/greets" => request.upgrade(async |mut tunnel: Tunnel| {
                tunnel.send("hello").await?;
                tunnel.end();
                while tunnel.receive().await?.is_some() {}
                Ok(())
            }),
            "/both" => request.upgrade(async |tunnel: Tunnel| {
                let (mut reader, mut writer) = tunnel.split();
                let chunk = reader.receive().await?.expect("something");
                writer.send(chunk.to_ascii_uppercase()).await
            }),
            "/panics" => request.upgrade(async |_: Tunnel| panic!("in the tunnel")),
            "/fails" => request.upgrade(async |_: Tunnel| Err(Error::internal("no more"))),
            "/sleeps" => {
                let lane = lane.clone();
                request.upgrade(async move |_: Tunnel| {
                    lane.sleep(PATIENCE).await;
                    Ok(())
                })
            }
            "/changed" => {
                let mut response = request.upgrade(echo)?;
                response.set_status(StatusCode::OK);
                Ok(response)
            }
            _ => Ok(Response::new(StatusCode::SWITCHING_PROTOCOLS)),
        }))
    }))
}

fn switched(rig: &Rig, path: &str, behind: &[u8]) -> Peer {
    let mut client = Peer::connect(rig.address());
    client.send([SWITCH.replace("/echo", path).as_bytes(), behind].concat());
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("Upgrade: websocket\r\n"), "{head}");
    client
}

#[test]
fn b_40_a_handler_that_accepts_gets_every_byte_behind_the_head() {
    on_both(|driver| {
        let rig = switching(driver, |_| {});
        let mut client = switched(&rig, "/echo", b"at once");
        assert_eq!(client.bytes(7), b"at once");
        let content: Vec<u8> = (0..1 << 20).map(|byte: u32| byte as u8).collect();
        for piece in content.chunks(100_000) {
            client.send(piece);
            assert_eq!(client.bytes(piece.len()), piece);
        }
        assert_eq!(rig.value(Metric::TunnelsOpen), 1);
        client.half_close();
        client.ends();
        let record = rig.record();
        assert_eq!((record.end, record.status), (End::Done, 101));
        assert_eq!((record.request_bytes, record.response_bytes), (7 + (1 << 20), 7 + (1 << 20)));
        let snapshot = rig.snapshot();
        assert_eq!((snapshot.value(Metric::Tunnels), snapshot.value(Metric::TunnelsOpen)), (1, 0));
        until("it is closed", || rig.value(Metric::ConnectionsOpen) == 0);
    });
}

#[test]
fn b_40_either_end_of_a_handlers_tunnel_may_end_it() {
    on_both(|driver| {
        let rig = switching(driver, |_| {});
        // The handler's end is seen while the client may still talk.
        let mut client = switched(&rig, "/greets", b"");
        assert_eq!(client.bytes(5), b"hello");
        assert_eq!(client.more(PATIENCE), Err(Over::Closed));
        client.half_close();
        assert_eq!(rig.record().end, End::Done);
        // What was sent last is delivered, though the client still sends.
        let mut client = switched(&rig, "/both", b"shout");
        client.send("more that nobody reads");
        assert_eq!(client.rest(), (b"SHOUT".to_vec(), Over::Closed));
        assert_eq!(rig.record().end, End::Done);
        for (path, end, error) in
            [("/panics", End::Panicked, "panicked"), ("/fails", End::Handler, "no more")]
        {
            switched(&rig, path, b"").ends();
            let record = rig.record();
            assert_eq!((record.end, record.status), (end, 101), "{record:?}");
            assert!(record.error.contains(error), "{record:?}");
        }
        assert_eq!(rig.value(Metric::Panics), 1);
    });
}

#[test]
fn b_40_a_client_that_resets_a_tunnel_is_not_done() {
    on_both(|driver| {
        let rig = switching(driver, |_| {});
        for path in ["/echo", "/sleeps"] {
            let client = switched(&rig, path, b"");
            let (record, took) = timed(|| {
                client.reset();
                rig.record()
            });
            assert_eq!((record.end, record.status), (End::ClientClosed, 101), "{path}: {record:?}");
            assert!(took < Duration::from_secs(2), "{took:?}");
        }
        until("both are closed", || rig.value(Metric::ConnectionsOpen) == 0);
    });
}

#[test]
fn b_40_a_handlers_tunnel_on_which_nothing_moves_is_closed() {
    const IDLE: Duration = Duration::from_millis(600);
    on_both(|driver| {
        let rig = switching(driver, |timeouts| timeouts.tunnel_idle = IDLE);
        let mut client = switched(&rig, "/echo", b"");
        for _ in 0..4 {
            std::thread::park_timeout(IDLE / 2);
            client.send("hello");
            assert_eq!(client.bytes(5), b"hello");
        }
        let ((), took) = timed(|| client.ends());
        on_time(took, IDLE);
        assert_eq!(rig.record().end, End::ClientTimeout);
    });
}

#[test]
fn b_33_b_40_a_client_that_does_not_read_holds_up_the_handler() {
    on_both(|driver| {
        let sent = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&sent);
        let rig = Rig::serve(driver, move |_| {
            let sent = Arc::clone(&counted);
            Ok(Fun(async move |request: Request| {
                let sent = Arc::clone(&sent);
                request.upgrade(async move |mut tunnel: Tunnel| {
                    loop {
                        tunnel.send(vec![b'x'; 100_000]).await?;
                        sent.fetch_add(100_000, Ordering::SeqCst);
                    }
                })
            }))
        });
        let client = switched(&rig, "/", b"");
        let mut before = 0;
        until("it stops", || {
            std::thread::park_timeout(Duration::from_millis(50));
            let now = sent.load(Ordering::SeqCst);
            now > 0 && std::mem::replace(&mut before, now) == now
        });
        assert!(before < 64 << 20, "{before}");
        client.reset();
        assert_eq!(rig.record().end, End::ClientClosed);
    });
}

#[test]
fn a_101_is_only_for_those_who_ask_and_accept() {
    on_both(|driver| {
        let rig = switching(driver, |_| {});
        let mut client = Peer::connect(rig.address());
        // Not asked for.
        assert_eq!(client.get("/echo").status(), 400);
        // Not accepted.
        client.send(SWITCH.replace("/echo", "/other"));
        assert_eq!(client.message().status(), 500);
        // Accepted, and then not: what follows is another request.
        client.send(SWITCH.replace("/echo", "/changed"));
        client.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.message().status(), 200);
        assert_eq!(client.message().status(), 400);
        // HTTP/1.0 switches to nothing.
        let mut old = Peer::connect(rig.address());
        old.send(SWITCH.replace("HTTP/1.1", "HTTP/1.0"));
        assert_eq!(old.message().status(), 400);
        assert_eq!(rig.value(Metric::Tunnels), 0);
    });
}

/// An origin that switches, and echoes in capitals; or breaks the tunnel.
fn shouting() -> Scripted {
    Scripted::start(|peer| {
        let head = peer.head();
        peer.send("HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nWELCOME");
        if head.contains("/breaks") {
            peer.bytes(1);
            socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).expect("a socket");
            return;
        }
        while let Ok(true) = peer.more(PATIENCE) {
            let bytes = peer.received().to_ascii_uppercase();
            let count = bytes.len();
            peer.bytes(count);
            peer.send(bytes);
        }
    })
}

#[test]
fn b_40_a_handler_may_sit_in_the_middle_of_a_tunnel() {
    on_both(|driver| {
        let origin = shouting();
        let cluster = origin.cluster();
        let rig = Rig::serve(driver, move |lane| {
            let upstream = lane.upstream(&cluster);
            Ok(Fun(async move |mut request: Request| {
                assert_eq!(request.wants_upgrade(), Some(Upgrade::WebSocket));
                let mut response = upstream.send(&mut request).await?;
                let mut origin = response.take_tunnel().expect("it has switched");
                assert!(response.take_tunnel().is_none());
                request.upgrade(async move |mut client: Tunnel| {
                    // One answer for each message, as it happens.
                    while let Some(chunk) = origin.receive().await? {
                        client.send(chunk).await?;
                        let Some(chunk) = client.receive().await? else { break };
                        origin.send([b"<", &*chunk, b">"].concat()).await?;
                    }
                    Ok(())
                })
            }))
        });
        let mut client = switched(&rig, "/", b"first");
        assert_eq!(client.bytes(14), b"WELCOME<FIRST>");
        client.send("second");
        assert_eq!(client.bytes(8), b"<SECOND>");
        client.half_close();
        client.ends();
        let record = rig.record();
        assert_eq!((record.end, record.attempts.len()), (End::Done, 1));
        assert_eq!((record.request_bytes, record.response_bytes), (11, 22));
        assert_eq!(rig.value(Metric::UpstreamIdle), 0);
    });
}

#[test]
fn b_40_a_tunnel_to_an_origin_says_who_broke_it() {
    on_both(|driver| {
        let origin = shouting();
        let cluster = origin.cluster();
        let rig = Rig::serve(driver, move |lane| Ok(crate::support::Balancer(lane.upstream(&cluster))));
        let mut client = switched(&rig, "/", b"a");
        assert_eq!(client.bytes(8), b"WELCOMEA");
        client.reset();
        let record = rig.record();
        assert_eq!((record.end, record.status), (End::ClientClosed, 101));
        assert_eq!((record.request_bytes, record.response_bytes), (1, 8));
        let mut client = switched(&rig, "/breaks", b"a");
        assert_eq!(client.bytes(7), b"WELCOME");
        client.ends();
        assert_eq!(rig.record().end, End::UpstreamClosed);
        let mut client = switched(&rig, "/", b"a");
        client.bytes(8);
        client.half_close();
        client.ends();
        assert_eq!(rig.record().end, End::Done);
    });
}

// ---- interim responses ----

fn informing(driver: Driver) -> (Rig, Receiver<std::result::Result<bool, String>>) {
    let (says, said) = channel();
    let rig = Rig::serve(driver, move |lane| {
        let (lane, says) = (lane.clone(), says.clone());
        Ok(Fun(async move |mut request: Request| {
            let mut fields = Fields::new();
            fields.append("link", "</style.css>; rel=preload");
            let status =
                StatusCode::from_u16(request.path()[1..].parse().expect("a number")).expect("a status");
            let informed = request.inform(status, &fields).await;
            says.send(informed.map_err(|error| error.to_string())).expect("the test listens");
            if request.query() == Some("later") {
                let (task, says, body) = (lane.clone(), says.clone(), std::mem::take(request.body_mut()));
                lane.spawn(async move {
                    task.sleep(Duration::from_millis(100)).await;
                    let informed = request.inform(StatusCode::EARLY_HINTS, &Fields::new()).await;
                    says.send(informed.map_err(|error| error.to_string())).expect("the test listens");
                    drop(body);
                });
                return Ok(Response::text(StatusCode::OK, "early"));
            }
            let content = request.body_mut().collect(100).await?;
            Ok(Response::new(StatusCode::OK).with_body(content))
        }))
    });
    (rig, said)
}

#[test]
fn b_04_a_handler_sends_interim_responses_of_its_own() {
    on_both(|driver| {
        let (rig, said) = informing(driver);
        let mut client = Peer::connect(rig.address());
        client.send("GET /103 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.head(), "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n");
        assert_eq!(client.message().status(), 200);
        assert_eq!(said.recv().expect("a word"), Ok(true));
        assert_eq!(rig.record().status, 200, "it is not the answer");
        // A client that waits is asked once, by whoever comes first.
        client.send("POST /100 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 100 Continue\r\n"));
        client.send("hello");
        assert_eq!(client.message().text(), "hello");
        assert_eq!(said.recv().expect("a word"), Ok(true));
        // One that does not wait is not asked.
        client.send("POST /100 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.message().text(), "hello");
        assert_eq!(said.recv().expect("a word"), Ok(false));
        for status in [101, 200] {
            assert_eq!(client.get(&format!("/{status}")).status(), 200);
            assert!(said.recv().expect("a word").is_err());
        }
        client.send("GET /103 HTTP/1.0\r\n\r\n");
        assert_eq!(client.message().status(), 200);
        assert_eq!(said.recv().expect("a word"), Ok(false), "HTTP/1.0 knows none");
    });
}

#[test]
fn nobody_is_informed_of_what_is_over() {
    on_both(|driver| {
        let (rig, said) = informing(driver);
        let mut client = Peer::connect(rig.address());
        client.send("GET /103?later HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 103 "));
        assert_eq!(client.message().text(), "early");
        assert_eq!(said.recv().expect("a word"), Ok(true));
        // While the next request is under way on the same connection.
        assert_eq!(said.recv().expect("a word"), Ok(false));
        client.send("GET /103 HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 103 "));
        assert_eq!(client.message().status(), 200);
    });
}

// ---- what is kept of a connection ----

#[test]
fn handlers_keep_what_they_like_of_a_connection_until_it_is_over() {
    #[derive(Default)]
    struct Kept(Cell<u32>, RefCell<Option<mpsc::Sender<u32>>>);
    impl Drop for Kept {
        fn drop(&mut self) {
            if let Some(says) = self.1.take() {
                says.send(self.0.get()).expect("the test listens");
            }
        }
    }
    on_both(|driver| {
        let (says, said) = channel();
        let rig = Rig::serve(driver, move |_| {
            let says = says.clone();
            Ok(Fun(async move |request: Request| {
                assert_eq!(*request.connection_state::<String>(), "", "another type is another thing");
                let kept = request.connection_state::<Kept>();
                kept.0.set(kept.0.get() + 1);
                *kept.1.borrow_mut() = Some(says.clone());
                Ok(Response::text(StatusCode::OK, kept.0.get().to_string()))
            }))
        });
        let (mut one, mut two) = (Peer::connect(rig.address()), Peer::connect(rig.address()));
        assert_eq!(["1", "2", "3"].map(|count| one.get("/").text() == count), [true; 3]);
        assert_eq!(two.get("/").text(), "1");
        drop(one);
        assert_eq!(said.recv_timeout(PATIENCE), Ok(3));
        assert_eq!(two.get("/").text(), "2");
    });
}

// ---- who is told when it is over ----

type Told = (String, u32, End, u16);

/// Two hooks for each request: the first of `/hook` panics.
fn telling(driver: Driver) -> (Rig, Receiver<Told>) {
    let (says, said) = channel();
    let cluster = Scripted::start(|peer| {
        while let Some(request) = peer.try_message() {
            if request.head.contains("/breaks") {
                return peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel");
            }
            peer.send(ok("fine"));
        }
    })
    .cluster();
    let rig = Rig::serve(driver, move |lane| {
        let (upstream, says) = (lane.upstream(&cluster), says.clone());
        Ok(Fun(async move |mut request: Request| {
            let path = request.path().to_owned();
            for number in 0..2 {
                let (says, path) = (says.clone(), path.clone());
                request.on_end(move |record| {
                    says.send((path.clone(), number, record.end, record.status)).expect("the test listens");
                    assert!(path != "/hook" || number > 0, "a hook that panics");
                });
            }
            match path.as_str() {
                "/panics" => panic!("of the handler"),
                "/error" => Err(Error::status_of(StatusCode::FORBIDDEN)),
                "/waits" => std::future::pending().await,
                "/reads" => request.body_mut().collect(100).await.map(|_| Response::new(StatusCode::OK)),
                "/switches" => request.upgrade(echo),
                _ => upstream.send(request).await,
            }
        }))
    });
    (rig, said)
}

/// That both hooks were called, and the sink, with the same.
#[track_caller]
fn told(rig: &Rig, said: &Receiver<Told>, path: &str, end: End, status: u16) {
    for number in 0..2 {
        let words = said.recv_timeout(PATIENCE).expect("a hook is called");
        assert_eq!(words, (path.to_owned(), number, end, status));
    }
    let record = rig.record();
    assert_eq!((record.end, record.status), (end, status), "{path}");
}

#[test]
fn hooks_are_called_once_however_an_exchange_ends() {
    on_both(|driver| {
        let (rig, said) = telling(driver);
        let mut client = Peer::connect(rig.address());
        for (path, end, status) in [
            ("/fine", End::Done, 200),
            ("/error", End::Handler, 403),
            ("/hook", End::Done, 200),
            ("/panics", End::Panicked, 500),
        ] {
            assert_eq!(client.get(path).status(), status);
            told(&rig, &said, path, end, status);
        }
        assert_eq!(rig.value(Metric::Panics), 2, "a hook's and a handler's");
        let mut client = Peer::connect(rig.address());
        client.send("GET /breaks HTTP/1.1\r\nHost: a\r\n\r\n");
        client.rest();
        told(&rig, &said, "/breaks", End::UpstreamClosed, 200);
        for (path, content) in [("/waits", ""), ("/reads", "Content-Length: 5\r\n")] {
            let mut client = Peer::connect(rig.address());
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{content}\r\n"));
            until("it is handled", || rig.value(Metric::RequestsOpen) == 1);
            client.reset();
            told(&rig, &said, path, End::ClientClosed, 0);
        }
        let mut client = switched(&rig, "/switches", b"");
        client.half_close();
        client.ends();
        told(&rig, &said, "/switches", End::Done, 101);
        // What the end of a drain cuts is told, too.
        let mut client = Peer::connect(rig.address());
        client.send("GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
        until("it is handled", || rig.value(Metric::RequestsOpen) == 1);
        rig.handle.stop();
        rig.ended();
        told(&rig, &said, "/waits", End::Drained, 0);
        assert!(said.try_recv().is_err(), "nobody is told twice");
    });
}

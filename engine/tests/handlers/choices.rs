//! Where the standard leaves a choice, and a setting makes it.

use crate::support::{
    Balancer, PATIENCE,
    peer::{Peer, Scripted, ok},
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Driver, End, Engine, Metric, Request, Response, Settings, StatusCode, Underscores, Upstream,
};
use std::{
    rc::Rc,
    sync::mpsc::{Sender, channel},
};

fn with(change: impl Fn(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

fn proxy(driver: Driver, origin: &Scripted, settings: Settings) -> Rig {
    let cluster = origin.cluster();
    let builder = Engine::builder().lanes(1).driver(driver).settings(settings);
    Rig::start(builder.serve("127.0.0.1:0", move |lane| Ok(Balancer(lane.upstream(&cluster)))))
}

/// Tells when a request has come, says what `says` has to say, and tells when its proxy has gone.
fn silent(says: &'static str, tell: Sender<&'static str>) -> Scripted {
    Scripted::start(move |peer| {
        peer.message();
        peer.send(says);
        tell.send("came").expect("somebody listens");
        drop(peer.rest());
        // A test that has ended does not care.
        let _ = tell.send("gone");
    })
}

#[test]
fn h1q_65_a_client_that_ends_its_half_may_count_as_gone() {
    on_both(|driver| {
        for says in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour"] {
            for method in ["GET", "POST", "last GET"] {
                let (tell, told) = channel();
                let origin = silent(says, tell);
                let rig = proxy(driver, &origin, with(|settings| settings.abort_on_half_close = true));
                let mut client = Peer::connect(rig.address());
                let (method, close) = match method.strip_prefix("last ") {
                    Some(method) => (method, "Connection: close\r\n"),
                    None => (method, ""),
                };
                client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n{close}Content-Length: 0\r\n\r\n"));
                assert_eq!(told.recv_timeout(PATIENCE), Ok("came"));
                client.half_close();
                assert_eq!(told.recv_timeout(PATIENCE), Ok("gone"), "the origin's work is cancelled");
                let record = rig.record();
                assert_eq!(record.end, End::ClientClosed, "{record:?}");
                client.rest();
                assert_eq!(rig.value(Metric::ConnectionsOpen), 0);
            }
        }
    });
}

#[test]
fn h1q_65_a_client_that_has_its_answer_may_end_as_it_likes() {
    on_both(|driver| {
        let origin = Scripted::echo();
        let rig = proxy(driver, &origin, with(|settings| settings.abort_on_half_close = true));
        for _ in 0..20 {
            let mut client = Peer::connect(rig.address());
            for _ in 0..3 {
                assert_eq!(client.get("/").status(), 200);
                assert_eq!(rig.record().end, End::Done);
            }
            client.half_close();
            client.ends();
        }
        assert_eq!(origin.connections(), 1, "nothing of the origin's is cut");
    });
}

#[test]
fn h1q_65_by_default_the_answer_is_delivered() {
    on_both(|driver| {
        let (tell, told) = crossbeam_channel::bounded::<()>(1);
        let origin = Scripted::start(move |peer| {
            peer.message();
            told.recv_timeout(PATIENCE).expect("the client has ended its half");
            peer.send(ok("late"));
        });
        // A route may have its own mind.
        let (strict, lax) = (with(|settings| settings.abort_on_half_close = true), Settings::default());
        let cluster = origin.cluster();
        let builder = Engine::builder().lanes(1).driver(driver).settings(strict);
        let rig = Rig::start(builder.serve("127.0.0.1:0", move |lane| {
            let (origin, lax): (Upstream, _) = (lane.upstream(&cluster), Rc::new(lax.clone()));
            Ok(Fun(async move |mut request: Request| {
                request.set_settings(&lax)?;
                origin.send(request).await
            }))
        }));
        let mut client = Peer::connect(rig.address());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.half_close();
        tell.send(()).unwrap();
        assert_eq!(client.message().text(), "late");
        client.ends();
    });
}

#[test]
fn h1q_58_a_listener_may_drop_or_pass_names_with_underscores() {
    on_both(|driver| {
        let answer = |builder: corelane_engine::Builder, underscores| {
            let settings = with(|settings| settings.limits.underscores = underscores);
            builder.serve_with("127.0.0.1:0", settings, |_| {
                Ok(Fun(async |request: Request| {
                    let names: Vec<_> =
                        request.fields().iter().map(|(name, _)| String::from_utf8_lossy(name)).collect();
                    Ok(Response::text(StatusCode::OK, names.join(" ")))
                }))
            })
        };
        let mut builder = Engine::builder().lanes(1).driver(driver);
        for underscores in [Underscores::Reject, Underscores::Drop, Underscores::Pass] {
            builder = answer(builder, underscores);
        }
        let rig = Rig::start(builder);
        for (address, said) in rig.handle.addresses().iter().zip([None, Some("Host"), Some("Host api_key")]) {
            let mut client = Peer::connect(address.socket().expect("an IP address"));
            client.send("GET / HTTP/1.1\r\nHost: a\r\napi_key: x\r\n\r\n");
            let answer = client.message();
            match said {
                Some(names) => assert_eq!((answer.status(), answer.text().as_str()), (200, names)),
                None => assert_eq!(answer.status(), 400),
            }
        }
    });
}

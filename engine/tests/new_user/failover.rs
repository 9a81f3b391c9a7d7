//! Two clusters, near and far: every attempt says who makes it, which it is and where it goes, and the far one is asked when
//! the near one fails, unless that would do twice what should be done once.

use crate::support::{
    peer::{Message, Peer, Scripted, nobody, ok},
    rig::Rig,
};
use corelane_engine::{
    Builder, Cluster, Counter, End, Engine, Handler, Request, Response, Result, RetryPolicy, Upstream,
};
use std::{
    net::SocketAddr,
    sync::mpsc::{Receiver, channel},
};

struct Failover {
    clusters: [(&'static str, Upstream); 2],
    failed_over: Counter,
}

/// As `Upstream::send`, with fields of each attempt's own.
async fn ask(name: &str, upstream: &Upstream, request: &mut Request) -> Result<Response> {
    let mut attempts = upstream.attempts(request);
    loop {
        let mut attempt = attempts.next().await?;
        let (number, endpoint) = (attempt.number().to_string(), attempt.endpoint().to_string());
        attempt.fields_mut().set("x-cluster", name);
        attempt.fields_mut().set("x-attempt", number);
        attempt.fields_mut().set("x-endpoint", endpoint);
        match attempt.send().await {
            Ok(response) if !attempts.worth_retrying(&response) => return Ok(response),
            Ok(_) | Err(_) if attempts.may_retry() => {}
            outcome => return outcome,
        }
    }
}

impl Handler for Failover {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let [(near, near_upstream), (far, far_upstream)] = &self.clusters;
        match ask(near, near_upstream, &mut request).await {
            Ok(response) if !response.status().is_server_error() => return Ok(response),
            outcome if !request.may_resend() => return outcome,
            Ok(response) => request.note("near", response.status().as_str()),
            Err(error) => request.note("near", error.to_string()),
        }
        self.failed_over.add(1);
        ask(far, far_upstream, &mut request).await
    }
}

fn failover(listen: &str, near: &[SocketAddr], far: &[SocketAddr]) -> Result<Builder> {
    let cluster = |name: &str, addresses: &[SocketAddr]| {
        Cluster::round_robin(addresses.iter().map(SocketAddr::to_string)).name(name).resolve()
    };
    let (near, far) = (cluster("near", near)?, cluster("far", far)?);
    let retry = RetryPolicy { attempts_max: 3, on_fresh_connection: true, on_status_or_timeout: true };
    Ok(Engine::builder().retry(retry).serve(listen, move |lane| {
        Ok(Failover {
            clusters: [("near", lane.upstream(&near)), ("far", lane.upstream(&far))],
            failed_over: lane.counter("failed_over_total"),
        })
    }))
}

/// Tells what it was asked, and answers with this status; 0 is none.
fn origin(status: u16) -> (Scripted, Receiver<Message>) {
    let (says, said) = channel();
    let origin = Scripted::start(move |peer| {
        while let Some(request) = peer.try_message() {
            says.send(request).expect("the test listens");
            match status {
                0 => return,
                200 => peer.send(ok("fine")),
                _ => peer.send(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")),
            }
        }
    });
    (origin, said)
}

#[test]
fn the_far_cluster_is_asked_when_the_near_one_fails() -> Result<()> {
    let (good, asked) = origin(200);
    for (status, attempts) in [(503, 3), (500, 1), (0, 3)] {
        let (bad, asked_before) = origin(status);
        let near = [nobody(), bad.address];
        let rig = Rig::start(failover("127.0.0.1:0", &near, &[good.address])?.lanes(1));
        let mut client = Peer::connect(rig.address());
        client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.message().text(), "fine", "{status}");
        let record = rig.record();
        assert_eq!((record.end, record.error.as_str(), record.notes.len()), (End::Done, "", 1), "{record:?}");
        let before: Vec<Message> = asked_before.try_iter().collect();
        assert_eq!(before.len(), attempts, "{status}");
        for request in &before {
            assert_eq!((request.field("x-cluster"), request.text().as_str()), (Some("near"), "hello"));
            assert_eq!(request.field("x-endpoint"), Some(bad.address.to_string().as_str()));
        }
        let last = asked.recv().expect("it is asked");
        assert_eq!((last.field("x-cluster"), last.field("x-attempt")), (Some("far"), Some("1")));
        assert_eq!(
            (last.field("x-endpoint"), last.text().as_str()),
            (Some(&*good.address.to_string()), "hello")
        );
        assert_eq!(last.head.matches("Via: ").count(), 1, "{last:?}");
        assert_eq!(rig.snapshot().counters["failed_over_total"], 1);
    }
    Ok(())
}

#[test]
fn what_may_have_been_done_is_not_done_again() -> Result<()> {
    let (good, asked) = origin(200);
    let (bad, _asked) = origin(0);
    let rig = Rig::start(failover("127.0.0.1:0", &[bad.address], &[good.address])?);
    let mut client = Peer::connect(rig.address());
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.message().status(), 502);
    assert_eq!(rig.record().end, End::UpstreamClosed);
    assert!(asked.try_recv().is_err());
    // What was never sent is.
    let rig = Rig::start(failover("127.0.0.1:0", &[nobody()], &[good.address])?);
    let mut client = Peer::connect(rig.address());
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.message().text(), "fine");
    Ok(())
}

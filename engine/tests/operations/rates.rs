//! Rate limits over lanes and listeners.

use crate::support::{
    clock::now,
    peer::Peer,
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{
    Engine, Handler, Lane, RateLimit, RateLimiter, Request, Response, Result, StatusCode,
    balancer::count::Limit,
};
use std::{collections::HashSet, thread, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);

/// Counts by path, and says on which lane.
struct Limited {
    limiter: RateLimiter,
    lane: usize,
}

impl Limited {
    fn on(lane: &Lane, limit: &RateLimit) -> Self {
        Self { limiter: lane.rate_limit(limit), lane: lane.id() }
    }
}

impl Handler for Limited {
    async fn handle(&self, request: Request) -> Result<Response> {
        let status = match self.limiter.check(request.path()) {
            Ok(()) => StatusCode::OK,
            Err(wait) => {
                assert!(!wait.is_zero());
                StatusCode::TOO_MANY_REQUESTS
            }
        };
        Ok(Response::text(status, self.lane.to_string()))
    }
}

#[test]
fn a_limit_holds_over_lanes_and_listeners() {
    on_both(|driver| {
        const BURST: u32 = 20;
        let limit = RateLimit::new(Limit::new(1, HOUR, BURST).unwrap(), 1000);
        let builder = Engine::builder().driver(driver).lanes(3);
        let also = limit.clone();
        let rig = Rig::start(
            builder
                .serve("127.0.0.1:0", move |lane| Ok(Limited::on(lane, &limit)))
                .serve("127.0.0.1:0", move |lane| Ok(Limited::on(lane, &also))),
        );
        let addresses: Vec<_> =
            rig.handle.addresses().iter().filter_map(|address| address.socket()).collect();
        let mut clients: Vec<Peer> = (0..12).map(|n| Peer::connect(addresses[n % 2])).collect();
        let (mut passed, mut lanes) = ([0, 0], HashSet::new());
        for round in 0..6 {
            for client in &mut clients {
                for (key, passed) in passed.iter_mut().enumerate() {
                    let answer = client.get(&format!("/{key}"));
                    *passed += u32::from(answer.status() == 200);
                    lanes.insert(answer.text());
                }
            }
            assert!(round < 1 || passed == [BURST; 2], "{passed:?}");
        }
        assert!(lanes.len() > 1, "several lanes were asked");
    });
}

/// As fast as they can, on connections of their own, against a limit that allows a part of it.
#[test]
fn a_limit_holds_however_many_ask_at_once() {
    on_both(|driver| {
        const BURST: u32 = 100;
        const PER_SECOND: u32 = 2_000;
        let limit = RateLimit::new(Limit::new(PER_SECOND, Duration::from_secs(1), BURST).unwrap(), 1000);
        let builder = Engine::builder().driver(driver).lanes(2);
        let rig = Rig::start(builder.serve("127.0.0.1:0", move |lane| Ok(Limited::on(lane, &limit))));
        let (address, began) = (rig.address(), now());
        let passed: u32 = thread::scope(|scope| {
            let one = || {
                scope.spawn(move || {
                    let mut client = Peer::connect(address);
                    (0..1500).map(|_| u32::from(client.get("/").status() == 200)).sum::<u32>()
                })
            };
            let all = [one(), one(), one(), one()];
            all.into_iter().map(|one| one.join().unwrap()).sum()
        });
        let span = now().duration_since(began);
        let most = f64::from(BURST) + span.as_secs_f64() * f64::from(PER_SECOND);
        assert!(f64::from(passed) <= most, "{passed} of {most} in {span:?}");
        assert!(passed >= BURST, "{passed}");
    });
}

#[test]
fn addresses_are_counted_by_host() {
    on_both(|driver| {
        let limit = RateLimit::new(Limit::new(1, HOUR, 1).unwrap(), 10);
        let rig = Rig::serve(driver, move |lane| {
            let limiter = lane.rate_limit(&limit);
            Ok(Fun(async move |request: Request| {
                let ip = request.path().trim_start_matches('/').parse().expect("an address");
                let status = limiter.check_ip(ip).map_or(StatusCode::TOO_MANY_REQUESTS, |()| StatusCode::OK);
                Ok(Response::new(status))
            }))
        });
        let mut client = Peer::connect(rig.address());
        for (ip, status) in [
            ("192.0.2.1", 200),
            ("192.0.2.2", 200),
            ("::ffff:192.0.2.1", 429),
            ("2001:db8::1", 200),
            ("2001:db8::ffff:2", 429),
            ("2001:db8:0:1::1", 200),
        ] {
            assert_eq!(client.get(&format!("/{ip}")).status(), status, "{ip}");
        }
    });
}

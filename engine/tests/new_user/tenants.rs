//! Many tenants, each with an upstream of its own that stands in a table: hosts to addresses, looked up for each request. The
//! table changes while the proxy runs, and a tenant has a time of its own.

use crate::support::{
    peer::{Peer, Scripted, SocketPath, UnixOrigin, ok},
    rig::Rig,
};
use corelane_engine::{
    Address, Builder, Engine, Error, Handler, Lane, Peer as Endpoint, Request, Response, Result, Settings,
    StatusCode,
};
use std::{collections::HashMap, rc::Rc, sync::Arc, time::Duration};

/// Lines of `HOST ADDRESS [SECONDS]`.
fn parse(text: &str) -> Result<HashMap<String, (Address, Option<u64>)>> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (Some(host), Some(address)) = (words.next(), words.next()) else {
            return Err(Error::internal(format!("{line:?} is not HOST ADDRESS [SECONDS]")));
        };
        let seconds = words.next().map(str::parse).transpose().map_err(Error::internal)?;
        Ok((host.to_owned(), (address.parse().map_err(Error::internal)?, seconds)))
    };
    text.lines().map(line).collect()
}

struct Tenants {
    lane: Lane,
    table: HashMap<String, (Endpoint, Option<Rc<Settings>>)>,
}

impl Tenants {
    fn new(lane: &Lane, text: &str) -> Result<Self> {
        let tenant = |(host, (address, seconds)): (String, (Address, Option<u64>))| {
            let settings = seconds.map(|seconds| {
                let mut settings = Settings::default();
                settings.timeouts.upstream_head = Duration::from_secs(seconds);
                Rc::new(settings)
            });
            (host, (Endpoint::http(address), settings))
        };
        Ok(Self { lane: lane.clone(), table: parse(text)?.into_iter().map(tenant).collect() })
    }
}

impl Handler for Tenants {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let host = request.authority().split(':').next().unwrap_or_default().to_ascii_lowercase();
        let Some((endpoint, settings)) = self.table.get(&host) else {
            return Err(Error::status_of(StatusCode::MISDIRECTED_REQUEST));
        };
        request.note("tenant", &host);
        if let Some(settings) = settings {
            request.set_settings(settings)?;
        }
        self.lane.connect_to(endpoint.clone()).send(request).await
    }
}

/// To start with, and to reload with.
fn tenants(listen: &str, table: String) -> Builder {
    let table: Arc<str> = table.into();
    Engine::builder().lanes(2).serve(listen, move |lane| Tenants::new(lane, &table))
}

#[test]
fn each_tenant_has_an_upstream_of_its_own_until_the_table_changes() {
    let named = |name: &'static str| {
        Scripted::start(move |peer| while peer.try_message().is_some() && peer.try_send(ok(name)) {})
    };
    let (one, two) = (named("one"), named("two"));
    let path = SocketPath::new();
    let _three = UnixOrigin::start(&path.0, |peer| {
        while peer.try_message().is_some() {
            peer.send(ok("behind a socket"));
        }
    });
    let silent = Scripted::start(|peer| while peer.try_message().is_some() {});
    let table = format!(
        "one.example {}\ntwo.example {}\nthree.example {}\nfour.example {} 1\n",
        one.address,
        two.address,
        path.text(),
        silent.address
    );
    let rig = Rig::start(tenants("127.0.0.1:0", table));
    let mut client = Peer::connect(rig.address());
    let ask = |client: &mut Peer, host: &str| {
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.message()
    };
    for _ in 0..3 {
        for (host, text) in
            [("one.example", "one"), ("TWO.example:80", "two"), ("three.example", "behind a socket")]
        {
            assert_eq!(ask(&mut client, host).text(), text);
            assert_eq!(rig.record().notes[0].1, host.split(':').next().expect("a host").to_lowercase());
        }
    }
    assert_eq!(
        (one.connections(), two.connections()),
        (1, 1),
        "connections are kept, though peers come and go"
    );
    assert_eq!(ask(&mut client, "five.example").status(), 421);
    assert_eq!(ask(&mut client, "four.example").status(), 504);
    // Another table: the next request on the same connection goes by it.
    let address = rig.handle.addresses()[0].to_string();
    rig.handle.reload(tenants(&address, format!("one.example {}\n", two.address))).expect("it is reloaded");
    assert_eq!(ask(&mut client, "one.example").text(), "two");
    assert_eq!(ask(&mut client, "two.example").status(), 421);
    assert!(rig.handle.reload(tenants(&address, "one.example nonsense\n".to_owned())).is_err());
    assert_eq!(ask(&mut client, "one.example").text(), "two", "a table that is wrong changes nothing");
}

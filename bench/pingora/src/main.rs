//! Pingora's round-robin load balancer as a peer of `corelane-bench compare`: one thread, pooled upstream
//! connections, the fields that corelane adds by default, no log.

#![forbid(unsafe_code)]

use std::{process::ExitCode, sync::Arc};

use async_trait::async_trait;
use pingora::{
    Error, ErrorType, Result,
    http::{RequestHeader, ResponseHeader},
    lb::{LoadBalancer, selection::RoundRobin},
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

const USAGE: &str = "usage: corelane-peer-pingora --listen ADDRESS:PORT --to ADDRESS:PORT --pool CONNECTIONS";
const VIA: &str = "1.1 pingora";
/// There is no hash to look up by, and one upstream to find.
const ITERATIONS_MAX: usize = 4;

struct Proxy {
    upstreams: Arc<LoadBalancer<RoundRobin>>,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let upstream = self.upstreams.select(b"", ITERATIONS_MAX);
        let upstream = upstream.ok_or_else(|| Error::new(ErrorType::ConnectProxyFailure))?;
        Ok(Box::new(HttpPeer::new(upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> Result<()> {
        let client = session.client_addr().and_then(|address| address.as_inet());
        let client = client.map_or_else(|| "unknown".to_owned(), |address| address.ip().to_string());
        let host = request.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("").to_owned();
        request.append_header("Via", VIA)?;
        request.insert_header("X-Forwarded-Proto", "http")?;
        request.insert_header("Forwarded", format!("for={client};host=\"{host}\";proto=http"))?;
        request.insert_header("X-Forwarded-For", client)?;
        request.insert_header("X-Forwarded-Host", host)?;
        if !request.headers.contains_key("x-request-id") {
            request.insert_header("X-Request-Id", format!("{:032x}", fastrand::u128(..)))?;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        (): &mut (),
    ) -> Result<()> {
        response.append_header("Via", VIA)?;
        Ok(())
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut listen, mut to, mut pool) = (None, None, None);
    while let (Some(flag), Some(value)) = (arguments.next(), arguments.next()) {
        match flag.as_str() {
            "--listen" => listen = Some(value),
            "--to" => to = Some(value),
            "--pool" => pool = value.parse().ok(),
            _ => return wrong(&format!("unknown argument {flag}")),
        }
    }
    let (Some(listen), Some(to), Some(pool)) = (listen, to, pool) else {
        return wrong("something is missing");
    };
    let conf = ServerConf {
        threads: 1,
        // With one thread nothing can be stolen; this runtime has no machinery for it.
        work_stealing: false,
        upstream_keepalive_pool_size: pool,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let upstreams = match LoadBalancer::try_from_iter([to.as_str()]) {
        Ok(upstreams) => Arc::new(upstreams),
        Err(error) => return wrong(&format!("--to {to}: {error}")),
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Proxy { upstreams });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever()
}

fn wrong(says: &str) -> ExitCode {
    eprintln!("corelane-peer-pingora: {says}\n{USAGE}");
    ExitCode::from(2)
}

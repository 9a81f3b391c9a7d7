//! `corelane demo`: two small origins, and the proxy before them, in one process.

use crate::{
    address::{HostPort, resolve_listen},
    admin::{AdminAt, Usual},
    balance::Balance,
    cli::DemoArgs,
    failure::Failure,
    plan::{Plan, Serving},
    proxy,
    serve::{self, Command, Listening, Words},
    upstream::Upstream,
};
use corelane_control::{Address, log::Format};
use corelane_engine::{Engine, Handle, Handler, Request, Response, Result, StatusCode};
use std::{
    fmt::Write,
    net::{Ipv4Addr, SocketAddr},
};

const ORIGINS: [&str; 2] = ["one", "two"];
/// Any free port, for this machine only.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Fields that a proxy adds, in the order in which an origin tells them.
const ADDED: [&str; 6] =
    ["via", "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"];

/// Says who it is and what it was asked.
struct Origin {
    name: &'static str,
}

impl Handler for Origin {
    async fn handle(&self, mut request: Request) -> Result<Response> {
        let mut content: u64 = 0;
        while let Some(chunk) = request.body_mut().chunk().await? {
            content += chunk.len() as u64;
        }
        let mut text = format!("origin {}: {} {}", self.name, request.method(), request.path());
        if let Some(query) = request.query() {
            write!(text, "?{query}").expect("a string takes everything");
        }
        writeln!(text, ", {content} bytes of content").expect("a string takes everything");
        for name in ADDED {
            for value in request.fields().get_all(name) {
                writeln!(text, "  {name}: {}", String::from_utf8_lossy(value))
                    .expect("a string takes everything");
            }
        }
        let mut response = Response::text(StatusCode::OK, text);
        response.fields_mut().set("x-origin", self.name);
        Ok(response)
    }
}

/// Serves until it is told to stop.
pub(crate) fn run(args: &DemoArgs) -> std::result::Result<(), Failure> {
    let listen = resolve_listen(&args.listen)?;
    let mut serving = Serving::of(&args.serving, Format::Combined);
    if serving.admin.is_empty() {
        serving.admin.push(AdminAt::Tcp(HostPort::of(ANY_PORT)));
    }
    let origins = start_origins(args)?;
    let served = plan(listen, &origins, serving).and_then(|plan| {
        serve::run(Command {
            plan,
            again: None,
            usual: Usual::default(),
            words: Words::Flags,
            say_more: Some(&|listening| crate::print_or_ignore(&guide(listening))),
        })
    });
    origins.stop();
    origins.join();
    served
}

/// An engine of their own, so that the proxy's numbers are only its own.
fn start_origins(args: &DemoArgs) -> std::result::Result<Handle, Failure> {
    ORIGINS
        .into_iter()
        .fold(Engine::builder().driver(args.serving.driver()), |builder, name| {
            builder.serve(ANY_PORT, move |_| Ok(Origin { name }))
        })
        .spawn()
        .map_err(|error| Failure::Run(format!("the demo's origins cannot start: {error}")))
}

fn plan(
    listen: Vec<corelane_engine::Address>,
    origins: &Handle,
    serving: Serving,
) -> std::result::Result<Plan, Failure> {
    let to = origins
        .addresses()
        .iter()
        .map(|origin| origin.to_string().parse())
        .collect::<std::result::Result<_, _>>();
    let to = to.map_err(|error| Failure::Run(format!("the demo's origins cannot be found: {error}")))?;
    proxy::plan(listen, Upstream::new("default", Balance::default(), to).find()?, serving)
}

/// What there is to try.
fn guide(listening: &Listening) -> String {
    let mut text =
        "Two origins answer behind the proxy, for each lane in turn. Try, in another terminal:\n\n"
            .to_owned();
    if let Some(proxy) = listening.addresses.first() {
        let (through, host) = match proxy.path() {
            Some(path) => (format!("--unix-socket {} ", path.display()), "proxy".to_owned()),
            None => (String::new(), proxy.to_string()),
        };
        write!(
            text,
            "  curl -i {through}http://{host}/hello\n  \
               for i in 1 2 3 4; do curl -s {through}http://{host}/$i; done\n  \
               head -c 10000000 /dev/zero | curl -s {through}-T - http://{host}/upload\n"
        )
        .expect("a string takes everything");
    }
    match listening.admin.first() {
        Some(Address::Tcp(admin)) => writeln!(text, "  curl -s http://{admin}/metrics | grep requests"),
        Some(Address::Unix(path)) => {
            writeln!(text, "  curl -s --unix-socket {} http://admin/metrics | grep requests", path.display())
        }
        None => Ok(()),
    }
    .expect("a string takes everything");
    text.push_str("\nThe access log follows. Ctrl-C drains and ends.\n\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_names_what_listens() {
        let proxy = corelane_engine::Address::Ip(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let admin = SocketAddr::from(([127, 0, 0, 1], 4000));
        let tcp = guide(&Listening { addresses: vec![proxy], admin: vec![Address::Tcp(admin)] });
        assert!(tcp.contains("curl -i http://127.0.0.1:8080/hello\n"), "{tcp}");
        assert!(tcp.contains("curl -s http://127.0.0.1:4000/metrics"), "{tcp}");
        let proxy = corelane_engine::Address::unix("/p").unwrap();
        let unix = guide(&Listening { addresses: vec![proxy], admin: vec![Address::Unix("/a".into())] });
        assert!(unix.contains("curl -s --unix-socket /a"), "{unix}");
        assert!(unix.contains("curl -i --unix-socket /p http://proxy/hello\n"), "{unix}");
    }
}

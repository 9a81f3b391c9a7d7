//! A running corelane with a configuration of its own.

use crate::process::{
    client::{Answer, exchange},
    corelane::{Corelane, Dir},
    origin::Origin,
};
use std::fs;

/// No access log.
pub(crate) const BEFORE: &str = "log.access = \"off\"\n";

/// A running corelane with a configuration of its own.
pub(crate) struct Served {
    pub(crate) corelane: Corelane,
    _dir: Dir,
}

/// Serves a file in which `LISTEN` is any free port and `ORIGIN` is the origin.
pub(crate) fn serve(name: &str, origin: Option<&Origin>, text: &str) -> Served {
    let dir = Dir::new(name);
    let path = dir.path("corelane.toml");
    let origin = origin.map_or(String::new(), |origin| origin.address.to_string());
    let text = text.replace("ORIGIN", &origin).replace("LISTEN", "127.0.0.1:0");
    let before = if text.contains("log.access") { "" } else { BEFORE };
    fs::write(&path, format!("{before}{text}")).expect("a directory of its own");
    let corelane = Corelane::start(&["run", "-c", path.to_str().expect("an ASCII path")]);
    Served { corelane, _dir: dir }
}

impl Served {
    /// A request of these lines; the connection is closed after it.
    pub(crate) fn ask(&self, lines: &[&str]) -> Answer {
        let request = format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"));
        exchange(self.corelane.address, request.as_bytes())
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&[&format!("GET {path} HTTP/1.1"), "Host: example.com"])
    }

    pub(crate) fn get_from(&self, host: &str, path: &str) -> Answer {
        self.ask(&[&format!("GET {path} HTTP/1.1"), &format!("Host: {host}")])
    }
}

#[track_caller]
pub(crate) fn is(answer: &Answer, status: u16, content: &str) {
    assert_eq!((answer.status, answer.content.as_str()), (status, content), "{answer:?}");
}

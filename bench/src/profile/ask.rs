//! Asking a running engine over its admin address.

use crate::failure::Failure;
use std::{
    fmt,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// How long an answer may take: lanes have a second of it.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// An answer is no longer: a thousand lanes with all of their buckets.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Where `corelane` puts its socket when the environment names no directory.
const DIRECTORY: &str = "/run/corelane";

/// Where an engine is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admin {
    /// A unix socket.
    Unix(PathBuf),
    /// A host and a port.
    Tcp(String),
}

impl FromStr for Admin {
    type Err = String;

    /// `unix:PATH`, a path, `http://HOST:PORT` or `HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no admin address; write unix:PATH, a path, or http://HOST:PORT");
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Unix(path.into())) };
        }
        if let Some(authority) = text.strip_prefix("http://") {
            let authority = authority.strip_suffix('/').unwrap_or(authority);
            return if is_authority(authority) { Ok(Self::Tcp(authority.to_owned())) } else { Err(wrong()) };
        }
        if text.contains("://") {
            return Err(wrong());
        }
        if !text.contains('/') && is_authority(text) {
            return Ok(Self::Tcp(text.to_owned()));
        }
        if text.contains('/') { Ok(Self::Unix(text.into())) } else { Err(wrong()) }
    }
}

fn is_authority(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

impl fmt::Display for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

impl Admin {
    /// Where `corelane` puts its socket unless somebody says otherwise: the first of the usual places at which there is
    /// one.
    pub(super) fn usual(env: impl Fn(&str) -> Option<String>) -> Self {
        let mut places = Vec::new();
        if let Some(directory) = env("RUNTIME_DIRECTORY") {
            // A service may have several; the socket is in the first.
            places.push(PathBuf::from(directory.split(':').next().unwrap_or_default()));
        }
        if let Some(session) = env("XDG_RUNTIME_DIR") {
            places.push(Path::new(&session).join("corelane"));
        }
        places.push(PathBuf::from(DIRECTORY));
        places.retain(|place| place.is_absolute());
        let sockets: Vec<PathBuf> = places.into_iter().map(|place| place.join("admin.sock")).collect();
        let found = sockets.iter().find(|socket| socket.exists()).or(sockets.last());
        Self::Unix(found.cloned().unwrap_or_else(|| Path::new(DIRECTORY).join("admin.sock")))
    }

    /// The content of an answer to a GET.
    pub(crate) fn get(&self, path: &str) -> Result<String, Failure> {
        let bytes = self.exchange(path).map_err(|error| self.failed(&error))?;
        let no_corelane =
            || Failure::Run(format!("{self} is no admin address of corelane: something else answers there"));
        match parse(&bytes).ok_or_else(no_corelane)? {
            (200, content) => Ok(content),
            (404, content) if content.starts_with("not found; / lists") => Err(Failure::Run(format!(
                "the corelane at {self} has no {path}: it is older than this program; update it, or use the corelane-bench of \
                 its version"
            ))),
            (404, _) => Err(no_corelane()),
            (status, content) => Err(Failure::Run(format!(
                "{self} answers {path} with {status}: {}",
                content.lines().next().unwrap_or("nothing")
            ))),
        }
    }

    fn exchange(&self, path: &str) -> io::Result<Vec<u8>> {
        match self {
            Self::Unix(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                stream.set_write_timeout(Some(ANSWER_MAX))?;
                ask(stream, path)
            }
            Self::Tcp(authority) => {
                let addresses: Vec<SocketAddr> = authority.to_socket_addrs()?.collect();
                let mut connected = Err(io::ErrorKind::AddrNotAvailable.into());
                for address in &addresses {
                    connected = TcpStream::connect_timeout(address, ANSWER_MAX);
                    if connected.is_ok() {
                        break;
                    }
                }
                let stream = connected?;
                stream.set_read_timeout(Some(ANSWER_MAX))?;
                stream.set_write_timeout(Some(ANSWER_MAX))?;
                ask(stream, path)
            }
        }
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::Run(match (self, error.kind()) {
            (Self::Unix(path), io::ErrorKind::NotFound) => format!(
                "there is no admin socket {}; name the one of the engine with --admin, and see that it runs",
                path.display()
            ),
            (_, io::ErrorKind::ConnectionRefused) => {
                format!("nobody answers on {self}: {error}; is it running?")
            }
            (Self::Unix(path), io::ErrorKind::PermissionDenied) => format!(
                "no permission to connect to {}: its owner and its group may, nobody else",
                path.display()
            ),
            (_, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                format!("no answer on {self} within {ANSWER_MAX:?}")
            }
            _ => format!("cannot ask {self}: {error}"),
        })
    }
}

fn ask(mut stream: impl Read + Write, path: &str) -> io::Result<Vec<u8>> {
    // In one piece: who answers before it has read everything would reset the connection.
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The admin server frames by length, and closes the connection after its answer. What is shorter was cut off.
fn parse(bytes: &[u8]) -> Option<(u16, String)> {
    let text = str::from_utf8(bytes).ok()?;
    let (head, content) = text.split_once("\r\n\r\n")?;
    let (status, fields) = head.strip_prefix("HTTP/1.1 ")?.split_once("\r\n")?;
    let status = status.get(..3)?.parse().ok()?;
    let length = fields.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    (length.is_none_or(|length| length == content.len())).then(|| (status, content.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    #[test]
    fn an_admin_address_is_a_path_or_an_authority() {
        let unix = |path: &str| Ok(Admin::Unix(path.into()));
        let tcp = |authority: &str| Ok(Admin::Tcp(authority.to_owned()));
        assert_eq!("unix:/a/b".parse(), unix("/a/b"));
        assert_eq!("unix:b".parse(), unix("b"));
        assert_eq!("/a/b:80".parse(), unix("/a/b:80"));
        assert_eq!("./b".parse(), unix("./b"));
        assert_eq!("http://127.0.0.1:9/".parse(), tcp("127.0.0.1:9"));
        assert_eq!("localhost:9".parse(), tcp("localhost:9"));
        assert_eq!("http://[::1]:9".parse(), tcp("[::1]:9"));
        for wrong in
            ["", "unix:", "http://", "http://a", "http://a:0", "http://a:9/b", "https://a:9", "admin.sock"]
        {
            let error = wrong.parse::<Admin>().unwrap_err();
            assert!(error.contains("unix:PATH"), "{error}");
        }
    }

    #[test]
    fn the_usual_socket_is_where_corelane_puts_it() {
        let usual = |names: &[(&str, &str)]| {
            Admin::usual(|name| {
                names.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let place = std::env::temp_dir().join(format!("corelane-profile-{}", std::process::id()));
        std::fs::create_dir_all(place.join("corelane")).unwrap();
        std::fs::write(place.join("corelane/admin.sock"), "").unwrap();
        let session = place.display().to_string();
        let expected = Admin::Unix(place.join("corelane/admin.sock"));
        assert_eq!(usual(&[("XDG_RUNTIME_DIR", &session)]), expected);
        let both = format!("{session}/corelane:/nonexistent");
        assert_eq!(usual(&[("RUNTIME_DIRECTORY", &both)]), expected);
        std::fs::remove_dir_all(&place).unwrap();
        let nowhere = usual(&[("XDG_RUNTIME_DIR", &session), ("RUNTIME_DIRECTORY", "relative")]);
        assert_eq!(nowhere, Admin::Unix("/run/corelane/admin.sock".into()));
    }

    /// What asking says of a server that answers with these bytes and closes.
    fn answered(bytes: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = Admin::Tcp(listener.local_addr().unwrap().to_string());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.extend(byte);
            }
            stream.write_all(bytes).unwrap();
        });
        let said = match admin.get("/profile.json") {
            Ok(content) => content,
            Err(failure) => failure.to_string(),
        };
        server.join().unwrap();
        said
    }

    #[test]
    fn an_answer_is_corelanes_or_it_is_said_what_is_wrong() {
        assert_eq!(answered(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), "{}");
        let older = answered(
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 37\r\n\r\nnot found; / lists what there is now\n",
        );
        assert!(older.contains("it is older than this program"), "{older}");
        for other in [
            &b"HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\n<html>"[..],
            b"220 mail ESMTP\r\n\r\n",
            b"",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
        ] {
            let said = answered(other);
            assert!(said.contains("is no admin address of corelane"), "{said}");
        }
        let failed = answered(b"HTTP/1.1 500 x\r\ncontent-length: 5\r\n\r\noops\n");
        assert!(failed.ends_with("answers /profile.json with 500: oops"), "{failed}");
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let said = |admin: &str| admin.parse::<Admin>().unwrap().get("/").unwrap_err().to_string();
        assert!(said("/nonexistent/a.sock").contains("there is no admin socket /nonexistent/a.sock"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let refused = said(&format!("http://{address}"));
        assert!(refused.starts_with(&format!("nobody answers on http://{address}")), "{refused}");
    }
}

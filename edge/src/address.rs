//! Addresses as they are written on the command line, and what they resolve to.

use crate::{failure::Failure, holder::Holder};
use corelane_control::names;
use corelane_engine::Address;
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    str::FromStr,
};

const EXPECTED: &str = "expected HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080, or unix:PATH";
/// What a unix socket's path comes after.
const UNIX: &str = "unix:";
/// The largest weight.
const WEIGHT_MAX: u32 = 65_535;

/// A host, by name or by number, and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HostPort {
    /// Without brackets.
    host: String,
    port: u16,
}

impl HostPort {
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }

    /// All its addresses, at least one.
    pub(crate) fn resolve(&self) -> Result<Vec<SocketAddr>, Failure> {
        names::look_up(&names::system(), &self.host, self.port).map_err(|error| {
            let host = &self.host;
            Failure::Run(format!(
                "cannot resolve {host}: {error}; check the name, or give an address by number"
            ))
        })
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self::of(address));
        }
        if text.contains("://") {
            return Err(format!("a scheme has no place here; {EXPECTED}"));
        }
        let (host, port) = text.split_once(':').ok_or_else(|| EXPECTED.to_owned())?;
        let is_name =
            !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        // What looks like an address by number and is none (1.2.3.4.5) is not worth asking a resolver for.
        let is_number =
            host.bytes().all(|b| b.is_ascii_digit() || b == b'.') && host.parse::<Ipv4Addr>().is_err();
        match port.parse() {
            Ok(port) if is_name && !is_number => Ok(Self { host: host.to_owned(), port }),
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Listen {
    /// Every address of the machine, IPv4 and IPv6.
    Everywhere(u16),
    /// The addresses of one host.
    On(HostPort),
    /// A unix socket.
    Unix(Address),
}

impl Listen {
    /// `None` for a unix socket.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Everywhere(port) => Some(*port),
            Self::On(at) => Some(at.port),
            Self::Unix(_) => None,
        }
    }

    /// Whether one of two different addresses lies within the other, as far as can be told without asking anybody.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let is_everywhere = |listen: &Self| match listen {
            Self::Everywhere(_) => true,
            Self::On(at) => at.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()),
            Self::Unix(_) => false,
        };
        self.port() == other.port() && self.port() != Some(0) && (is_everywhere(self) || is_everywhere(other))
    }

    pub(crate) fn resolve(&self) -> Result<Vec<Address>, Failure> {
        let addresses = match self {
            Self::On(at) => at.resolve()?,
            Self::Everywhere(port) => {
                let mut addresses = vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port))];
                // A machine may have no IPv6.
                if TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok() {
                    addresses.insert(0, SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port)));
                }
                addresses
            }
            Self::Unix(socket) => return Ok(vec![socket.clone()]),
        };
        Ok(addresses.into_iter().map(Address::Ip).collect())
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(socket) = unix(text) {
            return socket.map(Self::Unix);
        }
        match text.strip_prefix(':').map(str::parse) {
            Some(Ok(port)) => Ok(Self::Everywhere(port)),
            Some(Err(_)) => Err(format!("{EXPECTED} or :8080")),
            None => text.parse().map(Self::On).map_err(|error| format!("{error} or :8080")),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, ":{port}"),
            Self::On(at) => at.fmt(f),
            Self::Unix(socket) => socket.fmt(f),
        }
    }
}

/// A unix socket, if the text means one.
fn unix(text: &str) -> Option<Result<Address, String>> {
    let path = text.strip_prefix(UNIX)?;
    Some(Address::unix(path).map_err(|error| error.to_string()))
}

/// All addresses to listen on; the same one twice is a mistake.
pub(crate) fn resolve_listen(listen: &[Listen]) -> Result<Vec<Address>, Failure> {
    let mut addresses: Vec<Address> = Vec::new();
    for one in listen {
        for address in one.resolve()? {
            if address.port() != Some(0) && addresses.contains(&address) {
                return Err(Failure::Usage(format!("--listen names {address} twice; leave one of them out")));
            }
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Where to forward to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct To {
    at: Target,
    pub(crate) weight: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Target {
    Host(HostPort),
    Unix(Address),
}

impl To {
    #[must_use]
    pub(crate) fn with_weight(self, weight: Option<u32>) -> Self {
        Self { weight, ..self }
    }

    /// What is meant by an address that stands for every address of this machine.
    pub(crate) fn unspecified(&self) -> Option<HostPort> {
        let Target::Host(at) = &self.at else { return None };
        let loopback = match at.host.parse() {
            Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => IpAddr::from(Ipv4Addr::LOCALHOST),
            Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => IpAddr::from(Ipv6Addr::LOCALHOST),
            _ => return None,
        };
        Some(HostPort { host: loopback.to_string(), port: at.port })
    }

    /// What its name stands for, or its number; nothing for a unix socket.
    pub(crate) fn look_up(&self) -> Result<Vec<SocketAddr>, Failure> {
        match &self.at {
            Target::Host(at) => at.resolve(),
            Target::Unix(_) => Ok(Vec::new()),
        }
    }

    /// Its host and port, if the host is a name.
    pub(crate) fn name(&self) -> Option<(&str, u16)> {
        match &self.at {
            Target::Host(at) if at.host.parse::<IpAddr>().is_err() => Some((&at.host, at.port)),
            _ => None,
        }
    }

    /// The addresses to forward to: of a name that has both kinds, the IPv4 ones, because an origin on `localhost`
    /// rarely listens on both.
    pub(crate) fn endpoints(&self, known: &[SocketAddr]) -> Result<Vec<Address>, String> {
        if let Target::Unix(socket) = &self.at {
            return Ok(vec![socket.clone()]);
        }
        let is_wanted = |address: &&SocketAddr| address.is_ipv4() || !known.iter().any(SocketAddr::is_ipv4);
        if let Some(address) = known.iter().find(|address| address.ip().is_unspecified()) {
            let loopback = match address.ip() {
                IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
            };
            let meant = SocketAddr::new(loopback, address.port());
            return Err(format!("{address} is no address to connect to; try {meant}"));
        }
        Ok(known.iter().filter(is_wanted).copied().map(Address::Ip).collect())
    }
}

impl fmt::Display for To {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Target::Host(at) => at.fmt(f)?,
            Target::Unix(socket) => socket.fmt(f)?,
        }
        match self.weight {
            Some(weight) => write!(f, "={weight}"),
            None => Ok(()),
        }
    }
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (at, weight) = match text.rsplit_once('=') {
            Some((at, weight)) => (at, Some(weight)),
            None => (text, None),
        };
        let at = match unix(at) {
            Some(socket) => Target::Unix(socket?),
            None => Target::Host(at.parse()?),
        };
        if matches!(&at, Target::Host(HostPort { port: 0, .. })) {
            return Err("port 0 is no port to connect to".to_owned());
        }
        let weight = match weight.map(str::parse) {
            None => None,
            Some(Ok(weight)) if (1..=WEIGHT_MAX).contains(&weight) => Some(weight),
            Some(_) => return Err(format!("expected a weight from 1 to {WEIGHT_MAX} after the =")),
        };
        Ok(Self { at, weight })
    }
}

/// Why an address cannot be listened on, in a sentence that says what to do.
/// `setting` is what names it.
pub(crate) fn cannot_listen(address: &Address, error: &io::Error, setting: &str) -> String {
    let on_ip = address.socket().and_then(|ip| cannot_listen_on_ip(ip, error.kind(), setting));
    on_ip.unwrap_or_else(|| match (address, error.kind()) {
        (Address::Unix(_), io::ErrorKind::AddrInUse) => {
            format!("{address} is taken: another program answers on it; stop that, or choose another {setting}")
        }
        (Address::Unix(_), io::ErrorKind::AlreadyExists) => {
            format!("{address} is taken by a file that is no socket; remove it, or choose another {setting}")
        }
        (Address::Unix(_), io::ErrorKind::NotFound) => {
            format!("the directory of {address} does not exist; create it, or choose another {setting}")
        }
        (Address::Unix(_), io::ErrorKind::PermissionDenied) => {
            format!("no permission to create {address}; let its directory be writable, or choose another {setting}")
        }
        _ => format!("cannot listen on {address}: {error}"),
    })
}

fn cannot_listen_on_ip(address: SocketAddr, kind: io::ErrorKind, setting: &str) -> Option<String> {
    let port = address.port();
    Some(match kind {
        io::ErrorKind::AddrInUse => {
            let holder = Holder::of(address).map(|holder| format!(" ({holder})")).unwrap_or_default();
            format!(
                "{address} is taken by another program{holder}; choose another {setting} or find it with: \
                 ss -ltnp 'sport = :{port}'"
            )
        }
        io::ErrorKind::PermissionDenied => format!(
            "no permission to listen on {address}; choose a port from 1024 on, or allow it with: \
             setcap cap_net_bind_service=+ep PROGRAM (in systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "{address} is not an address of this machine; choose another {setting} (ip -brief address lists them)"
            )
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_ports() {
        for right in ["127.0.0.1:80", "[::1]:80", "localhost:9001", "a-b.example.:1", "a_b:65535"] {
            assert_eq!(right.parse::<HostPort>().unwrap().to_string(), right);
        }
        for wrong in [
            "",
            "8080",
            "localhost",
            "localhost:",
            "localhost:x",
            "localhost:65536",
            "::1:80",
            "[::1]",
            "1.2.3.4.5:1",
            "a b:1",
            ":1",
        ] {
            assert!(wrong.parse::<HostPort>().is_err(), "{wrong}");
        }
        let scheme = "http://localhost:80".parse::<HostPort>().unwrap_err();
        assert!(scheme.contains("scheme"), "{scheme}");
    }

    #[test]
    fn a_port_alone_is_everywhere() {
        assert_eq!(":8080".parse(), Ok(Listen::Everywhere(8080)));
        assert!(":x".parse::<Listen>().is_err());
        assert!("8080".parse::<Listen>().unwrap_err().contains(":8080"));
        let addresses = resolve_listen(&[Listen::Everywhere(8080)]).unwrap();
        assert!(addresses.contains(&Address::Ip(SocketAddr::from(([0, 0, 0, 0], 8080)))));
    }

    #[test]
    fn what_cannot_be_listened_on_says_what_to_do() {
        let address = Address::Ip(SocketAddr::from(([127, 0, 0, 1], 80)));
        for (kind, hint) in [
            (io::ErrorKind::AddrInUse, "ss -ltnp 'sport = :80'"),
            (io::ErrorKind::PermissionDenied, "CAP_NET_BIND_SERVICE"),
            (io::ErrorKind::AddrNotAvailable, "not an address of this machine"),
            (io::ErrorKind::OutOfMemory, "cannot listen on 127.0.0.1:80: out of memory"),
        ] {
            let says = cannot_listen(&address, &kind.into(), "--listen");
            assert!(says.contains(hint) && says.contains("127.0.0.1:80"), "{says}");
        }
        let socket = Address::unix("/run/app.sock").unwrap();
        for (kind, hint) in [
            (io::ErrorKind::AddrInUse, "another program answers"),
            (io::ErrorKind::AlreadyExists, "no socket"),
            (io::ErrorKind::NotFound, "directory"),
            (io::ErrorKind::PermissionDenied, "no permission"),
            (io::ErrorKind::OutOfMemory, "cannot listen on unix:/run/app.sock: out of memory"),
        ] {
            let says = cannot_listen(&socket, &kind.into(), "--listen");
            assert!(says.contains(hint) && says.contains("unix:/run/app.sock"), "{says}");
        }
    }

    #[test]
    fn twice_the_same_is_a_mistake() {
        let listen: Vec<Listen> = ["127.0.0.1:8080", ":0", ":0"].map(|text| text.parse().unwrap()).to_vec();
        assert!(resolve_listen(&listen).is_ok());
        let listen: Vec<Listen> =
            ["127.0.0.1:8080", "127.0.0.1:8080"].map(|text| text.parse().unwrap()).to_vec();
        assert!(matches!(resolve_listen(&listen), Err(Failure::Usage(_))));
    }

    #[test]
    fn b_06_unix_sockets_are_addresses() {
        let socket = Address::unix("/run/a=b.sock").unwrap();
        let listen: Listen = "unix:/run/a=b.sock".parse().unwrap();
        assert_eq!((listen.to_string().as_str(), listen.port()), ("unix:/run/a=b.sock", None));
        assert_eq!(listen.resolve().unwrap(), std::slice::from_ref(&socket));
        assert!(!listen.overlaps(&Listen::Everywhere(80)) && !Listen::Everywhere(80).overlaps(&listen));
        assert!(matches!(resolve_listen(&[listen.clone(), listen]), Err(Failure::Usage(_))));
        let to: To = "unix:/run/a=b.sock=3".parse().unwrap();
        assert_eq!((to.to_string().as_str(), to.weight), ("unix:/run/a=b.sock=3", Some(3)));
        assert_eq!(to.endpoints(&[]).unwrap(), [socket]);
        for wrong in ["unix:", "unix:/a=x", "unix:/a=0"] {
            assert!(wrong.parse::<To>().is_err(), "{wrong}");
        }
        assert!(format!("unix:/{}", "x".repeat(200)).parse::<Listen>().is_err());
    }

    #[test]
    fn upstreams_may_have_weights() {
        let to = |text: &str| text.parse::<To>();
        let endpoints = |text: &str| {
            let to = to(text).unwrap();
            to.endpoints(&to.look_up().unwrap())
        };
        assert_eq!(to("127.0.0.1:9001").unwrap().weight, None);
        assert_eq!(to("127.0.0.1:9001=3").unwrap().weight, Some(3));
        for wrong in
            ["127.0.0.1:0", "127.0.0.1:1=", "127.0.0.1:1=0", "127.0.0.1:1=x", "127.0.0.1:1=65536", "=1"]
        {
            assert!(to(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            endpoints("localhost:9001").unwrap(),
            [Address::Ip(SocketAddr::from(([127, 0, 0, 1], 9001)))]
        );
        assert!(endpoints("0.0.0.0:9001").unwrap_err().contains("127.0.0.1:9001"));
        assert!(matches!(to("name.invalid:9001").unwrap().look_up(), Err(Failure::Run(_))));
    }
}

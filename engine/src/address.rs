//! Where somebody listens, is reached, or comes from: an address with a port, or a unix socket.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    os::unix::ffi::OsStrExt,
    path::Path,
    str::FromStr,
    sync::Arc,
};

/// What a unix socket's address begins with, where it is written.
const UNIX: &str = "unix:";
/// A unix socket's path has at most so many bytes: what a `sockaddr_un` holds, less the NUL (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// One end of a connection, or where one can be made to.
///
/// It is written as `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/app.sock`. To clone one of an IP address is to copy
/// it; a unix socket's path is shared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A unix socket, by the path of its file.
    Unix(Arc<Path>),
    /// The other end of a unix socket: a client, which has no address. Written `unix:`.
    Unnamed,
}

impl Address {
    /// The IP address; `None` on a unix socket.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket().map(|socket| socket.ip())
    }

    /// The port; `None` on a unix socket.
    pub fn port(&self) -> Option<u16> {
        self.socket().map(|socket| socket.port())
    }

    /// IP address and port; `None` on a unix socket.
    pub const fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) | Self::Unnamed => None,
        }
    }

    /// The path of a unix socket.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unix(path) => Some(path),
            Self::Ip(_) | Self::Unnamed => None,
        }
    }

    /// A unix socket, by the path of its file.
    ///
    /// # Errors
    /// A path that no socket can have: an empty one, one of more than 107 bytes, one with a NUL.
    pub fn unix(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            return Err(invalid("a path is missing after `unix:`, such as unix:/run/app.sock"));
        }
        if bytes.len() > PATH_BYTES_MAX {
            return Err(invalid("the path of a unix socket has at most 107 bytes"));
        }
        if bytes.contains(&0) {
            return Err(invalid("a path has no NUL"));
        }
        Ok(Self::Unix(Arc::from(path)))
    }

    /// As it is named to whoever listens there, when a request names no host.
    pub(crate) fn as_host(&self) -> String {
        match self {
            // Which link an address is of concerns this machine alone (RFC 6874 §4).
            Self::Ip(address) => SocketAddr::new(address.ip(), address.port()).to_string(),
            Self::Unix(_) | Self::Unnamed => "localhost".to_owned(),
        }
    }

    /// The same address that shares nothing with this one. A lane has its own of each, so that no two cores count
    /// clones in one place.
    pub(crate) fn unshared(&self) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(Arc::from(&**path)),
            other => other.clone(),
        }
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::Unnamed => f.write_str(UNIX),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl PartialEq<SocketAddr> for Address {
    fn eq(&self, other: &SocketAddr) -> bool {
        self.socket() == Some(*other)
    }
}

/// By number, or `unix:` and a path. Names are looked up by [`ToAddresses`].
impl FromStr for Address {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        match text.strip_prefix(UNIX) {
            Some(path) => Self::unix(path),
            None => text
                .parse()
                .map(Self::Ip)
                .map_err(|_| invalid("expected 127.0.0.1:80, [::1]:80 or unix:/path")),
        }
    }
}

/// What addresses can be made of: an [`Address`], a [`SocketAddr`], text such as `localhost:8080` or
/// `unix:/run/app.sock`, and lists of these.
pub trait ToAddresses: fmt::Debug {
    /// The addresses. A name is looked up, which blocks, and may have several.
    ///
    /// # Errors
    /// Text that is no address, and a name that is not found.
    fn to_addresses(&self) -> io::Result<Vec<Address>>;
}

impl ToAddresses for Address {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        Ok(vec![self.clone()])
    }
}

impl ToAddresses for SocketAddr {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        Ok(vec![Address::Ip(*self)])
    }
}

impl ToAddresses for str {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        match self.strip_prefix(UNIX) {
            Some(path) => Ok(vec![Address::unix(path)?]),
            None => Ok(self.to_socket_addrs()?.map(Address::Ip).collect()),
        }
    }
}

impl ToAddresses for String {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        self.as_str().to_addresses()
    }
}

/// A host, by name or by number, and a port.
impl ToAddresses for (&str, u16) {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        Ok(self.to_socket_addrs()?.map(Address::Ip).collect())
    }
}

impl ToAddresses for (IpAddr, u16) {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        Ok(vec![Address::Ip(SocketAddr::from(*self))])
    }
}

impl<A: ToAddresses> ToAddresses for [A] {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        let each: io::Result<Vec<_>> = self.iter().map(A::to_addresses).collect();
        Ok(each?.concat())
    }
}

impl<A: ToAddresses, const N: usize> ToAddresses for [A; N] {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        self.as_slice().to_addresses()
    }
}

impl<A: ToAddresses> ToAddresses for Vec<A> {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        self.as_slice().to_addresses()
    }
}

impl<A: ToAddresses + ?Sized> ToAddresses for &A {
    fn to_addresses(&self) -> io::Result<Vec<Address>> {
        (**self).to_addresses()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["127.0.0.1:80", "[::1]:8080", "unix:/run/app.sock", "unix:app.sock"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(text.to_addresses().unwrap(), [address]);
        }
        assert_eq!(Address::Unnamed.to_string(), "unix:");
        for wrong in ["", "127.0.0.1", "unix:", "/run/app.sock", "localhost:80"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
        assert!(format!("unix:/{}", "x".repeat(PATH_BYTES_MAX - 1)).parse::<Address>().is_ok());
        for wrong in [format!("/{}", "x".repeat(PATH_BYTES_MAX)), "/a\0b".to_owned(), String::new()] {
            assert!(Address::unix(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_address_has_a_port_or_a_path() {
        let ip = Address::from(SocketAddr::from(([127, 0, 0, 1], 80)));
        assert_eq!((ip.port(), ip.path()), (Some(80), None));
        assert_eq!(ip, SocketAddr::from(([127, 0, 0, 1], 80)));
        let unix = Address::unix("/a").unwrap();
        assert_eq!((unix.ip(), unix.path()), (None, Some(Path::new("/a"))));
        assert_eq!(unix.unshared(), unix);
    }

    #[test]
    fn lists_are_addresses_in_their_order() {
        let (one, two) = (SocketAddr::from(([127, 0, 0, 1], 1)), Address::unix("/a").unwrap());
        let both = vec![Address::Ip(one), two];
        assert_eq!(both.to_addresses().unwrap(), both);
        assert_eq!(["127.0.0.1:1", "unix:/a"].to_addresses().unwrap(), both);
        assert_eq!(both[..].to_addresses().unwrap(), both);
        assert_eq!(("127.0.0.1", 1).to_addresses().unwrap(), both[..1]);
        assert!(["127.0.0.1:1", "127.0.0.1"].to_addresses().is_err());
    }

    #[test]
    fn an_address_is_as_large_as_one_of_ip() {
        assert_eq!(size_of::<Address>(), size_of::<SocketAddr>());
    }
}

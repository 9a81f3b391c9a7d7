//! The admin server's address, and binding it before anything else starts.

use corelane_engine::{SocketFile, listen_unix};
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
};

/// The owner and the group may connect.
const SOCKET_MODE: u32 = 0o660;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// Where the admin server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// TCP. Whoever can connect can read, so this is for a loopback or a private network.
    Tcp(SocketAddr),
    /// A unix socket with mode 0660.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The admin server's socket, bound: nobody else can take it any more.
#[derive(Debug)]
pub struct Admin {
    listener: Listener,
    socket: Option<SocketFile>,
    address: Address,
}

/// A listening socket that does not block.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Admin {
    /// Binds the address. A unix socket that a dead process left behind is replaced; one on which somebody answers,
    /// or a file that is no socket, is not.
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        let failed = |error| BindError { address: address.clone(), error };
        match address {
            Address::Tcp(tcp) => {
                let listener = TcpListener::bind(tcp).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                let address = Address::Tcp(listener.local_addr().map_err(failed)?);
                Ok(Self { listener: Listener::Tcp(listener), socket: None, address })
            }
            Address::Unix(path) => {
                let (listener, socket) = listen_unix(path, SOCKET_MODE, BACKLOG).map_err(failed)?;
                Ok(Self {
                    listener: Listener::Unix(listener),
                    socket: Some(socket),
                    address: address.clone(),
                })
            }
        }
    }

    /// Where it listens, with the port that the system chose if it was to.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn into_parts(self) -> (Listener, Option<SocketFile>) {
        (self.listener, self.socket)
    }
}

/// The admin address cannot be had.
#[derive(Debug)]
pub struct BindError {
    address: Address,
    error: io::Error,
}

impl BindError {
    /// What is wrong and what to do; `setting` is what names the address.
    pub fn says(&self, setting: &str) -> String {
        let Self { address, error } = self;
        match (address, error.kind()) {
            (Address::Tcp(tcp), io::ErrorKind::AddrInUse) => format!(
                "the admin address {tcp} is taken by another program; choose another {setting} or find it with: \
                 ss -ltnp 'sport = :{}'",
                tcp.port()
            ),
            (Address::Tcp(tcp), io::ErrorKind::AddrNotAvailable) => format!(
                "the admin address {tcp} is not one of this machine's; choose another {setting} (ip -brief address lists \
                 them)"
            ),
            (Address::Tcp(tcp), io::ErrorKind::PermissionDenied) => {
                format!("no permission to listen on the admin address {tcp}; choose a port from 1024 on")
            }
            (Address::Unix(path), kind) => Self::says_of_socket(path, kind, setting)
                .unwrap_or_else(|| format!("cannot listen on the admin socket {}: {error}", path.display())),
            _ => format!("cannot listen on the admin address {address}: {error}"),
        }
    }

    fn says_of_socket(path: &Path, kind: io::ErrorKind, setting: &str) -> Option<String> {
        let path = path.display();
        Some(match kind {
            io::ErrorKind::AddrInUse => {
                format!(
                    "another program answers on the admin socket {path}; stop it or choose another {setting}"
                )
            }
            io::ErrorKind::AlreadyExists => {
                format!("{path} exists and is not a socket; remove it or choose another {setting}")
            }
            io::ErrorKind::NotFound => format!(
                "the directory of the admin socket {path} does not exist; create it or choose another {setting}"
            ),
            io::ErrorKind::PermissionDenied => {
                format!("no permission to create the admin socket {path}; choose another {setting}")
            }
            _ => return None,
        })
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says("admin address"))
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::{fs::PermissionsExt, net::UnixStream},
    };

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("corelane-admin-{name}-{}.sock", std::process::id()))
    }

    fn refused(address: &Address) -> String {
        Admin::bind(address).unwrap_err().says("--admin")
    }

    #[test]
    fn a_unix_socket_is_for_owner_and_group_and_goes_with_its_holder() {
        let path = path("mode");
        let admin = Admin::bind(&Address::Unix(path.clone())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        UnixStream::connect(&path).unwrap();
        drop(admin);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let path = path("stale");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves it behind");
        let admin = Admin::bind(&Address::Unix(path.clone())).unwrap();
        assert!(refused(&Address::Unix(path.clone())).starts_with("another program answers on"));
        assert!(path.exists());
        drop(admin);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = path("file");
        fs::write(&path, "precious").unwrap();
        assert!(refused(&Address::Unix(path.clone())).contains("is not a socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_socket_that_has_been_replaced_is_not_removed() {
        let path = path("replaced");
        let admin = Admin::bind(&Address::Unix(path.clone())).unwrap();
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(admin);
        assert!(path.exists());
        drop(other);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn errors_say_what_to_do() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = Address::Tcp(holder.local_addr().unwrap());
        assert!(refused(&taken).contains("choose another --admin"), "{}", refused(&taken));
        let elsewhere = Address::Tcp(SocketAddr::from(([192, 0, 2, 1], 0)));
        assert!(refused(&elsewhere).contains("not one of this machine's"));
        let nowhere = Address::Unix(PathBuf::from("/nonexistent/admin.sock"));
        assert!(refused(&nowhere).contains("does not exist"), "{}", refused(&nowhere));
    }
}

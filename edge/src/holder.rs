//! Who holds a port, as far as /proc tells: the answer to the first question that a taken port raises.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

/// The state of a listening socket in /proc/net/tcp.
const LISTENING: &str = "0A";

/// A process that listens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    name: String,
    pid: u32,
}

impl Holder {
    /// The process that keeps others from listening on this address. `None` if it is not to be seen: somebody else's,
    /// or in another container.
    pub(crate) fn of(address: SocketAddr) -> Option<Self> {
        let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| fs::read_to_string(table).ok())
            .find_map(|table| listening_inode(&table, address))?;
        let socket = format!("socket:[{inode}]");
        fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            holds(&entry.path(), &socket).then(|| Self { name: name_of(&entry.path()), pid })
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, pid {}", self.name, self.pid)
    }
}

fn holds(process: &Path, socket: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .filter_map(Result::ok)
        .any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target.as_os_str() == socket))
}

/// The name that the process gave itself, without what a terminal would obey.
fn name_of(process: &Path) -> String {
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    name.trim_end().chars().filter(|c| !c.is_control()).collect()
}

/// The inode of a socket that listens where `wanted` cannot be bound beside it.
fn listening_inode(table: &str, wanted: SocketAddr) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, state, ..] = columns[..] else { return None };
        let (ip, port) = local.split_once(':')?;
        let is_same_port = u16::from_str_radix(port, 16).ok()? == wanted.port();
        let conflicts = is_same_port && state == LISTENING && overlap(parse_ip(ip)?, wanted.ip());
        conflicts.then(|| columns.get(9)?.parse().ok())?
    })
}

/// Whether two sockets of these addresses and one port are in each other's way.
fn overlap(one: IpAddr, other: IpAddr) -> bool {
    // An IPv6 wildcard may take IPv4 too, which the table does not tell.
    one == other || one.is_unspecified() || (other.is_unspecified() && one.is_ipv4() == other.is_ipv4())
}

/// Hexadecimal words of 32 bits, each in the byte order of the machine.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn b_72_a_holder_is_found_by_its_port() {
        for host in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let Ok(listener) = TcpListener::bind(host) else { continue };
            let address = listener.local_addr().unwrap();
            let holder = Holder::of(address).unwrap_or_else(|| panic!("{address}"));
            assert_eq!(holder.pid, std::process::id());
            drop(listener);
            assert_eq!(Holder::of(address), None);
        }
    }

    #[test]
    fn addresses_are_in_each_others_way() {
        let ip = |text: &str| text.parse().unwrap();
        assert!(overlap(ip("127.0.0.1"), ip("127.0.0.1")));
        assert!(overlap(ip("0.0.0.0"), ip("127.0.0.1")));
        assert!(overlap(ip("127.0.0.1"), ip("0.0.0.0")));
        assert!(!overlap(ip("127.0.0.1"), ip("127.0.0.2")));
        assert!(!overlap(ip("127.0.0.1"), ip("::")));
    }

    #[test]
    fn op_17_tables_that_make_no_sense_hold_nobody() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        for table in [
            "",
            "header\n",
            "header\n 0: x y",
            "header\n 0: 0100007F:0050 0 0A 0 0 0 0 0 x",
            "header\n0: 01:50 0 0A",
        ] {
            assert_eq!(listening_inode(table, address), None, "{table}");
        }
    }
}

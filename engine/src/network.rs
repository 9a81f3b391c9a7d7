//! Who somebody is, by where he comes from.

use std::{fmt, net::IpAddr, str::FromStr};

/// The word for everybody who comes over a unix socket.
const UNIX: &str = "unix";

/// Addresses with a common beginning, such as `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.1`; or `unix`: whoever comes
/// over a unix socket.
///
/// ```
/// use corelane_engine::Network;
///
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse().ok()) && !network.contains("192.0.2.1".parse().ok()));
/// assert!("unix".parse::<Network>()?.contains(None));
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(Members);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Members {
    /// All addresses that begin with the same bits.
    Ip(IpAddr, u8),
    Unix,
}

impl Network {
    /// Whether somebody belongs to it: a client by its address, or one of a unix socket, who has none. An IPv4 address
    /// in IPv6 clothes is an IPv4 address.
    pub fn contains(&self, who: Option<IpAddr>) -> bool {
        match (self.0, who.map(|ip| ip.to_canonical())) {
            (Members::Unix, None) => true,
            (Members::Ip(IpAddr::V4(own), bits), Some(IpAddr::V4(ip))) => {
                same_bits(own.to_bits().into(), ip.to_bits().into(), 32, bits)
            }
            (Members::Ip(IpAddr::V6(own), bits), Some(IpAddr::V6(ip))) => {
                same_bits(own.to_bits(), ip.to_bits(), 128, bits)
            }
            _ => false,
        }
    }
}

fn same_bits(one: u128, other: u128, width: u8, bits: u8) -> bool {
    (one ^ other).checked_shr(u32::from(width - bits)).unwrap_or(0) == 0
}

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        Self(Members::Ip(ip, width(ip)))
    }
}

const fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Members::Ip(ip, bits) if bits == width(ip) => ip.fmt(f),
            Members::Ip(ip, bits) => write!(f, "{ip}/{bits}"),
            Members::Unix => f.write_str(UNIX),
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected an address or a network, such as \"192.0.2.1\", \"10.0.0.0/8\" or \"2001:db8::/32\", or \"unix\"";
        if text == UNIX {
            return Ok(Self(Members::Unix));
        }
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| EXPECTED.to_owned())?;
        let ip = ip.to_canonical();
        let width = width(ip);
        let bits = match bits.map(str::parse) {
            None => width,
            Some(Ok(bits)) if bits <= width => bits,
            Some(_) => return Err(format!("expected 0 to {width} after the slash")),
        };
        let first = match ip {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(u32::from(width - bits)).unwrap_or(0);
                IpAddr::from((v4.to_bits() & mask).to_be_bytes())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(u32::from(width - bits)).unwrap_or(0);
                IpAddr::from((v6.to_bits() & mask).to_be_bytes())
            }
        };
        if first != ip {
            return Err(format!(
                "the address has bits after the first {bits}; did you mean \"{first}/{bits}\"?"
            ));
        }
        Ok(Self(Members::Ip(ip, bits)))
    }
}

/// What one host has to itself: an IPv4 address, or all IPv6 addresses that begin with the same 64 bits (RFC 4291
/// §2.5.4). As bytes, to count by.
pub(crate) fn block(ip: IpAddr) -> [u8; 9] {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [4, a, b, c, d, 0, 0, 0, 0]
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h, ..] = ip.octets();
            [6, a, b, c, d, e, f, g, h]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b_73_networks_contain_their_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("0.0.0.0/0", "255.0.0.1", "::1"),
            ("::/0", "ffff::", "127.0.0.1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().ok()), "{network:?} {inside}");
            assert!(!network.contains(outside.parse().ok()), "{network:?} {outside}");
            assert!(!network.contains(None), "{network}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        for wrong in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "a/8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "unix:",
        ] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        assert!("10.0.0.1/8".parse::<Network>().unwrap_err().contains("10.0.0.0/8"));
        assert!("1.2.3.4/0".parse::<Network>().unwrap_err().contains("0.0.0.0/0"));
        assert_eq!(Network::from(IpAddr::from([1, 2, 3, 4])).to_string(), "1.2.3.4");
    }

    #[test]
    fn one_host_is_one_block() {
        let of = |text: &str| block(text.parse().unwrap());
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        for (one, other) in
            [("192.0.2.1", "192.0.2.2"), ("2001:db8:0:1::1", "2001:db8:0:2::1"), ("1.2.3.4", "102:304::")]
        {
            assert_ne!(of(one), of(other));
        }
    }

    #[test]
    fn b_73_who_comes_over_a_unix_socket_is_in_one_network() {
        let unix: Network = "unix".parse().unwrap();
        assert!(unix.contains(None) && !unix.contains("127.0.0.1".parse().ok()));
        assert_eq!(unix.to_string(), "unix");
    }
}

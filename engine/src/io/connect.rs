//! Connecting.

use super::{Watch, system};
use crate::address::Address;
use std::{io, net::IpAddr, time::Duration};

/// How long a connect waits that found a unix socket's queue full, at first and at most: it is not told when there is
/// room.
const QUEUE_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Connects, from `source` if it is given, to a peer that has so long between two bytes; the wait can be dropped at any time.
pub(crate) async fn connect(
    address: &Address,
    source: Option<IpAddr>,
    between_bytes: Duration,
) -> io::Result<Watch> {
    let (mut pause, pause_max) = QUEUE_PAUSE;
    let (socket, connected) = loop {
        match system::connect(address, source, between_bytes) {
            // TCP waits for room in the origin's queue; a unix socket says that there is none (connect(2)).
            Err(error) if is_full(address, &error) => {
                super::nap(pause).await;
                pause = (2 * pause).min(pause_max);
            }
            begun => break begun?,
        }
    };
    let stream = Watch::new(socket);
    if !connected {
        stream.writable().await?;
        system::socket_error(stream.fd())?;
    }
    Ok(stream)
}

fn is_full(address: &Address, error: &io::Error) -> bool {
    matches!(address, Address::Unix(_)) && error.kind() == io::ErrorKind::WouldBlock
}

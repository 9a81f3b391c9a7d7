//! The listening sockets of an engine. They belong to it and not to its lanes, which borrow them: closing one of a
//! group that shares an address would reset whoever waits in its queue.

use super::{StartError, builder::Listening};
use crate::{
    address::Address,
    door::{PlannedDoor, Serve},
    io::{Socket, system},
    settings::Settings,
};
use std::{io, sync::Arc, time::Duration};

/// An address that is listened on, with what is served there.
#[derive(Clone)]
pub(crate) struct Bound {
    /// As it was asked for: with a port of 0, if the system was to choose one.
    asked: Address,
    address: Address,
    /// One for each lane, or one for all of a unix socket.
    sockets: Vec<Arc<Socket>>,
    settings: Option<Arc<Settings>>,
    serve: Arc<Serve>,
}

impl Bound {
    /// Where it listens.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// A lane's part of it.
    pub(crate) fn of_lane(&self, lane: usize) -> Option<PlannedDoor> {
        let socket = self.sockets.get(lane)?.clone();
        Some(PlannedDoor { socket, settings: self.settings.clone(), serve: self.serve.clone() })
    }

    /// Nobody is to come any more. Lanes hold on to their sockets until they have let in who waits there.
    pub(crate) fn close(&mut self) {
        self.sockets.clear();
    }
}

/// Binds every address for so many lanes. What `before` listens on already is taken over, each of them once; what is
/// new is bound, all of it or nothing. `settings` hold where a listener has none of its own.
pub(crate) fn bind(
    listening: &[Listening],
    settings: &Settings,
    lanes: usize,
    before: &[Bound],
) -> Result<Vec<Bound>, StartError> {
    let mut taken = vec![false; before.len()];
    let mut bound = Vec::new();
    for listening in listening {
        let addresses = listening.addresses.as_ref().map_err(|error| StartError::Address {
            address: listening.named.clone(),
            error: error.to_string(),
        })?;
        for address in addresses {
            // What the system chose may be asked for by its number the next time.
            let is_it = |before: &Bound| before.asked == *address || before.address == *address;
            let known = before.iter().enumerate().find(|(at, before)| !taken[*at] && is_it(before));
            let sockets = match known {
                Some((at, before)) => {
                    taken[at] = true;
                    before.sockets.clone()
                }
                None => {
                    let sockets = sockets(address, lanes)
                        .map_err(|error| StartError::Bind { address: address.clone(), error })?;
                    // Somebody may come before a lane is there to say so.
                    let settings = listening.settings.as_deref().unwrap_or(settings);
                    sockets.iter().for_each(|socket| socket.be_patient(settings.timeouts.between_bytes));
                    sockets
                }
            };
            bound.push(Bound {
                asked: address.clone(),
                address: sockets.first().map_or(address, |socket| socket.address()).clone(),
                sockets,
                settings: listening.settings.clone(),
                serve: listening.serve.clone(),
            });
        }
    }
    Ok(bound)
}

/// A socket for each lane. They share a unix socket, because another could not have its name, and have one each of
/// TCP, among which the kernel spreads connections.
fn sockets(address: &Address, lanes: usize) -> io::Result<Vec<Arc<Socket>>> {
    // Of two that start at once, one would look while the other has not bound yet, and both would bind.
    let _alone = address.port().filter(|port| *port != 0).and_then(system::alone);
    let first = Arc::new(listen(address)?);
    let mut sockets = vec![first.clone()];
    while sockets.len() < lanes {
        sockets.push(match first.address() {
            Address::Unix(_) | Address::Unnamed => first.clone(),
            // Port 0 is the system's choice for the first, and then everybody's.
            known => Arc::new(Socket::listen(known, false)?),
        });
    }
    Ok(sockets)
}

/// Opens the first socket of an address. After a kill, the kernel takes some milliseconds to dissolve a ring and what
/// it holds, so a supervisor that restarts at once finds its own address taken: that is waited for, for a second.
fn listen(address: &Address) -> io::Result<Socket> {
    const PAUSE: Duration = Duration::from_millis(20);
    const PAUSES: u32 = 50;
    for _ in 0..PAUSES {
        match Socket::listen(address, true) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let _ = crossbeam_channel::after(PAUSE).recv();
            }
            done => return done,
        }
    }
    Socket::listen(address, true)
}

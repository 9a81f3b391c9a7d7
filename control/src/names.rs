//! Names of endpoints, looked up again and again beside the lanes.
//!
//! Look-ups go through the system (`getaddrinfo`), as those at the start do: `/etc/hosts`, `nsswitch.conf`, search
//! domains and whatever else this machine believes hold alike for both, and for `curl` on the same machine. A resolver
//! of our own would know how long an answer is good for, and would find other answers than everybody else here. What
//! the system does not offer is a way to end a look-up, so each waits on a thread that nothing else needs, and there
//! are at most four of those.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    thread,
    time::Duration,
};

/// Look-ups at a time: a name service that hangs holds up these and nothing else.
const THREADS_MAX: usize = 4;
/// Addresses of one name that are used: the smallest, so that it is always the same ones.
pub const ADDRESSES_MAX: usize = 256;

/// A host, by name or by number, and a port.
pub type HostAndPort = (String, u16);

/// What looks a name up: the system, or what a test says.
pub type Lookup = Arc<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The system's answer, in whatever order and number.
pub fn system() -> Lookup {
    Arc::new(|host, port| (host, port).to_socket_addrs().map(Iterator::collect))
}

/// The addresses of a name: sorted, each once, at least one, at most [`ADDRESSES_MAX`].
///
/// # Errors
/// Whatever the look-up says, and an answer without an address.
pub fn look_up(lookup: &Lookup, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = lookup(host, port)?;
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it has no address"));
    }
    Ok(addresses)
}

/// Names whose addresses belong together, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The names.
    pub hosts: Vec<HostAndPort>,
    /// The addresses of each.
    pub known: Vec<Vec<SocketAddr>>,
}

/// What is new about a group. What is as it was is not reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Some of its names have other addresses: all of them, by name. What cannot be looked up keeps what it had.
    Changed(Vec<Vec<SocketAddr>>),
    /// One of its names cannot be looked up any more; why.
    Failing(String),
    /// All of its names can be looked up again.
    Recovered,
}

/// Threads that look names up, until this is dropped.
#[derive(Debug)]
pub struct Names(#[expect(dead_code, reason = "its end is what tells the threads to end")] Sender<()>);

impl Names {
    /// Looks every group up each time that `every` has passed. `report` is called on the threads that do it, with the
    /// number of the group; it may be called once more for each thread after the end, with what was being looked up.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn watch(
        groups: Vec<Group>,
        every: Duration,
        lookup: &Lookup,
        report: impl Fn(usize, News) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (alive, ended) = bounded(0);
        let report = Arc::new(report);
        let mut shares: Vec<Vec<Watch>> = Vec::new();
        shares.resize_with(THREADS_MAX.min(groups.len()), Vec::new);
        for (number, group) in groups.into_iter().enumerate() {
            shares[number % THREADS_MAX].push(Watch { number, group, is_failing: false });
        }
        for share in shares {
            let (lookup, report, ended) = (Arc::clone(lookup), Arc::clone(&report), ended.clone());
            thread::Builder::new().name("corelane-names".to_owned()).spawn(move || {
                watch(share, every, &lookup, &ended, &*report);
            })?;
        }
        Ok(Self(alive))
    }
}

fn watch(
    mut share: Vec<Watch>,
    every: Duration,
    lookup: &Lookup,
    ended: &Receiver<()>,
    report: &impl Fn(usize, News),
) {
    while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
        for watch in &mut share {
            watch.look(lookup, report);
        }
    }
}

struct Watch {
    number: usize,
    group: Group,
    is_failing: bool,
}

impl Watch {
    fn look(&mut self, lookup: &Lookup, report: &impl Fn(usize, News)) {
        let (mut failure, mut is_changed) = (None, false);
        for ((host, port), known) in self.group.hosts.iter().zip(&mut self.group.known) {
            match look_up(lookup, host, *port) {
                Ok(addresses) if addresses != *known => {
                    *known = addresses;
                    is_changed = true;
                }
                Ok(_) => {}
                Err(error) => failure = Some(format!("cannot resolve {host}: {error}")),
            }
        }
        if is_changed {
            report(self.number, News::Changed(self.group.known.clone()));
        }
        match (failure, self.is_failing) {
            (Some(why), false) => report(self.number, News::Failing(why)),
            (None, true) => report(self.number, News::Recovered),
            _ => return,
        }
        self.is_failing = !self.is_failing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;

    const SOON: Duration = Duration::from_secs(10);
    const OFTEN: Duration = Duration::from_millis(1);

    fn at(last: u8) -> SocketAddr {
        ([127, 0, 0, last], 80).into()
    }

    /// A name service that gives the next answer each time, and the last one for ever; and what is reported.
    fn watched(answers: Vec<io::Result<Vec<SocketAddr>>>) -> (Names, Receiver<(usize, News)>) {
        let (give, answers_left) = unbounded();
        for answer in answers {
            give.send(answer).unwrap();
        }
        let lookup: Lookup = Arc::new(move |_, _| match answers_left.len() {
            1 => {
                let last: io::Result<Vec<SocketAddr>> = answers_left.recv().unwrap();
                let again = last.as_ref().map(Vec::clone).map_err(|error| error.kind().into());
                give.send(again).unwrap();
                last
            }
            _ => answers_left.recv().unwrap(),
        });
        let (tell, told) = unbounded();
        let group = Group { hosts: vec![("a".to_owned(), 80)], known: vec![vec![at(1)]] };
        let names = Names::watch(vec![group], OFTEN, &lookup, move |number, news| {
            let _ = tell.send((number, news));
        });
        (names.unwrap(), told)
    }

    #[test]
    fn up_13_other_addresses_are_reported_once_whatever_their_order() {
        let answers =
            vec![Ok(vec![at(1)]), Ok(vec![at(3), at(2), at(3)]), Ok(vec![at(2), at(3)]), Ok(vec![at(1)])];
        let (_names, told) = watched(answers);
        assert_eq!(told.recv_timeout(SOON), Ok((0, News::Changed(vec![vec![at(2), at(3)]]))));
        assert_eq!(told.recv_timeout(SOON), Ok((0, News::Changed(vec![vec![at(1)]]))));
    }

    #[test]
    fn up_13_a_service_that_fails_changes_nothing_and_is_said_once() {
        let fails = || Err(io::Error::other("no service"));
        let answers = vec![fails(), fails(), Ok(Vec::new()), fails(), Ok(vec![at(1)]), Ok(vec![at(2)])];
        let (_names, told) = watched(answers);
        let failing = News::Failing("cannot resolve a: no service".to_owned());
        for news in [failing, News::Recovered, News::Changed(vec![vec![at(2)]])] {
            assert_eq!(told.recv_timeout(SOON), Ok((0, news)));
        }
    }

    #[test]
    fn up_13_ten_thousand_addresses_are_cut_to_the_same_few() {
        let many = |from: u16| {
            (0..10_000).map(|n| ([127, 0, 0, 1], from.wrapping_add(n)).into()).collect::<Vec<_>>()
        };
        let lookup: Lookup = Arc::new(move |_, from| Ok(many(from)));
        let addresses = look_up(&lookup, "a", 0).unwrap();
        assert_eq!(addresses.len(), ADDRESSES_MAX);
        assert_eq!(addresses, look_up(&lookup, "a", 60_000).unwrap(), "whatever comes first");
    }

    #[test]
    fn up_13_a_look_up_that_hangs_holds_up_its_own_thread_only() {
        let (hold, held) = bounded::<()>(0);
        let (begin, begun) = unbounded();
        let lookup: Lookup = Arc::new(move |host, _| {
            if host == "hangs" {
                let _ = begin.send(());
                let _ = held.recv();
            }
            Ok(vec![at(2)])
        });
        let group = |host: &str| Group { hosts: vec![(host.to_owned(), 80)], known: vec![vec![at(1)]] };
        let (tell, told) = unbounded();
        let groups = vec![group("hangs"), group("b")];
        let names = Names::watch(groups, OFTEN, &lookup, move |number, _| {
            let _ = tell.send(number);
        });
        assert_eq!(told.recv_timeout(SOON), Ok(1));
        assert_eq!(begun.recv_timeout(SOON), Ok(()));
        drop(names);
        drop(hold);
        assert_eq!(told.recv_timeout(SOON), Ok(0), "what was under way is reported");
        assert_eq!(told.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected), "the threads have ended");
    }
}

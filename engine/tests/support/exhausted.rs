//! A process without descriptors.

use corelane_engine::Overload;
use std::fs::File;

/// For tests of what happens when there is really nothing left: else requests would be refused before.
pub(crate) fn sheds_nothing() -> Overload {
    let mut overload = Overload::default();
    overload.no_keep_alive_percent = None;
    overload.refuse_percent = None;
    overload.close_idle_percent = None;
    overload.stop_accept_percent = None;
    overload
}

/// Takes all descriptors that this process may have, until it is dropped.
pub(crate) struct Exhausted {
    limit: libc::rlimit,
    _taken: Vec<File>,
}

#[allow(unsafe_code, reason = "the standard library knows no limits")]
impl Exhausted {
    pub(crate) fn now() -> Self {
        let open = std::fs::read_dir("/proc/self/fd").expect("it is there");
        let names = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u64>().ok());
        let highest = names.max().expect("there are some");
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointer is to a live `rlimit`.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
        let lowered = libc::rlimit { rlim_cur: highest + 8, ..limit };
        // SAFETY: the pointer is to a live `rlimit`.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const lowered) }, 0);
        let taken = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        Self { limit, _taken: taken }
    }
}

#[allow(unsafe_code, reason = "the standard library knows no limits")]
impl Drop for Exhausted {
    fn drop(&mut self) {
        // SAFETY: the pointer is to a live `rlimit`.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const self.limit) }, 0);
    }
}

//! A kernel, or a sandbox, that refuses io_uring (OP-17): said loudly, and served all the same.
//!
//! A seccomp filter belongs to a thread and to all that it starts, so each test puts one on its own thread, and the
//! program that it starts has it from its first moment.
#![allow(unsafe_code, reason = "a seccomp filter is set by prctl(2)")]

#[path = "support/process/mod.rs"]
#[allow(dead_code, reason = "the command line's tests use more of it")]
mod process;

use process::{
    client::get,
    corelane::{BINARY, Corelane, run},
    origin::{CONTENT, Origin},
};
use serde_json::Value;
use std::io;

/// The words of EPERM, as the log and the metrics have them.
const REASON: &str = "io_uring refused: Operation not permitted (os error 1)";

const fn statement(code: u32, k: u32) -> libc::sock_filter {
    jump(code, k, 0)
}

const fn jump(code: u32, k: u32, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf, k }
}

/// From now on, io_uring_setup(2) gives EPERM on this thread and in every process that it starts, as under the default
/// profiles of container runtimes.
fn refuse_io_uring() {
    // The number of the call is the first word of what a filter is given (`struct seccomp_data`). All calls here are
    // of this machine's own architecture, so that need not be looked at.
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, libc::SYS_io_uring_setup as u32, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: PR_SET_NO_NEW_PRIVS takes no pointer; all unused arguments are zero, as it demands.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(set, 0, "no_new_privs: {}", io::Error::last_os_error());
    // SAFETY: the program, and the statements that it points at, live until the call returns; the kernel copies them.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(set, 0, "seccomp: {}", io::Error::last_os_error());
}

#[test]
fn op_17_refused_io_uring_is_served_on_epoll_and_said_everywhere() {
    refuse_io_uring();
    let origin = Origin::start();
    let mut corelane = Corelane::proxy(origin.address, &["--admin", "127.0.0.1:0", "--lanes", "2"]);
    let admin = corelane.admin();
    for lane in ["0", "1"] {
        let said = corelane.says(&format!("lane {lane} runs on epoll"));
        assert!(said.contains(" WARN ") && said.contains(REASON), "{said}");
    }
    for _ in 0..10 {
        let answer = get(corelane.address, "/");
        assert_eq!((answer.status, answer.content.as_str()), (200, CONTENT));
    }
    let metrics = get(admin, "/metrics").content;
    let stats: Value = serde_json::from_str(&get(admin, "/stats.json").content).unwrap();
    for lane in [0, 1] {
        let series =
            format!("corelane_lane_driver_info{{lane=\"{lane}\",driver=\"epoll\",reason=\"{REASON}\"}} 1");
        assert!(metrics.lines().any(|line| line == series), "{series}: {metrics}");
        assert_eq!(stats["lanes"][lane]["driver"], "epoll", "{stats}");
        assert_eq!(stats["lanes"][lane]["fallback_reason"], REASON, "{stats}");
    }
    assert_eq!(stats["merged"]["requests_total"], 10, "{stats}");
    corelane.signal("TERM");
    assert_eq!(corelane.ended().code(), Some(0));
}

#[test]
fn op_17_refused_io_uring_that_was_asked_for_is_an_error_that_says_what_to_do() {
    refuse_io_uring();
    let ended = run(&[
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--to",
        "127.0.0.1:9",
        "--access-log",
        "off",
        "--driver",
        "uring",
    ]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let errors: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one sentence: {ended:?}");
    for words in ["the kernel refused io_uring", "os error 1", "leave --driver out", "seccomp"] {
        assert!(errors[0].contains(words), "{words}: {ended:?}");
    }
    assert!(!ended.stderr.contains("panicked") && ended.stdout.is_empty(), "{ended:?}");
}

#[test]
fn op_17_a_report_says_on_what_lanes_would_run() {
    refuse_io_uring();
    let ended = run(&["--version"]);
    assert_eq!(ended.code, Some(0), "{BINARY}: {ended:?}");
    let driver = ended.stdout.lines().find(|line| line.contains("driver: ")).expect("it says so");
    assert!(driver.contains("epoll") && driver.contains(REASON), "{driver}");
}

/// What the others stand on: the filter refuses what it should, and nothing else.
#[test]
fn the_filter_refuses_io_uring_and_nothing_else() {
    refuse_io_uring();
    // SAFETY: no ring can be made of no entries and no parameters, so the call fails whatever the filter does.
    let made = unsafe { libc::syscall(libc::SYS_io_uring_setup, 0, std::ptr::null::<u8>()) };
    assert_eq!((made, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EPERM)));
    assert!(std::fs::read("/proc/self/status").is_ok());
}

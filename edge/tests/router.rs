//! What a look-up among 10,000 routes costs: no allocation, and few instructions.

#[path = "../src/router/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the program uses more of it")]
mod router;

use corelane_engine::{Method, RequestHead};
use router::{Conditions, HostPattern, Hosts, PathPattern, Paths};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    process::{Command, Stdio},
};

const SITES: u32 = 10;
const ROUTES: u32 = 1000;
const LOOK_UPS: usize = 1000;
/// Of a look-up, in the tests' profile, which does not optimise (7,954 when this was written). One that looked at each
/// route of a site would exceed it with ten instructions for each.
const INSTRUCTIONS_MAX: u64 = 10 * ROUTES as u64;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is the system allocator's; only a number of this thread's own is counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Table {
    hosts: Hosts,
    sites: Vec<Paths>,
}

fn table() -> Table {
    let mut hosts = Hosts::default();
    let mut sites = Vec::new();
    for site in 0..SITES {
        let pattern: HostPattern = format!("s{site}.example.com").parse().expect("a host");
        hosts.insert(Some(&pattern), site).expect("each is another");
        let routes: Vec<(Vec<PathPattern>, Conditions)> = (0..ROUTES)
            .map(|route| {
                let path = match route % 3 {
                    0 => format!("/api/v1/things/{route}"),
                    1 => format!("/api/v1/things/{route}/*"),
                    _ => format!("/pages/{route}/*"),
                };
                let methods = if route % 5 == 0 { vec![Method::GET] } else { Vec::new() };
                (vec![path.parse().expect("a path")], Conditions { methods, ..Conditions::default() })
            })
            .collect();
        sites.push(Paths::new(routes.iter().map(|(paths, conditions)| (paths.as_slice(), conditions))));
    }
    let wildcard: HostPattern = "*.example.org".parse().expect("a host");
    hosts.insert(Some(&wildcard), 0).expect("each is another");
    Table { hosts, sites }
}

#[inline(never)]
fn find_route(table: &Table, head: &RequestHead) -> Option<u32> {
    let site = table.hosts.find(head.authority())?;
    table.sites.get(site as usize)?.find(head)
}

fn head(host: &str, target: &str) -> RequestHead {
    let mut head = RequestHead::new();
    head.target = target.into();
    head.fields.append("host", host);
    head
}

#[test]
fn b_71_a_look_up_costs_no_allocation() {
    let table = table();
    let heads: Vec<(RequestHead, Option<u32>)> = vec![
        (head("s7.example.com:8080", "/api/v1/things/300"), Some(300)),
        (head("S7.example.com", "/api/v1/things/301/x/y/z?a=b"), Some(301)),
        (head("s0.example.com", "/pages/998/a-long-path/with-many/segments/in/it.html"), Some(998)),
        (head("deep.below.example.org", "/pages/998"), Some(998)),
        (head("s9.example.com", "/nowhere/at/all"), None),
        (head("example.net", "/"), None),
    ];
    let before = ALLOCATIONS.get();
    let mut right = 0;
    for (head, expected) in heads.iter().cycle().take(LOOK_UPS) {
        right += usize::from(find_route(&table, head) == *expected);
    }
    let after = ALLOCATIONS.get();
    assert_eq!((right, after - before), (LOOK_UPS, 0));
}

/// Runs the other test under valgrind and counts. Where there is no valgrind, nothing is said of instructions.
#[test]
fn b_71_a_look_up_costs_few_instructions() {
    let is_installed =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !is_installed.is_ok_and(|status| status.success()) {
        eprintln!("valgrind is not installed: instructions are not counted");
        return;
    }
    let program = std::env::current_exe().expect("a test knows its program");
    let counted = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*find_route*"])
        .arg(program)
        .args(["--exact", "b_71_a_look_up_costs_no_allocation", "--test-threads=1"])
        .output()
        .expect("valgrind starts");
    let says = String::from_utf8_lossy(&counted.stderr);
    assert!(counted.status.success(), "{says}");
    let collected = says.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.unwrap_or_else(|| panic!("no count: {says}"));
    let each = count.trim().parse::<u64>().expect("a number") / LOOK_UPS as u64;
    assert!((50..=INSTRUCTIONS_MAX).contains(&each), "{each} instructions for a look-up");
    println!("{each} instructions for a look-up");
}

//! Where dangerous or impure things may be named: each has one place, and a rule here that says so.

use crate::findings::Findings;
use crate::rust::Source;

/// The one file of the product's crates that may hold `unsafe`.
const SYS: &str = "engine/src/sys.rs";
/// The one file of the engine that reads the clock.
const CLOCK: &str = "engine/src/io/clock.rs";
/// The pure crates.
const PURE: [&str; 2] = ["codec/", "balancer/"];

/// A row of tokens that may stand in some places only.
struct Rule {
    row: &'static [&'static str],
    says: &'static str,
    /// Whether the rule holds in a file.
    holds: fn(&Source<'_>) -> bool,
    /// Whether it holds in test code too.
    in_tests: bool,
}

const RULES: [Rule; 15] = [
    Rule {
        row: &["unsafe"],
        says: "`unsafe` stands only in engine/src/sys.rs and its parts, in tests and benches, and in bench/floor",
        holds: |s| !s.is_below("bench/floor/") && !is_sys(s) && !has_test_dir(s),
        in_tests: true,
    },
    Rule {
        row: &["io_uring", ":"],
        says: "only engine/src/sys speaks to the ring",
        holds: |s| !s.is_below("bench/floor/") && !is_sys(s),
        in_tests: true,
    },
    Rule { row: &["Instant"], says: NO_CLOCK, holds: is_pure, in_tests: false },
    Rule { row: &["SystemTime"], says: NO_CLOCK, holds: is_pure, in_tests: false },
    Rule { row: &["UNIX_EPOCH"], says: NO_CLOCK, holds: is_pure, in_tests: false },
    Rule { row: &["thread", ":", ":"], says: NO_THREAD, holds: is_pure, in_tests: false },
    Rule { row: &["TcpStream"], says: NO_THREAD, holds: is_pure, in_tests: false },
    Rule { row: &["UdpSocket"], says: NO_THREAD, holds: is_pure, in_tests: false },
    Rule { row: &["async"], says: "a pure crate never awaits", holds: is_pure, in_tests: false },
    Rule { row: &["Instant", ":", ":", "now"], says: ONE_CLOCK, holds: is_engine, in_tests: false },
    Rule { row: &["SystemTime", ":", ":", "now"], says: ONE_CLOCK, holds: is_engine, in_tests: false },
    Rule { row: &[".", "elapsed", "(", ")"], says: ONE_CLOCK, holds: is_engine, in_tests: false },
    // It needs `unsafe`, so it stands with that; clippy holds everybody but the clock off.
    Rule {
        row: &["clock_gettime"],
        says: ONE_CLOCK,
        holds: |source| is_engine(source) && !is_sys(source),
        in_tests: false,
    },
    Rule { row: &["std", ":", ":", "env"], says: ONE_READER, holds: is_no_program, in_tests: false },
    Rule { row: &["env", ":", ":"], says: ONE_READER, holds: is_no_program, in_tests: false },
];

const NO_CLOCK: &str = "a pure crate reads no clock: take the time as an argument, as a Duration";
const NO_THREAD: &str = "a pure crate starts no thread and opens no socket";
const ONE_READER: &str = "only main.rs and build.rs read the environment";
const ONE_CLOCK: &str = "in the engine only engine/src/io/clock.rs reads the clock";

/// What no source may hold, tests included.
const UNFINISHED: [&[&str]; 2] = [&["todo", "!"], &["unimplemented", "!"]];

/// Checks every source against every rule.
pub(crate) fn check(sources: &[Source<'_>], findings: &mut Findings) {
    for source in sources {
        for rule in RULES.iter().filter(|rule| (rule.holds)(source)) {
            for (line, test) in source.find(rule.row) {
                if rule.in_tests || !test {
                    findings.error(&source.file.path, line, rule.says);
                }
            }
        }
        for row in UNFINISHED {
            for (line, _) in source.find(row) {
                findings.error(
                    &source.file.path,
                    line,
                    format!("{}: finish it or leave it out", row.concat()),
                );
            }
        }
        check_ignored(source, findings);
    }
    for dir in PURE {
        check_forbids_unsafe(dir, sources, findings);
    }
}

/// A test that does not run is no test: `#[ignore]`, alone or through `cfg_attr`.
fn check_ignored(source: &Source<'_>, findings: &mut Findings) {
    let plain = source.find(&["#", "[", "ignore"]).map(|(line, _)| line);
    let conditional = source.find(&["#", "[", "cfg_attr"]).filter_map(|(line, _)| {
        let from = source.tokens.iter().position(|token| token.line == line && token.text == "cfg_attr")?;
        let mut attribute = source.tokens[from..].iter().take_while(|token| token.text != "]");
        attribute.any(|token| token.text == "ignore").then_some(line)
    });
    for line in plain.chain(conditional) {
        findings.error(&source.file.path, line, "an ignored test is no test: run it or remove it");
    }
}

fn check_forbids_unsafe(dir: &str, sources: &[Source<'_>], findings: &mut Findings) {
    let root = format!("{dir}src/lib.rs");
    let row = ["#", "!", "[", "forbid", "(", "unsafe_code", ")", "]"];
    let Some(source) = sources.iter().find(|source| source.file.path == root) else { return };
    if source.find(&row).next().is_none() {
        findings.error(&root, 1, "a pure crate says #![forbid(unsafe_code)]");
    }
}

fn is_pure(source: &Source<'_>) -> bool {
    PURE.iter().any(|dir| source.is_below(dir)) && !has_test_dir(source)
}

/// Whether the file is of the engine's one place for what is not safe.
fn is_sys(source: &Source<'_>) -> bool {
    source.file.path == SYS || source.is_below("engine/src/sys/")
}

fn is_engine(source: &Source<'_>) -> bool {
    source.is_below("engine/src/") && source.file.path != CLOCK
}

/// Whether the file is neither one that a person starts nor one that cargo does.
fn is_no_program(source: &Source<'_>) -> bool {
    let path = &source.file.path;
    let named = path.ends_with("/main.rs") || path.ends_with("/build.rs");
    !named && !path.split('/').any(|part| part == "bin" || part == "examples")
}

fn has_test_dir(source: &Source<'_>) -> bool {
    source.file.path.split('/').any(|part| part == "tests" || part == "benches")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust::sources;
    use crate::tree::Tree;

    fn errors(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[(path, text)]);
        let mut findings = Findings::default();
        check(&sources(&tree, &mut findings), &mut findings);
        findings.error_lines()
    }

    #[track_caller]
    fn fails(path: &str, text: &str, expected: &str) {
        let found = errors(path, text);
        assert!(found.iter().any(|line| line.contains(expected)), "{path}: {found:?}");
    }

    #[track_caller]
    fn passes(path: &str, text: &str) {
        assert_eq!(errors(path, text), [""; 0]);
    }

    #[test]
    fn unsafe_has_its_places() {
        let text = "fn f() {\n    unsafe { g() }\n}\n";
        fails("engine/src/lane.rs", text, "engine/src/lane.rs:2: `unsafe` stands only");
        fails("edge/src/main.rs", text, ":2: `unsafe`");
        fails("engine/src/pool.rs", "#[cfg(test)]\nmod tests { unsafe fn f() {} }", ":2: `unsafe`");
        passes("engine/src/sys.rs", text);
        passes("engine/tests/allocations.rs", text);
        passes("bench/floor/main.rs", text);
        passes("edge/src/main.rs", "// unsafe\nconst A: &str = \"unsafe\";");
    }

    #[test]
    fn pure_crates_forbid_unsafe() {
        fails("codec/src/lib.rs", "pub mod h1;", "codec/src/lib.rs:1: a pure crate says");
        passes("balancer/src/lib.rs", "//! Pure.\n#![forbid(unsafe_code)]\n");
    }

    #[test]
    fn the_ring_has_one_place() {
        fails("engine/src/lane.rs", "use io_uring::IoUring;", ":1: only engine/src/sys speaks to the ring");
        fails("bench/src/load.rs", "fn f() { io_uring::IoUring::new(8) }", "the ring");
        passes("engine/src/sys/ring.rs", "use io_uring::IoUring;");
        passes("engine/src/io/driver.rs", "fn name() -> &'static str { \"io_uring\" }");
    }

    #[test]
    fn pure_crates_have_no_clock_and_no_thread() {
        fails("codec/src/h1.rs", "use std::time::Instant;", "codec/src/h1.rs:1: a pure crate reads no clock");
        fails("balancer/src/lib2.rs", "fn f(now: SystemTime) {}", "no clock");
        fails("balancer/src/pick.rs", "fn f() { std::thread::yield_now() }", "no thread");
        fails("codec/src/h1.rs", "async fn f() {}", "never awaits");
        passes("codec/src/h1.rs", "fn f() {}\n#[cfg(test)]\nmod tests { use std::time::Instant; }");
        passes("codec/tests/linear.rs", "fn f() { Instant::now(); }");
        passes("balancer/benches/pick.rs", "use std::time::Instant;");
    }

    #[test]
    fn the_engine_has_one_clock() {
        let text = "fn f() -> Instant {\n    Instant::now()\n}\n";
        fails("engine/src/exchange.rs", text, "engine/src/exchange.rs:2: in the engine only");
        fails("engine/src/pool.rs", "fn f(i: Instant) { i.elapsed(); }", "clock.rs reads the clock");
        fails("engine/src/date.rs", "use std::time as t; fn f() { t::SystemTime::now(); }", "the clock");
        passes("engine/src/io/clock.rs", text);
        let system = "fn f() { unsafe { libc::clock_gettime(0, std::ptr::null_mut()) }; }";
        passes(SYS, system);
        fails("engine/src/lane.rs", system, "clock.rs reads the clock");
        passes("engine/src/exchange.rs", "fn f(now: Instant) {}");
        passes("engine/tests/h1.rs", text);
        passes("control/src/probe.rs", text);
    }

    #[test]
    fn only_programs_read_the_environment() {
        fails("edge/src/config.rs", "use std::env;", "edge/src/config.rs:1: only main.rs");
        fails("engine/src/lane.rs", "fn f() { std::env::var(\"A\"); }", "the environment");
        fails(
            "engine/src/lane.rs",
            "use std::{env, fs};\nfn f() { env::var(\"A\"); }",
            "lane.rs:2: only main.rs",
        );
        passes("edge/src/main.rs", "fn main() { std::env::args(); }");
        passes("edge/build.rs", "fn main() { std::env::var(\"A\"); }");
        passes("engine/examples/hello.rs", "fn main() { std::env::args(); }");
        passes("edge/src/version.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\");");
        passes("edge/tests/cli.rs", "fn f() { std::env::temp_dir(); }");
    }

    #[test]
    fn nothing_is_left_unfinished_or_ignored() {
        // In halves, so that nobody who looks for such words finds them here.
        fails(
            "edge/src/a.rs",
            concat!("fn f() {\n    to", "do!()\n}"),
            concat!("edge/src/a.rs:2: to", "do!"),
        );
        let later = concat!("fn f() { un", "implemented!(\"later\") }");
        fails("edge/tests/a.rs", later, concat!("un", "implemented!"));
        fails("edge/tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}", ":2: an ignored test");
        fails("edge/tests/a.rs", "#[cfg_attr(unix, ignore)]\nfn f() {}", ":1: an ignored test");
        let words = concat!("#[cfg_attr(unix, test)]\nfn ignore() { to", "do(\"to", "do!\") }");
        passes("edge/tests/a.rs", words);
    }
}

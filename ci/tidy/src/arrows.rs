//! Which crate may depend on which: dependencies point one way, and the pure crates at nothing that acts.

use std::path::Path;
use std::process::Command;

use toml::de::{DeTable, DeValue};

use crate::findings::Findings;
use crate::tree::{File, Tree};

/// A crate of the workspace, by its directory, and what it may see.
struct Arrows {
    dir: &'static str,
    /// What its code may use.
    uses: &'static [&'static str],
    /// What its tests, benches and examples may use besides.
    tests_use: &'static [&'static str],
}

const ARROWS: [Arrows; 11] = [
    Arrows { dir: "codec", uses: &[], tests_use: &[] },
    Arrows { dir: "balancer", uses: &[], tests_use: &[] },
    // A test turns on the engine's own simulation by depending on itself; examples see all below the edge.
    Arrows { dir: "engine", uses: &["codec", "balancer"], tests_use: &["engine", "control"] },
    Arrows { dir: "control", uses: &["engine"], tests_use: &["codec", "balancer"] },
    Arrows { dir: "edge", uses: &["control", "engine"], tests_use: &["codec", "balancer", "bench"] },
    Arrows { dir: "bench", uses: &["codec", "balancer", "engine", "control"], tests_use: &[] },
    // Without the engine, so that the gate builds in seconds; whole requests are counted in the program as it is shipped.
    Arrows { dir: "bench/counts", uses: &["codec", "balancer"], tests_use: &[] },
    Arrows { dir: "bench/floor", uses: &[], tests_use: &[] },
    Arrows { dir: "ci/loom", uses: &["balancer"], tests_use: &[] },
    Arrows { dir: "ci/simulator", uses: &["balancer", "engine"], tests_use: &[] },
    Arrows { dir: "ci/tidy", uses: &[], tests_use: &[] },
];

/// Crates by which a pure one would act: runtimes, sockets, clocks, threads, loggers, chance.
const NOT_PURE: [&str; 26] = [
    "async-std",
    "chrono",
    "crossbeam-channel",
    "futures",
    "futures-channel",
    "futures-core",
    "futures-util",
    "getrandom",
    "io-uring",
    "jiff",
    "libc",
    "log",
    "mio",
    "monoio",
    "nix",
    "parking_lot",
    "polling",
    "rand",
    "rustix",
    "slog",
    "smol",
    "socket2",
    "time",
    "tokio",
    "tracing",
    "tracing-core",
];
/// What an embedder of the engine never compiles.
const NOT_EMBEDDED: [&str; 10] = [
    "axum",
    "clap",
    "clap_builder",
    "hyper",
    "tokio",
    "tokio-util",
    "toml",
    "toml_edit",
    "toml_parser",
    "tower",
];
/// Package, and what must not be anywhere below it.
const CLOSED: [(&str, &str, &[&str]); 3] = [
    ("codec", "corelane-codec", &NOT_PURE),
    ("balancer", "corelane-balancer", &NOT_PURE),
    ("engine", "corelane-engine", &NOT_EMBEDDED),
];
/// The ring, which only the engine may depend on, and the floor that it is compared with.
const RING: &str = "io-uring";

/// One entry of a table of dependencies.
#[derive(Debug)]
struct Dependency {
    /// The package's name, whatever it is called here.
    package: String,
    line: usize,
    /// Whether only tests, benches and examples see it.
    dev: bool,
}

/// Checks every member's manifest against the arrows.
pub(crate) fn check_manifests(tree: &Tree, findings: &mut Findings) {
    let mut members = Vec::new();
    for member in members_of(tree, findings) {
        let path = format!("{member}/Cargo.toml");
        match tree.file(&path).map(|file| (file, DeTable::parse(&file.text))) {
            None => findings.error("Cargo.toml", 1, format!("the member {member} has no manifest")),
            Some((file, Err(error))) => unreadable(file, &error, findings),
            Some((file, Ok(table))) => members.push((member, file, table)),
        }
    }
    // From a package's name to the directory by which the arrows know it.
    let names: Vec<(String, &str)> = members
        .iter()
        .filter_map(|(member, _, table)| Some((text(table.get_ref(), "package", "name")?, member.as_str())))
        .collect();
    for (member, file, table) in &members {
        let Some(arrows) = ARROWS.iter().find(|arrows| arrows.dir == member) else {
            findings.error(&file.path, 1, format!("no arrow says what the crate {member} may depend on"));
            continue;
        };
        for dependency in dependencies(file, table.get_ref()) {
            let target = names.iter().find(|(name, _)| *name == dependency.package).map(|(_, dir)| *dir);
            check_dependency(arrows, &dependency, target, file, findings);
        }
    }
}

fn check_dependency(
    arrows: &Arrows,
    dependency: &Dependency,
    target: Option<&str>,
    file: &File,
    findings: &mut Findings,
) {
    let Dependency { package, line, dev } = dependency;
    match target {
        Some(dir) => {
            let allowed = arrows.uses.contains(&dir) || (*dev && arrows.tests_use.contains(&dir));
            if !allowed {
                let from = if *dev { "the tests of " } else { "" };
                let says = format!("{from}{} must not depend on {dir}: arrows go one way", arrows.dir);
                findings.error(&file.path, *line, says);
            }
        }
        None if *dev => {}
        None => {
            for (_, _, banned) in CLOSED.iter().filter(|(dir, ..)| *dir == arrows.dir) {
                if banned.contains(&package.as_str()) {
                    let says = format!("{} must not depend on {package}", arrows.dir);
                    findings.error(&file.path, *line, says);
                }
            }
            if package == RING && !["engine", "bench/floor"].contains(&arrows.dir) {
                findings.error(&file.path, *line, format!("only engine may depend on {RING}"));
            }
        }
    }
}

/// Asks cargo for all that lies below the closed crates, whatever their features.
pub(crate) fn check_graphs(root: &Path, findings: &mut Findings) {
    for (dir, package, banned) in CLOSED {
        let manifest = format!("{dir}/Cargo.toml");
        let output = Command::new("cargo")
            .args([
                "tree",
                "--quiet",
                "--edges",
                "normal",
                "--prefix",
                "depth",
                "--no-dedupe",
                "--all-features",
            ])
            .args(["--package", package])
            .current_dir(root)
            .output();
        match output {
            Ok(output) if output.status.success() => {
                check_graph(&manifest, &String::from_utf8_lossy(&output.stdout), banned, findings);
            }
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
                findings.error(&manifest, 1, format!("cargo tree failed: {why}"));
            }
            Err(error) => findings.error(&manifest, 1, format!("cargo tree failed: {error}")),
        }
    }
}

/// Checks what `cargo tree --prefix depth` printed: `2name v1.0.0`, where 2 is the depth.
fn check_graph(manifest: &str, printed: &str, banned: &[&str], findings: &mut Findings) {
    let mut way: Vec<&str> = Vec::new();
    for line in printed.lines() {
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let (Ok(depth), Some(name)) = (line[..digits].parse(), line[digits..].split(' ').next()) else {
            continue;
        };
        way.truncate(depth);
        way.push(name);
        if banned.contains(&name) {
            findings.error(manifest, 1, format!("must not pull in {name}: {}", way.join(" → ")));
        }
    }
}

fn members_of(tree: &Tree, findings: &mut Findings) -> Vec<String> {
    let Some(file) = tree.file("Cargo.toml") else { return Vec::new() };
    let table = match DeTable::parse(&file.text) {
        Ok(table) => table,
        Err(error) => {
            unreadable(file, &error, findings);
            return Vec::new();
        }
    };
    let members = table.get_ref().get("workspace").and_then(|value| value.get_ref().get("members"));
    let members = members.and_then(|value| value.get_ref().as_array());
    let members = members.into_iter().flat_map(|members| members.iter());
    members.filter_map(|member| member.get_ref().as_str().map(str::to_owned)).collect()
}

/// Every dependency that a manifest names, of every kind and for every target.
fn dependencies(file: &File, manifest: &DeTable<'_>) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut scopes = vec![manifest];
    if let Some(DeValue::Table(targets)) = manifest.get("target").map(|value| value.get_ref()) {
        scopes.extend(targets.values().filter_map(|target| target.get_ref().as_table()));
    }
    for scope in scopes {
        for (kind, dev) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            let Some(DeValue::Table(table)) = scope.get(kind).map(|value| value.get_ref()) else { continue };
            for (key, value) in table {
                let renamed = value.get_ref().get("package").and_then(|name| name.get_ref().as_str());
                let package = renamed.unwrap_or(key.get_ref()).to_owned();
                found.push(Dependency { package, line: file.line_at(key.span().start), dev });
            }
        }
    }
    found
}

fn text(table: &DeTable<'_>, section: &str, key: &str) -> Option<String> {
    table.get(section)?.get_ref().get(key)?.get_ref().as_str().map(str::to_owned)
}

fn unreadable(file: &File, error: &toml::de::Error, findings: &mut Findings) {
    let line = error.span().map_or(1, |span| file.line_at(span.start));
    findings.error(&file.path, line, format!("cannot be read: {}", error.message()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(samples: &[(&str, &str)]) -> Vec<String> {
        let mut findings = Findings::default();
        check_manifests(&Tree::of(samples), &mut findings);
        findings.error_lines()
    }

    const ROOT: &str = "[workspace]\nmembers = [\"codec\", \"balancer\", \"engine\"]\n";
    const CODEC: &str = "[package]\nname = \"c-codec\"\n";
    const BALANCER: &str = "[package]\nname = \"c-balancer\"\n";

    #[test]
    fn arrows_that_point_up_or_aside_are_errors() {
        let codec =
            "[package]\nname = \"c-codec\"\n[dependencies]\nhttp = \"1\"\nc-balancer.workspace = true\n";
        let balancer = "[package]\nname = \"c-balancer\"\n[target.'cfg(unix)'.dependencies]\n\
                        up = { package = \"c-engine\", path = \"../engine\" }\n[dev-dependencies.c-codec]\npath = \"x\"\n";
        let engine = "[package]\nname = \"c-engine\"\n[dependencies]\nc-codec = \"1\"\nc-balancer = \"1\"\n\
                      [dev-dependencies]\nc-engine = \"1\"\n";
        let found = errors(&[
            ("Cargo.toml", ROOT),
            ("balancer/Cargo.toml", balancer),
            ("codec/Cargo.toml", codec),
            ("engine/Cargo.toml", engine),
        ]);
        assert_eq!(
            found,
            [
                "balancer/Cargo.toml:4: balancer must not depend on engine: arrows go one way",
                "balancer/Cargo.toml:5: the tests of balancer must not depend on codec: arrows go one way",
                "codec/Cargo.toml:5: codec must not depend on balancer: arrows go one way",
            ]
        );
    }

    #[test]
    fn pure_crates_and_the_engine_keep_closed() {
        let codec = "[package]\nname = \"c-codec\"\n[dependencies]\nlog = \"0.4\"\n[dev-dependencies]\ntokio = \"1\"\n";
        let balancer = "[package]\nname = \"c-balancer\"\n[build-dependencies]\nio-uring = \"0.7\"\n";
        let engine = "[package]\nname = \"c-engine\"\n[dependencies]\nio-uring = \"0.7\"\ntoml = { version = \"1\" }\n";
        let found = errors(&[
            ("Cargo.toml", ROOT),
            ("balancer/Cargo.toml", balancer),
            ("codec/Cargo.toml", codec),
            ("engine/Cargo.toml", engine),
        ]);
        assert_eq!(
            found,
            [
                "balancer/Cargo.toml:4: balancer must not depend on io-uring",
                "balancer/Cargo.toml:4: only engine may depend on io-uring",
                "codec/Cargo.toml:4: codec must not depend on log",
                "engine/Cargo.toml:5: engine must not depend on toml",
            ]
        );
    }

    #[test]
    fn members_need_manifests_that_can_be_read_and_arrows() {
        let root = "[workspace]\nmembers = [\"codec\", \"balancer\", \"lost\", \"new\"]\n";
        let found = errors(&[
            ("Cargo.toml", root),
            ("balancer/Cargo.toml", BALANCER),
            ("codec/Cargo.toml", &format!("{CODEC}[dependencies\n")),
            ("new/Cargo.toml", "[package]\nname = \"new\"\n"),
        ]);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(found[0], "Cargo.toml:1: the member lost has no manifest");
        assert!(found[1].starts_with("codec/Cargo.toml:3: cannot be read"), "{found:?}");
        assert_eq!(found[2], "new/Cargo.toml:1: no arrow says what the crate new may depend on");
    }

    #[test]
    fn what_is_pulled_in_from_afar_is_named_with_its_way() {
        let printed = "0corelane-engine v0.1.0 (somewhere)\n1bytes v1.0.0\n1a v1.0.0\n2b v1.0.0\n3tokio v1.0.0\n\
                       1c v1.0.0\n2tokio-macros v1.0.0 (proc-macro)\n";
        let mut findings = Findings::default();
        check_graph("engine/Cargo.toml", printed, &NOT_EMBEDDED, &mut findings);
        assert_eq!(
            findings.error_lines(),
            ["engine/Cargo.toml:1: must not pull in tokio: corelane-engine → a → b → tokio"]
        );
    }
}

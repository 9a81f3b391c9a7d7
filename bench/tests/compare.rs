//! `compare` as a user runs it: what it reports, and whom it gives no figure. Nothing here depends on how fast
//! anything is.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

const BENCH: &str = env!("CARGO_BIN_EXE_corelane-bench");

/// A program of the workspace, where it has been built.
fn built(name: &str) -> Option<PathBuf> {
    let path = Path::new(BENCH).with_file_name(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("{name} is not built: this test says less");
    None
}

/// Runs `compare` with short rounds of one scenario in a directory of its own, which holds `report.json` then.
fn compare(directory: &Path, more: &[&str]) -> (Output, Option<Value>) {
    let json = directory.join("report.json");
    let output = Command::new(BENCH)
        .args(["compare", "--no-build", "--seconds", "1", "--connections", "8", "--json"])
        .arg(&json)
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let report = fs::read(json).ok().map(|text| serde_json::from_slice(&text).unwrap());
    (output, report)
}

fn says(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn row<'a>(report: &'a Value, subject: &str) -> &'a Value {
    let rows = report["scenarios"][0]["subjects"].as_array().unwrap();
    rows.iter().find(|row| row["subject"] == subject).unwrap_or_else(|| panic!("no {subject} in {report:#}"))
}

/// A shell script that stands in for a program.
fn script(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Compares a shell script in the floor's place, called as `NAME --listen A --to B`, with no proxy at all. It must
/// get no figure; the report, and the reason.
fn refused(directory: &Path, text: &str) -> (Value, String) {
    let named = format!("floor={}", script(directory, "stand-in", text));
    let only = ["--scenario", "h1-small", "--rounds", "3", "--peer", "floor", "--without", "corelane"];
    let (output, report) = compare(directory, &[&only[..], &["--peer-bin", &named]].concat());
    let (text, report) = (says(&output), report.unwrap());
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("| no figure: "), "{text}");
    let row = row(&report, "floor");
    assert!(row["cost"].is_null(), "{row:#}");
    let reason = row["no_figure"].as_str().unwrap().to_owned();
    (report, reason)
}

#[test]
fn a_comparison_reports_every_subject_of_every_round() {
    let directory = tempfile::tempdir().unwrap();
    let html = directory.path().join("report.html");
    let (output, report) = compare(
        directory.path(),
        &["--quick", "--rounds", "2", "--html", html.to_str().unwrap(), "--baseline", "floor"],
    );
    let text = says(&output);
    let report = report.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(output.status.code(), Some(0), "{text}");
    let mut subjects = vec!["direct"];
    subjects.extend(built("corelane-floor").map(|_| "floor"));
    subjects.extend(built("corelane").map(|_| "corelane"));
    for subject in &subjects {
        let row = row(&report, subject);
        let rounds = row["rounds"].as_array().unwrap();
        assert_eq!(rounds.len(), 2, "{row:#}");
        assert!(row["no_figure"].is_null(), "{row:#}");
        assert!(rounds.iter().all(|round| round["requests"].as_u64().unwrap() > 0), "{row:#}");
        let has_cost = rounds.iter().all(|round| round["cost"]["cpu_ns"].as_u64().is_some_and(|ns| ns > 0));
        assert_eq!(has_cost, *subject != "direct", "{row:#}");
        assert!(text.contains(&format!("| {subject}")), "{text}");
    }
    let table = text.lines().find(|line| line.starts_with("| subject | CPU µs/request |"));
    assert!(table.is_some(), "{text}");
    if subjects.contains(&"corelane") && subjects.contains(&"floor") {
        let ratio = &row(&report, "corelane")["to_baseline"];
        assert!(ratio["low"].as_f64().unwrap() <= ratio["high"].as_f64().unwrap(), "{ratio}");
        assert!(text.contains("5 rounds are needed, not 2"), "{text}");
        let published = report["configurations"]["corelane"].as_str().unwrap();
        assert!(published.contains("--lanes 1 --access-log off"), "{published}");
    }
    // Installed or not, nobody is passed over in silence.
    for peer in ["nginx", "haproxy"] {
        let measured = text.contains(&format!("| {peer}"));
        assert!(measured || text.contains(&format!("skipped: {peer} is not installed (Debian:")), "{text}");
        if measured {
            assert!(report["configurations"][peer].as_str().unwrap().contains("127.0.0.1:"), "{report:#}");
        }
    }
    let html = fs::read_to_string(html).unwrap();
    assert!(html.contains("<svg") && html.contains("Configurations"), "{html}");
}

#[test]
fn who_answers_without_asking_the_origin_has_no_figure() {
    let directory = tempfile::tempdir().unwrap();
    let (report, reason) =
        refused(directory.path(), &format!("exec {BENCH} origin --listen \"$2\" --size 128"));
    assert!(reason.contains("without asking the origin"), "{reason}");
    assert!(row(&report, "floor")["rounds"].as_array().unwrap().is_empty(), "{report:#}");
}

#[test]
fn who_cheats_only_once_it_is_measured_has_no_figure() {
    let Some(floor) = built("corelane-floor") else { return };
    let floor = floor.display();
    // Honest when it is inspected; then it answers with errors or too little, or dies under the load.
    for (cheat, expected) in [
        (format!("{BENCH} origin --listen \"$2\" --size 128 --fail 30%"), "another status"),
        (format!("{BENCH} origin --listen \"$2\" --size 127"), "with 127 bytes"),
        (format!("timeout 3 {floor} \"$@\""), "exit status: 124"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let text = format!("if mkdir \"$0.inspected\"; then exec {floor} \"$@\"; fi\nexec {cheat}");
        let (_, reason) = refused(directory.path(), &text);
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn who_does_less_work_has_no_figure() {
    let Some(floor) = built("corelane-floor") else { return };
    let directory = tempfile::tempdir().unwrap();
    // `corelane proxy --listen A --to B …` that adds nothing.
    let lazy =
        script(directory.path(), "lazy", &format!("exec {} \"$2\" \"$3\" \"$4\" \"$5\"", floor.display()));
    let (output, report) = compare(
        directory.path(),
        &[
            "--scenario",
            "h1-small",
            "--rounds",
            "1",
            "--peer",
            "floor",
            "--without",
            "floor",
            "--corelane",
            &lazy,
        ],
    );
    let (text, report) = (says(&output), report.unwrap());
    assert_eq!(output.status.code(), Some(1), "{text}");
    let reason = row(&report, "corelane")["no_figure"].as_str().unwrap().to_owned();
    assert!(reason.contains("does not keep its connections") || reason.contains("adds no via"), "{reason}");
}

#[test]
fn who_does_not_start_is_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let (report, reason) = refused(directory.path(), "echo the dog ate my configuration >&2; exit 3");
    assert!(reason.contains("exit status: 3") && reason.contains("ate my configuration"), "{reason}");
    // The others are measured all the same.
    assert_eq!(row(&report, "direct")["rounds"].as_array().unwrap().len(), 3);
}

#[test]
fn who_finds_its_port_taken_gets_another() {
    let Some(floor) = built("corelane-floor") else { return };
    let directory = tempfile::tempdir().unwrap();
    // Every other start fails as if somebody had been quicker: when it is inspected, and when it is measured.
    let text = format!(
        "if mkdir \"$0.taken\"; then echo bind: Address already in use >&2; exit 1; fi\nrmdir \"$0.taken\"\nexec {} \"$@\"",
        floor.display()
    );
    let named = format!("floor={}", script(directory.path(), "unlucky", &text));
    let only = ["--scenario", "h1-small", "--rounds", "1", "--peer", "floor", "--without", "corelane"];
    let (output, report) = compare(directory.path(), &[&only[..], &["--peer-bin", &named]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", says(&output));
    assert_eq!(row(&report.unwrap(), "floor")["rounds"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_asked_for_and_missing_names_its_package() {
    let directory = tempfile::tempdir().unwrap();
    let (output, report) = compare(directory.path(), &["--peer", "pingora", "--without", "corelane,floor"]);
    let text = says(&output);
    assert_eq!((output.status.code(), report), (Some(1), None), "{text}");
    assert!(
        text.contains("error: pingora is not installed (run from a checkout with --peer pingora"),
        "{text}"
    );
    let (output, _) = compare(directory.path(), &["--peer-bin", "h2o=/nonexistent/h2o"]);
    let text = says(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("/nonexistent/h2o is no program"), "{text}");
}

#[test]
fn names_that_are_not_known_are_refused_with_the_nearest() {
    let directory = tempfile::tempdir().unwrap();
    for (wrong, nearest) in [
        (["--peer", "ngnix"], "'nginx'"),
        (["--scenario", "h1-smal"], "'h1-small'"),
        (["--peer-bin", "envy=/bin/true"], "none of direct"),
        (["--peer-bin", "envoy"], "NAME=PATH"),
        (["--rounds", "0"], "1..=1000"),
    ] {
        let (output, _) = compare(directory.path(), &wrong);
        let text = says(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(nearest), "{text}");
    }
}

#[test]
fn too_few_descriptors_are_said_before_anything_is_started() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 1000; exec \"$0\" compare --no-build --scenario idle --keep \"$1\"", BENCH])
        .arg(directory.path().join("kept"))
        .output()
        .unwrap();
    let text = says(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("16256 descriptors per process are needed and the hard limit is 1000"), "{text}");
}

#[expect(clippy::disallowed_methods, reason = "a test is no lane")]
fn now() -> Instant {
    Instant::now()
}

/// Processes that were started with `marker` in their environment, which children inherit.
fn marked(marker: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes
        .filter(|path| {
            let text = fs::read(path.join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(marker)
        })
        .map(|path| fs::read_to_string(path.join("cmdline")).unwrap_or_default().replace('\0', " "))
        .collect()
}

#[test]
fn an_interrupt_reports_the_rounds_so_far_and_leaves_nobody_behind() {
    for (signal, code) in [("-INT", Some(3)), ("-TERM", Some(3)), ("-KILL", None)] {
        let marker = format!("compare-test-{}{signal}", std::process::id());
        let mut child = Command::new(BENCH)
            .args(["compare", "--no-build", "--seconds", "1", "--connections", "2", "--quick"])
            .args(["--without", "nginx,haproxy", "--rounds", "1000"])
            .env("COMPARE_TEST", &marker)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("round 1/1000") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended before its first round");
        }
        assert!(!marked(&marker).is_empty());
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), code, "{signal}");
        if code.is_some() {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("### h1-small") && text.contains("| direct"), "{text}");
        }
        // Those of a tool that was killed are told by the kernel, and take a moment to end.
        let until = now() + Duration::from_secs(10);
        while !marked(&marker).is_empty() {
            assert!(now() < until, "{signal}: left behind: {:?}", marked(&marker));
            std::thread::yield_now();
        }
    }
}

#[test]
fn one_cpu_is_not_enough() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let first = allowed.trim().split(['-', ',']).next().unwrap();
    let output =
        Command::new("taskset").args(["-c", first, BENCH, "compare", "--no-build"]).output().unwrap();
    let text = says(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("two CPUs are needed"), "{text}");
}

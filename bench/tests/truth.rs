//! `corelane-bench truth`, by its structure: its figures belong to a machine that has nothing else to do.

use std::process::Command;

/// What it says on a busy machine may be that it is off, and nothing else.
#[test]
fn it_says_what_it_predicted_and_what_it_found() {
    let outcome = Command::new(env!("CARGO_BIN_EXE_corelane-bench"))
        .args(["truth", "--quick", "--only", "service-times"])
        .output()
        .expect("it starts");
    let text = String::from_utf8(outcome.stdout).expect("text");
    let says = String::from_utf8(outcome.stderr).expect("text");
    let rows: Vec<&str> =
        text.lines().filter(|line| line.ends_with("true") || line.ends_with("OFF")).collect();
    assert_eq!(rows.len(), 2, "{text}{says}");
    assert!(
        text.starts_with("what") && rows[0].starts_with("service time of 50 µs, less none: p50"),
        "{text}"
    );
    assert!(rows.iter().all(|row| row.contains(" 50.0 µs ") && row.contains(" % (±")), "{text}");
    let off = rows.iter().filter(|row| row.ends_with("OFF")).count();
    assert_eq!(outcome.status.code(), Some(i32::from(off > 0)), "{text}{says}");
    assert!(off == 0 || says.contains(&format!("{off} of 2 are off")), "{text}{says}");
}

#[test]
fn an_interrupt_ends_it() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_corelane-bench"))
        .arg("truth")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    // Its first line says that it has begun, and watches for signals.
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut stdout, &mut String::new()).expect("a line");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().expect("kill runs").success());
    let outcome = child.wait_with_output().expect("it ends");
    assert_eq!(outcome.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("interrupted"), "{outcome:?}");
}

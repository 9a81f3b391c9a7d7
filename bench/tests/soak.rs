//! What a soak says when it cannot begin; a whole one is a stage of `ci/test --full`.

use std::process::{Command, Output};

fn soak(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_corelane-bench");
    Command::new(program).arg("soak").args(arguments).output().expect("it starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_time_that_makes_no_sense_is_refused() {
    for minutes in ["0", "-1", "NaN", "20000"] {
        let output = soak(&[&format!("--minutes={minutes}")]);
        assert_eq!(output.status.code(), Some(2), "{minutes}: {}", said(&output));
        assert!(said(&output).contains("--minutes is more than 0 and at most a week"), "{}", said(&output));
    }
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let output = soak(&["--minutes", "0.01", "--corelane", "/nonexistent/corelane"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("/nonexistent/corelane"), "{}", said(&output));
}

#[test]
fn a_proxy_that_does_not_serve_is_said_with_its_words() {
    // It says what it was asked for, and ends.
    let output = soak(&["--minutes", "0.01", "--corelane", "/bin/echo"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("run -c corelane.toml"), "{}", said(&output));
}

//! Broken files, each with exactly what is said about it.

use crate::process::corelane::{BINARY, Dir, Ended, run_command};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Fewer are no corpus.
const FILES_MIN: usize = 60;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/broken")
}

fn check(dir: &Path, file: &str) -> Ended {
    run_command(Command::new(BINARY).current_dir(dir).args(["check", "-c", file]))
}

#[test]
fn op_01_broken_files_are_refused_with_every_error() {
    let dir = corpus();
    let mut wrong = Vec::new();
    let mut names: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    assert!(names.len() >= FILES_MIN, "{}", names.len());
    for name in &names {
        let ended = check(&dir, name);
        assert_eq!(ended.code, Some(3), "{name}: {ended:?}");
        assert!(ended.stdout.is_empty(), "{name}: {ended:?}");
        let path = dir.join(name).with_extension("expected");
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if expected != ended.stderr {
            wrong.push(format!("{name}: expected\n{expected}but it said\n{}", ended.stderr));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), names.len(), wrong.join("\n"));
}

#[test]
fn op_01_a_huge_file_is_refused() {
    let dir = Dir::new("huge");
    let path = dir.path("huge.toml");
    fs::write(&path, "# corelane\n".repeat(1 << 20)).unwrap();
    let ended = check(Path::new("/"), path.to_str().unwrap());
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("huge.toml is larger than 4 MiB"), "{ended:?}");
}

#[test]
fn op_01_what_is_no_file_is_refused() {
    for (path, words) in
        [("/nonexistent/x.toml", "No such file"), ("/", "Is a directory"), ("/dev/zero", "larger")]
    {
        let ended = check(Path::new("/"), path);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
}

/// Cut anywhere, a file is refused or fine, and nothing else.
#[test]
fn op_01_a_file_that_is_cut_off_is_no_panic() {
    let dir = Dir::new("cut");
    let text =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-config/everything.toml")).unwrap();
    let path = dir.path("cut.toml");
    let step = text.len() / 60;
    for length in (0..text.len()).step_by(step.max(1)) {
        fs::write(&path, &text[..length]).unwrap();
        let ended = check(Path::new("/"), path.to_str().unwrap());
        assert!(matches!(ended.code, Some(0 | 3)), "{length}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{length}: {ended:?}");
    }
}

//! What `ci/profile/rustc` makes of the calls of a compiler.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Says its version, or else its arguments.
const COMPILER: &str = "#!/bin/sh\n\
    [ \"$*\" != --version ] || { echo \"rustc 1.2.3 ($COMMIT 2026-01-01)\"; exit; }\n\
    echo \"$*\"\n";
/// As cargo calls it for a library of a release.
const RELEASE: &str = "--crate-name a a.rs --crate-type lib -C opt-level=3 --out-dir /x/target/release/deps";

/// A directory with a compiler, the wrapper, and a profile for the compiler's commit "known". It goes when this is dropped.
struct Here(PathBuf);

impl Here {
    fn new(name: &str) -> Self {
        let here = std::env::temp_dir().join(format!("corelane-profile-{name}-{}", std::process::id()));
        fs::create_dir_all(&here).expect("a directory");
        let wrapper = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profile/rustc");
        fs::copy(wrapper, here.join("wrapper")).expect("it is copied");
        fs::write(here.join("known.profdata"), "").expect("a file");
        fs::write(here.join("compiler"), COMPILER).expect("a file");
        fs::set_permissions(here.join("compiler"), fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self(here)
    }

    /// What the compiler is called with.
    fn call(&self, commit: &str, mode: Option<&str>, arguments: &str) -> String {
        let mut command = Command::new(self.0.join("wrapper"));
        command.arg(self.0.join("compiler")).args(arguments.split(' ')).env("COMMIT", commit);
        match mode {
            Some(mode) => command.env("CORELANE_PROFILE", mode),
            None => command.env_remove("CORELANE_PROFILE"),
        };
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_release_uses_the_profile_of_its_compiler() {
    let here = Here::new("uses");
    let used = here.call("known", None, RELEASE);
    let profile = here.0.join("known.profdata");
    let added = format!("{RELEASE} -Cprofile-use={} ", profile.display());
    assert!(used.starts_with(&added) && used.ends_with(" --cfg corelane_profile"), "{used}");
    // In whatever order cargo gives them.
    let other = "--out-dir /x/target/release/deps --crate-name a -C opt-level=3 a.rs";
    assert!(here.call("known", None, other).contains("-Cprofile-use="));
}

#[test]
fn a_compiler_without_a_profile_is_called_as_it_is() {
    let here = Here::new("without");
    assert_eq!(here.call("other", None, RELEASE), RELEASE);
    assert_eq!(here.call("known", Some("none"), RELEASE), RELEASE);
}

#[test]
fn a_profile_is_recorded_where_it_is_asked_for() {
    let here = Here::new("records");
    assert_eq!(here.call("known", Some("record"), RELEASE), format!("{RELEASE} -Cprofile-generate"));
}

#[test]
fn everything_else_goes_through() {
    let here = Here::new("through");
    for call in [
        "-vV",
        "- --crate-name ___ --print=file-names",
        "--crate-name a a.rs --crate-type lib --out-dir /x/target/debug/deps",
        "--crate-name a a.rs --crate-type lib -C opt-level=3 --out-dir /x/target/counts/deps -L /x",
        "--crate-name m m.rs --crate-type proc-macro -C opt-level=3 --out-dir /x/target/release/deps",
        "--crate-name build_script_build build.rs -C opt-level=3 --out-dir /x/target/release/deps",
        "--crate-name a a.rs -C opt-level=3 --out-dir /x/target/release/deps -Zsanitizer=address",
        "--crate-name a a.rs -C opt-level=3 --out-dir /x/target/release/deps -Cpasses=sancov-module",
    ] {
        for mode in [None, Some("record")] {
            assert_eq!(here.call("known", mode, call), call);
        }
    }
}

#[test]
fn arguments_with_spaces_stay_one() {
    let here = Here::new("spaces");
    let mut command = Command::new(here.0.join("wrapper"));
    command.args(["printf", "<%s>", "--cfg", "feature=\"a b\""]);
    let output = command.output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "<--cfg><feature=\"a b\">");
}

#[test]
fn variables_with_a_hyphen_stay() {
    let here = Here::new("variables");
    let mut command = Command::new(here.0.join("wrapper"));
    command.arg("env").env("CARGO_BIN_EXE_corelane-bench", "here");
    let output = command.output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("CARGO_BIN_EXE_corelane-bench=here\n"));
}

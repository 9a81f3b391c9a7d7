//! Where the programs of the subjects are, and how those that are ours are built.

use super::{
    Trouble, say,
    stage::{Programs, is_program},
    subject::Subject,
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where to look.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub(super) programs: &'a Programs,
    /// What the command line names.
    pub(super) named: &'a BTreeMap<Subject, PathBuf>,
    /// This program.
    pub(super) own: &'a Path,
    /// The checkout in which it was started, if it may build there.
    pub(super) checkout: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) programs: BTreeMap<Subject, PathBuf>,
    /// Who is not there, and how to get it.
    pub(super) missing: BTreeMap<Subject, String>,
}

/// A checkout around the working directory.
pub(super) fn checkout() -> Option<PathBuf> {
    let here = Path::new(".").canonicalize().ok()?;
    let is_ours = |dir: &&Path| {
        dir.join("bench/floor/Cargo.toml").is_file()
            && fs::read_to_string(dir.join("Cargo.toml")).is_ok_and(|text| text.contains("[workspace]"))
    };
    here.ancestors().find(is_ours).map(Path::to_owned)
}

impl Search<'_> {
    /// The programs of `subjects`, and why others have none.
    pub(super) fn find(&self, subjects: &[Subject]) -> Result<Found, Trouble> {
        let mut found = Found::default();
        let ours = [Subject::Corelane, Subject::Floor];
        let to_build: Vec<_> = ours
            .into_iter()
            .filter(|ours| subjects.contains(ours) && !self.named.contains_key(ours))
            .map(Subject::program)
            .collect();
        let built = match &self.checkout {
            Some(checkout) if !to_build.is_empty() => build(checkout, &to_build, None)?,
            _ => BTreeMap::new(),
        };
        for &subject in subjects {
            match self.one(subject, &built)? {
                Ok(path) => {
                    found.programs.insert(subject, path);
                }
                Err(reason) => {
                    found.missing.insert(subject, reason);
                }
            }
        }
        Ok(found)
    }

    fn one(
        &self,
        subject: Subject,
        built: &BTreeMap<String, PathBuf>,
    ) -> Result<Result<PathBuf, String>, Trouble> {
        if subject == Subject::Direct {
            return Ok(Ok(PathBuf::new()));
        }
        if let Some(path) = self.named.get(&subject) {
            let there = is_program(path);
            return Ok(if there {
                std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
            } else {
                Err(format!("{} is no program that may be run", path.display()))
            });
        }
        if let Some(path) = built.get(subject.program()) {
            return Ok(Ok(path.clone()));
        }
        let beside = self.own.with_file_name(subject.program());
        if matches!(subject, Subject::Corelane | Subject::Floor) && is_program(&beside) {
            return Ok(Ok(beside));
        }
        if let Some(path) = subject.installed(self.programs) {
            return Ok(Ok(path));
        }
        if let (Subject::Pingora, Some(checkout)) = (subject, &self.checkout) {
            return self.pingora(checkout).map(Ok);
        }
        let name = if matches!(subject, Subject::Corelane | Subject::Floor) { "built" } else { "installed" };
        Ok(Err(format!("{subject} is not {name} ({})", subject.how_to_install())))
    }

    /// Builds the crate that is outside the workspace.
    fn pingora(&self, checkout: &Path) -> Result<PathBuf, Trouble> {
        if self.programs.find("cmake").is_none() {
            // One of Pingora's dependencies builds zlib-ng, whatever its features.
            let says = "Pingora's dependencies need cmake to build (Debian: apt-get install cmake)";
            return Err(Trouble::Said(says.to_owned()));
        }
        let crate_dir = checkout.join("bench/pingora");
        let program = Subject::Pingora.program();
        let built = build(&crate_dir, &[program], Some(&checkout.join("target/pingora")))?;
        built.get(program).cloned().ok_or_else(|| Trouble::Said(format!("cargo built no {program}")))
    }
}

/// Builds programs for release, by name, and gives their paths.
fn build(
    manifest_dir: &Path,
    names: &[&str],
    target: Option<&Path>,
) -> Result<BTreeMap<String, PathBuf>, Trouble> {
    say(&format!("building {} for release; the first time takes minutes", names.join(" and ")));
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--locked", "--message-format", "json-render-diagnostics"]);
    for name in names {
        command.args(["--bin", name]);
    }
    if let Some(target) = target {
        command.arg("--target-dir").arg(target);
        // A peer is built as its own makers build it, not with a profile of ours.
        command.env("RUSTC_WRAPPER", "");
    }
    let output = command.current_dir(manifest_dir).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| {
        Trouble::Said(format!("cargo cannot be run ({error}); name binaries by --corelane and --floor"))
    })?;
    if !output.status.success() {
        return Err(Trouble::Said(format!("cargo build of {} failed", names.join(" and "))));
    }
    Ok(executables(&String::from_utf8_lossy(&output.stdout)))
}

/// The programs that cargo's messages name.
fn executables(messages: &str) -> BTreeMap<String, PathBuf> {
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let path = message.get("executable")?.as_str()?;
        Some((message.get("target")?.get("name")?.as_str()?.to_owned(), PathBuf::from(path)))
    };
    messages.lines().filter_map(executable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cargo_built_is_read() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"memchr"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"corelane","kind":["bin"]},"executable":"/t/release/corelane"}
{"reason":"build-finished","success":true}
"#;
        let expected = BTreeMap::from([("corelane".to_owned(), PathBuf::from("/t/release/corelane"))]);
        assert_eq!(executables(messages), expected);
        assert_eq!(executables(""), BTreeMap::new());
    }

    #[test]
    fn the_command_line_goes_first_and_what_is_missing_says_how_to_get_it() {
        let programs = Programs::on("/nonexistent");
        let named = BTreeMap::from([
            (Subject::Envoy, PathBuf::from("/bin/sh")),
            (Subject::Floor, PathBuf::from("/etc/passwd")),
        ]);
        let search =
            Search { programs: &programs, named: &named, own: Path::new("/bin/none"), checkout: None };
        let all = [Subject::Direct, Subject::Floor, Subject::Corelane, Subject::H2o, Subject::Envoy];
        let Found { programs: found, missing } = search.find(&all).unwrap();
        let shell = PathBuf::from("/bin/sh");
        assert_eq!(found.get(&Subject::Envoy), Some(&shell));
        assert!(found.contains_key(&Subject::Direct));
        assert!(missing[&Subject::Floor].contains("/etc/passwd is no program"), "{missing:?}");
        assert!(missing[&Subject::Corelane].contains("run from a checkout"), "{missing:?}");
        assert_eq!(missing[&Subject::H2o], "h2o is not installed (Debian: apt-get install h2o)");
    }
}

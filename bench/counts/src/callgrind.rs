//! Runs programs under valgrind's callgrind.

use crate::{facts, profile::Profile, subjects};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

/// The command by which this program, under valgrind, runs the subjects.
pub(crate) const SUBJECTS: &str = "subjects";

/// A subject and what it costs.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) name: String,
    pub(crate) instructions: u64,
    pub(crate) profile: Profile,
}

/// Where things are on this machine.
#[derive(Debug)]
pub(crate) struct Here {
    pub(crate) valgrind: PathBuf,
    /// This program.
    pub(crate) program: PathBuf,
    /// What callgrind writes. It goes with its owner.
    pub(crate) scratch: Scratch,
}

/// A directory that goes with its owner.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A directory of this process's own in that one.
    pub(crate) fn within(directory: &Path) -> Result<Self, String> {
        let path = directory.join(format!("corelane-counts-{}", process::id()));
        // Of an earlier process with this number.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Here {
    /// A command that runs a program under callgrind with these options besides, without an environment, on whose
    /// size counts could depend. Files begin with `out`; names and places in them are written out.
    pub(crate) fn command(&self, program: &Path, options: &[&str], out: &Path) -> Command {
        let mut out_option = OsString::from("--callgrind-out-file=");
        out_option.push(out);
        let mut command = Command::new(&self.valgrind);
        command.args(["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]);
        command.args(options).arg(out_option).arg(program);
        command.env_clear().stdin(Stdio::null());
        command
    }
}

/// Runs all subjects in one process. Gives the vector instructions that it found, and the counts.
pub(crate) fn count_subjects(here: &Here) -> Result<(String, Vec<Counted>), String> {
    // Each measured call makes a part of its own, which holds nothing but that call.
    let (toggle, dump) =
        (format!("--toggle-collect={}", subjects::MEASURED), format!("--dump-after={}", subjects::MEASURED));
    let mut command =
        here.command(&here.program, &["--collect-atstart=no", &toggle, &dump], &here.scratch.file("out"));
    let text = run(command.arg(SUBJECTS))?;
    let mut lines = text.lines();
    let vectors = lines.next().and_then(|line| line.strip_prefix(facts::VECTORS));
    let vectors = vectors.ok_or("the subjects did not say what the processor can do")?.to_owned();
    let mut counted = Vec::new();
    for (name, part) in lines.zip(1..) {
        let profile = Profile::read(&here.scratch.file(&format!("out.{part}")))?;
        counted.push(Counted { name: name.to_owned(), instructions: profile.total(), profile });
    }
    without_nothing(counted).map(|counted| (vectors, counted))
}

/// Takes away from all what a measurement of nothing costs.
fn without_nothing(mut counted: Vec<Counted>) -> Result<Vec<Counted>, String> {
    if counted.first().is_none_or(|first| first.name != subjects::NOTHING) {
        return Err("the subjects did not begin with nothing".to_owned());
    }
    let nothing = counted.remove(0).instructions;
    for subject in &mut counted {
        let less = subject.instructions.checked_sub(nothing).filter(|count| *count > 0);
        subject.instructions = less.ok_or_else(|| format!("`{}` was not counted", subject.name))?;
    }
    Ok(counted)
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("valgrind does not run: {error}"))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|_| "a name is not UTF-8".to_owned());
    }
    let says = String::from_utf8_lossy(&output.stderr);
    Err(format!("under valgrind, it ended with {}:\n{}", output.status, says.trim()))
}

//! The tidy test: what the house rules say about the tree as a whole, checked on every change.
//!
//! It reads manifests, Rust sources, the two catalogues in `docs/` and the pages beside them, prints every
//! finding with its file and line, and fails if one of them is an error. Nothing is configured: a rule that
//! has an exception has it here, where a reviewer sees it.
//!
//! | module | rule |
//! |---|---|
//! | [`arrows`] | which crate may depend on which, and what an embedder never compiles |
//! | [`places`] | where `unsafe`, the runtime, the clock and the environment may be named |
//! | [`catalogue`] | every id of the catalogues has a test, or names the feature that it waits for |
//! | [`words`] | what no file may say, and how long a page may be |
//! | [`tally`] | the longest files and functions: reported, never an error |

mod arrows;
mod catalogue;
mod findings;
mod places;
mod rust;
mod tally;
mod tree;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use findings::Findings;
use tree::Tree;

fn main() -> ExitCode {
    match std::env::current_dir().map_err(|error| error.to_string()).and_then(|here| check(&here)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every rule over the repository that holds `here`; whether it is tidy.
fn check(here: &Path) -> Result<bool, String> {
    let root = root_above(here)?;
    let tree = Tree::read(&root)?;
    let mut findings = Findings::default();

    let sources = rust::sources(&tree, &mut findings);
    arrows::check_manifests(&tree, &mut findings);
    arrows::check_graphs(&root, &mut findings);
    places::check(&sources, &mut findings);
    let counted = catalogue::check(&tree, &sources, &mut findings);
    words::check(&tree, &sources, &root, &mut findings);

    print!("{}{counted}{findings}", tally::report(&sources));
    Ok(findings.errors() == 0)
}

/// The directory of the workspace's manifest: `here` or the nearest above it.
fn root_above(here: &Path) -> Result<PathBuf, String> {
    let is_root = |dir: &&Path| {
        std::fs::read_to_string(dir.join("Cargo.toml"))
            .is_ok_and(|text| text.lines().any(|line| line.trim() == "[workspace]"))
    };
    match here.ancestors().find(is_root) {
        Some(root) => Ok(root.to_path_buf()),
        None => Err(format!("no workspace holds {}", here.display())),
    }
}

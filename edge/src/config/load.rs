//! The main file and all that it includes, as one tree.

use super::{
    errors::Errors,
    source::{self, At, Files},
    tree::{self, Entry, Node, Table, Value},
    variables::Env,
};
use crate::words::quote;
use std::path::{Path, PathBuf};

/// Files that a configuration may be made of.
const FILES_MAX: usize = 1024;
/// Files that may lie between the main file and one that it includes by way of others.
const DEPTH_MAX: usize = 16;
/// The keys whose entries come together from several files. What else stands in two files is a mistake.
const SITE: &str = "site";
const UPSTREAM: &str = "upstream";
const INCLUDE: &str = "include";

/// Reads it all; what is wrong goes to `errors`. An error means that the main file cannot be read at all.
pub(crate) fn load(
    path: &Path,
    env: Env<'_>,
    files: &mut Files,
    errors: &mut Errors,
) -> Result<Table, String> {
    let bytes = source::read(path).map_err(|error| match error.starts_with("is ") {
        true => format!("{} {error}", path.display()),
        false => format!("cannot read {}: {error}", path.display()),
    })?;
    let mut loading = Loading { env, files, errors, stack: Vec::new(), seen: Vec::new() };
    Ok(loading.file(path, bytes))
}

struct Loading<'a> {
    env: Env<'a>,
    files: &'a mut Files,
    errors: &'a mut Errors,
    /// The file that is being read, below those that include it.
    stack: Vec<PathBuf>,
    seen: Vec<PathBuf>,
}

impl Loading<'_> {
    fn file(&mut self, path: &Path, bytes: Vec<u8>) -> Table {
        let (file, text) = self.files.add(path.display().to_string(), bytes);
        if let Err((at, says)) = text {
            self.errors.add_unreadable(at, says);
            return Table { at, entries: Vec::new() };
        }
        let mut table = tree::parse(file, self.files, self.env, self.errors);
        // Two names of one file are one file.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.seen.push(real.clone());
        self.stack.push(real);
        let patterns: Vec<(At, String)> = table.entry(INCLUDE).map(patterns).unwrap_or_default();
        for (at, pattern) in patterns {
            for included in self.matching(at, path, &pattern) {
                if let Some(more) = self.include(at, &included) {
                    self.merge(&mut table, more);
                }
            }
        }
        self.stack.pop();
        table
    }

    /// The files that a pattern names, sorted. One without a wildcard must be there.
    fn matching(&mut self, at: At, from: &Path, pattern: &str) -> Vec<PathBuf> {
        let beside = from.parent().unwrap_or(Path::new("")).join(pattern);
        if !pattern.contains(['*', '?', '[']) {
            return vec![beside];
        }
        match glob::glob(&beside.to_string_lossy()) {
            Ok(paths) => paths.filter_map(Result::ok).filter(|path| !path.is_dir()).collect(),
            Err(error) => {
                self.errors.add_unreadable(at, format!("{} is no pattern: {}", quote(pattern), error.msg));
                Vec::new()
            }
        }
    }

    fn include(&mut self, at: At, path: &Path) -> Option<Table> {
        let shown = quote(&path.display().to_string());
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => {
                self.errors.add_unreadable(at, format!("cannot include {shown}: {error}"));
                return None;
            }
        };
        let says = if let Some(begins) = self.stack.iter().position(|path| *path == real) {
            let names: Vec<String> =
                self.stack[begins..].iter().chain([&real]).map(|path| name(path)).collect();
            format!("{shown} includes itself: {}", names.join(" > "))
        } else if self.seen.contains(&real) {
            format!("{shown} is included a second time; leave one of the two out")
        } else if self.seen.len() >= FILES_MAX {
            format!("more than {FILES_MAX} files are included")
        } else if self.stack.len() >= DEPTH_MAX {
            format!("more than {DEPTH_MAX} files include one another")
        } else {
            match source::read(path) {
                Ok(bytes) => return Some(self.file(path, bytes)),
                Err(error) => format!("cannot include {shown}: {error}"),
            }
        };
        self.errors.add_unreadable(at, says);
        None
    }

    /// Sites follow each other, upstreams come together, and all else stands in one file only.
    fn merge(&mut self, into: &mut Table, more: Table) {
        for entry in more.entries {
            if entry.key == INCLUDE {
                continue;
            }
            let Some(there) = into.entries.iter_mut().find(|there| there.key == entry.key) else {
                into.entries.push(entry);
                continue;
            };
            match (&mut there.node.value, entry.node.value) {
                (Value::List(sites), Value::List(more)) if entry.key == SITE => sites.extend(more),
                (Value::Table(upstreams), Value::Table(more)) if entry.key == UPSTREAM => {
                    for upstream in more.entries {
                        if let Some(first) = upstreams.entry(&upstream.key) {
                            let place = self.files.line(first.at);
                            let says = format!("the upstream {} is defined at {place}", quote(&upstream.key));
                            self.errors.add(upstream.at, says);
                        } else {
                            upstreams.entries.push(upstream);
                        }
                    }
                }
                (Value::Broken, _) | (_, Value::Broken) => {}
                _ => {
                    let place = self.files.line(there.at);
                    self.errors.add(entry.at, format!("{} is set at {place}", quote(&entry.key)));
                }
            }
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is no string is left to the reader, which says so.
fn patterns(entry: &Entry) -> Vec<(At, String)> {
    let nodes: &[Node] = match &entry.node.value {
        Value::List(nodes) => nodes,
        _ => std::slice::from_ref(&entry.node),
    };
    let text = |node: &Node| match &node.value {
        Value::Text(text) => Some((node.at, text.clone())),
        _ => None,
    };
    nodes.iter().filter_map(text).collect()
}

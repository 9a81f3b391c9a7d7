//! The configuration file: TOML, two depths, one file or many.
//!
//! | module | what it is for |
//! |---|---|
//! | [`source`], [`errors`] | files, places in them, and what is wrong there |
//! | [`variables`], [`tree`], [`load`](mod@load) | variables, TOML with places, includes |
//! | [`keys`] | **the** table: every key with its type, range, default and help |
//! | [`reader`], [`values`] | takes values out of a tree as the table says, and notes them |
//! | [`read`], [`data`] | one small reader for each table of the file; plain data |
//! | [`settings`] | what may be said at several levels |
//! | [`schema`], [`reference`](mod@reference), [`explain`] | what else comes from the table and from the notes |
//! | [`format`](mod@format) | the canonical form of a file |

pub(crate) mod data;
mod errors;
pub(crate) mod explain;
pub(crate) mod format;
mod keys;
mod load;
mod read;
mod reader;
pub(crate) mod reference;
pub(crate) mod schema;
mod settings;
mod source;
mod tree;
pub(crate) mod values;
mod variables;

#[cfg(test)]
mod tests;

pub(crate) use data::Config;
pub(crate) use source::Files;
pub(crate) use variables::Env;

use errors::Errors;
use reader::{Note, Reader};
use std::path::Path;

/// A configuration that can be served, and where all of it comes from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) files: Files,
    pub(crate) notes: Vec<Note>,
}

impl Loaded {
    /// The file and the line in which a value was set, if it was.
    pub(crate) fn place(&self, path: &str) -> Option<String> {
        let note = self.notes.iter().find(|note| note.path == path)?;
        Some(self.files.line(note.origin?))
    }
}

/// Why a configuration cannot be served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// A line for each fault.
    pub(crate) list: String,
    /// All of it in a sentence.
    pub(crate) says: String,
}

/// Reads a file and all that it includes. It binds nothing and asks no resolver.
pub(crate) fn load(path: &Path, env: Env<'_>) -> Result<Loaded, Invalid> {
    let (mut files, mut errors) = (Files::default(), Errors::default());
    let table = load::load(path, env, &mut files, &mut errors)
        .map_err(|says| Invalid { list: String::new(), says })?;
    let mut reader = Reader::new(&files, &mut errors);
    let config = read::read(&mut reader, &table);
    let notes = reader.notes;
    if errors.is_empty() {
        return Ok(Loaded { config, files, notes });
    }
    let (count, list) = errors.list(&files);
    let says = match count {
        1 => format!("{} has an error", path.display()),
        count => format!("{} has {count} errors", path.display()),
    };
    Err(Invalid { list, says })
}

/// Reads a text as a file by itself, and holds what is said about it to what is promised.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((loaded, list)) = fuzz_read(bytes) else { return };
    for line in list.lines().filter(|line| !line.starts_with("... and ")) {
        let mut place =
            line.strip_prefix("fuzz.toml:").unwrap_or_else(|| panic!("no place: {line}")).splitn(3, ':');
        let is_place = place.next().zip(place.next()).is_some_and(|(line, column)| {
            [line, column].iter().all(|number| number.parse::<usize>().is_ok_and(|number| number > 0))
        });
        assert!(is_place, "no line and column: {line}");
        assert!(!line.chars().any(char::is_control), "what a terminal would obey: {line}");
    }
    if list.is_empty() {
        let explained = explain::all(&loaded);
        assert_eq!(explained.lines().count(), loaded.notes.len(), "a line for each value: {explained}");
        assert!(
            !explained.chars().any(|c| c.is_control() && c != '\n'),
            "what a terminal would obey: {explained}"
        );
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(formatted) = format::format(text) else { return };
    assert_eq!(format::format(&formatted).as_deref(), Ok(formatted.as_str()), "it stays as it is");
    let (again, list_again) = fuzz_read(formatted.as_bytes()).expect("it is text");
    assert_eq!(list.lines().count(), list_again.lines().count(), "the same faults: {list}{list_again}");
    let values = |loaded: &Loaded| {
        loaded.notes.iter().map(|note| format!("{} = {}", note.path, note.text)).collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&loaded), "the canonical form says the same");
}

/// What a text says, as far as it can be read, and its faults; none if it is no text.
fn fuzz_read(bytes: &[u8]) -> Option<(Loaded, String)> {
    let (mut files, mut errors) = (Files::default(), Errors::default());
    let (file, is_text) = files.add("fuzz.toml".to_owned(), bytes.to_vec());
    is_text.ok()?;
    let env: Env<'_> = &|name: &str| (name.len() < 4).then(|| name.to_lowercase());
    let table = tree::parse(file, &files, env, &mut errors);
    let mut reader = Reader::new(&files, &mut errors);
    let config = read::read(&mut reader, &table);
    let notes = reader.notes;
    let (count, list) = errors.list(&files);
    assert_eq!(count == 0, list.is_empty());
    Some((Loaded { config, files, notes }, list))
}

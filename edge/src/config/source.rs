//! The files of a configuration, and places in them.

use std::{fmt, io::Read, path::Path};

/// A file of a configuration is no longer. 10,000 routes take less than one of these megabytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A place in one of the [`Files`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    file: u32,
    offset: u32,
}

/// Every file that was read, with its text.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<File>);

#[derive(Debug)]
struct File {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// A place as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a file is not text, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotText {
    offset: usize,
    pub(crate) says: &'static str,
}

impl Files {
    /// Adds a file. One that is not text is kept as far as it is, so that the place of the fault can be said.
    pub(crate) fn add(&mut self, name: String, bytes: Vec<u8>) -> (u32, Result<(), (At, &'static str)>) {
        let file = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        let checked = text_of(&bytes);
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        self.0.push(File { name, text, lines });
        let result = checked.map_err(|NotText { offset, says }| (self.at(file, offset), says));
        (file, result)
    }

    pub(crate) fn at(&self, file: u32, offset: usize) -> At {
        At { file, offset: u32::try_from(offset).unwrap_or(u32::MAX) }
    }

    pub(crate) fn text(&self, file: u32) -> &str {
        self.0.get(file as usize).map_or("", |file| &file.text)
    }

    pub(crate) fn place(&self, at: At) -> Place<'_> {
        let Some(file) = self.0.get(at.file as usize) else {
            return Place { file: "?", line: 1, column: 1 };
        };
        let offset = file.text.floor_char_boundary(at.offset as usize);
        let line = file.lines.partition_point(|begins| *begins <= offset).max(1);
        let begins = file.lines.get(line - 1).copied().unwrap_or_default();
        let column = file.text.get(begins..offset).unwrap_or_default().chars().count() + 1;
        Place { file: &file.name, line, column }
    }

    /// File and line, for where a column says nothing more.
    pub(crate) fn line(&self, at: At) -> String {
        let place = self.place(at);
        format!("{}:{}", place.file, place.line)
    }
}

/// The bytes of a file, if it is not too large.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!(
            "is larger than {} MiB, the most that a file may have; split it with `include`",
            FILE_BYTES_MAX >> 20
        ));
    }
    Ok(bytes)
}

/// What a text editor may have left in a file, or a file that never saw one.
fn text_of(bytes: &[u8]) -> Result<(), NotText> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(NotText {
            offset: 0,
            says: "the file begins with a byte order mark; save it as UTF-8 without one",
        });
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(NotText { offset: 0, says: "the file is UTF-16; save it as UTF-8" });
    }
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        // Counted in the text as it is kept, where what is no UTF-8 may have another length.
        let offset = String::from_utf8_lossy(&bytes[..offset]).len();
        return Err(NotText { offset, says: "there is a NUL byte here: this is no text file" });
    }
    match str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(NotText {
            offset: error.valid_up_to(),
            says: "this is not UTF-8, which a configuration must be",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let mut files = Files::default();
        let (file, fine) = files.add("a.toml".to_owned(), "ä = 1\nbü = 2\n".into());
        assert!(fine.is_ok());
        for (offset, says) in [(0, "1:1"), (2, "1:2"), (7, "2:1"), (10, "2:3"), (14, "2:7"), (999, "3:1")] {
            assert_eq!(files.place(files.at(file, offset)).to_string(), format!("a.toml:{says}"), "{offset}");
        }
    }

    #[test]
    fn op_01_what_is_no_text_is_said() {
        for (bytes, offset) in [
            (&b"\xef\xbb\xbfa = 1"[..], 0),
            (b"a = 1\n\0", 6),
            (b"\xff\0", 3),
            (b"a = \"\xc3(\"", 5),
            (b"\xff\xfea\0", 0),
        ] {
            assert_eq!(text_of(bytes).unwrap_err().offset, offset, "{bytes:?}");
        }
        assert_eq!(text_of(b""), Ok(()));
    }
}

//! What no file may say, and how long the pages at the root may be.

use std::path::Path;

use crate::findings::Findings;
use crate::rust::Source;
use crate::tree::{File, Tree};

/// Pages that one sitting must be enough for, with the most lines that each may have.
const PAGES_LINES_MAX: [(&str, usize); 2] = [("README.md", 150), ("ARCHITECTURE.md", 200)];
/// Marks of unfinished work in a source; in two halves each, so that this file is not found.
const UNFINISHED: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];
/// Where one person's files are, wherever the repository is checked out.
const HOMES: [&str; 3] = [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/")];
/// A directory beside the checkout, which no reader has.
const BESIDE: &str = concat!("..", "/shared");
/// Directories that hold checkouts in many places, and of which a text may speak.
const COMMON_DIRS: [&str; 6] = ["/tmp", "/var/tmp", "/opt", "/srv", "/usr/src", "/"];

/// Checks the words of all files and the length of the pages.
pub(crate) fn check(tree: &Tree, sources: &[Source<'_>], root: &Path, findings: &mut Findings) {
    for (path, lines_max) in PAGES_LINES_MAX {
        match tree.file(path) {
            Some(file) if file.text.lines().count() > lines_max => {
                let lines = file.text.lines().count();
                findings.error(path, lines_max + 1, format!("has {lines} lines; at most {lines_max}"));
            }
            Some(_) => {}
            None => findings.error(path, 1, "is missing"),
        }
    }
    for source in sources {
        for (line, text) in source.file.lines() {
            for word in UNFINISHED.iter().filter(|word| has_word(text, word)) {
                findings.error(&source.file.path, line, format!("{word}: finish it or say it in an issue"));
            }
        }
    }
    let places = places_of(root);
    for file in &tree.files {
        check_paths(file, &places, findings);
    }
}

/// The paths of this checkout, which mean nothing to anybody else. One right below the root has a name as short as
/// any path of a request (`/check`), so finding it says nothing.
fn places_of(root: &Path) -> Vec<String> {
    root.ancestors()
        .filter_map(Path::to_str)
        .take_while(|dir| !COMMON_DIRS.contains(dir))
        .filter(|dir| dir.matches('/').count() > 1)
        .map(str::to_owned)
        .collect()
}

fn check_paths(file: &File, places: &[String], findings: &mut Findings) {
    for (line, text) in file.lines() {
        let place = places.iter().any(|place| has_path(text, place));
        if place || HOMES.iter().any(|home| has_home(text, home)) {
            findings.error(&file.path, line, "names a path of somebody's machine");
        }
        if text.contains(BESIDE) {
            findings.error(&file.path, line, "names a directory outside the repository");
        }
    }
}

/// Whether `word` stands in `text` with no letter, digit or underscore beside it.
fn has_word(text: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        !joins(text[..at].chars().next_back()) && !joins(text[at + word.len()..].chars().next())
    })
}

/// Whether `text` names `path` itself or what lies below it, and not the tail of another path or of a URL.
fn has_path(text: &str, path: &str) -> bool {
    text.match_indices(path).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + path.len()..].chars().next();
        let starts = !before.is_some_and(|c| c.is_alphanumeric() || "._-~*}".contains(c));
        starts && !after.is_some_and(|c| c.is_alphanumeric() || "_-".contains(c))
    })
}

/// Whether `text` names something below a home.
fn has_home(text: &str, home: &str) -> bool {
    text.match_indices(home).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let named = text[at + home.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '.');
        named && !before.is_some_and(|c| c.is_alphanumeric() || "._-~*}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust::sources;

    fn errors(samples: &[(&str, &str)], root: &str) -> Vec<String> {
        let mut all = samples.to_vec();
        for (page, _) in PAGES_LINES_MAX {
            if !samples.iter().any(|(path, _)| *path == page) {
                all.push((page, "# Page\n"));
            }
        }
        let tree = Tree::of(&all);
        let mut findings = Findings::default();
        let sources = sources(&tree, &mut findings);
        check(&tree, &sources, Path::new(root), &mut findings);
        findings.error_lines()
    }

    #[test]
    fn pages_are_short_and_there() {
        let long = "line\n".repeat(151);
        assert_eq!(errors(&[("README.md", &long)], "/"), ["README.md:151: has 151 lines; at most 150"]);
        assert_eq!(errors(&[("README.md", &long[5..])], "/"), [""; 0]);
        let mut findings = Findings::default();
        check(&Tree::of(&[]), &[], Path::new("/"), &mut findings);
        assert_eq!(findings.errors(), 2);
    }

    #[test]
    fn unfinished_work_is_found_in_comments_as_whole_words() {
        let [first, second] = UNFINISHED;
        let text = format!(
            "// {first} later\nfn f() {{}} // {second}: odd\nconst A: &str = \"{second}{second}\";\n"
        );
        let found = errors(&[("a.rs", &text), ("a.md", &text)], "/");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("a.rs:1: ") && found[1].starts_with("a.rs:2: "), "{found:?}");
    }

    #[test]
    fn paths_of_a_machine_are_found_in_every_file() {
        let home = HOMES.map(|home| format!("see {home}ann/x\n")).concat();
        assert_eq!(errors(&[("docs/a.md", &home)], "/").len(), 3);
        let text =
            "cd /nest/egg\nsee /nest/other\nGET http://example.com/nest/egg\n/nests /var/nest\n`/nest`\n";
        let found = errors(&[("ci/test", text)], "/nest/egg");
        let lines: Vec<_> = found.iter().filter_map(|line| line.split(':').nth(1)).collect();
        assert_eq!(lines, ["1"]);
        let found = errors(&[("ci/test", &text.replace("/nest", "/n/nest"))], "/n/nest/egg");
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(errors(&[("a.rs", "GET /check?x HTTP/1.1")], "/check").len(), 0);
        assert_eq!(errors(&[("ci/test", "ls /tmp/egg /tmp")], "/tmp/nest").len(), 0);
        let beside = format!("see {BESIDE}/a.md");
        assert_eq!(errors(&[("a.md", &beside)], "/"), ["a.md:1: names a directory outside the repository"]);
    }
}

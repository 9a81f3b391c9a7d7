//! The catalogues in `docs/`: every id has a test, or names the feature that it waits for.
//!
//! A catalogue is a page with tables whose first column is `id` and whose last is `status`. The status is
//! `test`, or `waits: ` and a name from the first column of the table that is headed `waits for`, or both
//! (`test; waits: tls`), where one layer has its part and its test and another does not exist. An id is
//! found in test code (names and strings, not comments) and in any file below a directory `tests`, in
//! whatever case, with `-` and `_` alike: `H1Q-01` is found in `h1q_01_length_and_chunked`.

use std::collections::{BTreeMap, BTreeSet};

use crate::findings::Findings;
use crate::rust::{Source, is_test_path};
use crate::tree::{File, Tree};

const CATALOGUES: [&str; 2] = ["docs/bad-inputs.md", "docs/behaviours.md"];

/// One row of a catalogue.
#[derive(Debug)]
struct Entry<'a> {
    id: String,
    status: &'a str,
    file: &'a File,
    line: usize,
}

/// Checks both catalogues against the tests; the text says how many ids stand where.
pub(crate) fn check(tree: &Tree, sources: &[Source<'_>], findings: &mut Findings) -> String {
    let mut entries = Vec::new();
    let mut features = BTreeSet::new();
    for path in CATALOGUES {
        match tree.file(path) {
            Some(file) => read(file, &mut entries, &mut features, findings),
            None => findings.error(path, 1, "the catalogue is missing"),
        }
    }
    let tested = ids_in_tests(tree, sources, &entries);
    let mut seen = BTreeMap::new();
    let (mut tests, mut waiting) = (0, 0);
    for Entry { id, status, file, line } in &entries {
        if let Some(first) = seen.insert(id, line) {
            findings.error(
                &file.path,
                *line,
                format!("{id} stands here a second time; first at line {first}"),
            );
        }
        let found = tested.get(id);
        let in_part = status.strip_prefix("test; waits: ");
        match (*status, in_part.or(status.strip_prefix("waits: ")), found) {
            ("test", _, Some(_)) => tests += 1,
            ("test", _, None) => findings.error(&file.path, *line, format!("{id} has no test")),
            (_, Some(feature), _) if !features.contains(feature) => {
                findings.error(&file.path, *line, format!("{id} waits for {feature:?}, which is no feature"));
            }
            (_, Some(_), Some(_)) if in_part.is_some() => waiting += 1,
            (_, Some(_), None) if in_part.is_some() => {
                findings.error(&file.path, *line, format!("{id} has no test of its part"));
            }
            (_, Some(feature), Some(place)) => {
                waiting += 1;
                let says = format!("{id} is said to wait for {feature}, but a test carries it: {place}");
                findings.warn(&file.path, *line, says);
            }
            (_, Some(_), None) => waiting += 1,
            (_, None, _) => {
                let says = format!("{id} has the status {status:?}: say `test`, `waits: <feature>` or both");
                findings.error(&file.path, *line, says);
            }
        }
    }
    format!("catalogues: {} ids, {tests} in tests, {waiting} waiting\n", entries.len())
}

/// Reads the tables of one catalogue.
fn read<'a>(
    file: &'a File,
    entries: &mut Vec<Entry<'a>>,
    features: &mut BTreeSet<&'a str>,
    findings: &mut Findings,
) {
    let mut head: Option<&str> = None;
    for (line, text) in file.lines() {
        let Some(cells) = cells(text) else {
            head = None;
            continue;
        };
        let (first, last) = (cells[0], cells[cells.len() - 1]);
        match head {
            None => {
                head = Some(first);
                if first == "id" && last != "status" {
                    findings.error(&file.path, line, "the last column of a catalogue is `status`");
                }
            }
            Some(_) if first.starts_with("--") => {}
            Some("id") if is_id(first) => entries.push(Entry { id: key(first), status: last, file, line }),
            Some("id") => findings.error(&file.path, line, format!("{first:?} is no id such as H1Q-01")),
            Some("waits for") => {
                features.insert(first);
            }
            Some(_) => {}
        }
    }
}

/// The cells of a row of a table; a `\|` inside a cell is not a border.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let mut cells = Vec::new();
    let mut start = 0;
    for (at, _) in inner.match_indices('|') {
        if !inner[..at].ends_with('\\') {
            cells.push(inner[start..at].trim());
            start = at + 1;
        }
    }
    cells.push(inner[start..].trim());
    Some(cells)
}

/// Capitals and digits that begin with a capital, a dash, two digits.
fn is_id(text: &str) -> bool {
    let Some((family, number)) = text.split_once('-') else { return false };
    family.starts_with(|first: char| first.is_ascii_uppercase())
        && family.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && number.len() == 2
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The one form in which ids are compared.
fn key(text: &str) -> String {
    text.to_ascii_uppercase().replace('_', "-")
}

/// Where each id is first found in a test.
fn ids_in_tests(tree: &Tree, sources: &[Source<'_>], entries: &[Entry<'_>]) -> BTreeMap<String, String> {
    let families: BTreeSet<&str> =
        entries.iter().filter_map(|entry| Some(entry.id.split_once('-')?.0)).collect();
    let mut found = BTreeMap::new();
    let mut note = |text: &str, path: &str, line: usize| {
        for id in ids_in(text, &families) {
            found.entry(id).or_insert_with(|| format!("{path}:{line}"));
        }
    };
    // This crate's own tests speak of ids as samples.
    let counts = |path: &str| !path.starts_with("ci/tidy/");
    for file in tree.files.iter().filter(|file| counts(&file.path) && is_test_path(&file.path)) {
        // Below `tests` a file's name counts as much as what it says; a crate's own name does not.
        let name = file.path.rsplit_once("tests").map_or("", |(_, name)| name);
        note(name, &file.path, 1);
        if !file.path.ends_with(".rs") {
            file.lines().for_each(|(line, text)| note(text, &file.path, line));
        }
    }
    for source in sources.iter().filter(|source| counts(&source.file.path)) {
        for token in source.tokens.iter().filter(|token| token.test) {
            note(&token.text, &source.file.path, token.line);
        }
    }
    found
}

/// Every id of a known family in a text: family, dash or underscore, two digits and no third.
fn ids_in(text: &str, families: &BTreeSet<&str>) -> Vec<String> {
    let text = key(text);
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut ids = Vec::new();
    for (dash, _) in text.match_indices('-') {
        let start =
            bytes[..dash].iter().rposition(|b| !b.is_ascii_alphanumeric()).map_or(0, |before| before + 1);
        let two_digits = is_digit(dash + 1) && is_digit(dash + 2) && !is_digit(dash + 3);
        if two_digits && families.contains(&text[start..dash]) {
            ids.push(text[start..dash + 3].to_owned());
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rust::sources;

    const OTHER: (&str, &str) = ("docs/behaviours.md", "# Nothing\n");

    fn run(samples: &[(&str, &str)]) -> (Findings, String) {
        let tree = Tree::of(samples);
        let mut findings = Findings::default();
        let sources = sources(&tree, &mut findings);
        let said = check(&tree, &sources, &mut findings);
        (findings, said)
    }

    #[test]
    fn an_id_without_a_test_is_an_error() {
        let page = "| waits for | what |\n|---|---|\n| tls | TLS |\n\n| id | x | status |\n|---|---|---|\n\
                    | Q1-01 | a | test |\n| Q1-02 | a \\| b | test |\n| Q1-03 | c | waits: tls |\n| B-01 | d | test |\n";
        let (findings, said) = run(&[
            ("docs/bad-inputs.md", page),
            OTHER,
            (
                "codec/src/a.rs",
                "fn q1_02() {}\n// Q1-02\n#[cfg(test)]\nmod tests {\n    fn q1_01_length() {}\n}\n",
            ),
            ("codec/tests/a.rs", "/// Q1-02\nconst A: &[&str] = &[\"web-01: B-01\", \"Q1-020\"]; // Q1-02\n"),
        ]);
        assert_eq!(findings.error_lines(), ["docs/bad-inputs.md:8: Q1-02 has no test"]);
        assert_eq!(said, "catalogues: 4 ids, 2 in tests, 1 waiting\n");
    }

    #[test]
    fn files_of_cases_count_by_name_and_by_text() {
        let page = "| id | status |\n|---|---|\n| A-01 | test |\n| A-02 | test |\n| A-03 | test |\n";
        let (findings, _) = run(&[
            ("docs/bad-inputs.md", page),
            OTHER,
            ("edge/tests/cases/a_01.txt", "GET /"),
            ("edge/tests/cases/more.toml", "id = \"a-02\""),
            ("edge/cases/a_03.txt", "a-03"),
            ("ci/tidy/src/x.rs", "#[cfg(test)]\nmod tests { const A: &str = \"a-03\"; }"),
        ]);
        assert_eq!(findings.error_lines(), ["docs/bad-inputs.md:5: A-03 has no test"]);
    }

    #[test]
    fn a_row_must_be_readable_and_single() {
        let page = "| waits for | |\n|---|---|\n| tls | TLS |\n\n| id | status |\n|---|---|\n| A-1 | test |\n\
                    | A-02 | later |\n| A-03 | waits: tsl |\n| A-04 | waits: tls |\n| A-04 | waits: tls |\n";
        let (findings, _) = run(&[("docs/bad-inputs.md", page), OTHER]);
        assert_eq!(
            findings.error_lines(),
            [
                "docs/bad-inputs.md:7: \"A-1\" is no id such as H1Q-01",
                "docs/bad-inputs.md:8: A-02 has the status \"later\": say `test`, `waits: <feature>` or both",
                "docs/bad-inputs.md:9: A-03 waits for \"tsl\", which is no feature",
                "docs/bad-inputs.md:11: A-04 stands here a second time; first at line 10",
            ]
        );
    }

    #[test]
    fn a_waiting_id_that_a_test_carries_is_a_warning() {
        let page = "| waits for | |\n|---|---|\n| tls | TLS |\n\n| id | status |\n|---|---|\n| A-01 | waits: tls |\n";
        let (findings, _) =
            run(&[("docs/bad-inputs.md", page), OTHER, ("edge/tests/tls.rs", "#[test]\nfn a_01() {}")]);
        assert_eq!((findings.errors(), findings.warnings()), (0, 1));
        assert!(findings.to_string().contains("edge/tests/tls.rs:2"), "{findings}");
    }

    #[test]
    fn a_row_may_have_a_test_of_one_part_and_wait_for_another() {
        let page = "| waits for | |\n|---|---|\n| tls | TLS |\n\n| id | status |\n|---|---|\n\
                    | A-01 | test; waits: tls |\n| A-02 | test; waits: tls |\n| A-03 | test; waits: tsl |\n";
        let (findings, said) =
            run(&[("docs/bad-inputs.md", page), OTHER, ("codec/tests/tls.rs", "#[test]\nfn a_01() {}")]);
        assert_eq!(
            findings.error_lines(),
            [
                "docs/bad-inputs.md:8: A-02 has no test of its part",
                "docs/bad-inputs.md:9: A-03 waits for \"tsl\", which is no feature",
            ]
        );
        assert_eq!((findings.warnings(), said.as_str()), (0, "catalogues: 3 ids, 0 in tests, 1 waiting\n"));
    }

    #[test]
    fn catalogues_must_be_there() {
        let (findings, _) = run(&[OTHER]);
        assert_eq!(findings.error_lines(), ["docs/bad-inputs.md:1: the catalogue is missing"]);
    }
}

//! The longest files and functions, and how much is conditional: figures to look at, never an error.

use std::fmt::Write;

use crate::rust::Source;

/// How many of each are listed.
const LISTED: usize = 10;

/// The figures as text.
pub(crate) fn report(sources: &[Source<'_>]) -> String {
    let mut files: Vec<(usize, String)> =
        sources.iter().map(|source| (source.code_lines(), source.file.path.clone())).collect();
    let mut functions: Vec<(usize, String)> = Vec::new();
    for source in sources {
        for function in source.functions.iter().filter(|function| !function.test) {
            let place = format!("{}:{} {}", source.file.path, function.line, function.name);
            functions.push((function.lines, place));
        }
    }
    let features: usize = sources.iter().map(cfg_features).sum();
    let mut text = String::new();
    list("longest files, without their tests", &mut files, &mut text);
    list("longest functions, without tests", &mut functions, &mut text);
    text.push_str(&format!("cfg(feature): {features}\n"));
    text
}

fn list(title: &str, rows: &mut [(usize, String)], text: &mut String) {
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let _ = writeln!(text, "{title} (lines):");
    for (lines, place) in rows.iter().take(LISTED) {
        let _ = writeln!(text, "{lines:>6}  {place}");
    }
}

/// How many attributes and macros choose code by a feature.
fn cfg_features(source: &Source<'_>) -> usize {
    let tokens = &source.tokens;
    let starts =
        tokens.iter().enumerate().filter(|(_, token)| matches!(token.text.as_str(), "cfg" | "cfg_attr"));
    starts
        .filter(|(index, _)| {
            // Up to the end of the attribute, or of the statement that holds the macro.
            let predicate =
                tokens[index + 1..].iter().take_while(|token| !matches!(&*token.text, "]" | "{" | ";"));
            predicate.into_iter().any(|token| token.text == "feature")
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Findings;
    use crate::rust::sources;
    use crate::tree::Tree;

    #[test]
    fn the_longest_come_first_and_tests_are_left_out() {
        let tree = Tree::of(&[
            ("a.rs", "fn short() {}\n"),
            (
                "b.rs",
                "fn long() {\n    a();\n}\n#[cfg(test)]\nmod tests {\n    fn longer() {\n\n\n\n    }\n}\n",
            ),
        ]);
        let report = report(&sources(&tree, &mut Findings::default()));
        let lines: Vec<_> = report.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "longest files, without their tests (lines):",
                "3  b.rs",
                "1  a.rs",
                "longest functions, without tests (lines):",
                "3  b.rs:1 long",
                "1  a.rs:1 short",
                "cfg(feature): 0",
            ]
        );
    }

    #[test]
    fn features_are_counted_once_each() {
        let text = "#[cfg(feature = \"a\")]\nfn a() {}\n#[cfg(all(unix, not(feature = \"a\")))]\nfn b() {}\n\
                    #[cfg(unix)]\nfn c() { if cfg!(feature = \"a\") {} }\n";
        let tree = Tree::of(&[("a.rs", text)]);
        let report = report(&sources(&tree, &mut Findings::default()));
        assert!(report.ends_with("cfg(feature): 3\n"), "{report}");
    }
}

//! Rust sources as flat lists of tokens: comments gone, lines kept, test code marked.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::findings::Findings;
use crate::tree::{File, Tree};

/// One Rust file.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub(crate) file: &'a File,
    /// In order; a group appears as its two delimiters around its content. Documentation is left out.
    pub(crate) tokens: Vec<Token>,
    pub(crate) functions: Vec<Function>,
    /// Whether all of it is compiled only for tests.
    pub(crate) all_test: bool,
    /// The modules that it declares under `#[cfg(test)]` and that have files of their own.
    test_modules: Vec<String>,
}

/// One token that is not a comment.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    pub(crate) kind: Kind,
    /// Whether it stands in test code.
    pub(crate) test: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Literal,
    Mark,
}

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
    pub(crate) test: bool,
}

/// Every Rust file of the tree; one that is not made of tokens is an error.
pub(crate) fn sources<'a>(tree: &'a Tree, findings: &mut Findings) -> Vec<Source<'a>> {
    let mut sources = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".rs")) {
        match Source::read(file) {
            Ok(source) => sources.push(source),
            Err((line, error)) => findings.error(&file.path, line, format!("is not Rust: {error}")),
        }
    }
    let test_files: BTreeSet<String> = sources.iter().flat_map(Source::test_files).collect();
    for source in &mut sources {
        if test_files.contains(&source.file.path) {
            source.mark_all_test();
        }
    }
    sources
}

impl<'a> Source<'a> {
    fn read(file: &'a File) -> Result<Self, (usize, String)> {
        let stream: TokenStream = file
            .text
            .parse()
            .map_err(|error: proc_macro2::LexError| (error.span().start().line, error.to_string()))?;
        let mut source = Source {
            file,
            tokens: Vec::new(),
            functions: Vec::new(),
            all_test: false,
            test_modules: Vec::new(),
        };
        let says_so = source.walk(stream, false);
        if says_so || is_test_path(&file.path) {
            source.mark_all_test();
        }
        // The spans of a file are needed only while it is read.
        proc_macro2::extra::invalidate_current_thread_spans();
        Ok(source)
    }

    fn mark_all_test(&mut self) {
        self.all_test = true;
        self.tokens.iter_mut().for_each(|token| token.test = true);
        self.functions.iter_mut().for_each(|function| function.test = true);
    }

    /// Takes in one level of the file; whether it says of itself that all of it is test code.
    fn walk(&mut self, stream: TokenStream, outer_test: bool) -> bool {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut outer_test = outer_test;
        // From a `#[cfg(test)]` to the end of the item that it stands on.
        let mut item_test = false;
        let mut function: Option<(String, usize)> = None;
        let mut index = 0;
        while let Some(tree) = trees.get(index) {
            if let Some(attribute) = Attribute::at(&trees, index) {
                outer_test |= attribute.inner && attribute.is_test();
                item_test |= !attribute.inner && attribute.is_test();
                if attribute.name() == "doc" {
                    index += attribute.width;
                    continue;
                }
            }
            let test = outer_test || item_test;
            if let (TokenTree::Ident(keyword), Some(TokenTree::Ident(name))) = (tree, trees.get(index + 1)) {
                let line = keyword.span().start().line;
                match keyword.to_string().as_str() {
                    "fn" => function = Some((name.to_string(), line)),
                    "mod" if test && is_mark(trees.get(index + 2), ';') => {
                        self.test_modules.push(name.to_string());
                    }
                    _ => {}
                }
            }
            let ends_item = match tree {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                other => is_mark(Some(other), ';'),
            };
            if let (true, TokenTree::Group(group), Some((name, line))) = (ends_item, tree, &function) {
                let lines = group.span_close().end().line - line + 1;
                self.functions.push(Function { name: name.clone(), line: *line, lines, test });
            }
            self.push(tree, test);
            if ends_item {
                item_test = false;
                function = None;
            }
            index += 1;
        }
        outer_test
    }

    fn push(&mut self, tree: &TokenTree, test: bool) {
        let (kind, text) = match tree {
            TokenTree::Group(group) => return self.push_group(group, test),
            TokenTree::Ident(word) => (Kind::Word, word.to_string()),
            TokenTree::Literal(literal) => (Kind::Literal, literal.to_string()),
            TokenTree::Punct(mark) => (Kind::Mark, mark.to_string()),
        };
        self.tokens.push(Token { text, line: tree.span().start().line, kind, test });
    }

    fn push_group(&mut self, group: &Group, test: bool) {
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        let mark = |text: &str, line| Token { text: text.to_owned(), line, kind: Kind::Mark, test };
        self.tokens.push(mark(open, group.span_open().start().line));
        self.walk(group.stream(), test);
        self.tokens.push(mark(close, group.span_close().start().line));
    }

    /// The files in which the modules under `#[cfg(test)]` may live.
    fn test_files(&self) -> Vec<String> {
        let path = &self.file.path;
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = match name {
            "lib.rs" | "main.rs" | "mod.rs" => dir.to_owned(),
            _ => path.trim_end_matches(".rs").to_owned(),
        };
        let files = |module: &String| [format!("{dir}/{module}.rs"), format!("{dir}/{module}/mod.rs")];
        self.test_modules.iter().flat_map(files).collect()
    }

    /// Whether it lies at or below `prefix`.
    pub(crate) fn is_below(&self, prefix: &str) -> bool {
        self.file.path.starts_with(prefix)
    }

    /// The lines at which these tokens stand in a row, with whether that is test code.
    pub(crate) fn find<'s>(&'s self, row: &'s [&'s str]) -> impl Iterator<Item = (usize, bool)> + 's {
        self.tokens
            .windows(row.len())
            .filter(move |window| {
                // A literal is data, whatever it says.
                window.iter().zip(row).all(|(token, text)| token.kind != Kind::Literal && token.text == *text)
            })
            .map(|window| (window[0].line, window[0].test))
    }

    /// How many lines it has without its test code.
    pub(crate) fn code_lines(&self) -> usize {
        let test_lines = |run: &[Token]| match (run.first(), run.last()) {
            (Some(first), Some(last)) if first.test => last.line - first.line + 1,
            _ => 0,
        };
        let runs = self.tokens.chunk_by(|a, b| a.test == b.test);
        self.file.text.lines().count().saturating_sub(runs.map(test_lines).sum())
    }
}

/// `#[name ..]` or `#![name ..]`.
struct Attribute {
    body: Vec<TokenTree>,
    inner: bool,
    /// How many token trees it takes up.
    width: usize,
}

impl Attribute {
    fn at(trees: &[TokenTree], index: usize) -> Option<Self> {
        if !is_mark(trees.get(index), '#') {
            return None;
        }
        let inner = is_mark(trees.get(index + 1), '!');
        let width = if inner { 3 } else { 2 };
        match trees.get(index + width - 1) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
                Some(Self { body: group.stream().into_iter().collect(), inner, width })
            }
            _ => None,
        }
    }

    fn name(&self) -> String {
        self.body.first().map(ToString::to_string).unwrap_or_default()
    }

    /// Whether what it stands on is compiled for tests only.
    fn is_test(&self) -> bool {
        match (self.name().as_str(), self.body.get(1)) {
            ("test", None) => true,
            ("cfg", Some(TokenTree::Group(group))) => requires_test(group.stream()),
            _ => false,
        }
    }
}

/// Whether a `cfg` predicate holds only in tests: `test`, or `all(..)` with such a part.
fn requires_test(predicate: TokenStream) -> bool {
    let trees: Vec<TokenTree> = predicate.into_iter().collect();
    trees.iter().enumerate().any(|(index, tree)| match (tree.to_string().as_str(), trees.get(index + 1)) {
        ("test", _) => true,
        ("all", Some(TokenTree::Group(group))) => requires_test(group.stream()),
        _ => false,
    })
}

fn is_mark(tree: Option<&TokenTree>, mark: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

/// Whether a path is that of tests or benches: by a directory, or by the file's name.
pub(crate) fn is_test_path(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.split('/').any(|part| part == "tests" || part == "benches")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        let file = file(
            "a.rs",
            "// unsafe\n/* unsafe */\n/// unsafe\nconst A: &str = \"unsafe\";\nunsafe fn f() {}\n",
        );
        let source = Source::read(&file).unwrap();
        assert_eq!(source.find(&["unsafe"]).collect::<Vec<_>>(), [(5, false)]);
    }

    #[test]
    fn test_code_is_marked_to_the_end_of_its_item() {
        let text = "#[cfg(test)]\nuse a::X;\nuse b::X;\n#[cfg(test)]\nmod tests {\n    use c::X;\n}\nuse d::X;\n\
                    #[cfg(not(test))]\nuse e::X;\n#[cfg(any(test, unix))]\nuse f::X;\n#[test]\nfn g() { X }\n";
        let file = file("a.rs", text);
        let source = Source::read(&file).unwrap();
        let found: Vec<_> = source.find(&["X"]).collect();
        assert_eq!(
            found,
            [(2, true), (3, false), (6, true), (8, false), (10, false), (12, false), (14, true)]
        );
    }

    #[test]
    fn a_module_declared_for_tests_is_test_code_in_its_own_file() {
        let tree = Tree::of(&[
            ("x/src/lib.rs", "#[cfg(all(test, unix))]\nmod samples;\nmod plain;\n"),
            ("x/src/plain.rs", "#[cfg(test)] mod inside;\n"),
            ("x/src/plain/inside.rs", "fn f() {}"),
            ("x/src/samples.rs", "fn f() {}"),
            ("x/tests/h1.rs", "fn f() {}"),
        ]);
        let mut findings = Findings::default();
        let test: Vec<bool> = sources(&tree, &mut findings).iter().map(|source| source.all_test).collect();
        assert_eq!(test, [false, false, true, true, true]);
        assert_eq!(findings.errors(), 0);
    }

    #[test]
    fn functions_are_measured_from_their_keyword_to_their_brace() {
        let file = file(
            "a.rs",
            "trait T {\n    fn no_body(&self);\n    fn body(&self) -> [u8; 2] {\n        [1,\n         2]\n    }\n}\n",
        );
        let source = Source::read(&file).unwrap();
        let functions: Vec<_> = source.functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(functions, [("body", 3, 4)]);
    }

    #[test]
    fn code_lines_leave_tests_out() {
        let file = file("a.rs", "fn a() {}\nfn b() {}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n");
        assert_eq!(Source::read(&file).unwrap().code_lines(), 3);
    }

    #[test]
    fn what_does_not_balance_is_an_error_with_its_line() {
        let tree = Tree::of(&[("a.rs", "fn a() {\n    (]\n}\n")]);
        let mut findings = Findings::default();
        assert!(sources(&tree, &mut findings).is_empty());
        assert!(findings.error_lines()[0].starts_with("a.rs:2: is not Rust"), "{findings}");
    }
}

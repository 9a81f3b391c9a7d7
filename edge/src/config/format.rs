//! The canonical form of a file: the tokens stay, and the space between them is made anew. Comments are tokens.
//!
//! One space around `=`, after a comma, inside braces and before a comment; two of indentation for each bracket that
//! is open; at most one empty line together, and one before a table; no space at the end of a line.

use toml::de::DeTable;
use toml_parser::{
    Source,
    lexer::{Token, TokenKind},
};

/// The same file in its canonical form.
///
/// # Errors
/// It is not TOML; `check` says where.
pub(crate) fn format(text: &str) -> Result<String, toml::de::Error> {
    DeTable::parse(text)?;
    let source = Source::new(text);
    let mut lines = Lines::default();
    for line in lines_of(&source.lex().into_vec()) {
        lines.line(text, line);
    }
    Ok(lines.out)
}

/// Tokens without white space, line by line.
fn lines_of(tokens: &[Token]) -> Vec<Vec<Token>> {
    let mut lines = vec![Vec::new()];
    for token in tokens {
        match token.kind() {
            TokenKind::Newline => lines.push(Vec::new()),
            TokenKind::Whitespace | TokenKind::Eof => {}
            _ => lines.last_mut().into_iter().for_each(|line| line.push(*token)),
        }
    }
    lines
}

#[derive(Default)]
struct Lines {
    out: String,
    /// Brackets that are open.
    open: Vec<TokenKind>,
    /// An empty line is due before the next one.
    gap: bool,
    /// Comments that belong to what follows them: the first of them is where the empty line before a table goes.
    comment_at: Option<usize>,
}

impl Lines {
    fn line(&mut self, text: &str, tokens: Vec<Token>) {
        let Some(first) = tokens.first().map(Token::kind) else {
            self.gap = !self.out.is_empty();
            self.comment_at = None;
            return;
        };
        let is_table = self.open.is_empty() && first == TokenKind::LeftSquareBracket;
        if std::mem::take(&mut self.gap) {
            self.out.push('\n');
        } else if is_table && !self.out.is_empty() {
            let at = self.comment_at.unwrap_or(self.out.len());
            if at > 0 && !self.out[..at].ends_with("\n\n") {
                self.out.insert(at, '\n');
            }
        }
        match first {
            TokenKind::Comment if self.open.is_empty() => {
                self.comment_at.get_or_insert(self.out.len());
            }
            _ => self.comment_at = None,
        }
        let closes = tokens.iter().take_while(|token| is_close(token.kind())).count();
        let depth = self.open.len().saturating_sub(closes);
        self.out.extend(std::iter::repeat_n("  ", depth));
        let mut before: Option<TokenKind> = None;
        let mut in_header = is_table;
        for token in tokens {
            let kind = token.kind();
            if before.is_some_and(|before| !in_header && self.is_apart(before, kind))
                || (in_header && kind == TokenKind::Comment)
            {
                self.out.push(' ');
            }
            let span = token.span();
            let raw = text.get(span.start()..span.end()).unwrap_or_default();
            self.out.push_str(if kind == TokenKind::Comment { raw.trim_end() } else { raw });
            match kind {
                TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => self.open.push(kind),
                _ if is_close(kind) => {
                    self.open.pop();
                    in_header &= !self.open.is_empty();
                }
                _ => {}
            }
            before = Some(kind);
        }
        self.out.push('\n');
    }

    /// Whether a space stands between two tokens of a line.
    fn is_apart(&self, before: TokenKind, after: TokenKind) -> bool {
        use TokenKind::{
            Comma, Comment, Dot, LeftCurlyBracket as LeftCurly, LeftSquareBracket as LeftSquare,
            RightCurlyBracket as RightCurly, RightSquareBracket as RightSquare,
        };
        match (before, after) {
            (_, Comment) => true,
            (Dot, _) | (_, Dot | Comma) => false,
            (LeftCurly, RightCurly) => false,
            (LeftSquare, _) | (_, RightSquare) => false,
            _ => true,
        }
    }
}

fn is_close(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_made_anew_and_comments_stay() {
        let text = "\n\n# top  \nlanes=4   # four\n\n\n\n[ timeouts ]\nconnect   =\t\"3s\"\n# about the site\n[[site]]# here\nhost=['a','b' ,\n'c',  # the third\n]\nroute=[{path=\"/x\",to=[\"a:1\"]},\n  {a . b=1, n=1.5, d=1979-05-27 07:32:00, e={}, f=[ ]}\n]\n\n\n";
        let expected = "# top\nlanes = 4 # four\n\n[timeouts]\nconnect = \"3s\"\n\n# about the site\n[[site]] # here\nhost = ['a', 'b',\n  'c', # the third\n]\nroute = [{ path = \"/x\", to = [\"a:1\"] },\n  { a.b = 1, n = 1.5, d = 1979-05-27 07:32:00, e = {}, f = [] }\n]\n";
        let formatted = format(text).unwrap();
        assert_eq!(formatted, expected);
        assert_eq!(format(&formatted).unwrap(), expected, "it stays as it is");
        let (before, after) = (DeTable::parse(text).unwrap(), DeTable::parse(expected).unwrap());
        let keys =
            |table: &DeTable<'_>| table.keys().map(|key| key.get_ref().to_string()).collect::<Vec<_>>();
        assert_eq!(keys(before.get_ref()), keys(after.get_ref()));
    }

    #[test]
    fn strings_are_never_touched() {
        let text = "a = \"\"\"\n  x = [  1 ]  \n\n\n y\"\"\"\nb = '  # no comment '\n";
        assert_eq!(format(text).unwrap(), text);
        assert_eq!(format("").unwrap(), "");
        assert_eq!(format("\n\n").unwrap(), "");
        assert!(format("a = ").is_err());
    }
}

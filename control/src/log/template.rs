//! An access log line as an operator's own template has it.

use super::{
    field::{Field, Value},
    line::{Line, outcome},
    text::{apache_date, millis, number, quoted, quoted_address, rfc3339},
};
use std::{fmt, io::Write, str::FromStr};

/// Bytes that a template may have; a longer one is no line.
const TEMPLATE_BYTES_MAX: usize = 4096;

/// Text with the names of fields in braces: `{client.address} "{url.path}" {http.response.status_code}`. `{{` and `}}`
/// stand for the braces themselves. What is not known is a `-`, and what came over the network is escaped as in the
/// combined format, so that it stays on its line and between its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

impl Template {
    /// Writes the line, with its end.
    pub(crate) fn write(&self, out: &mut Vec<u8>, line: &Line<'_>) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Field(field) => value(out, field.value(line)),
            }
        }
        out.push(b'\n');
    }
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidTemplate {
    /// It is longer than 4096 bytes, or empty.
    Length,
    /// It has a control character, which would break a line in two.
    Control,
    /// A brace that opens and never closes, or closes and never opened.
    Brace,
    /// There is no field of this name.
    Field(String),
}

impl fmt::Display for InvalidTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "a template has 1 to {TEMPLATE_BYTES_MAX} bytes"),
            Self::Control => f.write_str("a template has no line ends and no other control characters"),
            Self::Brace => f.write_str("a brace is alone; write {{ or }} for the brace itself"),
            Self::Field(name) => write!(f, "there is no field {name:?}"),
        }
    }
}

impl std::error::Error for InvalidTemplate {}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        if text.is_empty() || text.len() > TEMPLATE_BYTES_MAX {
            return Err(InvalidTemplate::Length);
        }
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(InvalidTemplate::Control);
        }
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..];
            if let Some(left) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                plain.push_str(&brace[..1]);
                rest = left;
                continue;
            }
            let inner = brace.strip_prefix('{').ok_or(InvalidTemplate::Brace)?;
            let (name, left) = inner.split_once('}').ok_or(InvalidTemplate::Brace)?;
            let field = name.parse().map_err(|_| InvalidTemplate::Field(name.to_owned()))?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Field(field));
            rest = left;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }
}

fn value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Missing | Value::Attempts([]) => out.push(b'-'),
        Value::Text(text) => quoted(out, text),
        Value::Number(n) => number(out, n),
        Value::Millis(time) => millis(out, time),
        Value::Time(at) => rfc3339(out, at),
        Value::TimeApache(at) => apache_date(out, at),
        Value::Ip(ip) => write!(out, "{ip}").expect("a vector takes everything"),
        Value::Address(address) => quoted_address(out, address),
        Value::Attempts(attempts) => {
            for (index, attempt) in attempts.iter().enumerate() {
                let before = if index == 0 { "" } else { ", " };
                out.extend_from_slice(before.as_bytes());
                quoted_address(out, &attempt.endpoint);
                out.push(b' ');
                outcome(out, attempt.outcome);
            }
        }
        Value::Notes(notes) => {
            for (index, (name, value)) in notes.iter().enumerate() {
                if index > 0 {
                    out.push(b' ');
                }
                quoted(out, name.as_bytes());
                out.push(b'=');
                quoted(out, value.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::line::tests::sample;
    use std::borrow::Cow;

    fn written(template: &str, line: &Line<'_>) -> String {
        let mut out = Vec::new();
        template.parse::<Template>().unwrap().write(&mut out, line);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_template_is_filled() {
        let notes = [(Cow::Borrowed("user"), "ann".to_owned())];
        let line = Line { target: b"/a?b", notes: &notes, ..sample() };
        let template = "{client.address} {notes.user} [{time.apache}] \"{http.request.method} {http.request.target}\" \
                        {http.response.status_code} {duration_ms} {{{url.query}}} {error}|{upstream.address}|{attempts}";
        let expected =
            "192.0.2.1 ann [01/Jan/2026:00:00:00 +0000] \"GET /a?b\" 200 12.345 {b} -|-|-\n".to_owned();
        assert_eq!(written(template, &line), expected);
        assert_eq!(written("no field", &line), "no field\n");
    }

    #[test]
    fn h1q_69_hostile_text_stays_on_its_line() {
        let line = Line { target: b"/\"\n", user_agent: b"\x1b[2J\xff\\", ..sample() };
        let expected = "\"/\\\"\\x0a\" \\x1b[2J\\xff\\\\\n";
        assert_eq!(written("\"{url.path}\" {user_agent.original}", &line), expected);
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (text, why) in [
            ("", InvalidTemplate::Length),
            ("a\nb", InvalidTemplate::Control),
            ("{time", InvalidTemplate::Brace),
            ("time}", InvalidTemplate::Brace),
            ("{status}", InvalidTemplate::Field("status".to_owned())),
            ("{}", InvalidTemplate::Field(String::new())),
        ] {
            assert_eq!(text.parse::<Template>(), Err(why), "{text}");
        }
        assert!("x".repeat(TEMPLATE_BYTES_MAX + 1).parse::<Template>().is_err());
    }
}

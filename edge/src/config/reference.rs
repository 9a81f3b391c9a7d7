//! The reference in the documentation, from the table.

use super::keys::{Default, Key, Kind, Section, Time, is_bare, sections};
use std::fmt::Write;

/// Markdown: a heading and a table for each section.
pub(crate) fn text() -> String {
    let mut text = String::new();
    for section in sections() {
        part(&mut text, section).expect("a string takes everything");
    }
    text
}

fn part(text: &mut String, section: &Section) -> std::fmt::Result {
    let name = match section.name.contains(' ') {
        true => section.name.to_owned(),
        false => format!("`{}`", section.name),
    };
    writeln!(
        text,
        "### {name}\n\n{}\n\n| key | value | default | what it does |\n|---|---|---|---|",
        section.help
    )?;
    for key in section.keys.iter().filter(|key| key.is_built()) {
        writeln!(text, "| `{}` | {} | {} | {} |", key.name, value(key), default(key), cell(key.help))?;
    }
    let waiting: Vec<String> =
        section.keys.iter().filter(|key| !key.is_built()).map(|key| format!("`{}`", key.name)).collect();
    if !waiting.is_empty() {
        writeln!(text, "\nNot built yet, and said so: {}.", waiting.join(", "))?;
    }
    writeln!(text)
}

fn value(key: &Key) -> String {
    match &key.kind {
        Kind::Text(form) => format!("{}, such as `\"{}\"`", form.what, form.example),
        Kind::OneOrTexts(form) => format!("one or a list: {}, such as `\"{}\"`", form.what, form.example),
        Kind::Time(Time::AboveZero) => "duration".to_owned(),
        Kind::Time(Time::Any) => "duration, or `\"0s\"`".to_owned(),
        Kind::Time(Time::OrNone) => "duration, or `\"none\"`".to_owned(),
        Kind::Size { none: true, .. } => "size, or `\"none\"`".to_owned(),
        Kind::Size { .. } => "size".to_owned(),
        Kind::Count { min, max, word: None } => format!("{min} to {max}"),
        Kind::Count { min, max, word: Some(word) } => format!("{min} to {max}, or `\"{word}\"`"),
        Kind::OneOrCounts { min, max } => format!("one or a list: {min} to {max}"),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Choice { built, open, .. } => {
            let mut all: Vec<String> = built.iter().map(|c| format!("`\"{c}\"`")).collect();
            all.extend(open.map(|form| format!("{}, such as `\"{}\"`", form.what, form.example)));
            all.join(", ")
        }
        Kind::Pairs { name, value } => format!("{name}: `{{ {} }}`", value.example),
        Kind::Endpoints(_) => "addresses, or tables with `address` and `weight`".to_owned(),
        Kind::Table(below) => format!("table: {}", super::keys::names(below)),
        Kind::Tables(_) => "list of tables, below".to_owned(),
        Kind::Named { name, .. } => format!("tables by {name}, below"),
        Kind::NotBuilt(_) => String::new(),
    }
}

fn default(key: &Key) -> String {
    match key.default {
        Default::Is(text) if is_bare(key, text) => format!("`{text}`"),
        Default::Is(text) => format!("`\"{text}\"`"),
        Default::Words(words) => words.to_owned(),
        Default::Around => "what holds around it".to_owned(),
        Default::Required => "required".to_owned(),
    }
}

/// A `|` would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

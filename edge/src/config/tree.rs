//! TOML as a tree in which every key and every value knows its place.

use super::{
    errors::Errors,
    source::{At, Files},
    variables::{self, Env},
};
use std::borrow::Cow;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float,
    Flag(bool),
    Date,
    List(Vec<Node>),
    Table(Table),
    /// Something was wrong with it, and that has been said.
    Broken,
}

/// Entries in the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) at: At,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: At,
    pub(crate) node: Node,
}

impl Table {
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Value {
    /// With its article.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float => "a float",
            Self::Flag(_) => "a boolean",
            Self::Date => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Broken => "broken",
        }
    }
}

/// The tree of a file. What is wrong with its syntax goes to `errors`, and the rest is read all the same.
pub(crate) fn parse(file: u32, files: &Files, env: Env<'_>, errors: &mut Errors) -> Table {
    let (table, wrong) = DeTable::parse_recoverable(files.text(file));
    for error in wrong {
        let offset = error.span().map_or(0, |span| span.start);
        errors.add_unreadable(files.at(file, offset), said(error.message()));
    }
    let mut reading = Reading { file, files, env, errors };
    let at = files.at(file, 0);
    reading.table(at, table.get_ref())
}

/// The parser's words on one line.
fn said(message: &str) -> String {
    let mut words = String::from("this is not TOML: ");
    words.extend(message.trim().chars().map(|c| if c == '\n' { ' ' } else { c }));
    words
}

struct Reading<'a> {
    file: u32,
    files: &'a Files,
    env: Env<'a>,
    errors: &'a mut Errors,
}

impl Reading<'_> {
    fn at<T>(&self, spanned: &Spanned<T>) -> At {
        self.files.at(self.file, spanned.span().start)
    }

    fn table(&mut self, at: At, table: &DeTable<'_>) -> Table {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| {
                let node = self.node(value);
                Entry { key: Cow::clone(key.get_ref()).into_owned(), at: self.at(key), node }
            })
            .collect();
        entries.sort_by_key(|entry| entry.at);
        Table { at, entries }
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>) -> Node {
        let at = self.at(value);
        let value = match value.get_ref() {
            DeValue::String(text) => match variables::expand(text, self.env) {
                Ok(text) => Value::Text(text),
                Err(says) => {
                    self.errors.add(at, says);
                    Value::Broken
                }
            },
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(integer) => Value::Integer(integer),
                Err(_) => {
                    self.errors.add(at, "this number is too large");
                    Value::Broken
                }
            },
            DeValue::Float(_) => Value::Float,
            DeValue::Boolean(flag) => Value::Flag(*flag),
            DeValue::Datetime(_) => Value::Date,
            DeValue::Array(list) => Value::List(list.iter().map(|node| self.node(node)).collect()),
            DeValue::Table(table) => Value::Table(self.table(at, table)),
        };
        Node { at, value }
    }
}

//! The one reader: it takes what the tables of [`keys`] name out of a tree, says everything that is wrong,
//! and notes each value with its origin.

use super::{
    errors::Errors,
    keys::{self, Default, Form, Key, Kind, Section, Time},
    source::{At, Files},
    tree::{self, Entry, Node, Table},
};
use crate::{
    units,
    words::{nearest, quote},
};
use std::{collections::BTreeSet, time::Duration};

/// A value and where it stands; that of its table where it is a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) at: At,
    pub(crate) value: T,
}

/// A value that holds, as it would be written, and where it was set.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) path: String,
    pub(crate) text: String,
    /// None: a default.
    pub(crate) origin: Option<At>,
}

/// What stands behind a key that is a duration, a size, a number or some, a choice or a flag; `None` for `"none"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Time(Option<Duration>),
    Number(Option<u64>),
    Numbers(Vec<u64>),
    Choice(&'static str),
    Flag(bool),
}

/// Names with their values.
pub(crate) type Pairs = Vec<(Located<String>, Vec<Located<String>>)>;

pub(crate) struct Reader<'a> {
    pub(crate) files: &'a Files,
    pub(crate) errors: &'a mut Errors,
    pub(crate) notes: Vec<Note>,
    /// Every key that was asked for, with its section: what the tables have beside these is never read.
    pub(crate) asked: BTreeSet<(&'static str, &'static str)>,
}

/// A table that is being read. A key is asked for once; then [`Reader::finish`] says what else is there.
#[derive(Debug)]
pub(crate) struct Scope<'t> {
    section: &'static Section,
    /// `None` where the file has none, and defaults hold.
    table: Option<&'t Table>,
    pub(crate) at: At,
    pub(crate) path: String,
    asked: Vec<&'static str>,
}

impl<'t> Scope<'t> {
    pub(crate) fn new(section: &'static Section, table: Option<&'t Table>, at: At, path: String) -> Self {
        Self { section, table, at, path, asked: Vec::new() }
    }

    /// Where a key stands, if it does.
    pub(crate) fn place(&self, name: &str) -> Option<At> {
        self.table?.entry(name).map(|entry| entry.at)
    }

    /// Whether such a key may stand in the table at all.
    pub(crate) fn has_key(&self, name: &str) -> bool {
        self.section.key(name).is_some_and(Key::is_built)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(files: &'a Files, errors: &'a mut Errors) -> Self {
        Self { files, errors, notes: Vec::new(), asked: BTreeSet::new() }
    }

    pub(crate) fn error(&mut self, at: At, says: impl Into<String>) {
        self.errors.add(at, says);
    }

    /// A string, by its own grammar; the default if there is one.
    pub(crate) fn text<T>(
        &mut self,
        scope: &mut Scope<'_>,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Located<T>> {
        let (key, entry) = self.ask(scope, name);
        let Some(entry) = entry else {
            let Default::Is(text) = key.default else { return None };
            return parse(text).ok().map(|value| Located { at: scope.at, value });
        };
        self.string(&scope.path_of(name), key, &entry.node, parse)
    }

    /// One string or a list of them; the default if there is one.
    pub(crate) fn texts<T>(
        &mut self,
        scope: &mut Scope<'_>,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<Located<T>> {
        let (key, entry) = self.ask(scope, name);
        let path = scope.path_of(name);
        match entry.map(|entry| (&entry.node, &entry.node.value)) {
            None => match key.default {
                Default::Is(text) => {
                    parse(text).ok().into_iter().map(|value| Located { at: scope.at, value }).collect()
                }
                _ => Vec::new(),
            },
            Some((node, tree::Value::List(nodes))) => {
                if nodes.is_empty() {
                    self.errors
                        .add(node.at, format!("`{path}` is an empty list; leave it out, or name something"));
                }
                nodes.iter().filter_map(|node| self.string(&path, key, node, &parse)).collect()
            }
            Some((node, _)) => self.string(&path, key, node, &parse).into_iter().collect(),
        }
    }

    fn string<T>(
        &mut self,
        path: &str,
        key: &Key,
        node: &Node,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Located<T>> {
        let tree::Value::Text(text) = &node.value else {
            self.mismatch(path, key, node);
            return None;
        };
        match parse(text) {
            Ok(value) => Some(Located { at: node.at, value }),
            Err(says) => {
                self.errors.add(node.at, format!("`{path}` is {}: {says}", shown(text, key)));
                None
            }
        }
    }

    /// One of the choices of the table.
    pub(crate) fn choice(&mut self, scope: &mut Scope<'_>, name: &'static str) -> Option<&'static str> {
        match self.choice_or(scope, name, |_| None::<Result<(), String>>)? {
            Choice::Of(choice) => Some(choice),
            Choice::Open(()) => None,
        }
    }

    /// One of the choices, or what `open` makes of it; `None` from that means that it is no such thing.
    pub(crate) fn choice_or<T>(
        &mut self,
        scope: &mut Scope<'_>,
        name: &'static str,
        open: impl Fn(&str) -> Option<Result<T, String>>,
    ) -> Option<Choice<T>> {
        let key = scope.section.key(name)?;
        let Kind::Choice { built, not_built, .. } = &key.kind else { return None };
        let found = self.text(scope, name, |text| {
            if let Some(choice) = built.iter().find(|choice| **choice == text) {
                return Ok(Choice::Of(choice));
            }
            if let Some(made) = open(text) {
                return made.map(Choice::Open);
            }
            let expected = key.kind.expected();
            if not_built.contains(&text) {
                return Err(format!("that is not built yet; expected {expected}"));
            }
            let nearest = nearest(text, built.iter().chain(*not_built).copied());
            let meant = nearest.map(|name| format!("did you mean \"{name}\"? ")).unwrap_or_default();
            Err(format!("{meant}expected {expected}"))
        });
        found.map(|found| found.value)
    }

    /// What stands behind a key, whatever its kind; the default if there is one.
    pub(crate) fn value(&mut self, scope: &mut Scope<'_>, name: &'static str) -> Option<Located<Value>> {
        let at = scope.place(name).unwrap_or(scope.at);
        let value = match scope.section.key(name)?.kind {
            Kind::Time(_) => Value::Time(self.time(scope, name)?),
            Kind::Size { .. } => Value::Number(self.size(scope, name)?),
            Kind::Count { .. } => Value::Number(Some(self.count(scope, name)?)),
            Kind::Flag => Value::Flag(self.flag(scope, name)?),
            Kind::Choice { open: None, .. } => Value::Choice(self.choice(scope, name)?),
            Kind::OneOrCounts { .. } => Value::Numbers(self.counts(scope, name)?),
            _ => return None,
        };
        Some(Located { at, value })
    }

    /// A duration; `Some(None)` for `"none"`.
    pub(crate) fn time(&mut self, scope: &mut Scope<'_>, name: &'static str) -> Option<Option<Duration>> {
        let key = scope.section.key(name)?;
        let Kind::Time(kind) = key.kind else { return None };
        let time = self.text(scope, name, |text| match kind {
            Time::OrNone if text == "none" => Ok(None),
            Time::Any => units::duration(text).map(Some),
            Time::AboveZero | Time::OrNone => units::positive_duration(text).map(Some),
        });
        time.map(|time| time.value)
    }

    /// A size; `Some(None)` for `"none"`.
    pub(crate) fn size(&mut self, scope: &mut Scope<'_>, name: &'static str) -> Option<Option<u64>> {
        let key = scope.section.key(name)?;
        let Kind::Size { min, max, none } = key.kind else { return None };
        let size = self.text(scope, name, |text| {
            if none && text == "none" {
                return Ok(None);
            }
            match units::size(text)? {
                size if (min..=max).contains(&size) => Ok(Some(size)),
                _ => Err(format!("expected {} to {}", units::size_text(min), units::size_text(max))),
            }
        });
        size.map(|size| size.value)
    }

    /// A number; `None` if there is neither one nor a default, and for the word that may stand in its place.
    pub(crate) fn count(&mut self, scope: &mut Scope<'_>, name: &'static str) -> Option<u64> {
        let (key, entry) = self.ask(scope, name);
        let Kind::Count { min, max, word } = key.kind else { return None };
        let Some(entry) = entry else {
            let Default::Is(text) = key.default else { return None };
            return text.parse().ok();
        };
        let path = scope.path_of(name);
        match &entry.node.value {
            tree::Value::Integer(number) => match u64::try_from(*number) {
                Ok(number) if (min..=max).contains(&number) => Some(number),
                _ => {
                    let expected = key.kind.expected();
                    self.errors.add(entry.node.at, format!("`{path}` is {number}; expected {expected}"));
                    None
                }
            },
            tree::Value::Text(text) if word == Some(text.as_str()) => None,
            _ => {
                self.mismatch(&path, key, &entry.node);
                None
            }
        }
    }

    /// One number or a list of them; none if there is neither.
    pub(crate) fn counts(&mut self, scope: &mut Scope<'_>, name: &'static str) -> Option<Vec<u64>> {
        let (key, entry) = self.ask(scope, name);
        let Kind::OneOrCounts { min, max } = key.kind else { return None };
        let entry = entry?;
        let path = scope.path_of(name);
        let nodes = match &entry.node.value {
            tree::Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&entry.node),
        };
        let mut counts = Vec::new();
        for node in nodes {
            match &node.value {
                tree::Value::Integer(number) => match u64::try_from(*number) {
                    Ok(number) if (min..=max).contains(&number) => counts.push(number),
                    _ => {
                        let expected = key.kind.expected();
                        self.errors.add(node.at, format!("`{path}` is {number}; expected {expected}"));
                    }
                },
                _ => self.mismatch(&path, key, node),
            }
        }
        Some(counts)
    }

    pub(crate) fn flag(&mut self, scope: &mut Scope<'_>, name: &'static str) -> Option<bool> {
        let (key, entry) = self.ask(scope, name);
        let Some(entry) = entry else {
            let Default::Is(text) = key.default else { return None };
            return text.parse().ok();
        };
        match entry.node.value {
            tree::Value::Flag(flag) => Some(flag),
            _ => {
                self.mismatch(&scope.path_of(name), key, &entry.node);
                None
            }
        }
    }

    pub(crate) fn pairs(&mut self, scope: &mut Scope<'_>, name: &'static str) -> Pairs {
        let (key, entry) = self.ask(scope, name);
        let Some(entry) = entry else { return Vec::new() };
        let path = scope.path_of(name);
        let tree::Value::Table(table) = &entry.node.value else {
            self.mismatch(&path, key, &entry.node);
            return Vec::new();
        };
        let pair = |entry: &Entry| {
            let path = format!("{path}.{}", entry.key);
            let nodes = match &entry.node.value {
                tree::Value::List(nodes) => nodes.as_slice(),
                _ => std::slice::from_ref(&entry.node),
            };
            let mut values = Vec::new();
            for node in nodes {
                match &node.value {
                    tree::Value::Text(text) => values.push(Located { at: node.at, value: text.clone() }),
                    tree::Value::Broken => {}
                    other => {
                        let is = other.type_name();
                        self.errors
                            .add(node.at, format!("`{path}` is {is}; expected a string or a list of them"));
                    }
                }
            }
            (Located { at: entry.at, value: entry.key.clone() }, values)
        };
        table.entries.iter().map(pair).collect()
    }

    /// The table below a key. Where there is none, its defaults hold.
    pub(crate) fn table<'t>(&mut self, scope: &mut Scope<'t>, name: &'static str) -> Option<Scope<'t>> {
        let (key, entry) = self.ask(scope, name);
        let (section, entry) = (key.kind.section()?, entry?);
        self.scope(section, &entry.node, scope.path_of(name))
    }

    /// As [`table`](Self::table); one of defaults where the file has none.
    pub(crate) fn table_or_defaults<'t>(&mut self, scope: &mut Scope<'t>, name: &'static str) -> Scope<'t> {
        let section = scope.section.key(name).and_then(|key| key.kind.section()).unwrap_or(scope.section);
        let path = scope.path_of(name);
        let at = scope.at;
        self.table(scope, name).unwrap_or_else(|| Scope::new(section, None, at, path))
    }

    /// The tables of a list.
    pub(crate) fn tables<'t>(&mut self, scope: &mut Scope<'t>, name: &'static str) -> Vec<Scope<'t>> {
        let (key, entry) = self.ask(scope, name);
        let (Some(section), Some(entry)) = (key.kind.section(), entry) else { return Vec::new() };
        let path = scope.path_of(name);
        let tree::Value::List(nodes) = &entry.node.value else {
            self.mismatch(&path, key, &entry.node);
            return Vec::new();
        };
        if nodes.is_empty() {
            self.errors
                .add(entry.node.at, format!("`{path}` is an empty list; expected {}", key.kind.expected()));
        }
        let numbered = nodes.iter().enumerate();
        numbered.filter_map(|(i, node)| self.scope(section, node, format!("{path}[{}]", i + 1))).collect()
    }

    /// The tables below names of the user's choice.
    pub(crate) fn named<'t>(
        &mut self,
        scope: &mut Scope<'t>,
        name: &'static str,
    ) -> Vec<(Located<String>, Scope<'t>)> {
        let (key, entry) = self.ask(scope, name);
        let (Some(section), Some(entry)) = (key.kind.section(), entry) else { return Vec::new() };
        let path = scope.path_of(name);
        let tree::Value::Table(table) = &entry.node.value else {
            self.mismatch(&path, key, &entry.node);
            return Vec::new();
        };
        let one = |entry: &'t Entry| {
            let below = self.scope(section, &entry.node, format!("{path}.{}", entry.key))?;
            Some((Located { at: entry.at, value: entry.key.clone() }, below))
        };
        table.entries.iter().filter_map(one).collect()
    }

    /// Addresses, each a string or a table; strings are tables of which one key is set.
    pub(crate) fn endpoints<'t>(&mut self, scope: &mut Scope<'t>, name: &'static str) -> Vec<Endpoint<'t>> {
        let (key, entry) = self.ask(scope, name);
        let (Some(section), Some(entry)) = (key.kind.section(), entry) else { return Vec::new() };
        let path = scope.path_of(name);
        let nodes = match &entry.node.value {
            tree::Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(&entry.node),
        };
        if nodes.is_empty() {
            self.errors
                .add(entry.node.at, format!("`{path}` is an empty list; expected {}", key.kind.expected()));
        }
        let mut endpoints = Vec::new();
        for (i, node) in nodes.iter().enumerate() {
            match &node.value {
                tree::Value::Text(text) => {
                    endpoints.push(Endpoint::Address(Located { at: node.at, value: text.as_str() }))
                }
                tree::Value::Table(table) => {
                    let path = format!("{path}[{}]", i + 1);
                    endpoints.push(Endpoint::Table(Scope::new(section, Some(table), node.at, path)));
                }
                _ => self.mismatch(&path, key, node),
            }
        }
        endpoints
    }

    /// Says which keys nobody knows.
    pub(crate) fn finish(&mut self, scope: Scope<'_>) {
        let Some(table) = scope.table else { return };
        for entry in table.entries.iter().filter(|entry| !scope.asked.contains(&entry.key.as_str())) {
            let section = scope.section;
            let says = match section.key(&entry.key).map(|key| &key.kind) {
                Some(Kind::NotBuilt(until)) => format!("`{}` is not built yet: {until}", entry.key),
                Some(_) => format!("`{}` has no meaning here", entry.key),
                None => unknown(section, &scope.path, &entry.key),
            };
            self.errors.add(entry.at, says);
        }
    }

    fn scope<'t>(&mut self, section: &'static Section, node: &'t Node, path: String) -> Option<Scope<'t>> {
        match &node.value {
            tree::Value::Table(table) => Some(Scope::new(section, Some(table), node.at, path)),
            tree::Value::Broken => None,
            other => {
                let expected = keys::a_table(section);
                self.errors.add(node.at, format!("`{path}` is {}; expected {expected}", other.type_name()));
                None
            }
        }
    }

    /// Finds an entry, notes it, and says if it must be there and is not.
    fn ask<'t>(&mut self, scope: &mut Scope<'t>, name: &'static str) -> (&'static Key, Option<&'t Entry>) {
        let key =
            scope.section.key(name).expect("the reader asks for what the tables have; a test reads them all");
        scope.asked.push(key.name);
        self.asked.insert((scope.section.name, key.name));
        let entry = scope.table.and_then(|table| table.entry(name));
        if entry.is_none() && key.default == Default::Required {
            let says = format!("`{}` is missing; expected {}", scope.path_of(name), key.kind.expected());
            self.errors.add_missing(scope.at, says);
        }
        self.note(scope.path_of(name), key, entry);
        (key, entry)
    }

    fn note(&mut self, path: String, key: &Key, entry: Option<&Entry>) {
        let has_notes_below = matches!(key.kind, Kind::Table(_) | Kind::Tables(_) | Kind::Named { .. });
        if has_notes_below {
            return;
        }
        let text = match (entry, key.default) {
            (Some(entry), _) => written(&entry.node.value, key),
            (None, Default::Is(text)) if keys::is_bare(key, text) => text.to_owned(),
            (None, Default::Is(text)) => format!("{text:?}"),
            (None, Default::Words(words)) => format!("({words})"),
            (None, Default::Required | Default::Around) => return,
        };
        self.notes.push(Note { path, text, origin: entry.map(|entry| entry.at) });
    }

    fn mismatch(&mut self, path: &str, key: &Key, node: &Node) {
        let says = match &node.value {
            tree::Value::Broken => return,
            tree::Value::Integer(number) if matches!(key.kind, Kind::Time(_) | Kind::Size { .. }) => {
                format!("`{path}` is {number} without a unit; expected {}", key.kind.expected())
            }
            other => format!("`{path}` is {}; expected {}", other.type_name(), key.kind.expected()),
        };
        self.errors.add(node.at, says);
    }
}

/// What stands where there is a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice<T> {
    Of(&'static str),
    Open(T),
}

/// What stands in a list of endpoints.
#[derive(Debug)]
pub(crate) enum Endpoint<'t> {
    Address(Located<&'t str>),
    Table(Scope<'t>),
}

fn unknown(section: &Section, path: &str, name: &str) -> String {
    let place = if path.is_empty() { "at the top level".to_owned() } else { format!("in `{path}`") };
    let known = section.keys.iter().map(|key| key.name);
    match nearest(name, known) {
        Some(nearest) => format!("unknown key {} {place}; did you mean `{nearest}`?", quote(name)),
        None => format!("unknown key {} {place}; expected {}", quote(name), keys::names(section)),
    }
}

fn is_secret(key: &Key) -> bool {
    match key.kind {
        Kind::Text(Form { secret, .. }) | Kind::Pairs { value: Form { secret, .. }, .. } => secret,
        _ => false,
    }
}

/// Whether a header field, a parameter or a user of this name is likely to have a value that is nobody's business.
fn may_be_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["authorization", "cookie", "key", "password", "secret", "signature", "token"]
        .iter()
        .any(|word| name.contains(word))
}

fn shown(text: &str, key: &Key) -> String {
    if is_secret(key) { "a secret".to_owned() } else { quote(text) }
}

/// A value as TOML, on one line.
fn written(value: &tree::Value, key: &Key) -> String {
    let list =
        |nodes: &[Node]| nodes.iter().map(|node| written(&node.value, key)).collect::<Vec<_>>().join(", ");
    match value {
        tree::Value::Text(_) if is_secret(key) => "(hidden)".to_owned(),
        tree::Value::Text(text) => format!("{text:?}"),
        tree::Value::Integer(number) => number.to_string(),
        tree::Value::Flag(flag) => flag.to_string(),
        tree::Value::List(nodes) => format!("[{}]", list(nodes)),
        tree::Value::Table(table) => {
            let pair = |entry: &Entry| match may_be_secret(&entry.key) {
                true => format!("{} = (hidden)", entry.key),
                false => format!("{} = {}", entry.key, written(&entry.node.value, key)),
            };
            format!("{{ {} }}", table.entries.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        tree::Value::Float | tree::Value::Date | tree::Value::Broken => "(wrong)".to_owned(),
    }
}

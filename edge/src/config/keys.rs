//! What a configuration may say: the one table from which the reader, the JSON Schema, `explain` and the reference in
//! the documentation come.

mod general;
mod limits;
mod log;
mod overload;
mod retry;
mod route;
mod site;
mod times;
mod upstream;

pub(crate) use general::TOP;

/// A table of a configuration.
#[derive(Debug)]
pub(crate) struct Section {
    /// As it is written: `[[site]]`.
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    /// One of it, as a value.
    pub(crate) example: &'static str,
    pub(crate) keys: &'static [Key],
}

/// A key of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Default,
    /// One line.
    pub(crate) help: &'static str,
}

/// What holds without the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Default {
    /// This, as it would be written.
    Is(&'static str),
    /// In words, because no value says it.
    Words(&'static str),
    /// What holds around the table.
    Around,
    /// The key must be there.
    Required,
}

/// What may stand behind the `=`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text(Form),
    /// One string, or a list of them.
    OneOrTexts(Form),
    Time(Time),
    Size {
        min: u64,
        max: u64,
        /// Whether `"none"` may stand here.
        none: bool,
    },
    Count {
        min: u64,
        max: u64,
        /// A word that may stand in the place of a number.
        word: Option<&'static str>,
    },
    /// One number, or a list of them.
    OneOrCounts {
        min: u64,
        max: u64,
    },
    Flag,
    Choice {
        built: &'static [&'static str],
        not_built: &'static [&'static str],
        /// What may stand there beside them.
        open: Option<Form>,
    },
    /// Names of the user's own choice, each with one string or a list of them.
    Pairs {
        name: &'static str,
        value: Form,
    },
    /// Strings, or tables with `address` and `weight`.
    Endpoints(&'static Section),
    Table(&'static Section),
    Tables(&'static Section),
    /// Tables under names of the user's own choice.
    Named {
        name: &'static str,
        section: &'static Section,
    },
    /// To come, and what to do until then.
    NotBuilt(&'static str),
}

/// Which durations make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    AboveZero,
    Any,
    /// Above zero, or `"none"`.
    OrNone,
}

/// A string with a form of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    /// Without its article.
    pub(crate) what: &'static str,
    pub(crate) example: &'static str,
    /// Whether it is nobody's business.
    pub(crate) secret: bool,
}

const fn form(what: &'static str, example: &'static str) -> Form {
    Form { what, example, secret: false }
}

const fn key(name: &'static str, kind: Kind, default: Default, help: &'static str) -> Key {
    Key { name, kind, default, help }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max, word: None }
}

const fn choice(built: &'static [&'static str]) -> Kind {
    Kind::Choice { built, not_built: &[], open: None }
}

/// The same key where it holds for a part of the whole.
const fn around(key: Key) -> Key {
    Key { default: Default::Around, ..key }
}

const NOTHING: Default = Default::Words("none");

impl Key {
    pub(crate) fn is_built(&self) -> bool {
        !matches!(self.kind, Kind::NotBuilt(_))
    }
}

impl Section {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Kind {
    /// What is expected, with an example.
    pub(crate) fn expected(&self) -> String {
        match self {
            Self::Text(form) => format!("a string, {}, such as \"{}\"", form.what, form.example),
            Self::OneOrTexts(form) => {
                format!("a string or a list of strings, each {}, such as \"{}\"", form.what, form.example)
            }
            Self::Time(Time::OrNone) => "a duration with its unit, such as \"500ms\" or \"3s\", or \"none\"".to_owned(),
            Self::Time(_) => "a duration with its unit, such as \"500ms\" or \"3s\"".to_owned(),
            Self::Size { none: true, .. } => "a size with its unit, such as \"64k\" or \"1m\", or \"none\"".to_owned(),
            Self::Size { .. } => "a size with its unit, such as \"64k\" or \"1m\"".to_owned(),
            Self::Count { min, max, word: None } => format!("an integer from {min} to {max}"),
            Self::Count { min, max, word: Some(word) } => {
                format!("an integer from {min} to {max}, or \"{word}\"")
            }
            Self::OneOrCounts { min, max } => format!("an integer from {min} to {max}, or a list of them"),
            Self::Flag => "true or false".to_owned(),
            Self::Choice { built, open: None, .. } => one_of(built),
            Self::Choice { built, open: Some(form), .. } => {
                format!("{}, or {}, such as \"{}\"", one_of(built), form.what, form.example)
            }
            Self::Pairs { name, value } => {
                format!("a table of {name}, such as {{ {} }}", value.example)
            }
            Self::Endpoints(_) => {
                "a list of addresses, such as [\"10.0.0.1:8080\", { address = \"10.0.0.2:8080\", weight = 3 }]"
                    .to_owned()
            }
            Self::Table(section) => a_table(section),
            Self::Tables(section) => format!("a list of tables, such as [{}]", section.example),
            Self::Named { name, section } => format!("a table of {name}, each {}", a_table(section)),
            Self::NotBuilt(_) => "nothing yet".to_owned(),
        }
    }

    /// The section below it.
    pub(crate) fn section(&self) -> Option<&'static Section> {
        match self {
            Self::Table(section)
            | Self::Tables(section)
            | Self::Endpoints(section)
            | Self::Named { section, .. } => Some(section),
            _ => None,
        }
    }
}

/// Whether a default stands there without quotes.
pub(crate) fn is_bare(key: &Key, default: &str) -> bool {
    match key.kind {
        Kind::Count { .. } => default.parse::<u64>().is_ok(),
        Kind::Flag => true,
        _ => false,
    }
}

/// What is expected where a section stands.
pub(crate) fn a_table(section: &Section) -> String {
    format!("a table, such as {}", section.example)
}

fn one_of(choices: &[&str]) -> String {
    let quoted: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
    format!("one of {}", quoted.join(", "))
}

/// The keys that work, for people.
pub(crate) fn names(section: &Section) -> String {
    let names: Vec<String> =
        section.keys.iter().filter(|key| key.is_built()).map(|key| format!("`{}`", key.name)).collect();
    names.join(", ")
}

/// Every section, each once, the outer before the inner.
pub(crate) fn sections() -> Vec<&'static Section> {
    let mut all: Vec<&'static Section> = vec![&TOP];
    let mut at = 0;
    while let Some(section) = all.get(at) {
        for key in section.keys {
            if let Some(below) = key.kind.section()
                && !all.iter().any(|known| std::ptr::eq(*known, below))
            {
                all.push(below);
            }
        }
        at += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_names_of_their_own_and_keys_too() {
        let sections = sections();
        for section in &sections {
            assert_eq!(
                sections.iter().filter(|other| other.name == section.name).count(),
                1,
                "{}",
                section.name
            );
            for key in section.keys {
                let twice = section.keys.iter().filter(|other| other.name == key.name).count();
                assert_eq!(twice, 1, "{} in {}", key.name, section.name);
                assert!(!key.help.is_empty() && !key.help.contains('\n'), "{} in {}", key.name, section.name);
            }
        }
    }
}

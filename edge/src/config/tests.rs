//! The table, the reader, the schema and `explain` say the same.

mod agreement;

use super::{
    errors::Errors,
    keys::{Kind, sections},
    load, read,
    reader::Reader,
    reference, schema,
    source::Files,
};
use crate::plan::Connections;
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;

fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-config/everything.toml")
}

/// Every key that works is read, and stands in the example that has them all.
#[test]
fn every_key_of_the_table_is_read() {
    let (mut files, mut errors) = (Files::default(), Errors::default());
    let table = load::load(&example(), &|_| None, &mut files, &mut errors).unwrap();
    let mut reader = Reader::new(&files, &mut errors);
    read::read(&mut reader, &table);
    let (asked, notes) = (reader.asked, reader.notes);
    assert!(errors.is_empty(), "{}", errors.list(&files).1);
    for section in sections() {
        for key in section.keys.iter().filter(|key| key.is_built()) {
            assert!(
                asked.contains(&(section.name, key.name)),
                "{} in {} is never read",
                key.name,
                section.name
            );
            if matches!(key.kind, Kind::Table(_) | Kind::Tables(_) | Kind::Named { .. })
                || section.name == "an endpoint"
            {
                continue;
            }
            let name = format!(".{}", key.name);
            let is_set = |path: &str| path == key.name || path.ends_with(&name);
            assert!(
                notes.iter().any(|note| is_set(&note.path) && note.origin.is_some()),
                "the example has no {} in {}, or explain does not say it",
                key.name,
                section.name
            );
        }
    }
    let known: usize =
        sections().iter().map(|section| section.keys.iter().filter(|key| key.is_built()).count()).sum();
    assert_eq!(asked.len(), known, "nothing is read that the table has not");
}

/// Every key that works stands in the schema of its section, and no other.
#[test]
fn the_schema_has_the_keys_of_the_table() {
    for section in sections() {
        let schema = schema::section(section);
        let Value::Object(properties) = &schema["properties"] else { panic!("{schema}") };
        let built: Vec<&str> = section.keys.iter().filter(|key| key.is_built()).map(|key| key.name).collect();
        assert_eq!(properties.len(), built.len());
        for name in built {
            let property = &properties[name];
            assert!(property["description"].is_string(), "{name}");
        }
        assert_eq!(schema["additionalProperties"], Value::Bool(false));
    }
    let text = schema::text();
    assert!(serde_json::from_str::<Value>(&text).is_ok());
}

#[test]
fn the_reference_names_every_key() {
    let text = reference::text();
    for section in sections() {
        for key in section.keys {
            assert!(text.contains(&format!("`{}`", key.name)), "{}", key.name);
        }
    }
}

/// A file with nothing but a site is what `corelane proxy` does without options.
#[test]
fn the_defaults_are_the_engines() {
    let (mut files, mut errors) = (Files::default(), Errors::default());
    let (file, _) = files.add("x".to_owned(), b"site = [{ route = [{ to = \"127.0.0.1:1\" }] }]".to_vec());
    let table = super::tree::parse(file, &files, &|_| None, &mut errors);
    let config = read::read(&mut Reader::new(&files, &mut errors), &table);
    assert!(errors.is_empty(), "{}", errors.list(&files).1);
    let mut settings = corelane_engine::Settings::default();
    settings.content_bytes_max = Some(1 << 30);
    assert_eq!(config.terms.engine, settings);
    assert!(config.terms.retry_on.is_empty());
    assert_eq!((config.lanes, config.connections), (None, Connections::default()));
    assert_eq!(config.sites[0].listen[0].to_string(), ":80");
}

/// Values of a text, without their places and their order.
fn values_of(text: &str) -> String {
    let (mut files, mut errors) = (Files::default(), Errors::default());
    let (file, _) = files.add("x".to_owned(), text.into());
    let table = super::tree::parse(file, &files, &|_| Some("v".to_owned()), &mut errors);
    plain(&super::tree::Value::Table(table))
}

fn plain(value: &super::tree::Value) -> String {
    use super::tree::Value;
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(nodes) => {
            format!("{:?}", nodes.iter().map(|node| plain(&node.value)).collect::<Vec<_>>())
        }
        Value::Table(table) => {
            let mut entries: Vec<_> = table
                .entries
                .iter()
                .map(|entry| format!("{}={}", entry.key, plain(&entry.node.value)))
                .collect();
            entries.sort();
            format!("{entries:?}")
        }
        other => other.type_name().to_owned(),
    }
}

/// What somebody may do to a file by mistake.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let text = std::fs::read(example()).unwrap();
    let pieces = prop_oneof![
        Just(b"".to_vec()),
        Just(b"[[site]]\n".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"{".to_vec()),
        Just(b"= 3\n".to_vec()),
        Just(b"${".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    let cut = (0..text.len(), 0..40_usize, pieces);
    proptest::collection::vec(cut, 1..4).prop_map(move |cuts| {
        let mut text = text.clone();
        for (at, length, piece) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, piece);
        }
        text
    })
}

/// Values that stand where others belong.
const VALUES: [&str; 24] = [
    "0",
    "-1",
    "9223372036854775807",
    "1.5",
    "nan",
    "true",
    "1979-05-27",
    "\"\"",
    "\"none\"",
    "\"auto\"",
    "\"*\"",
    "\"/*\"",
    "\"1s\"",
    "\"1g\"",
    "\"99999999999999999999h\"",
    "\"unix:\"",
    "\":0\"",
    "\"${A}\"",
    "\"${NOBODY_HAS_IT}\"",
    "[]",
    "[[]]",
    "{}",
    "[{}]",
    "{ a = 1 }",
];

/// What somebody may write who has understood something else: other values, keys twice, keys elsewhere.
fn mistaken() -> impl Strategy<Value = Vec<u8>> {
    let text = std::fs::read_to_string(example()).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let count = lines.len();
    let change = (0..count, 0..count, 0..4_u8, 0..VALUES.len());
    proptest::collection::vec(change, 1..6).prop_map(move |changes| {
        let mut lines = lines.clone();
        for (at, other, what, value) in changes {
            match (what, lines[at].split_once(" = ")) {
                (0 | 1, Some((key, _))) => lines[at] = format!("{key} = {}", VALUES[value]),
                (2, _) => lines[at] = lines[other].clone(),
                _ => lines.swap(at, other),
            }
        }
        lines.join("\n").into_bytes()
    })
}

proptest! {
    #[test]
    fn op_01_a_damaged_file_is_no_panic(text in damaged()) {
        super::fuzz(&text);
    }

    #[test]
    fn op_01_a_mistaken_file_is_no_panic_and_every_error_has_a_place(text in mistaken()) {
        super::fuzz(&text);
    }

    #[test]
    fn the_canonical_form_says_the_same_and_stays(text in damaged()) {
        if let Ok(text) = String::from_utf8(text)
            && let Ok(formatted) = super::format::format(&text)
        {
            prop_assert_eq!(values_of(&text), values_of(&formatted), "{}", formatted);
            prop_assert_eq!(super::format::format(&formatted).unwrap(), formatted.clone());
        }
    }
}

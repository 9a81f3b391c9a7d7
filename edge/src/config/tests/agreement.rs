//! The schema and the reader say the same: what the reader takes, the schema takes. So an editor never underlines what
//! works.

use super::super::{
    errors::Errors,
    read,
    reader::Reader,
    schema,
    source::Files,
    tree::{self, Table, Value as Node},
};
use super::{example, mistaken};
use crate::units;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The tree of a text, if the reader takes it all.
fn taken(text: Vec<u8>) -> Option<Table> {
    let (mut files, mut errors) = (Files::default(), Errors::default());
    let (file, is_text) = files.add("x".to_owned(), text);
    is_text.ok()?;
    let table = tree::parse(file, &files, &|_| None, &mut errors);
    read::read(&mut Reader::new(&files, &mut errors), &table);
    errors.is_empty().then_some(table)
}

fn json_of(table: &Table) -> Value {
    Value::Object(
        table
            .entries
            .iter()
            .map(|entry| (entry.key.clone(), value(&entry.node.value)))
            .collect::<Map<_, _>>(),
    )
}

fn value(node: &Node) -> Value {
    match node {
        Node::Text(text) => json!(text),
        Node::Integer(number) => json!(number),
        Node::Flag(flag) => json!(flag),
        Node::List(nodes) => nodes.iter().map(|node| value(&node.value)).collect(),
        Node::Table(table) => json_of(table),
        Node::Float | Node::Date | Node::Broken => Value::Null,
    }
}

/// As much of JSON Schema as ours uses; why a value is refused.
fn refused(schema: &Value, value: &Value, path: &str) -> Option<String> {
    if schema == &Value::Bool(false) {
        return Some(format!("{path}: nothing may stand here"));
    }
    for (word, at_least, at_most) in [("oneOf", 1, 1), ("anyOf", 1, usize::MAX)] {
        if let Some(all) = schema[word].as_array() {
            let count = all.iter().filter(|one| refused(one, value, path).is_none()).count();
            if !(at_least..=at_most).contains(&count) {
                return Some(format!("{path}: {count} of {word} take {value}"));
            }
        }
    }
    let wrong = |what: &str| Some(format!("{path}: {value} is not {what}"));
    match (schema["type"].as_str(), value) {
        (None, _) => {}
        (Some("object"), Value::Object(members)) => return members_refused(schema, members, path),
        (Some("array"), Value::Array(items)) => {
            if items.is_empty() && schema["minItems"] == 1 {
                return wrong("long enough");
            }
            return items.iter().find_map(|item| refused(&schema["items"], item, &format!("{path}[]")));
        }
        (Some("string"), Value::String(_)) | (Some("boolean"), Value::Bool(_)) => {}
        (Some("integer"), Value::Number(number)) => {
            let (number, limit) = (number.as_i64(), |name: &str| schema[name].as_i64());
            if number < limit("minimum") || limit("maximum").is_some_and(|max| number > Some(max)) {
                return wrong("in its range");
            }
        }
        (Some(kind), _) => return wrong(kind),
    }
    if schema["enum"].as_array().is_some_and(|all| !all.contains(value))
        || schema.get("const").is_some_and(|only| only != value)
    {
        return wrong("one of those");
    }
    match (schema["pattern"].as_str(), value.as_str()) {
        (Some(pattern), Some(text)) if !fits(pattern, text) => wrong(pattern),
        _ => None,
    }
}

fn members_refused(schema: &Value, members: &Map<String, Value>, path: &str) -> Option<String> {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(missing) = required.iter().find(|name| !members.contains_key(name.as_str().unwrap())) {
        return Some(format!("{path}: {missing} is missing"));
    }
    members.iter().find_map(|(name, member)| {
        let of_name = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
        refused(of_name, member, &format!("{path}.{name}"))
    })
}

/// The few patterns that the schema has.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern {
        "^([0-9]+(ms|s|m|h)|none)$" => text == "none" || units::duration(text).is_ok(),
        "^[0-9]+(ms|s|m|h)$" => units::duration(text).is_ok(),
        "^([0-9]+[bkmg]|none)$" => text == "none" || units::size(text).is_ok(),
        "^[0-9]+[bkmg]$" => units::size(text).is_ok(),
        other => panic!("what is {other}?"),
    }
}

fn schema_of_all() -> Value {
    serde_json::from_str(&schema::text()).unwrap()
}

#[test]
fn the_schema_takes_the_example_that_has_every_key() {
    let table = taken(std::fs::read(example()).unwrap()).expect("it is fine");
    assert_eq!(refused(&schema_of_all(), &json_of(&table), ""), None);
}

#[test]
fn the_schema_refuses_what_is_wrong_by_its_form() {
    let schema = schema_of_all();
    let route = json!([{ "to": "127.0.0.1:1" }]);
    for wrong in [
        json!({}),
        json!({ "site": [] }),
        json!({ "site": [{ "route": route, "hots": "a" }] }),
        json!({ "site": [{ "route": route }], "lanes": 0 }),
        json!({ "site": [{ "route": route }], "lanes": "many" }),
        json!({ "site": [{ "route": route }], "timeouts": { "connect": 3 } }),
        json!({ "site": [{ "route": route }], "timeouts": { "connect": "3" } }),
        json!({ "site": [{ "route": route, "tls": {} }] }),
        json!({ "site": [{ "route": [{ "to": [{ "weight": 1 }] }] }] }),
        json!({ "site": [{ "route": route }], "retry": { "on_status": [200] } }),
    ] {
        assert!(refused(&schema, &wrong, "").is_some(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn what_the_reader_takes_the_schema_takes(text in mistaken()) {
        if let Some(table) = taken(text) {
            prop_assert_eq!(refused(&schema_of_all(), &json_of(&table), ""), None);
        }
    }
}

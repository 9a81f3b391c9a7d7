//! The JSON Schema of a configuration, from the table.

use super::keys::{Default, Form, Key, Kind, Section, TOP, Time, is_bare};
use serde_json::{Map, Value, json};

/// The schema, as text.
pub(crate) fn text() -> String {
    let mut top = section(&TOP);
    if let Value::Object(top) = &mut top {
        top.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        top.insert("title".to_owned(), json!("corelane configuration"));
    }
    let mut text = serde_json::to_string_pretty(&top).unwrap_or_default();
    text.push('\n');
    text
}

/// A table. Keys that are not built are left out: nothing may stand there.
pub(super) fn section(section: &Section) -> Value {
    let keys = section.keys.iter().filter(|key| key.is_built());
    let properties: Map<String, Value> = keys.map(|key| (key.name.to_owned(), described(key))).collect();
    let required: Vec<&str> =
        section.keys.iter().filter(|key| key.default == Default::Required).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn described(key: &Key) -> Value {
    let mut schema = kind(&key.kind);
    schema["description"] = json!(key.help);
    if let Default::Is(default) = key.default {
        schema["default"] = match key.kind {
            _ if !is_bare(key, default) => json!(default),
            Kind::Flag => json!(default == "true"),
            _ => json!(default.parse::<u64>().unwrap_or_default()),
        };
    }
    schema
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text(form) => text_of(form),
        Kind::OneOrTexts(form) => json!({ "oneOf": [text_of(form), list_of(text_of(form))] }),
        Kind::Time(Time::OrNone) => json!({ "type": "string", "pattern": "^([0-9]+(ms|s|m|h)|none)$" }),
        Kind::Time(_) => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" }),
        Kind::Size { none: true, .. } => json!({ "type": "string", "pattern": "^([0-9]+[bkmg]|none)$" }),
        Kind::Size { .. } => json!({ "type": "string", "pattern": "^[0-9]+[bkmg]$" }),
        Kind::Count { min, max, word: None } => number(*min, *max),
        Kind::Count { min, max, word: Some(word) } => {
            json!({ "oneOf": [number(*min, *max), { "const": word }] })
        }
        Kind::OneOrCounts { min, max } => {
            json!({ "oneOf": [number(*min, *max), list_of(number(*min, *max))] })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Choice { built, open: None, .. } => json!({ "enum": built }),
        // A choice is a string too, so not exactly one of the two holds.
        Kind::Choice { built, open: Some(form), .. } => {
            json!({ "anyOf": [{ "enum": built }, text_of(form)] })
        }
        Kind::Pairs { value, .. } => json!({
            "type": "object",
            "additionalProperties": { "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
            "description": value.what,
        }),
        Kind::Endpoints(endpoint) => {
            let one =
                json!({ "oneOf": [{ "type": "string", "examples": ["10.0.0.1:8080"] }, section(endpoint)] });
            json!({ "oneOf": [one.clone(), list_of(one)] })
        }
        Kind::Table(below) => section(below),
        Kind::Tables(below) => list_of(section(below)),
        Kind::Named { section: below, .. } => {
            json!({ "type": "object", "additionalProperties": section(below) })
        }
        Kind::NotBuilt(_) => Value::Bool(false),
    }
}

fn number(min: u64, max: u64) -> Value {
    json!({ "type": "integer", "minimum": min, "maximum": max })
}

fn text_of(form: &Form) -> Value {
    json!({ "type": "string", "examples": [form.example] })
}

fn list_of(items: Value) -> Value {
    json!({ "type": "array", "items": items, "minItems": 1 })
}

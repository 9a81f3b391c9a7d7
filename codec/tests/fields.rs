//! `Fields` as an application sees it.
#![allow(clippy::unwrap_used, reason = "a test may")]

use corelane_codec::Fields;
use corelane_codec::fields::InvalidField;
use http::{HeaderMap, HeaderValue};

fn sample() -> Fields {
    let mut fields = Fields::new();
    for (name, value) in
        [("Host", "a"), ("X-One", "1"), ("Set-Cookie", "a=b"), ("x-one", "2"), ("set-cookie", "c=d")]
    {
        fields.append(name, value);
    }
    fields
}

fn list(fields: &Fields) -> Vec<String> {
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    fields.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
}

fn written(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write_h1(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn look_ups_ignore_case() {
    let fields = sample();
    assert_eq!((fields.get("hOST"), fields.get("X-ONE")), (Some(&b"a"[..]), Some(&b"1"[..])));
    assert_eq!(fields.get_all("SET-cookie").collect::<Vec<_>>(), [b"a=b", b"c=d"]);
    assert_eq!(fields.get_all("X-One").count(), 2);
    assert!(fields.contains("x-one") && !fields.contains("x-two") && fields.get("").is_none());
    assert_eq!((fields.len(), fields.is_empty()), (5, false));
}

#[test]
fn set_replaces_in_place_and_removes_the_others() {
    let mut fields = sample();
    fields.set("x-ONE", "3");
    assert_eq!(list(&fields), ["Host: a", "x-ONE: 3", "Set-Cookie: a=b", "set-cookie: c=d"]);
    fields.set("new", "4");
    fields.set("Set-Cookie", "");
    assert_eq!(list(&fields), ["Host: a", "x-ONE: 3", "Set-Cookie: ", "new: 4"]);
    assert_eq!(written(&fields), "Host: a\r\nx-ONE: 3\r\nSet-Cookie: \r\nnew: 4\r\n");
}

#[test]
fn remove_and_retain() {
    let mut fields = sample();
    assert!(fields.remove("X-oNe") && !fields.remove("X-One"));
    fields.retain(|name, value| name != b"set-cookie" || value != b"c=d");
    assert_eq!(list(&fields), ["Host: a", "Set-Cookie: a=b"]);
    assert_eq!(written(&fields), "Host: a\r\nSet-Cookie: a=b\r\n");
    fields.clear();
    assert!(fields.is_empty() && written(&fields).is_empty());
}

#[test]
fn what_would_split_a_message_is_no_field() {
    let mut fields = Fields::new();
    for value in ["a\r\nb", "a\nb", "a\rb", "a\0", "\x01", "\x7f", "\x1b[0m"] {
        assert_eq!(fields.try_append("A", value), Err(InvalidField::Value), "{value:?}");
        assert_eq!(fields.try_set("A", value), Err(InvalidField::Value), "{value:?}");
    }
    for name in ["", "a b", "a:", "a\r\n", "\u{e9}", "a\0", "(a)", &"x".repeat(65_536)] {
        assert_eq!(fields.try_append(name, "a"), Err(InvalidField::Name), "{name:?}");
        assert_eq!(fields.try_set(name, "a"), Err(InvalidField::Name), "{name:?}");
    }
    assert!(fields.is_empty() && written(&fields).is_empty());
    fields.append("A", [b'\t', 0x80, b' ', 0xff]);
    fields.append("B", " \tb c\t ");
    assert_eq!((fields.get("a"), fields.get("b")), (Some(&[0x80, b' ', 0xff][..]), Some(&b"b c"[..])));
}

#[test]
#[should_panic(expected = "control characters")]
fn append_panics_on_a_value_that_would_split() {
    Fields::new().append("A", "b\r\nC: d");
}

#[test]
#[should_panic(expected = "must be a token")]
fn set_panics_on_a_name_that_is_no_token() {
    Fields::new().set("A:", "b");
}

#[test]
fn replacing_forever_costs_a_bounded_buffer() {
    let mut fields = sample();
    let value = "v".repeat(100);
    for _ in 0..100_000 {
        fields.set("X-One", &value);
        fields.remove("gone");
        fields.append("gone", &value);
    }
    assert!(fields.heap_bytes() < 16 << 10, "{}", fields.heap_bytes());
    assert_eq!((fields.get("x-one"), fields.get("host")), (Some(value.as_bytes()), Some(&b"a"[..])));
    assert_eq!(written(&fields).lines().count(), fields.len());
}

#[test]
fn equality_is_of_names_values_and_order() {
    let (mut a, mut b) = (sample(), sample());
    assert_eq!(a, b);
    a.set("x-one", "3");
    assert_ne!(a, b);
    b.set("x-one", "4");
    b.set("x-one", "3");
    assert_eq!(a, b, "however they came about");
    let mut c = Fields::new();
    c.append("A", "b");
    let mut d = Fields::new();
    d.append("a", "b");
    assert_ne!(c, d);
    assert_eq!(format!("{c:?}"), r#"{"A": "b"}"#);
}

#[test]
fn to_and_from_a_header_map() {
    let map = sample().to_header_map();
    assert_eq!((map.len(), map.get_all("set-cookie").iter().count()), (5, 2));
    let back = Fields::from(&map);
    assert_eq!((back.len(), back.get("host")), (5, Some(&b"a"[..])));
    assert_eq!(back.get_all("x-one").collect::<Vec<_>>(), [b"1", b"2"]);
    let mut odd = HeaderMap::new();
    odd.append("x", HeaderValue::from_bytes(b"a\t\xff").unwrap());
    odd.append("y", HeaderValue::from_static(""));
    assert_eq!(HeaderMap::try_from(&Fields::from(&odd)).unwrap(), odd);
}

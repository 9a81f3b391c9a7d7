//! Bytes as text: the escapes of case files, and bytes shown to people.

use std::fmt::Write;

/// Names and what they stand for in `{name}`.
pub(crate) type Names = Vec<(String, String)>;

/// The bytes that a text of a case file stands for: `\r \n \t \0 \\ \{ \}`, `\xHH`, `{name}`, `{text*N}`, and in
/// a repetition `{#}` for its number, from 0.
pub(crate) fn expand(text: &str, names: &Names) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    into(text, names, &mut out)?;
    Ok(out)
}

fn into(text: &str, names: &Names, out: &mut Vec<u8>) -> Result<(), String> {
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '{', '}']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = match rest.as_bytes()[at] {
            b'\\' => escape(&rest[at + 1..], out)?,
            b'{' => {
                let (inner, after) = group(&rest[at + 1..])?;
                fill(inner, names, out)?;
                after
            }
            _ => return Err("a `}` without its `{`; write `\\}` for the character".to_owned()),
        };
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(())
}

/// One escape behind its backslash; what follows it.
fn escape<'t>(text: &'t str, out: &mut Vec<u8>) -> Result<&'t str, String> {
    let byte = match text.as_bytes().first() {
        Some(b'r') => b'\r',
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b'0') => 0,
        Some(literal @ (b'\\' | b'{' | b'}')) => *literal,
        Some(b'x') => {
            let digits = text.get(1..3).ok_or("`\\x` wants two hexadecimal digits")?;
            out.push(u8::from_str_radix(digits, 16).map_err(|_| format!("`\\x{digits}` is no byte"))?);
            return Ok(&text[3..]);
        }
        _ => return Err(format!("unknown escape `\\{}`", text.chars().next().map_or(' ', |c| c))),
    };
    out.push(byte);
    Ok(&text[1..])
}

/// Splits behind the `}` that closes a group, of which the `{` has been taken.
fn group(text: &str) -> Result<(&str, &str), String> {
    let mut depth = 1;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' if depth == 1 => return Ok((&text[..at], &text[at + 1..])),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    Err("a `{` without its `}`; write `\\{` for the character".to_owned())
}

/// A repetition or a name.
fn fill(inner: &str, names: &Names, out: &mut Vec<u8>) -> Result<(), String> {
    let repetition =
        inner.rsplit_once('*').and_then(|(text, times)| Some((text, times.parse::<usize>().ok()?)));
    if let Some((text, times)) = repetition {
        let mut names = names.clone();
        for number in 0..times {
            names.retain(|(name, _)| name != "#");
            names.push(("#".to_owned(), number.to_string()));
            into(text, &names, out)?;
        }
        return Ok(());
    }
    match names.iter().find(|(name, _)| name == inner) {
        Some((_, text)) => into(text, names, out),
        None => Err(format!("unknown name `{{{inner}}}`")),
    }
}

/// Bytes as a case file would write them; long ones with their middle left out.
pub(crate) fn show(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 1_500;
    if bytes.len() <= SHOWN_BYTES_MAX {
        return escaped(bytes);
    }
    let (head, tail) = (&bytes[..SHOWN_BYTES_MAX / 2], &bytes[bytes.len() - SHOWN_BYTES_MAX / 4..]);
    let left_out = bytes.len() - head.len() - tail.len();
    format!("{} …{left_out} bytes… {}", escaped(head), escaped(tail))
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}").expect("a string takes everything"),
        }
        text
    })
}

#[test]
fn text_expands_escapes_names_and_repetitions() {
    let names = vec![("v".to_owned(), "a\\x00{b*2}".to_owned())];
    let bytes = |text: &str| expand(text, &names).unwrap();
    assert_eq!(bytes("GET /\\r\\n\\t\\\\\\xff"), b"GET /\r\n\t\\\xff");
    assert_eq!(bytes("<{v}>"), b"<a\0bb>");
    assert_eq!(bytes("{<{#}>\\r\\n*3}"), b"<0>\r\n<1>\r\n<2>\r\n");
    assert_eq!(bytes("\\{x*9\\}"), b"{x*9}");
    assert_eq!(bytes("{{{a*2}b*2}*2}").len(), 12);
    for wrong in ["\\q", "\\x1", "\\xzz", "{nobody}", "{a", "a}"] {
        assert!(expand(wrong, &names).is_err(), "{wrong}");
    }
}

#[test]
fn text_shows_what_it_would_read() {
    let bytes = b"a\\\r\n\0\x7f\xe9 {";
    assert_eq!(show(bytes), "a\\\\\\r\\n\\x00\\x7f\\xe9 {");
    assert!(show(&[b'x'; 100_000]).len() < 2_000);
}

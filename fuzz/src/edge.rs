//! What stands above the protocol: configurations, and lines of the access log.

use arbitrary::Arbitrary;
use corelane_control::log::{self, Texts};

/// A configuration file of any bytes: it is refused or fine, every error has a line and a column, nothing that a
/// terminal would obey is repeated, and the canonical form stays as it is and says the same.
pub fn config(bytes: &[u8]) {
    corelane_edge::fuzz_config(bytes);
}

/// Texts of a request.
#[derive(Arbitrary, Debug)]
pub struct Request<'a> {
    method: &'a [u8],
    target: &'a [u8],
    host: &'a [u8],
    user_agent: &'a [u8],
    referer: &'a [u8],
    request_id: &'a [u8],
    note: &'a str,
    path: &'a [u8],
}

/// One request is one line, whose texts are read back as they were.
pub fn log(request: &Request<'_>) {
    let Request { method, target, host, user_agent, referer, request_id, note, path } = *request;
    let texts = Texts { method, target, host, user_agent, referer, request_id, note, path };
    let [json, combined, template] = log::lines(&texts);
    for line in [&json, &combined, &template] {
        let end = line.iter().position(|byte| *byte == b'\n');
        assert_eq!(end, Some(line.len() - 1), "one line: {line:?}");
    }
    json_says(&json, &texts);
    let combined = quoted(&combined);
    assert_eq!(combined.len(), 3, "{combined:?}");
    assert_eq!([&combined[1], &combined[2]], [&or_dash(referer), &or_dash(user_agent)]);
    let template = quoted(&template);
    assert_eq!(template.len(), 9, "{template:?}");
    let expected = [or_dash(target), or_dash(user_agent), or_dash(referer), or_dash(request_id)];
    assert_eq!(template[..4], expected);
    assert_eq!(template[5], note.as_bytes());
}

fn or_dash(text: &[u8]) -> Vec<u8> {
    if text.is_empty() { b"-".to_vec() } else { text.to_vec() }
}

fn json_says(line: &[u8], texts: &Texts<'_>) {
    let text = str::from_utf8(line).expect("a line is text");
    assert!(!text.trim_end_matches('\n').chars().any(|c| c.is_control() || "\u{2028}\u{2029}".contains(c)));
    let value: serde_json::Value = serde_json::from_str(text).expect("a line is JSON");
    let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    let says = |name: &str| value.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    assert_eq!(says("user_agent.original"), lossy(texts.user_agent));
    assert_eq!(says("http.request.header.referer"), lossy(texts.referer));
    assert_eq!(says("request_id"), lossy(texts.request_id));
    assert_eq!(value["notes"]["note"].as_str(), Some(texts.note));
    assert_eq!(says("end"), "done");
    let (path, query) = match texts.target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&texts.target[..at], &texts.target[at + 1..]),
        None => (texts.target, &b""[..]),
    };
    assert_eq!((says("url.path"), says("url.query")), (&*lossy(path), &*lossy(query)));
}

/// The texts between quotes, as who wrote them meant them; all else is printable.
fn quoted(line: &[u8]) -> Vec<Vec<u8>> {
    let (mut all, mut bytes) = (Vec::new(), line[..line.len() - 1].iter().copied());
    while let Some(byte) = bytes.next() {
        assert!((b' '..=b'~').contains(&byte), "{line:?}");
        if byte == b'"' {
            all.push(until_quote(&mut bytes));
        }
    }
    all
}

fn until_quote(bytes: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let byte = bytes.next().expect("a quote that opens is closed");
        assert!((b' '..=b'~').contains(&byte), "{byte}");
        match byte {
            b'"' => return text,
            b'\\' => match bytes.next() {
                Some(b'x') => {
                    let digits: Vec<_> = bytes.by_ref().take(2).collect();
                    let digits = str::from_utf8(&digits).expect("two digits");
                    text.push(u8::from_str_radix(digits, 16).expect("two digits"));
                }
                Some(escaped @ (b'"' | b'\\')) => text.push(escaped),
                other => panic!("{other:?} is escaped"),
            },
            byte => text.push(byte),
        }
    }
}

//! An access log line as Apache's combined format has it.

use super::{
    line::Line,
    text::{apache_date, number, quoted},
};
use std::io::Write;

/// Writes the line, with its end: `ip - - [date] "request" status bytes "referer" "user agent"`.
pub(crate) fn write(out: &mut Vec<u8>, line: &Line<'_>) {
    match line.client.ip() {
        Some(ip) => write!(out, "{}", ip.to_canonical()),
        None => write!(out, "{}", line.client),
    }
    .expect("a vector takes everything");
    out.extend_from_slice(b" - - [");
    apache_date(out, line.at);
    out.extend_from_slice(b"] \"");
    match line.method {
        Some(method) => {
            quoted(out, method.as_str().as_bytes());
            out.push(b' ');
            quoted(out, line.target);
            out.extend_from_slice(b" HTTP/");
            quoted(out, line.version.as_bytes());
        }
        None => out.push(b'-'),
    }
    out.extend_from_slice(b"\" ");
    number_or_dash(out, u64::from(line.status));
    out.push(b' ');
    number_or_dash(out, line.response_bytes);
    for text in [line.referer, line.user_agent] {
        out.extend_from_slice(b" \"");
        quoted(out, if text.is_empty() { b"-" } else { text });
        out.push(b'"');
    }
    out.push(b'\n');
}

fn number_or_dash(out: &mut Vec<u8>, n: u64) {
    if n == 0 { out.push(b'-') } else { number(out, n) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::line::tests::sample;

    fn written(line: &Line<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, line);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_apaches() {
        let line = Line { target: b"/a?b", user_agent: b"curl/8", referer: b"http://x/", ..sample() };
        let expected = "192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] \"GET /a?b HTTP/1.1\" 200 5 \
                        \"http://x/\" \"curl/8\"\n";
        assert_eq!(written(&line), expected);
    }

    #[test]
    fn b_06_a_client_of_a_unix_socket_has_no_address() {
        let line = written(&Line { client: &corelane_engine::Address::Unnamed, ..sample() });
        assert!(line.starts_with("unix: - - [01/Jan/2026"), "{line}");
    }

    #[test]
    fn what_is_missing_is_a_dash() {
        let line = Line { method: None, status: 0, response_bytes: 0, ..sample() };
        assert_eq!(written(&line), "192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] \"-\" - - \"-\" \"-\"\n");
    }

    #[test]
    fn h1q_69_hostile_text_stays_between_its_quotes() {
        let line = Line { target: b"/\"\n", user_agent: b"a\" \"b\\\x1b\0\xff", ..sample() };
        let written = written(&line);
        assert!(written.contains(r#""GET /\"\x0a HTTP/1.1""#), "{written}");
        assert!(written.ends_with("\"a\\\" \\\"b\\\\\\x1b\\x00\\xff\"\n"), "{written}");
    }
}

//! Writing into a byte buffer without allocating: escapes, numbers, durations and dates.
//!
//! Whatever came over a network goes through [`json_string`], [`quoted`] or [`plain`]: none of them lets a control
//! character, a quote or a byte that is not UTF-8 through.

use corelane_engine::Address;
use std::{
    io::Write,
    os::unix::ffi::OsStrExt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const HEX: &[u8; 16] = b"0123456789abcdef";
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const SECONDS_PER_DAY: u64 = 86_400;

/// A JSON string with its quotes. Control characters, C1 and DEL among them, become `\u00XX`; what is not UTF-8
/// becomes U+FFFD.
pub(crate) fn json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    json_inside(out, text);
    out.push(b'"');
}

/// An address as a JSON string.
pub(crate) fn json_address(out: &mut Vec<u8>, address: &Address) {
    out.push(b'"');
    match address.path() {
        Some(path) => {
            out.extend_from_slice(b"unix:");
            json_inside(out, path.as_os_str().as_bytes());
        }
        None => write!(out, "{address}").expect("a vector takes everything"),
    }
    out.push(b'"');
}

fn json_inside(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
                // U+2028 and U+2029 end a line for some readers.
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => json_escape(out, c),
                c => char(out, c),
            }
        }
        if !chunk.invalid().is_empty() {
            char(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

/// For characters below U+10000 only.
fn json_escape(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.push(HEX[(c as usize >> shift) & 0xf]);
    }
}

/// What stands between quotes in the combined format: printable ASCII but `"` and `\`, which get a backslash; every
/// other byte becomes `\xHH`.
pub(crate) fn quoted(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => hex_escape(out, byte),
        }
    }
}

/// An address as it stands between quotes.
pub(crate) fn quoted_address(out: &mut Vec<u8>, address: &Address) {
    match address.path() {
        Some(path) => {
            out.extend_from_slice(b"unix:");
            quoted(out, path.as_os_str().as_bytes());
        }
        None => write!(out, "{address}").expect("a vector takes everything"),
    }
}

/// A line for people: control characters become `\xHH` or `\u00XX`, everything else stays.
pub(crate) fn plain(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            c if c.is_ascii_control() => hex_escape(out, c as u8),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => json_escape(out, c),
            c => char(out, c),
        }
    }
}

fn char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn hex_escape(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]]);
}

/// Decimal, with no sign.
pub(crate) fn number(out: &mut Vec<u8>, n: u64) {
    padded(out, n, 1);
}

/// Decimal, with leading zeroes up to `width` digits (20 at most).
fn padded(out: &mut Vec<u8>, mut n: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    while n > 0 || digits.len() - at < width {
        at -= 1;
        digits[at] += (n % 10) as u8;
        n /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Milliseconds with three decimals.
pub(crate) fn millis(out: &mut Vec<u8>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    number(out, micros / 1000);
    out.push(b'.');
    padded(out, micros % 1000, 3);
}

/// RFC 3339 in UTC with milliseconds: `2026-11-23T14:00:00.123Z`.
pub(crate) fn rfc3339(out: &mut Vec<u8>, at: SystemTime) {
    let date = Date::of(at);
    padded(out, date.year, 4);
    out.push(b'-');
    padded(out, date.month, 2);
    out.push(b'-');
    padded(out, date.day, 2);
    out.push(b'T');
    date.clock(out);
    out.push(b'.');
    padded(out, date.millis, 3);
    out.push(b'Z');
}

/// As the combined format has it: `23/Nov/2026:14:00:00 +0000`.
pub(crate) fn apache_date(out: &mut Vec<u8>, at: SystemTime) {
    let date = Date::of(at);
    padded(out, date.day, 2);
    out.push(b'/');
    out.extend_from_slice(MONTHS[date.month as usize - 1]);
    out.push(b'/');
    padded(out, date.year, 4);
    out.push(b':');
    date.clock(out);
    out.extend_from_slice(b" +0000");
}

/// A moment in UTC; what is before 1970 counts as its first second.
struct Date {
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    seconds: u64,
    millis: u64,
}

impl Date {
    fn of(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, seconds) = (since.as_secs() / SECONDS_PER_DAY, since.as_secs() % SECONDS_PER_DAY);
        // Howard Hinnant's civil_from_days: years begin in March, so that a leap day is the last one.
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Self { year, month, day, seconds, millis: u64::from(since.subsec_millis()) }
    }

    /// `14:00:00`.
    fn clock(&self, out: &mut Vec<u8>) {
        padded(out, self.seconds / 3600, 2);
        out.push(b':');
        padded(out, self.seconds / 60 % 60, 2);
        out.push(b':');
        padded(out, self.seconds % 60, 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn h1q_69_json_lets_nothing_through() {
        let hostile = b"a\n\x1b[31m\0\"\\\x7f\xc2\x9b\xff\xe2\x80\xa8\xc3\xa9";
        let line = written(|out| json_string(out, hostile));
        assert_eq!(line, "\"a\\u000a\\u001b[31m\\u0000\\\"\\\\\\u007f\\u009b\u{fffd}\\u2028é\"");
        let parsed: String = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed, String::from_utf8_lossy(hostile));
    }

    #[test]
    fn h1q_69_json_is_json_whatever_the_bytes() {
        for first in 0..=255u8 {
            for second in [0, b'"', b'\\', b'u', 0x80, 0xbf, 0xc3, 0xff] {
                let bytes = [first, second, b'x'];
                let line = written(|out| json_string(out, &bytes));
                assert!(!line.chars().any(char::is_control), "{bytes:?}");
                let parsed: String = serde_json::from_str(&line).unwrap();
                assert_eq!(parsed, String::from_utf8_lossy(&bytes));
            }
        }
    }

    #[test]
    fn h1q_69_quoted_lets_nothing_through() {
        let line = written(|out| quoted(out, b"a\n\x1b\0\"\\\x7f\xff b"));
        assert_eq!(line, r#"a\x0a\x1b\x00\"\\\x7f\xff b"#);
        for byte in 0..=255u8 {
            let line = written(|out| quoted(out, &[byte]));
            assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)), "{byte}");
        }
    }

    #[test]
    fn plain_keeps_letters_and_escapes_controls() {
        assert_eq!(written(|out| plain(out, "naïve\n\x1b\u{9b}\u{2028}")), "naïve\\x0a\\x1b\\u009b\\u2028");
    }

    #[test]
    fn numbers() {
        for n in [0, 7, 10, 12_345, u64::MAX] {
            assert_eq!(written(|out| number(out, n)), n.to_string());
        }
        assert_eq!(written(|out| padded(out, 7, 3)), "007");
        assert_eq!(written(|out| millis(out, Duration::from_micros(12_045))), "12.045");
        assert_eq!(written(|out| millis(out, Duration::ZERO)), "0.000");
        assert_eq!(written(|out| millis(out, Duration::MAX)), "18446744073709551.615");
    }

    #[test]
    fn dates() {
        let date = |secs: u64, millis: u64| {
            let at = UNIX_EPOCH + Duration::from_secs(secs) + Duration::from_millis(millis);
            (written(|out| rfc3339(out, at)), written(|out| apache_date(out, at)))
        };
        for (secs, millis, rfc, apache) in [
            (0, 0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z", "28/Feb/2000:23:59:59 +0000"),
            (951_868_799, 1, "2000-02-29T23:59:59.001Z", "29/Feb/2000:23:59:59 +0000"),
            (1_709_251_199, 0, "2024-02-29T23:59:59.000Z", "29/Feb/2024:23:59:59 +0000"),
            (1_735_689_599, 0, "2024-12-31T23:59:59.000Z", "31/Dec/2024:23:59:59 +0000"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z", "01/Mar/2100:00:00:00 +0000"),
        ] {
            assert_eq!(date(secs, millis), (rfc.to_owned(), apache.to_owned()));
        }
        let before = UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(written(|out| rfc3339(out, before)), "1970-01-01T00:00:00.000Z");
    }
}

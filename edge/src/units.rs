//! Durations and sizes as people write them. The unit is never left out: a bare number means seconds to one and
//! milliseconds to another.

use std::time::Duration;

/// No wait is longer. It keeps every sum of durations far from an overflow.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
const SIZE_UNITS: [(&str, u64); 4] = [("b", 1), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30)];

/// `500ms`, `3s`, `1m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let millis = quantity(text, &DURATION_UNITS, "a duration", "500ms, 3s, 1m or 1h")?;
    let duration = Duration::from_millis(millis);
    if duration > DURATION_MAX {
        return Err(format!("longer than the most there is, {}h", DURATION_MAX.as_secs() / 3600));
    }
    Ok(duration)
}

/// A duration that is not nothing.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("nothing happens in no time; expected a duration above zero".to_owned()),
        duration => Ok(duration),
    }
}

/// `500b`, `64k`, `1m`, `1g`: multiples of 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    quantity(text, &SIZE_UNITS, "a size", "64k, 1m or 1g")
}

/// A size as it would be written.
pub(crate) fn size_text(bytes: u64) -> String {
    match bytes {
        0 => "0b".to_owned(),
        bytes if bytes.is_multiple_of(1 << 30) => format!("{}g", bytes >> 30),
        bytes if bytes.is_multiple_of(1 << 20) => format!("{}m", bytes >> 20),
        bytes if bytes.is_multiple_of(1 << 10) => format!("{}k", bytes >> 10),
        bytes => format!("{bytes}b"),
    }
}

fn quantity(text: &str, units: &[(&str, u64)], what: &str, examples: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(format!("expected {what}, such as {examples}"));
    }
    if unit.is_empty() {
        return Err(format!("{what} needs a unit, such as {examples}"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("`{unit}` is not a unit here; expected {what}, such as {examples}"));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(*factor))
        .ok_or_else(|| format!("too large for {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, millis) in [("500ms", 500), ("3s", 3000), ("1m", 60_000), ("2h", 7_200_000), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert!(duration("3").unwrap_err().contains("needs a unit"));
        for wrong in
            ["", "s", "-3s", "3 s", "3S", "1.5s", "3d", "99999999999999999999s", "9999999999999h", "9000h"]
        {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_timeout_is_above_zero() {
        assert!(positive_duration("0ms").is_err());
        assert_eq!(positive_duration("1ms"), Ok(Duration::from_millis(1)));
    }

    #[test]
    fn sizes_have_a_unit() {
        for (text, bytes) in [("64k", 65_536), ("1m", 1 << 20), ("1g", 1 << 30), ("0k", 0), ("500b", 500)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert!(size("1024").unwrap_err().contains("needs a unit"));
        for wrong in ["", "k", "1kb", "1.5m", "-1k", "99999999999999g"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}

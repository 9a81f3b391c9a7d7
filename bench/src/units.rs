//! What durations, sizes and rates look like on the command line.

use std::time::Duration;

/// A longest duration that makes sense anywhere.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// `10s`, `1500us`, `2m`; always with a unit, so that nobody has to guess it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write it as 10s, 250ms, 50us or 2m");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(duration) if duration <= DURATION_MAX => Ok(duration),
        _ => Err(format!("`{text}` is too long; at most a week")),
    }
}

/// `128`, `16k`, `1m`, `2g`: bytes, in powers of 1,024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write it as 128, 16k, 1m or 2g (bytes, powers of 1,024)");
    let (number, shift) = match text.as_bytes().last().map(u8::to_ascii_lowercase) {
        Some(b'k') => (&text[..text.len() - 1], 10),
        Some(b'm') => (&text[..text.len() - 1], 20),
        Some(b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A part of all: `1%`, `0.01`; from 0 to 1.
pub(crate) fn part(text: &str) -> Result<f64, String> {
    let parsed = match text.strip_suffix('%') {
        Some(number) => number.parse::<f64>().map(|number| number / 100.0),
        None => text.parse(),
    };
    match parsed {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok(part),
        _ => Err(format!("`{text}` is not a part of all; write it as 1% or 0.01")),
    }
}

/// Requests per second: from one in a quarter of an hour to ten million.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (1e-3..=1e7).contains(&rate) => Ok(rate),
        _ => Err(format!("`{text}` is not a rate; write requests per second, such as 1000 or 0.5")),
    }
}

/// A duration as a person would say it, with three digits.
pub(crate) fn say_micros(micros: f64) -> String {
    let digits = |value: f64| {
        if value >= 100.0 {
            0
        } else if value >= 10.0 {
            1
        } else {
            2
        }
    };
    let (value, unit) = if micros >= 999_500.0 {
        (micros / 1e6, "s")
    } else if micros >= 999.5 {
        (micros / 1e3, "ms")
    } else {
        (micros, "µs")
    };
    format!("{value:.*} {unit}", digits(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1.5ms"), Ok(Duration::from_micros(1500)));
        assert_eq!(duration("50us"), duration("50µs"));
        for wrong in ["", "10", "s", "-1s", "1 s", "1d", "1e3s", "1.2.3s", "100000h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(
            (size("128"), size("16k"), size("1M"), size("2g")),
            (Ok(128), Ok(16384), Ok(1 << 20), Ok(2 << 30))
        );
        for wrong in ["", "k", "1kb", "-1", "1.5k", "99999999999g"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_and_rates_are_bounded() {
        assert_eq!((part("1%"), part("0.5"), part("100%")), (Ok(0.01), Ok(0.5), Ok(1.0)));
        assert!(part("101%").is_err() && part("-1%").is_err() && part("x").is_err() && part("NaN").is_err());
        assert_eq!((rate("1000"), rate("0.5")), (Ok(1000.0), Ok(0.5)));
        assert!(rate("0").is_err() && rate("NaN").is_err() && rate("inf").is_err() && rate("1e9").is_err());
    }

    #[test]
    fn times_are_said_with_three_digits() {
        let said = [0.5, 12.34, 999.4, 1500.0, 99_950.0, 2_345_678.0].map(say_micros);
        assert_eq!(said, ["0.50 µs", "12.3 µs", "999 µs", "1.50 ms", "100.0 ms", "2.35 s"]);
    }
}

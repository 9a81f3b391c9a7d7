//! `${NAME}` and `${NAME:-default}` in strings.

/// What reads the environment: a function, so that only `main.rs` knows where it is.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces variables. `$${` stands for `${`. What comes from the environment is not looked at again.
pub(crate) fn expand(text: &str, env: Env<'_>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        expanded.push_str(before);
        let (inner, left) =
            after.split_once('}').ok_or("`${` has no `}`; write `$${` for the two characters themselves")?;
        expanded.push_str(&variable(inner, env)?);
        rest = left;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn variable(inner: &str, env: Env<'_>) -> Result<String, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(format!(
            "{} is no name of a variable; write ${{NAME}} or ${{NAME:-default}}, and `$${{` for the two characters themselves",
            crate::words::quote(name)
        ));
    }
    match (env(name).filter(|value| !value.is_empty()), default) {
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            Err(format!("the environment has no `{name}`; set it, or give a default: ${{{name}:-default}}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("example.com".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${HOST}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_replaced_once() {
        for (text, expected) in [
            ("", ""),
            ("plain $5$hash", "plain $5$hash"),
            ("${HOST}", "example.com"),
            ("a${HOST}b${HOST}", "aexample.combexample.com"),
            ("${NO:-x}", "x"),
            ("${EMPTY:-x}", "x"),
            ("${NO:-}", ""),
            ("${HOST:-x}", "example.com"),
            ("${NESTED}", "${HOST}"),
            ("$${HOST}", "${HOST}"),
        ] {
            assert_eq!(expand(text, &env).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_an_error() {
        for (text, words) in [
            ("${NO}", "has no `NO`"),
            ("${EMPTY}", "has no `EMPTY`"),
            ("${HOST", "has no `}`"),
            ("${}", "no name"),
            ("${1A}", "no name"),
            ("${a b}", "no name"),
        ] {
            let error = expand(text, &env).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}

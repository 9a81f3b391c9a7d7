//! What is said about logs, on the command line and in the configuration file alike.

use corelane_control::log::{Field, Format, InvalidTemplate, Known, Target, Template};
use corelane_engine::Level;
use std::path::PathBuf;

/// Which logs there are, and how they look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logs {
    pub(crate) access: AccessLogTo,
    pub(crate) format: Format,
    /// Of what happens to the process.
    pub(crate) errors: Target,
    pub(crate) least: Level,
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessLogTo {
    Off,
    To(Target),
}

pub(crate) fn access(text: &str) -> Result<AccessLogTo, String> {
    match text {
        "" => Err("expected stdout, stderr, off, or a path".to_owned()),
        "off" => Ok(AccessLogTo::Off),
        _ => target(text).map(AccessLogTo::To),
    }
}

/// Of the log of the process.
pub(crate) fn errors(text: &str) -> Result<Target, String> {
    match text {
        "" => Err("expected stderr, stdout, or a path".to_owned()),
        "off" => Err("this log cannot be off, or nobody would learn why; `level = \"error\"` makes it short"
            .to_owned()),
        _ => target(text),
    }
}

fn target(text: &str) -> Result<Target, String> {
    match text {
        "stdout" => Ok(Target::Stdout),
        "stderr" => Ok(Target::Stderr),
        _ if text.contains('\0') => Err("a path has no NUL".to_owned()),
        path => Ok(Target::File(PathBuf::from(path))),
    }
}

pub(crate) fn least(choice: &str) -> Level {
    match choice {
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Info,
    }
}

/// `json`, `combined`, or a template.
pub(crate) fn format(text: &str) -> Result<Format, String> {
    match text {
        "json" => Ok(Format::default()),
        "combined" => Ok(Format::Combined),
        _ => template(text).unwrap_or_else(|| {
            Err("expected json, combined, or a template such as '{client.address} {url.path}'".to_owned())
        }),
    }
}

/// What has no brace is no template.
pub(crate) fn template(text: &str) -> Option<Result<Format, String>> {
    if !text.contains(['{', '}']) {
        return None;
    }
    let parsed = text.parse::<Template>();
    Some(parsed.map(Format::Template).map_err(|error| match error {
        InvalidTemplate::Field(name) => no_field(&name),
        error => error.to_string(),
    }))
}

pub(crate) fn field(name: &str) -> Result<Field, String> {
    name.parse().map_err(|_| no_field(name))
}

fn no_field(name: &str) -> String {
    let known = || Known::ALL.iter().map(|known| known.name());
    let quoted = crate::words::quote(name);
    match crate::words::nearest(name, known()) {
        Some(nearest) => format!("there is no field {quoted}; did you mean `{nearest}`?"),
        None => {
            let all: Vec<&str> = known().collect();
            format!("there is no field {quoted}; there are {}, and notes.NAME", all.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_named() {
        assert_eq!(access("off"), Ok(AccessLogTo::Off));
        assert_eq!(access("stderr"), Ok(AccessLogTo::To(Target::Stderr)));
        assert_eq!(errors("/var/log/x"), Ok(Target::File("/var/log/x".into())));
        assert!(access("").is_err() && errors("off").is_err());
    }

    #[test]
    fn formats_are_words_or_templates() {
        assert_eq!(format("json"), Ok(Format::default()));
        assert_eq!(format("combined"), Ok(Format::Combined));
        assert!(matches!(format("{url.path}"), Ok(Format::Template(_))));
        assert!(format("common").unwrap_err().contains("template"));
        assert!(format("{url.pth}").unwrap_err().contains("did you mean `url.path`"));
        assert!(format("{foo}").unwrap_err().contains("there are time, "));
        assert!(format("{time").unwrap_err().contains("brace"));
        assert!(field("notes.user").is_ok());
    }
}

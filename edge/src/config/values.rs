//! Values with a grammar of their own.

use corelane_engine::Method;
use std::fmt::Write;

/// Text with places that a request fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Host,
    Path,
    Query,
}

/// What a [`Template`] is filled with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filling<'a> {
    /// Without a port.
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
}

impl Template {
    pub(crate) fn fill(&self, with: &Filling<'_>) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match (piece, with.query) {
                (Piece::Text(fixed), _) => text.push_str(fixed),
                (Piece::Host, _) => text.push_str(with.host),
                (Piece::Path, _) => text.push_str(with.path),
                (Piece::Query, Some(query)) => write!(text, "?{query}").expect("a string takes everything"),
                (Piece::Query, None) => {}
            }
        }
        text
    }

    pub(crate) fn names_host(&self) -> bool {
        self.0.contains(&Piece::Host)
    }

    fn parse(text: &str, names: &[&str]) -> Result<Self, String> {
        let known = names.iter().map(|name| format!("{{{name}}}")).collect::<Vec<_>>().join(", ");
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "expected visible ASCII: `%20` for a space, `%` and two digits for what is not ASCII"
                    .to_owned(),
            );
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            pieces.push(Piece::Text(before.to_owned()));
            let (name, left) =
                after.split_once('}').ok_or_else(|| format!("`{{` has no `}}`; there is {known}"))?;
            pieces.push(match name {
                "host" if names.contains(&"host") => Piece::Host,
                "path" => Piece::Path,
                "query" if names.contains(&"query") => Piece::Query,
                _ => {
                    return Err(format!(
                        "there is no {}; there is {known}",
                        crate::words::quote(&format!("{{{name}}}"))
                    ));
                }
            });
            rest = left;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Ok(Self(pieces))
    }

    /// Of a redirect: a URL or a path.
    pub(crate) fn location(text: &str) -> Result<Self, String> {
        let is_path = text.starts_with('/') || text.starts_with("{path}");
        if !(is_path || text.starts_with("http://") || text.starts_with("https://")) {
            return Err(
                "expected a URL or a path, such as \"https://{host}{path}{query}\" or \"/new\"".to_owned()
            );
        }
        Self::parse(text, &["host", "path", "query"])
    }

    /// Of a new path.
    pub(crate) fn path(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') && !text.starts_with("{path}") {
            return Err("a path begins with a slash, such as \"/v2{path}\"".to_owned());
        }
        if text.contains(['?', '#']) {
            return Err("a path ends before `?` and `#`; the query stays as it is".to_owned());
        }
        Self::parse(text, &["path"])
    }
}

/// A path that is taken off.
pub(crate) fn plain_path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("a path begins with a slash, such as \"/api\"".to_owned());
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#*".contains(&byte)) {
        return Err("expected a path as it is sent, without `?`, `#` and `*`, such as \"/api\"".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Changes of header fields, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Edits {
    pub(crate) remove: Vec<String>,
    pub(crate) set: Vec<(String, String)>,
    pub(crate) add: Vec<(String, String)>,
}

impl Edits {
    pub(crate) fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// A user and the hash of the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) hash: String,
}

/// The name of a header field that may be changed. Those that frame a message are not anybody's to change.
pub(crate) fn field_name(text: &str) -> Result<String, String> {
    const OURS: [&str; 10] = [
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    let lower = text.to_ascii_lowercase();
    if OURS.contains(&lower.as_str()) {
        return Err("the proxy itself writes this field".to_owned());
    }
    if is_token(text) { Ok(lower) } else { Err("expected a field name, such as \"x-name\"".to_owned()) }
}

/// Fields that the proxy writes into every request, whatever stands there.
pub(crate) fn is_written_by_proxy(name: &str) -> bool {
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"].contains(&name)
}

/// The value of `Host`.
pub(crate) fn host_value(text: &str) -> Result<String, String> {
    let is_host =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    if is_host {
        Ok(text.to_owned())
    } else {
        Err("expected a host, such as \"example.com:8080\"".to_owned())
    }
}

/// The value of a header field.
pub(crate) fn field_value(text: &str) -> Result<String, String> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("a value has no line ends and no other control characters".to_owned());
    }
    Ok(text.to_owned())
}

pub(crate) fn method(text: &str) -> Result<Method, String> {
    if !is_token(text) || text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err("expected a method, in upper case, such as \"GET\"".to_owned());
    }
    if text == "CONNECT" || text == "TRACE" {
        return Err("this method is answered with 405, whatever the routes say".to_owned());
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| "expected a method, such as \"GET\"".to_owned())
}

/// `404`, or `5xx`.
pub(crate) fn statuses(text: &str) -> Result<(u16, u16), String> {
    match text {
        "4xx" => Ok((400, 499)),
        "5xx" => Ok((500, 599)),
        _ => match text.parse() {
            Ok(status) if (400..=599).contains(&status) => Ok((status, status)),
            _ => Err("expected a status from 400 to 599, or \"4xx\" or \"5xx\"".to_owned()),
        },
    }
}

/// RFC 9110 §5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled() {
        let with = Filling { host: "a.b", path: "/p", query: Some("q=1") };
        for (text, expected) in [
            ("https://{host}{path}{query}", "https://a.b/p?q=1"),
            ("/x", "/x"),
            ("{path}", "/p"),
            ("/a{path}b{path}", "/a/pb/p"),
        ] {
            assert_eq!(Template::location(text).unwrap().fill(&with), expected, "{text}");
        }
        assert_eq!(Template::location("/{query}").unwrap().fill(&Filling { query: None, ..with }), "/");
        for wrong in ["", "x", "ftp://x", "/{", "/{x}", "/a b", "/ä"] {
            assert!(Template::location(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "x", "/{host}", "/a?b", "{query}"] {
            assert!(Template::path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn fields_that_frame_are_not_changed() {
        assert_eq!(field_name("X-A"), Ok("x-a".to_owned()));
        for wrong in ["", "a b", "a:", "Content-Length", "connection", "ä"] {
            assert!(field_name(wrong).is_err(), "{wrong}");
        }
        assert!(field_value("a\r\nb").is_err());
        assert!(field_value("ä\tb").is_ok());
    }

    #[test]
    fn methods_and_statuses() {
        assert!(method("PROPFIND").is_ok());
        for wrong in ["", "get", "G T", "CONNECT"] {
            assert!(method(wrong).is_err(), "{wrong}");
        }
        assert_eq!(statuses("404"), Ok((404, 404)));
        assert_eq!(statuses("5xx"), Ok((500, 599)));
        for wrong in ["", "200", "600", "3xx", "4XX", "-404"] {
            assert!(statuses(wrong).is_err(), "{wrong}");
        }
    }
}

//! Case files: what the two ends do and must see, as text. `tests/cases/README.md` describes the format.

use crate::wire::net::Side;
use crate::wire::text::{Names, expand};

/// A file of cases.
#[derive(Debug)]
pub(crate) struct CaseFile {
    /// Arguments of the proxy for all of its cases.
    pub(crate) flags: Vec<String>,
    pub(crate) cases: Vec<Case>,
}

/// One case, or one variant of a case that has several.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) line: usize,
    pub(crate) names: Names,
    /// It is run whole only: the file says why.
    pub(crate) only_whole: bool,
    /// It is not run in two pieces: the file says why.
    pub(crate) no_splits: bool,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) act: Act,
}

/// Lines of a block as they stand in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block(Vec<String>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// `client>`, `origin>`
    Send(Side, Block),
    /// `origin<`
    Request(Block),
    /// `origin<~`
    RequestSoFar(Block),
    /// `client<`
    Response(Answer),
    /// `client<~`
    ResponseSoFar(Answer),
    /// `client<+`, `origin<+`
    Rest(Side, Block),
    /// `client<!`, `origin<!`
    Raw(Side, Block),
    /// `client ok`, `origin ok`
    Ok(Side),
    Fin(Side),
    Reset(Side),
    /// The proxy closes this connection in order, with nothing unread before.
    Closed(Side),
    /// The proxy ends this connection in the middle of a message.
    Cut(Side),
    /// `client end`: the connection ends, however, with one answer before or none.
    Ends,
    /// `client open`: another request on this connection is answered.
    Open,
    /// `origin nothing`
    Nothing,
    /// `origin incomplete`: no request has come, or a part of one and then the end.
    Incomplete,
    Canary(Upstream),
}

/// Which upstream connection a canary must come on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    Fresh,
    Reused,
    Any,
}

/// What a response must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    pub(crate) checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// `200`, or a name that stands for a number
    Is(String),
    /// `R400`: this status, `Connection: close`, and then a FIN. With a 502, 503 or 504, either that, or the
    /// connection goes on.
    Refused(u16),
    /// `502C`: an `R502`, or a success that is cut short.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    Field(String, String),
    NoField(String),
    Content(String),
    Trailer(String, String),
    /// How many trailers there are.
    Trailers(usize),
    /// It answers a `HEAD`.
    Head,
    Times(usize),
}

impl Block {
    /// Its bytes: each line ends in CRLF unless the file ends it with a backslash.
    pub(crate) fn bytes(&self, names: &Names) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for line in &self.0 {
            // An even number of backslashes at the end is escaped ones.
            let backslashes = line.len() - line.trim_end_matches('\\').len();
            let (text, end) = match backslashes % 2 {
                1 => (&line[..line.len() - 1], ""),
                _ => (line.as_str(), "\r\n"),
            };
            bytes.extend(expand(text, names)?);
            bytes.extend_from_slice(end.as_bytes());
        }
        Ok(bytes)
    }
}

impl Case {
    /// How many bytes its script sends.
    pub(crate) fn bytes_sent(&self) -> usize {
        let sent = self.steps.iter().filter_map(|step| match &step.act {
            Act::Send(_, block) => block.bytes(&self.names).ok(),
            _ => None,
        });
        sent.map(|bytes| bytes.len()).sum()
    }
}

/// Reads a file. An error says the line.
pub(crate) fn parse(text: &str) -> Result<CaseFile, String> {
    let mut reader = Reader::default();
    for (at, line) in text.lines().enumerate() {
        reader.line(at + 1, line).map_err(|error| format!("{}: {error}", at + 1))?;
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    flags: Vec<String>,
    cases: Vec<Case>,
    open: Option<Case>,
    variants: Vec<(String, String)>,
    /// The marker of the block that the next line may go on with.
    marker: String,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), String> {
        let (marker, rest) = line.split_once(' ').unwrap_or((line, ""));
        let begun = std::mem::take(&mut self.marker);
        match marker {
            "" if rest.trim().is_empty() => return Ok(()),
            _ if marker.starts_with('#') => return Ok(()),
            "flags" if self.open.is_none() => {
                self.flags = rest.split_whitespace().map(str::to_owned).collect();
                return Ok(());
            }
            "case" => return self.begin(number, rest),
            _ => {}
        }
        let case = self.open.as_mut().ok_or("nothing but `flags` may stand before the first `case`")?;
        match marker {
            "with" => {
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                if RUNTIME_NAMES.contains(&name) || text.contains(&format!("{{{name}}}")) {
                    return Err(format!("`{name}` has a meaning of its own here"));
                }
                self.variants.push((name.to_owned(), text.to_owned()));
            }
            "only" => {
                rest.strip_prefix("whole: ").ok_or("`only whole:` wants a reason behind it")?;
                case.only_whole = true;
            }
            "no" => {
                rest.strip_prefix("splits: ").ok_or("`no splits:` wants a reason behind it")?;
                case.no_splits = true;
            }
            _ if begun == marker && marker.contains(['<', '>']) && continues(marker) => {
                case.extend(rest);
                marker.clone_into(&mut self.marker);
            }
            _ => {
                let act = act(marker, rest)?;
                case.steps.push(Step { line: number, act });
                marker.clone_into(&mut self.marker);
            }
        }
        Ok(())
    }

    fn begin(&mut self, line: usize, header: &str) -> Result<(), String> {
        self.close()?;
        let (id, title) = header.split_once(' ').ok_or("a case wants an id and a title")?;
        let (id, title) = (id.to_owned(), title.to_owned());
        self.open =
            Some(Case { id, title, line, names: vec![], only_whole: false, no_splits: false, steps: vec![] });
        Ok(())
    }

    /// Ends the open case, which becomes one case per variant.
    fn close(&mut self) -> Result<(), String> {
        let Some(case) = self.open.take() else { return Ok(()) };
        if case.steps.is_empty() {
            return Err(format!("{} does nothing", case.id));
        }
        let variants = std::mem::take(&mut self.variants);
        if variants.is_empty() {
            return self.keep(case);
        }
        for (number, variant) in variants.into_iter().enumerate() {
            let id = format!("{}/{}", case.id, number + 1);
            self.keep(Case { id, names: vec![variant], ..case.clone() })?;
        }
        Ok(())
    }

    fn keep(&mut self, case: Case) -> Result<(), String> {
        if self.cases.iter().any(|other| other.id == case.id) {
            return Err(format!("a second case {}", case.id));
        }
        check_texts(&case)?;
        self.cases.push(case);
        Ok(())
    }

    fn finish(mut self) -> Result<CaseFile, String> {
        self.close()?;
        Ok(CaseFile { flags: self.flags, cases: self.cases })
    }
}

impl Case {
    fn extend(&mut self, line: &str) {
        match self.steps.last_mut().map(|step| &mut step.act) {
            Some(
                Act::Send(_, block)
                | Act::Request(block)
                | Act::RequestSoFar(block)
                | Act::Rest(_, block)
                | Act::Raw(_, block),
            ) => block.0.push(line.to_owned()),
            other => unreachable!("no block to go on with: {other:?}"),
        }
    }
}

/// Names that have a value only while a case runs.
pub(crate) const RUNTIME_NAMES: [&str; 2] = ["via", "#"];

/// Expands all texts once, so that a mistake is found where it stands and not when it is reached.
fn check_texts(case: &Case) -> Result<(), String> {
    let mut names = case.names.clone();
    names.extend(RUNTIME_NAMES.map(|name| (name.to_owned(), String::new())));
    for Step { line, act } in &case.steps {
        let result = match act {
            Act::Request(block) | Act::RequestSoFar(block) => {
                block.bytes(&names).and_then(|bytes| super::compare::Expected::of(&bytes).map(drop))
            }
            Act::Send(_, block) | Act::Rest(_, block) | Act::Raw(_, block) => block.bytes(&names).map(drop),
            Act::Response(answer) | Act::ResponseSoFar(answer) => answer.check_texts(&names),
            _ => Ok(()),
        };
        result.map_err(|error| format!("{} at line {line}: {error}", case.id))?;
    }
    Ok(())
}

impl Answer {
    fn check_texts(&self, names: &Names) -> Result<(), String> {
        if let Status::Is(status) = &self.status {
            status_of(status, names)?;
        }
        self.checks.iter().try_for_each(|check| match check {
            Check::Field(_, text) | Check::Content(text) | Check::Trailer(_, text) => {
                expand(text, names).map(drop)
            }
            _ => Ok(()),
        })
    }
}

/// The number that a status stands for.
pub(crate) fn status_of(text: &str, names: &Names) -> Result<u16, String> {
    let digits = String::from_utf8_lossy(&expand(text, names)?).into_owned();
    digits.parse().map_err(|_| format!("`{digits}` is no status"))
}

/// Whether a line with the same marker goes on with the block.
fn continues(marker: &str) -> bool {
    !matches!(marker, "client<" | "client<~")
}

fn act(marker: &str, rest: &str) -> Result<Act, String> {
    let block = || Block(vec![rest.to_owned()]);
    let act = match (marker, rest) {
        ("client>", _) => Act::Send(Side::Client, block()),
        ("origin>", _) => Act::Send(Side::Origin, block()),
        ("origin<", _) => Act::Request(block()),
        ("origin<~", _) => Act::RequestSoFar(block()),
        ("client<", _) => Act::Response(answer(rest)?),
        ("client<~", _) => Act::ResponseSoFar(answer(rest)?),
        ("client<+", _) => Act::Rest(Side::Client, block()),
        ("origin<+", _) => Act::Rest(Side::Origin, block()),
        ("client<!", _) => Act::Raw(Side::Client, block()),
        ("origin<!", _) => Act::Raw(Side::Origin, block()),
        ("client", "end") => Act::Ends,
        ("client", "open") => Act::Open,
        ("origin", "nothing") => Act::Nothing,
        ("origin", "incomplete") => Act::Incomplete,
        ("canary", "fresh") => Act::Canary(Upstream::Fresh),
        ("canary", "reused") => Act::Canary(Upstream::Reused),
        ("canary", "any") => Act::Canary(Upstream::Any),
        ("client", _) => of_either(Side::Client, rest)?,
        ("origin", _) => of_either(Side::Origin, rest)?,
        _ => return Err(format!("unknown directive `{marker} {rest}`")),
    };
    Ok(act)
}

fn of_either(side: Side, directive: &str) -> Result<Act, String> {
    Ok(match directive {
        "ok" => Act::Ok(side),
        "fin" => Act::Fin(side),
        "rst" => Act::Reset(side),
        "closed" => Act::Closed(side),
        "cut" => Act::Cut(side),
        _ => return Err(format!("unknown directive `{directive}`")),
    })
}

fn answer(text: &str) -> Result<Answer, String> {
    let mut parts = text.split(" | ");
    let status = parts.next().unwrap_or_default().trim();
    let number = |digits: &str| digits.parse::<u16>().map_err(|_| format!("`{status}` is no status"));
    let status = match status.strip_prefix('R') {
        Some(digits) => Status::Refused(number(digits)?),
        None if status == "502C" => Status::Failed,
        None if status.starts_with('{') => Status::Is(status.to_owned()),
        None => Status::Is(number(status)?.to_string()),
    };
    Ok(Answer { status, checks: parts.map(check).collect::<Result<_, _>>()? })
}

fn check(text: &str) -> Result<Check, String> {
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let check = match text.split_once(' ').unwrap_or((text, "")) {
        ("head", "") => Check::Head,
        ("times", times) => Check::Times(times.parse().map_err(|_| format!("`{times}` is no number"))?),
        ("trailer", line) => {
            let (name, value) = field(line).ok_or_else(|| format!("`{text}` is no trailer"))?;
            Check::Trailer(name, value)
        }
        ("trailers", count) => Check::Trailers(count.parse().map_err(|_| format!("`{count}` is no number"))?),
        _ if text.starts_with('=') => Check::Content(text[1..].to_owned()),
        (name, "") if name.starts_with('-') => Check::NoField(name[1..].to_owned()),
        _ => {
            let (name, value) = field(text).ok_or_else(|| format!("unknown check `{text}`"))?;
            Check::Field(name, value)
        }
    };
    Ok(check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read() {
        let text = "# words\nflags --linger 1s\n\ncase A-01 a title\nwith v x\\r\\ny\nwith v z\nclient> GET {v}\nclient>\nclient> tail\\\norigin< GET / HTTP/1.1\norigin< Host: a\norigin ok\nclient< 200 | via: {via} | =ok\nclient open\n\ncase A-01/b other\nonly whole: it is long\nclient> x\n\nclient> y\nclient< R400\n";
        let file = parse(text).unwrap();
        assert_eq!(file.flags, ["--linger", "1s"]);
        let ids = file.cases.iter().map(|case| (case.id.as_str(), case.line)).collect::<Vec<_>>();
        assert_eq!(ids, [("A-01/1", 4), ("A-01/2", 4), ("A-01/b", 16)]);
        let [first, second, third] = file.cases.as_slice() else { panic!() };
        assert_eq!(first.bytes_sent(), "GET x\r\ny\r\n\r\ntail".len());
        assert_eq!(second.steps.len(), 5);
        assert_eq!(third.steps.len(), 3, "an empty line ends a block");
        assert!(third.only_whole && !first.only_whole);
    }

    #[test]
    fn mistakes_are_said_with_their_line() {
        for (text, says) in [
            ("client> x\n", "1: nothing but"),
            ("case A-01 t\nclient> x\nclinet< 200\n", "3: unknown directive"),
            ("case A-01 t\nclient jumps\n", "2: unknown directive"),
            ("case A-01 t\nclient< 200 | what\n", "2: unknown check"),
            ("case A-01 t\nclient< 2x0\n", "2: `2x0` is no status"),
            ("case A-01 t\n\nclient> {q}\n", "A-01 at line 3: unknown name"),
            ("case A-01 t\norigin< GET / HTTP/1.1\norigin< Host\n", "no field line"),
            ("case A-01 t\nclient ok\ncase A-01 t\nclient ok\n", "a second case"),
            ("case A-01 t\nwith via x\n", "2: `via` has a meaning"),
            ("case A-01 t\nwith v {v}\n", "2: `v` has a meaning"),
            ("case A-01 t\n", "does nothing"),
            ("case A-01 t\nonly whole\n", "reason"),
            ("case A-01 t\nno splits\n", "reason"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}

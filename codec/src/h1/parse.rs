//! Start lines and field sections whose lines have been found (see `scan`): from bytes to heads.

use crate::fields::{Adopted, Known, Line, Part};
use crate::framing::{self, TransferEncoding};
use crate::grammar::{authority, is_target, is_token, is_token_byte, is_value, members};
use crate::{Fields, Kind, Length, Limits, RequestHead, ResponseHead, Underscores, Upgrade, Version};
use http::{Method, StatusCode};
use httparse::{EMPTY_HEADER, Header};
use std::ops::Range;

/// Names that `Connection` may nominate beside the well-known options: each is looked for among all fields.
const NOMINATIONS_MAX: usize = 64;

/// A request line that has been checked, as positions in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestLine {
    pub(crate) version: Version,
    method_len: u32,
    target_len: u32,
}

/// A status line that has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StatusLine {
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
}

/// A head that has been parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parsed {
    /// Its bytes.
    pub(crate) len: usize,
    /// The connection may carry another exchange.
    pub(crate) persistent: bool,
}

/// Checks the method byte by byte, so that a peer that speaks something else is refused at its first bytes.
/// `seen` bytes have been checked before. Gives the length of the method when its space has come.
pub(crate) fn method(input: &[u8], seen: usize, limits: &Limits) -> Result<Option<usize>, Kind> {
    let unseen = input.get(seen..).unwrap_or_default();
    for (at, byte) in (seen..).zip(unseen) {
        match byte {
            b' ' if at > 0 => return Ok(Some(at)),
            b' ' | b'\t' | b'\r' => return Err(Kind::RequestLine),
            b'\n' => return Err(Kind::BareLf),
            0 => return Err(Kind::Nul),
            _ if !is_token_byte(*byte) || at >= limits.method_bytes_max => return Err(Kind::Method),
            _ => {}
        }
    }
    Ok(None)
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3), whose method has been checked: exactly one space
/// between them and none elsewhere.
pub(crate) fn request_line(line: &[u8], method_len: usize) -> Result<RequestLine, Kind> {
    let (method, rest) = line.split_at_checked(method_len).ok_or(Kind::RequestLine)?;
    let rest = rest.get(1..).ok_or(Kind::RequestLine)?;
    let target_len = memchr::memchr(b' ', rest).ok_or(Kind::RequestLine)?;
    let target = rest.get(..target_len).unwrap_or_default();
    let version = rest.get(target_len.saturating_add(1)..).unwrap_or_default();
    if target.is_empty() || memchr::memchr(b' ', version).is_some() {
        return Err(Kind::RequestLine);
    }
    if (method, target, version) == (b"PRI", b"*", b"HTTP/2.0") {
        return Err(Kind::Http2Preface);
    }
    let version = self::version(version)?;
    check_target(method, target)?;
    Ok(RequestLine { version, method_len: small(method_len), target_len: small(target_len) })
}

/// `HTTP/1.0` or `HTTP/1.1`, in capitals (RFC 9112 §2.3).
fn version(text: &[u8]) -> Result<Version, Kind> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Kind::VersionNotSupported)
        }
        _ => Err(Kind::Version),
    }
}

/// A target in one of the four forms (RFC 9112 §3.2), and the form suits the method.
fn check_target(method: &[u8], target: &[u8]) -> Result<(), Kind> {
    if !is_target(target) {
        return Err(Kind::Target);
    }
    let fine = match (method, target) {
        (b"CONNECT", _) => authority(target).is_some_and(|port| port.is_some()),
        (_, [b'/', ..]) | (b"OPTIONS", b"*") => true,
        _ => match absolute(target) {
            Some((host, _)) => authority(host).is_some(),
            None => false,
        },
    };
    if fine { Ok(()) } else { Err(Kind::Target) }
}

/// The authority of a target in absolute-form, and what follows it.
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let after = |scheme: &[u8]| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let rest = after(b"http://").or_else(|| after(b"https://"))?;
    rest.split_at_checked(memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len()))
}

/// Whether what has come can be the start of a status line: a peer that speaks something else is refused at once.
pub(crate) fn may_be_status_line(input: &[u8]) -> bool {
    input.iter().zip(b"HTTP/").all(|(a, b)| a == b)
}

/// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4). The reason is checked and forgotten.
pub(crate) fn status_line(line: &[u8]) -> Result<StatusLine, Kind> {
    let (version, rest) = line.split_at_checked("HTTP/1.1".len()).ok_or(Kind::StatusLine)?;
    let version = self::version(version).map_err(|kind| match kind {
        Kind::VersionNotSupported => kind,
        _ => Kind::StatusLine,
    })?;
    let [b' ', code @ ..] = rest else { return Err(Kind::StatusLine) };
    let (code, reason) = code.split_at_checked(3).ok_or(Kind::StatusLine)?;
    let [b' ', reason @ ..] = reason else { return Err(Kind::StatusLine) };
    let status = StatusCode::from_bytes(code).map_err(|_| Kind::StatusLine)?;
    if !is_value(reason) || status.as_u16() >= 600 {
        return Err(Kind::StatusLine);
    }
    Ok(StatusLine { version, status })
}

/// Fills `head` from a request head that has come whole, with so many fields, of which `line` has been checked.
pub(crate) fn request(
    input: &[u8],
    line: &RequestLine,
    lines: usize,
    underscores: Underscores,
    head: &mut RequestHead,
) -> Result<Parsed, Kind> {
    let (method, target, section) = line.split(input);
    head.clear();
    let said = read(section, lines, Side::Client(underscores), &mut head.fields)?;
    let persistent = complete_request(method, target, line.version, &said, head)?;
    Ok(Parsed { len: input.len(), persistent })
}

/// Fills in what is not kept among the fields. Whether the connection may carry another exchange.
pub(crate) fn complete_request(
    method: &[u8],
    target: &[u8],
    version: Version,
    said: &Said,
    head: &mut RequestHead,
) -> Result<bool, Kind> {
    head.method = Method::from_bytes(method).map_err(|_| Kind::Method)?;
    head.version = version;
    if said.hosts > 1 || (said.hosts == 0 && version == Version::Http11) {
        return Err(Kind::HostCount);
    }
    set_target(method, target, head)?;
    head.content =
        framing::request(version, said.content_length, said.transfer_encoding).map_err(|error| error.kind)?;
    if head.method == Method::TRACE && !head.content.is_empty() {
        return Err(Kind::TraceWithContent);
    }
    head.accepts_trailers = said.te_trailers;
    let http11 = version == Version::Http11;
    if http11 && said.expects_other {
        return Err(Kind::Expectation);
    }
    head.expects_continue = http11 && said.expects_continue && !head.content.is_empty();
    if http11 && said.upgrade && said.websocket && head.method == Method::GET {
        if !head.content.is_empty() {
            return Err(Kind::UpgradeWithContent);
        }
        head.upgrade = Some(Upgrade::WebSocket);
    }
    // A client of HTTP/1.0 that posts without a length may mean "until I close". It gets its answer, and whatever
    // follows is never taken for a request (RFC 9112 §6.3).
    let endless = !http11 && said.content_length.is_none() && !bodiless(&head.method);
    Ok(!endless && said.persistent(version))
}

fn bodiless(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE | Method::TRACE)
}

/// What a response answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Asked {
    /// The request was a `HEAD`.
    pub(crate) head: bool,
    /// The request asked for this protocol.
    pub(crate) upgrade: Option<Upgrade>,
}

/// Fills `head` from a response head with this status line, whose field section has come whole, with so many fields. Whether the
/// connection may carry another exchange.
pub(crate) fn response(
    section: &[u8],
    line: StatusLine,
    lines: usize,
    asked: Asked,
    head: &mut ResponseHead,
) -> Result<bool, Kind> {
    head.clear();
    let said = read(section, lines, Side::Origin, &mut head.fields)?;
    complete_response(line, asked, &said, head)
}

/// Fills in what is not kept among the fields. Whether the connection may carry another exchange.
pub(crate) fn complete_response(
    line: StatusLine,
    asked: Asked,
    said: &Said,
    head: &mut ResponseHead,
) -> Result<bool, Kind> {
    let StatusLine { version, status } = line;
    head.status = status;
    head.version = version;
    let (length, coding) = (said.content_length, said.transfer_encoding);
    head.content =
        framing::response(version, status, asked.head, length, coding).map_err(|error| error.kind)?;
    head.declared_length = length;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let switched = said.upgrade && said.websocket && version == Version::Http11;
        if !switched || asked.upgrade.is_none() {
            return Err(Kind::SwitchingProtocols);
        }
        head.upgrade = asked.upgrade;
    }
    // What must have no content and yet declares some may be followed by it, or not: nobody can tell.
    let declares = length.is_some_and(|l| l > 0) || coding != TransferEncoding::Absent;
    let doubtful = match status {
        StatusCode::NOT_MODIFIED => false,
        _ if asked.head => false,
        StatusCode::RESET_CONTENT => length != Some(0),
        _ => framing::has_no_content(status) && declares,
    };
    let delimited = head.content != Length::UntilClose;
    Ok(said.persistent(version) && delimited && !doubtful)
}

/// Reads a complete trailer section. What must not stand in one is left out (RFC 9110 §6.5.1).
pub(crate) fn trailers(section: &[u8], lines: usize, side: Side, fields: &mut Fields) -> Result<(), Kind> {
    with_headers(section, lines, |headers| {
        fields.clear();
        for header in headers {
            let line = line(header);
            if line.known.may_trail() && may_pass(&line, side)? {
                adopt(section, &line, fields)?;
            }
        }
        fields.load(section);
        Ok(())
    })
    .map_err(|kind| if kind == Kind::Field { Kind::Trailer } else { kind })
}

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// With what becomes of its names with underscores.
    Client(Underscores),
    Origin,
}

/// Reads the field section of a head.
fn read(section: &[u8], lines: usize, side: Side, fields: &mut Fields) -> Result<Said, Kind> {
    let mut said = Said::default();
    with_headers(section, lines, |headers| {
        for header in headers {
            let line = line(header);
            if said.take(&line, side)? {
                adopt(section, &line, fields)?;
            }
        }
        fields.load(section);
        if said.has_nominations() {
            strip_nominated(headers, fields);
        }
        Ok(())
    })?;
    Ok(said)
}

/// Parses a field section of so many lines, which ends with its empty line.
fn with_headers<T>(
    section: &[u8],
    lines: usize,
    read: impl FnOnce(&[Header<'_>]) -> Result<T, Kind>,
) -> Result<T, Kind> {
    // Setting up slots that nobody needs costs more than parsing what is there.
    match lines {
        0..=16 => parse_headers(section, &mut [EMPTY_HEADER; 16], read),
        17..=32 => parse_headers(section, &mut [EMPTY_HEADER; 32], read),
        33..=128 => parse_headers(section, &mut [EMPTY_HEADER; 128], read),
        _ => parse_headers(section, &mut vec![EMPTY_HEADER; lines], read),
    }
}

fn parse_headers<'b, T>(
    section: &'b [u8],
    slots: &mut [Header<'b>],
    read: impl FnOnce(&[Header<'_>]) -> Result<T, Kind>,
) -> Result<T, Kind> {
    match httparse::parse_headers(section, slots) {
        Ok(httparse::Status::Complete((len, headers))) if len == section.len() => read(headers),
        _ => Err(Kind::Field),
    }
}

fn line<'a>(header: &Header<'a>) -> Line<'a> {
    let name = header.name.as_bytes();
    Line::received(Known::of(name), name, header.value)
}

/// Whether a field goes on, as far as underscores in its name are concerned.
fn may_pass(line: &Line<'_>, side: Side) -> Result<bool, Kind> {
    match side {
        Side::Client(underscores) => underscores.admit(line.name, line.known),
        Side::Origin => Ok(true),
    }
}

/// What the fields of a head say that is not kept among them.
#[derive(Debug, Default)]
pub(crate) struct Said {
    content_length: Option<u64>,
    transfer_encoding: TransferEncoding,
    hosts: u32,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    nominations: usize,
    websocket: bool,
    expects_continue: bool,
    expects_other: bool,
    te_trailers: bool,
}

impl Said {
    /// Whether a field goes on, or its meaning is kept here.
    pub(crate) fn take(&mut self, line: &Line<'_>, side: Side) -> Result<bool, Kind> {
        match line.known {
            Known::Other => return may_pass(line, side),
            Known::Host if side != Side::Origin => self.host(line.value)?,
            known if known.is_of_connection() => {
                self.hop_by_hop(known, line.value)?;
                return Ok(false);
            }
            _ => {}
        }
        Ok(true)
    }

    /// Whether there may be fields that go no further because `Connection` names them.
    pub(crate) fn has_nominations(&self) -> bool {
        self.nominations > 0
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Kind> {
        self.hosts = self.hosts.saturating_add(1);
        if authority(value).is_some() { Ok(()) } else { Err(Kind::Host) }
    }

    fn hop_by_hop(&mut self, known: Known, value: &[u8]) -> Result<(), Kind> {
        match known {
            Known::ContentLength if self.content_length.is_some() => return Err(Kind::ContentLengthRepeated),
            Known::ContentLength => {
                self.content_length = Some(framing::content_length(value).map_err(|error| error.kind)?);
            }
            Known::TransferEncoding => self.transfer_encoding = self.transfer_encoding.and(value),
            Known::Connection => self.connection(value)?,
            Known::Te => self.te_trailers |= members(value).any(|m| m.eq_ignore_ascii_case(b"trailers")),
            Known::Upgrade => self.websocket |= members(value).any(|m| m.eq_ignore_ascii_case(b"websocket")),
            Known::Expect => {
                let known = |member: &[u8]| member.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue = true;
                self.expects_other |= value.is_empty() || !members(value).all(known);
            }
            // What is left says something about one connection that we don't use.
            _ => {}
        }
        Ok(())
    }

    /// `Connection`: options, and names of fields that go no further (RFC 9110 §7.6.1).
    fn connection(&mut self, value: &[u8]) -> Result<(), Kind> {
        for option in members(value) {
            if !is_token(option) {
                return Err(Kind::Connection);
            }
            match Nominated::of(option) {
                Nominated::Close => self.close = true,
                Nominated::KeepAlive => self.keep_alive = true,
                Nominated::Upgrade => self.upgrade = true,
                Nominated::OfConnection => {}
                Nominated::Protected => return Err(Kind::Connection),
                Nominated::Field(_) => self.nominations = self.nominations.saturating_add(1),
            }
        }
        if self.nominations > NOMINATIONS_MAX { Err(Kind::Connection) } else { Ok(()) }
    }

    fn persistent(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// What a member of `Connection` means.
enum Nominated {
    Close,
    KeepAlive,
    Upgrade,
    /// A field that is never passed on anyway.
    OfConnection,
    /// A field without which the message would mean something else to whoever gets it: framing, `Host`, and what
    /// we add ourselves.
    Protected,
    Field(Known),
}

impl Nominated {
    fn of(option: &[u8]) -> Self {
        match Known::of(option) {
            Known::KeepAlive => Self::KeepAlive,
            Known::Upgrade => Self::Upgrade,
            Known::ContentLength | Known::TransferEncoding | Known::Host => Self::Protected,
            known if known.is_ours() => Self::Protected,
            known if known.is_of_connection() => Self::OfConnection,
            Known::Other if option.eq_ignore_ascii_case(b"close") => Self::Close,
            known => Self::Field(known),
        }
    }
}

fn strip_nominated(headers: &[Header<'_>], fields: &mut Fields) {
    for header in headers.iter().filter(|h| Known::of(h.name.as_bytes()) == Known::Connection) {
        for option in members(header.value) {
            match Nominated::of(option) {
                Nominated::Field(Known::Other) => {
                    fields.retain(|name, _| !name.eq_ignore_ascii_case(option));
                }
                Nominated::Field(known) => fields.remove_known(known),
                _ => {}
            }
        }
    }
}

/// The target becomes origin-form or `*`, and the authority of an absolute-form target becomes the `Host`
/// (RFC 9112 §3.2.2).
fn set_target(method: &[u8], target: &[u8], head: &mut RequestHead) -> Result<(), Kind> {
    let absolute = if target.starts_with(b"/") || method == b"CONNECT" { None } else { absolute(target) };
    let Some((host, path)) = absolute else {
        head.target.extend_from_slice(target);
        return Ok(());
    };
    match path {
        [b'/', ..] => head.target.extend_from_slice(path),
        [] if method == b"OPTIONS" => head.target.push(b'*'),
        _ => {
            head.target.push(b'/');
            head.target.extend_from_slice(path);
        }
    }
    head.fields.set_known(Known::Host, &[Part::Bytes(host)]).map_err(|_| Kind::Host)
}

impl RequestLine {
    /// The method, the target and the field section.
    fn split<'a>(&self, input: &'a [u8]) -> (&'a [u8], &'a [u8], &'a [u8]) {
        let (method_len, target_len) = (self.method_len as usize, self.target_len as usize);
        let (method, rest) = input.split_at_checked(method_len).unwrap_or_default();
        let rest = rest.get(1..).unwrap_or_default();
        let (target, rest) = rest.split_at_checked(target_len).unwrap_or_default();
        (method, target, rest.get(" HTTP/1.1\r\n".len()..).unwrap_or_default())
    }
}

fn adopt(section: &[u8], line: &Line<'_>, fields: &mut Fields) -> Result<(), Kind> {
    let (name, value) = (range_in(section, line.name), range_in(section, line.value));
    let gap = section.get(name.end..value.start).unwrap_or_default();
    let rest = section.get(value.end..).unwrap_or_default();
    let line = Adopted {
        known: line.known,
        name: (name.start, line.name),
        value: (value.start, line.value),
        is_canonical: gap == b": " && rest.starts_with(b"\r\n"),
    };
    fields.adopt(line).ok_or(Kind::Field)
}

/// Where `part`, which is a slice of `whole`, stands in it.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start.saturating_add(part.len())
}

fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

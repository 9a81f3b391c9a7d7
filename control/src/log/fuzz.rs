//! Lines of what came over a network, for the fuzzer and for nobody else.

use super::{Field, Template, combined, json, line::Line};
use corelane_engine::{Address, Attempt, AttemptOutcome, End, Method, Phases};
use std::{
    borrow::Cow,
    time::{Duration, UNIX_EPOCH},
};

/// What others may say in a line.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// The method, if it is one.
    pub method: &'a [u8],
    /// The target.
    pub target: &'a [u8],
    /// The host.
    pub host: &'a [u8],
    /// The user agent.
    pub user_agent: &'a [u8],
    /// Who referred to it.
    pub referer: &'a [u8],
    /// The id of the request.
    pub request_id: &'a [u8],
    /// A note of the handler's, which may be of the client's making.
    pub note: &'a str,
    /// The path of a unix socket.
    pub path: &'a [u8],
}

/// One line as JSON, one in the combined format, and one by a template that has each text between quotes.
pub fn lines(texts: &Texts<'_>) -> [Vec<u8>; 3] {
    let method = Method::from_bytes(texts.method).ok();
    let client = Address::Unnamed;
    let endpoint = str::from_utf8(texts.path).ok().and_then(|path| Address::unix(path).ok());
    let attempt = |endpoint| Attempt {
        endpoint,
        reused: false,
        outcome: AttemptOutcome::Status(200),
        connect: Duration::ZERO,
        wait: Duration::ZERO,
    };
    let attempts: Vec<_> = endpoint.into_iter().map(attempt).collect();
    let notes = [(Cow::Borrowed("note"), texts.note.to_owned())];
    let line = Line {
        at: UNIX_EPOCH,
        duration: Duration::ZERO,
        phases: Phases::default(),
        client: &client,
        peer: &client,
        request_id: texts.request_id,
        method: method.as_ref(),
        version: "1.1",
        target: texts.target,
        host: texts.host,
        user_agent: texts.user_agent,
        referer: texts.referer,
        status: 200,
        request_bytes: 0,
        response_bytes: 0,
        attempts: &attempts,
        attempts_total: 1,
        notes: &notes,
        end: End::Done,
        error: "",
    };
    let template: Template = TEMPLATE.parse().expect("its fields are known");
    let [mut as_json, mut as_combined, mut as_template] = [const { Vec::new() }; 3];
    json::write(&mut as_json, &Field::usual(), &line);
    combined::write(&mut as_combined, &line);
    template.write(&mut as_template, &line);
    [as_json, as_combined, as_template]
}

const TEMPLATE: &str = "\"{http.request.target}\" \"{user_agent.original}\" \"{http.request.header.referer}\" \
    \"{request_id}\" \"{server.address}\" \"{notes.note}\" \"{upstream.address}\" \"{notes}\" \"{attempts}\"";

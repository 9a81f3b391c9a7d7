//! `corelane reload` and `corelane drain`: ask a running program over its admin socket.

use crate::{
    admin::{AdminAt, Usual},
    cli::AskArgs,
    config::Env,
    failure::Failure,
    files,
};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long an answer may take. A reload waits for names and for lanes, each of which has a limit of its own.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// An answer is no longer: a hundred errors with their places.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What is asked for, and what the answer meant.
struct Answer {
    socket: PathBuf,
    status: u16,
    content: String,
}

/// Serves the changed configuration, and says so, or everything that is wrong with it.
pub(crate) fn reload(args: &AskArgs, env: Env<'_>) -> Result<String, Failure> {
    let answer = ask(args, env, "/reload")?;
    match answer.status {
        200 => Ok(answer.content),
        422 => Err(refused(answer.content)),
        _ => Err(Failure::Run(answer.content.trim_end().to_owned())),
    }
}

/// Lets the program finish what is in flight and end.
pub(crate) fn drain(args: &AskArgs, env: Env<'_>) -> Result<String, Failure> {
    let answer = ask(args, env, "/drain")?;
    match answer.status {
        200 => Ok(format!("{}: {}", answer.socket.display(), answer.content)),
        _ => Err(Failure::Run(answer.content.trim_end().to_owned())),
    }
}

/// A list of errors, whose last line says it in a sentence.
fn refused(content: String) -> Failure {
    let trimmed = content.trim_end();
    match trimmed.rsplit_once('\n') {
        Some((list, says)) => Failure::Config { list: format!("{list}\n"), says: says.to_owned() },
        None => Failure::Config { list: String::new(), says: trimmed.to_owned() },
    }
}

fn ask(args: &AskArgs, env: Env<'_>, path: &str) -> Result<Answer, Failure> {
    let socket = socket(args, env)?;
    let failed = |error: io::Error| {
        Failure::Run(match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                format!("nobody answers on {}: {error}; is it running?", socket.display())
            }
            io::ErrorKind::PermissionDenied => format!(
                "no permission to connect to {}: its owner and its group may, nobody else",
                socket.display()
            ),
            io::ErrorKind::WouldBlock => {
                format!("no answer on {} within {ANSWER_MAX:?}; its log tells more", socket.display())
            }
            _ => format!("cannot ask on {}: {error}", socket.display()),
        })
    };
    let bytes = exchange(&socket, path).map_err(failed)?;
    match parse(&bytes) {
        Some((status, content)) => Ok(Answer { socket, status, content }),
        None => Err(Failure::Run(format!("{} is no admin socket of corelane", socket.display()))),
    }
}

/// The socket that is named, or that of the configuration, or the usual one.
fn socket(args: &AskArgs, env: Env<'_>) -> Result<PathBuf, Failure> {
    let over_tcp = || {
        Failure::Usage(
            "nothing is changed over TCP; name a unix socket, or send a signal: HUP to reload, TERM to drain"
                .to_owned(),
        )
    };
    let wished = match (&args.admin, &args.file) {
        (Some(at), _) => vec![at.clone()],
        (None, Some(file)) => files::load(file, env)?.config.admin,
        (None, None) => Vec::new(),
    };
    for at in &wished {
        if let AdminAt::Unix(path) = at {
            return Ok(path.clone());
        }
    }
    if !wished.is_empty() {
        return Err(over_tcp());
    }
    let usual = Usual::new(env);
    let places = usual.places();
    let found = places.iter().find(|place| place.exists()).or(places.last());
    found.cloned().ok_or_else(|| Failure::Usage("name the admin socket with --admin".to_owned()))
}

fn exchange(socket: &Path, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    // In one piece: who answers before it has read everything would reset the connection.
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The admin server frames by length, and closes the connection after its answer.
fn parse(bytes: &[u8]) -> Option<(u16, String)> {
    let text = str::from_utf8(bytes).ok()?;
    let (head, content) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, content.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = parse(b"HTTP/1.1 422 x\r\na: b\r\n\r\none\ntwo\n");
        assert_eq!(answer, Some((422, "one\ntwo\n".to_owned())));
        for wrong in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 2\r\n\r\n"] {
            assert!(parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn b_62_a_refusal_is_a_list_and_a_sentence() {
        let expected =
            Failure::Config { list: "a.toml:1:1: x\n".to_owned(), says: "a.toml has an error".to_owned() };
        assert_eq!(refused("a.toml:1:1: x\na.toml has an error\n".to_owned()), expected);
    }
}

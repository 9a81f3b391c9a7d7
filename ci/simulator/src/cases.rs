//! What hostile clients say, and what must become of it. The numbers are those of docs/bad-inputs.md.

/// What becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Refused by one of these; nobody hears of it.
    Refused(&'static [u16]),
    /// Nobody can say: what comes of it must only be no harm.
    Open,
}

use Outcome::Refused;

const R400: Outcome = Refused(&[400]);

/// `{c}` stands for a canary: a request that nobody may take for one.
pub(crate) const CASES: &[(&str, &str, Outcome)] = &[
    (
        "H1Q-01",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{c}",
        R400,
    ),
    (
        "H1Q-03",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{c}",
        R400,
    ),
    (
        "H1Q-04",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n{c}",
        Refused(&[501]),
    ),
    (
        "H1Q-05",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n{c}",
        Refused(&[400, 501]),
    ),
    ("H1Q-06", "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{c}", R400),
    ("H1Q-07", "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n{c}", R400),
    ("H1Q-11", "POST /h/ HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{c}", R400),
    ("H1Q-12", "POST /h/ HTTP/1.0\r\nHost: h\r\n\r\n{c}", Outcome::Open),
    ("H1Q-13", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 31\r\n\r\n{c}", R400),
    ("H1Q-15", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n{c}", R400),
    ("H1Q-17", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\n{c}", R400),
    ("H1Q-20", "GET /h/ HTTP/1.1\nHost: h\n\n{c}", R400),
    ("H1Q-21", "GET /h/ HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n{c}", R400),
    ("H1Q-22", "GET /h/ HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n{c}", R400),
    ("H1Q-23", "GET /h/ HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n{c}", R400),
    ("H1Q-24", "GET /h/ HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n{c}", R400),
    ("H1Q-36", "GET /h/ HTTP/1.1\r\nHost: h\r\n Content-Length: 40\r\n\r\n{c}", R400),
    (
        "H1Q-45",
        "GET /h/ HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 40\r\n\r\n{c}",
        Outcome::Open,
    ),
    ("H1Q-48", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n{c}", Refused(&[405])),
    ("H1Q-49", "GET /h/ HTTP/1.1\r\nHost: h\r\nConnection: Content-Length, Host\r\n\r\n{c}", R400),
    ("H1Q-51", "GET /h/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{c}", R400),
    ("H1Q-54", "GET  /h/ HTTP/1.1\r\nHost: h\r\n\r\n{c}", R400),
    ("H1Q-55", "GET /h/\\x HTTP/1.1\r\nHost: h\r\n\r\n{c}", R400),
    ("H1Q-58", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent_Length: 40\r\n\r\n{c}", R400),
    ("H1Q-61", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03", R400),
    ("H1Q-63", "GET /h/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n{c}", Outcome::Open),
    (
        "H1Q-66",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\x00{c}",
        Outcome::Open,
    ),
    (
        "H1Q-25",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n{c}",
        Outcome::Open,
    ),
    (
        "H1Q-27",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n{c}",
        Outcome::Open,
    ),
    (
        "H1Q-28",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\n{c}",
        Outcome::Open,
    ),
    (
        "H1Q-33",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        Outcome::Open,
    ),
    ("SLO-01", "GET /h/ HTTP/1.1\r\nHost: h\r\nX-Slow: ", Outcome::Open),
    ("SLO-02", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\nx", Outcome::Open),
    ("SLO-04", "", Outcome::Open),
    (
        "H1Q-02",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nx\r\n0\r\n\r\n{c}",
        R400,
    ),
    ("H1Q-08", "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n{c}", R400),
    ("H1Q-09", "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n{c}", R400),
    ("H1Q-14", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello{c}", R400),
    ("H1Q-16", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n{c}", R400),
    ("H1Q-19", "POST /h/ HTTP/1.1\r\nHost: h\r\nContent-Length : 40\r\n\r\n{c}", R400),
    (
        "H1Q-26",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n{c}",
        Outcome::Open,
    ),
    (
        "H1Q-29",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"\nhello\r\n0\r\n\r\n{c}",
        Outcome::Open,
    ),
    (
        "H1Q-34",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 40\r\nHost: x\r\n\r\n",
        Outcome::Open,
    ),
    (
        "H1Q-41",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        Outcome::Open,
    ),
    (
        "H1Q-42",
        "POST /h/ HTTP/1.1\r\nHost: h\r\nExpect: 100-continue, x\r\nContent-Length: 5\r\n\r\n",
        Refused(&[417]),
    ),
    (
        "H1Q-47",
        "GET /h/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
        Outcome::Open,
    ),
    ("H1Q-52", "GET http://x/h/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Outcome::Open),
    ("H1Q-57", "GE(T /h/ HTTP/1.1\r\nHost: h\r\n\r\n{c}", R400),
    ("H1Q-60", "\r\n\r\n\r\n\r\nGET /h/ HTTP/1.1\r\nHost: h\r\n\r\n{c}", R400),
    ("SLO-08", "GET /h/ HTTP/9.9\r\nHost: h\r\n\r\n{c}{c}{c}{c}", Refused(&[505])),
];

/// What makes a difference where it does not belong.
pub(crate) const SCRAPS: [&str; 24] = [
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "\"",
    "0\r\n\r\n",
    "5\r\n",
    "fffffffffffffffff\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding:\tchunked \r\n",
    "Connection: close\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "Host: other\r\n",
    "HTTP/1.1",
    "\u{ff}",
];

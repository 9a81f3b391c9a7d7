//! Real peers: curl, wrk, nginx and a WebSocket library, none of which shares code with what they talk to.
//!
//! A program that is not installed is said, and its tests pass.

#[path = "support/wire/mod.rs"]
mod wire;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tungstenite::{Message, WebSocket};
use wire::clock::{PATIENCE, poll};
use wire::plain::{Conn, Origin, get};
use wire::proxy::Proxy;

/// Whether a program is there; if not, says so.
fn installed(program: &str) -> bool {
    let version = if program == "nginx" { "-v" } else { "--version" };
    let found =
        Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: no {program}");
    }
    found
}

/// A directory of its own, gone with the value.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("corelane-peers-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("it can be made");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// nginx with one worker and a directory that it serves and takes uploads into.
struct Nginx {
    child: Child,
    address: SocketAddr,
    place: Place,
}

impl Nginx {
    fn start() -> Self {
        // Between finding a free port and using it, somebody else may take it: then another one is tried.
        (0..5).find_map(|_| Self::try_start()).expect("nginx starts")
    }

    fn try_start() -> Option<Self> {
        let place = Place::new();
        let address = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
        std::fs::create_dir(place.0.join("files")).expect("it can be made");
        open_to_workers(&place.0);
        std::fs::write(place.0.join("nginx.conf"), nginx_conf(&place.0, address)).expect("it can be written");
        let mut command = Command::new("nginx");
        command.args([
            "-p",
            &place.path(""),
            "-c",
            &place.path("nginx.conf"),
            "-e",
            &place.path("error.log"),
        ]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let mut nginx = Self { child, address, place };
        poll(PATIENCE, || match nginx.child.try_wait() {
            Ok(None) => TcpStream::connect(address).ok().map(|_| true),
            _ => Some(false),
        })
        .filter(|up| *up)
        .map(|_| nginx)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.0.join("files").join(name)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker when it is asked to; killed, it would leave it behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        if poll(PATIENCE, || self.child.try_wait().ok().flatten()).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Its workers may run as somebody else.
fn open_to_workers(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for path in [path.to_owned(), path.join("files")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("it is ours");
    }
}

fn nginx_conf(place: &Path, address: SocketAddr) -> String {
    let place = place.display();
    format!(
        "worker_processes 1;\ndaemon off;\npid {place}/pid;\nerror_log {place}/error.log;\n\
         events {{ worker_connections 512; }}\n\
         http {{\n access_log off;\n keepalive_requests 1000000;\n client_max_body_size 100m;\n\
         client_body_temp_path {place}/body;\n proxy_temp_path {place}/proxy;\n\
         fastcgi_temp_path {place}/fastcgi;\n uwsgi_temp_path {place}/uwsgi;\n scgi_temp_path {place}/scgi;\n\
         server {{ listen {address}; root {place}/files;\n\
         location /put/ {{ dav_methods PUT; create_full_put_path on; }}\n\
         location = /small {{ return 200 'small\\n'; }}\n\
         location = /no {{ return 403 'no\\n'; }}\n }}\n}}\n"
    )
}

fn sample(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Runs curl, which must be content.
fn curl(arguments: &[&str]) -> Output {
    let output = curl_with(arguments, b"");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn curl_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "20", "--noproxy", "*"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it is installed");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("it ends");
    feeding.join().expect("it does not panic");
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn b_02_b_03_curl_gets_files_from_nginx() {
    if !installed("curl") || !installed("nginx") {
        return;
    }
    let nginx = Nginx::start();
    let content = sample(5_000_000);
    std::fs::write(nginx.file("big"), &content).expect("it can be written");
    std::fs::write(nginx.file("none"), b"").expect("it can be written");
    let proxy = Proxy::start(&nginx.address.to_string(), &[]);
    let url = |path: &str| format!("http://{}{path}", proxy.address);

    assert!(curl(&[&url("/big")]).stdout == content);
    assert!(curl(&["-0", &url("/big")]).stdout == content, "HTTP/1.0");
    assert_eq!(curl(&[&url("/none")]).stdout, b"");
    let head = text(&curl(&["-I", &url("/big")]).stdout).to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 200 ok\r\n") && head.contains("\r\ncontent-length: 5000000\r\n"),
        "{head}"
    );
    let part = curl(&["-r", "100-199", "-w", "%{http_code}", &url("/big")]).stdout;
    assert!(part[..100] == content[100..200] && part.ends_with(b"206"));
    let not_there = curl(&["-o", "/dev/null", "-w", "%{http_code}", &url("/nobody")]);
    assert_eq!(text(&not_there.stdout), "404");

    let two = ["-w", "%{num_connects} ", "-o", "/dev/null", &url("/small"), "-o", "/dev/null", &url("/big")];
    assert_eq!(text(&curl(&two).stdout), "1 0 ", "the second URL goes over the first one's connection");
    let two = [
        "-0",
        "-w",
        "%{num_connects} ",
        "-o",
        "/dev/null",
        &url("/small"),
        "-o",
        "/dev/null",
        &url("/small"),
    ];
    assert_eq!(text(&curl(&two).stdout), "1 1 ", "HTTP/1.0 closes");
    let heads =
        ["-I", "-w", "%{num_connects} ", "-o", "/dev/null", &url("/big"), "-o", "/dev/null", &url("/big")];
    assert_eq!(text(&curl(&heads).stdout), "1 0 ", "HEAD leaves the connection as it must");
}

#[test]
fn b_04_curl_uploads_to_nginx() {
    if !installed("curl") || !installed("nginx") {
        return;
    }
    let nginx = Nginx::start();
    let place = Place::new();
    let content = sample(3_000_000);
    std::fs::write(place.0.join("upload"), &content).expect("it can be written");
    let proxy = Proxy::start(&nginx.address.to_string(), &[]);
    let url = |path: &str| format!("http://{}{path}", proxy.address);
    let upload = place.path("upload");

    let expecting = ["-v", "-H", "Expect: 100-continue", "-T", &upload, &url("/put/expected")];
    let log = text(&curl(&expecting).stderr);
    assert!(log.contains("< HTTP/1.1 100 Continue") && log.contains("< HTTP/1.1 201 Created"), "{log}");
    assert!(std::fs::read(nginx.file("put/expected")).expect("it is there") == content);

    curl(&["-H", "Expect:", "-T", &upload, &url("/put/plain")]);
    assert!(std::fs::read(nginx.file("put/plain")).expect("it is there") == content);

    curl(&["-0", "-T", &upload, &url("/put/old")]);
    assert!(std::fs::read(nginx.file("put/old")).expect("it is there") == content, "HTTP/1.0");

    let chunked = ["-f", "-H", "Transfer-Encoding: chunked", "-T", "-", &url("/put/chunked")];
    let output = curl_with(&chunked, &content);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(std::fs::read(nginx.file("put/chunked")).expect("it is there") == content);

    // A refusal before the content: curl must not be left waiting.
    let refused =
        ["-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect: 100-continue", "-T", &upload, &url("/no")];
    assert_eq!(text(&curl(&refused).stdout), "403");
}

#[test]
fn b_04_curl_posts() {
    if !installed("curl") {
        return;
    }
    let origin = Origin::echo();
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    let place = Place::new();
    std::fs::write(place.0.join("form"), sample(200_000)).expect("it can be written");
    let (url, form) = (format!("http://{}/form", proxy.address), format!("@{}", place.path("form")));
    assert_eq!(text(&curl(&["-H", "Expect:", "--data-binary", &form, &url]).stdout), "POST /form 200000");
    let chunked = ["-H", "Expect:", "-H", "Transfer-Encoding: chunked", "--data-binary", &form, &url];
    assert_eq!(text(&curl(&chunked).stdout), "POST /form 200000");
    // The origin never says 100: after its second of patience curl sends all the same, and the answer is final.
    let expecting =
        ["-H", "Expect: 100-continue", "--expect100-timeout", "0.1", "--data-binary", &form, &url];
    assert_eq!(text(&curl(&expecting).stdout), "POST /form 200000");
    assert_eq!(text(&curl(&["-X", "DELETE", &url]).stdout), "DELETE /form 0");
    assert_eq!(
        text(&curl(&["-0", "-H", "Expect:", "--data-binary", &form, &url]).stdout),
        "POST /form 200000"
    );
}

#[test]
fn b_02_wrk_sees_no_error() {
    if !installed("wrk") || !installed("nginx") {
        return;
    }
    let nginx = Nginx::start();
    std::fs::write(nginx.file("page"), sample(20_000)).expect("it can be written");
    for driver in ["auto", "epoll"] {
        let proxy = Proxy::start(&nginx.address.to_string(), &["--driver", driver]);
        for path in ["small", "page"] {
            let url = format!("http://{}/{path}", proxy.address);
            let output =
                Command::new("wrk").args(["-t1", "-c32", "-d1s", &url]).output().expect("it is installed");
            let report = text(&output.stdout);
            let requests =
                report.lines().find_map(|line| line.trim().strip_suffix(" read")?.split(' ').next());
            let requests = requests.and_then(|number| number.parse::<u32>().ok()).unwrap_or(0);
            assert!(requests > 100, "{driver}: {report}");
            assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{driver}: {report}");
        }
    }
}

/// An origin that speaks WebSocket by the library's server: it sends back what it gets, and says `bye` itself when
/// it is told to `close`.
fn websocket_origin() -> Origin {
    Origin::start(|conn, _| {
        let Ok(mut socket) = tungstenite::accept(conn.stream) else { return };
        while let Ok(message) = socket.read() {
            let result = match message {
                Message::Text(text) if text.as_str() == "close" => socket.close(None),
                message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message),
                _ => socket.flush(),
            };
            if result.is_err() {
                return;
            }
        }
    })
}

fn websocket(proxy: &Proxy) -> WebSocket<TcpStream> {
    let stream = Conn::connect(proxy.address).stream;
    let (socket, response) =
        tungstenite::client(format!("ws://{}/chat", proxy.address), stream).expect("a 101");
    assert_eq!(response.status(), 101);
    socket
}

/// Reads until the library says that the connection is closed as the protocol wants it.
fn closes(socket: &mut WebSocket<TcpStream>) -> bool {
    loop {
        match socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::ConnectionClosed) => return true,
            Err(_) => return false,
        }
    }
}

#[test]
fn b_40_a_websocket_carries_messages_both_ways_and_closes() {
    let origin = websocket_origin();
    for driver in ["auto", "epoll"] {
        let proxy = Proxy::start(&origin.address.to_string(), &["--driver", driver]);
        let mut socket = websocket(&proxy);
        for len in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
            socket.send(Message::binary(sample(len))).expect("it is taken");
            let echo = loop {
                let message = socket.read().expect("it comes back");
                if message.is_binary() {
                    break message;
                }
            };
            assert!(echo.into_data() == sample(len), "{driver}: {len}");
        }
        socket.send(Message::Ping(vec![1, 2, 3].into())).expect("it is taken");
        assert_eq!(socket.read().expect("it comes back"), Message::Pong(vec![1, 2, 3].into()));
        socket.close(None).expect("it is taken");
        assert!(closes(&mut socket), "{driver}: the client begins");

        let mut socket = websocket(&proxy);
        socket.send(Message::text("close")).expect("it is taken");
        assert!(closes(&mut socket), "{driver}: the server begins");
        // What is no upgrade is dropped by the library without a word.
        assert_eq!(get(proxy.address, "/").status(), Some(502), "{driver}");
    }
}

#[test]
fn b_40_either_end_that_vanishes_ends_the_other() {
    let (sender, ended) = std::sync::mpsc::channel();
    let origin = Origin::start(move |conn, number| {
        let Ok(mut socket) = tungstenite::accept(conn.stream) else { return };
        if number % 2 == 0 {
            while socket.read().is_ok() {}
            sender.send(()).expect("the test looks at it");
        }
    });
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    drop(websocket(&proxy));
    ended.recv_timeout(PATIENCE).expect("the origin sees that the client has gone");
    let mut socket = websocket(&proxy);
    assert!(socket.read().is_err(), "the client sees that the origin has gone");
}

#[test]
fn b_40_a_refused_websocket_is_an_ordinary_answer() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&origin.address.to_string(), &[]);
    let stream = Conn::connect(proxy.address).stream;
    match tungstenite::client(format!("ws://{}/chat", proxy.address), stream) {
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            assert_eq!(response.status(), 200);
        }
        other => panic!("the library takes it for something else: {:?}", other.map(|_| "a WebSocket")),
    }
}

#[test]
fn b_40_an_idle_websocket_is_closed_and_a_busy_one_is_not() {
    let origin = websocket_origin();
    let proxy = Proxy::start(&origin.address.to_string(), &["--tunnel-idle-timeout", "600ms"]);
    let mut socket = websocket(&proxy);
    // Longer than the timeout in all, and never so long without a message.
    for number in 0..10 {
        let nothing: Option<()> = poll(Duration::from_millis(100), || None);
        assert!(nothing.is_none());
        socket.send(Message::text(number.to_string())).expect("it is open");
        assert_eq!(socket.read().expect("it is open"), Message::text(number.to_string()));
    }
    assert!(socket.read().is_err(), "nothing moves, and it ends");
}

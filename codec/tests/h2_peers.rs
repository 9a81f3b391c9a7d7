//! HTTP/2 with others: the `h2` crate either side, in memory; `nghttp`, `nghttpd` and `h2load` over sockets, where they
//! are installed.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "h2/serve.rs"]
mod serve;

use bytes::Bytes;
use corelane_codec::h2::Config;
use serve::{Asker, Echo, content};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

#[expect(clippy::disallowed_methods, reason = "a test that has peers of its own time")]
fn clock() -> Instant {
    Instant::now()
}

/// Runs with one thread and nothing else.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = async { tokio::time::timeout(Duration::from_secs(60), future).await.expect("within a minute") };
    tokio::task::LocalSet::new().block_on(&runtime, all)
}

/// Moves bytes both ways at once, or two that write to each other wait for ever; until `turn` says that it is done, or
/// the other side has closed.
async fn pump(pipe: DuplexStream, mut turn: impl FnMut(&mut Vec<u8>, Duration, &mut Vec<u8>) -> bool) {
    let start = clock();
    let (mut reader, mut writer) = tokio::io::split(pipe);
    let (mut input, mut out, mut piece) = (Vec::new(), Vec::new(), vec![0; 16_384]);
    loop {
        let done = turn(&mut input, start.elapsed(), &mut out);
        if done {
            writer.write_all(&out).await.unwrap();
            return;
        }
        let len = if out.is_empty() {
            reader.read(&mut piece).await
        } else {
            tokio::select! {
                len = reader.read(&mut piece) => len,
                len = writer.write(&out) => {
                    out.drain(..len.unwrap());
                    continue;
                }
            }
        };
        match len {
            Ok(len @ 1..) => input.extend_from_slice(&piece[..len]),
            Ok(0) | Err(_) => return,
        }
    }
}

async fn serve_pipe(pipe: DuplexStream, config: Config) -> Echo {
    let mut echo = Echo::new(config);
    pump(pipe, |input, now, out| {
        echo.turn(input, now, out);
        echo.failed
    })
    .await;
    echo
}

/// As `/N` of [`Echo`]: the h2 crate asks, small pieces and large ones, a hundred at a time.
#[test]
fn the_h2_crate_as_client() {
    for pipe_bytes in [1, 37, 4_096, 1 << 20] {
        block_on(async {
            let (ours, theirs) = tokio::io::duplex(pipe_bytes);
            let server = tokio::task::spawn_local(serve_pipe(ours, Config::default()));
            let (client, connection) = h2::client::handshake(theirs).await.unwrap();
            let driver = tokio::task::spawn_local(connection);
            let mut tasks = tokio::task::JoinSet::new();
            let count = if pipe_bytes < 1_000 { 20 } else { 300 };
            for n in 0..count {
                let mut client = client.clone();
                tasks.spawn_local(async move {
                    let len = [0, 1, 10, 1_000, 16_384, 16_385, 70_000][n % 7]
                        / if pipe_bytes == 1 { 50 } else { 1 };
                    let post = n % 3 == 0;
                    let request = http::Request::builder()
                        .uri(format!("http://localhost/{len}"))
                        .method(if post { "POST" } else { "GET" })
                        .header("te", "trailers")
                        .header("cookie", "a=b; c=d");
                    client = client.ready().await.unwrap();
                    let (response, mut upload) =
                        client.send_request(request.body(()).unwrap(), !post).unwrap();
                    if post {
                        upload.send_data(Bytes::from(content(len)), true).unwrap();
                    }
                    let response = response.await.unwrap();
                    assert_eq!(response.status(), 200);
                    assert_eq!(response.headers()["server"], "test");
                    let (mut body, mut got) = (response.into_body(), Vec::new());
                    while let Some(piece) = body.data().await {
                        let piece = piece.unwrap();
                        body.flow_control().release_capacity(piece.len()).unwrap();
                        got.extend_from_slice(&piece);
                    }
                    assert_eq!(got, content(len));
                    let trailers = body.trailers().await.unwrap();
                    assert_eq!(trailers.is_some(), post);
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
            drop(client);
            driver.await.unwrap().unwrap();
            let echo = server.await.unwrap();
            assert!(!echo.failed && echo.connection.streams() == 0);
            assert_eq!(echo.answered, count);
        });
    }
}

/// The h2 crate answers.
#[test]
fn the_h2_crate_as_server() {
    for (pipe_bytes, posts) in [(1, false), (41, true), (4_096, false), (1 << 20, true)] {
        block_on(async {
            let (ours, theirs) = tokio::io::duplex(pipe_bytes);
            tokio::task::spawn_local(async move {
                let mut connection = h2::server::handshake(theirs).await.unwrap();
                while let Some(accepted) = connection.accept().await {
                    let (request, respond) = accepted.unwrap();
                    tokio::task::spawn_local(answer(request, respond));
                }
            });
            let total = if pipe_bytes < 1_000 { 20 } else { 400 };
            let scale = if pipe_bytes == 1 { 50 } else { 1 };
            let sizes = [0, 1, 10, 1_000, 16_384, 16_385, 70_000].map(|size| size / scale);
            let mut asker = Asker::new(Config::default(), total, posts, &sizes);
            pump(ours, |input, now, out| {
                asker.turn(input, now, out);
                asker.is_done()
            })
            .await;
            assert_eq!(asker.failures, Vec::<String>::new());
            assert_eq!((asker.done, asker.connection.streams()), (total, 0));
            assert_eq!(asker.trailers, if posts { total } else { 0 });
        });
    }
}

async fn answer(request: http::Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>) {
    assert_eq!(request.uri().scheme_str(), Some("http"));
    assert_eq!(request.uri().authority().unwrap(), "localhost");
    let post = request.method() == "POST";
    let len: usize = request.uri().path()[1..].parse().unwrap();
    let (mut body, mut got) = (request.into_body(), Vec::new());
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        got.extend_from_slice(&piece);
    }
    assert_eq!(got, if post { content(len) } else { vec![] });
    let early = http::Response::builder().status(103).header("link", "</a>").body(()).unwrap();
    respond.send_informational(early).unwrap();
    let response = http::Response::builder().header("x-answer", "1").body(()).unwrap();
    let mut send = respond.send_response(response, false).unwrap();
    send.send_data(Bytes::from(content(len)), !post).unwrap();
    if post {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("x-end", "1".parse().unwrap());
        send.send_trailers(trailers).unwrap();
    }
}

fn installed(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: no {program}");
    }
    found
}

/// What came of a connection: the requests that were answered, unless it failed.
type Served = std::thread::JoinHandle<Option<usize>>;

/// Serves so many connections, one thread for each, and gives their address.
fn serve_sockets(connections: usize) -> (String, Vec<Served>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let threads = (0..connections)
        .map(|_| {
            let listener = listener.try_clone().unwrap();
            std::thread::spawn(move || serve_socket(&listener.accept().unwrap().0))
        })
        .collect();
    (address, threads)
}

fn serve_socket(mut socket: &TcpStream) -> Option<usize> {
    let (start, mut echo) = (clock(), Echo::new(Config::default()));
    let (mut input, mut out, mut piece) = (Vec::new(), Vec::new(), vec![0; 64 << 10]);
    socket.set_nodelay(true).unwrap();
    loop {
        echo.turn(&mut input, start.elapsed(), &mut out);
        if socket.write_all(&out).is_err() || echo.failed {
            return (!echo.failed).then_some(echo.answered);
        }
        out.clear();
        match socket.read(&mut piece) {
            Ok(len @ 1..) => input.extend_from_slice(&piece[..len]),
            Ok(0) | Err(_) => return Some(echo.answered),
        }
    }
}

/// A hundred thousand requests, a hundred at a time.
#[test]
fn h2load_sees_no_error() {
    if !installed("h2load") {
        return;
    }
    for (path, requests) in [("/0", "100000"), ("/100", "20000"), ("/100000", "2000")] {
        let (address, threads) = serve_sockets(2);
        let url = format!("http://{address}{path}");
        let output =
            Command::new("h2load").args(["-n", requests, "-c", "2", "-m", "100", &url]).output().unwrap();
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout");
        assert!(report.contains(&expected), "{report}");
        let answered: usize = threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).sum();
        assert_eq!(answered.to_string(), requests);
    }
}

/// A browser-like client: it has priorities, uploads and trailers.
#[test]
fn nghttp_gets_what_it_asks_for() {
    if !installed("nghttp") {
        return;
    }
    let file = std::env::temp_dir().join(format!("corelane-h2-upload-{}", std::process::id()));
    std::fs::write(&file, content(200_000)).unwrap();
    let upload = file.display().to_string();
    let cases: [&[&str]; 5] = [
        &["/70000"],
        &["-m", "50", "/1000"],
        &["--window-bits=10", "--connection-window-bits=12", "/100000"],
        &["--header-table-size=100", "--padding=200", "/16385"],
        &["-d", &upload, "--trailer", "x-sum: 1", "-H", "te: trailers", "/echo"],
    ];
    for args in cases {
        let (address, threads) = serve_sockets(1);
        let (path, options) = args.split_last().unwrap();
        let url = format!("http://{address}{path}");
        let output = Command::new("nghttp").args(options).arg("--stat").arg(&url).output().unwrap();
        let (said, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {said} {errors}");
        let len = path.strip_prefix('/').unwrap().parse().unwrap_or(200_000);
        let expected = content(len);
        let found = output.stdout.windows(len).any(|window| window == expected);
        assert!(found, "{args:?}: {} octets, {errors}", output.stdout.len());
        let answered = threads.into_iter().next().unwrap().join().unwrap();
        assert!(answered.is_some_and(|answered| answered > 0), "{args:?}");
    }
    std::fs::remove_file(file).unwrap();
}

/// Ends when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An origin that shares nothing with us.
#[test]
fn nghttpd_is_understood() {
    let program = ["nghttpd", "/usr/sbin/nghttpd"].into_iter().find(|program| installed(program));
    let Some(program) = program else { return };
    let place = std::env::temp_dir().join(format!("corelane-h2-origin-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let sizes = [1, 1_000, 16_384, 16_385, 300_000];
    for size in sizes {
        std::fs::write(place.join(size.to_string()), content(size)).unwrap();
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Command::new(program)
        .args(["--no-tls", "-a", "127.0.0.1", "-d", place.to_str().unwrap()])
        .args(["--trailer", "x-end: 1", &port.to_string()])
        .stdout(Stdio::null())
        .spawn();
    let _server = Server(server.unwrap());
    let start = clock();
    let mut socket = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(socket) => break socket,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(10), "{error}"),
        }
        std::thread::yield_now();
    };
    socket.set_nodelay(true).unwrap();
    let mut asker = Asker::new(Config::default(), 2_000, false, &sizes);
    let (mut input, mut out, mut piece) = (Vec::new(), Vec::new(), vec![0; 64 << 10]);
    loop {
        asker.turn(&mut input, start.elapsed(), &mut out);
        if asker.is_done() {
            break;
        }
        socket.write_all(&out).unwrap();
        out.clear();
        let len = socket.read(&mut piece).unwrap();
        assert!(len > 0, "closed after {}", asker.done);
        input.extend_from_slice(&piece[..len]);
    }
    assert_eq!(asker.failures, Vec::<String>::new());
    assert_eq!((asker.done, asker.trailers), (2_000, 2_000));
    std::fs::remove_dir_all(place).unwrap();
}

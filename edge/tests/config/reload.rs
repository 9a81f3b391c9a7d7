//! Reloading: by a signal and by a command, a good file and a bad one, and what only a restart changes.

use crate::{
    process::{
        client::{Answer, exchange, get_unix, send_get},
        clock::{PATIENCE, poll},
        corelane::{BINARY, Corelane, Dir, Ended, lines_of, run_command},
        origin::Origin,
    },
    served::is,
};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// A corelane with a file that changes and an admin socket.
struct Changing {
    corelane: Corelane,
    dir: Dir,
}

/// An address of this test's own, so that it can stand in a file that is read again.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

impl Changing {
    /// Serves a file in which `LISTEN` is an address of the test's own.
    fn start(name: &str, listen: SocketAddr, text: &str) -> Self {
        let dir = Dir::new(name);
        write(&dir, listen, text);
        let path = dir.path("corelane.toml");
        let mut corelane = Corelane::spawn(&["run", "-c", path.to_str().expect("an ASCII path")]);
        corelane.listens();
        Self { corelane, dir }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path("admin.sock")
    }

    /// `corelane reload`.
    fn reload(&self) -> Ended {
        let socket = format!("unix:{}", self.socket().display());
        run_command(Command::new(BINARY).args(["reload", "--admin", &socket]))
    }

    /// Changes the file and reloads it.
    fn change(&self, text: &str) -> Ended {
        write(&self.dir, self.corelane.address, text);
        self.reload()
    }

    fn get(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        exchange(self.corelane.address, request.as_bytes())
    }
}

fn write(dir: &Dir, listen: SocketAddr, text: &str) {
    let text = text.replace("LISTEN", &listen.to_string());
    let socket = dir.path("admin.sock");
    let before =
        if text.contains("log.access") || text.contains("[log]") { "" } else { "log.access = 'off'\n" };
    let text = format!("{before}admin.listen = 'unix:{}'\n{text}", socket.display());
    fs::write(dir.path("corelane.toml"), text).expect("a directory of its own");
}

const ONE: &str = "site = [{ listen = 'LISTEN', route = [{ respond.body = 'one' }] }]";
const TWO: &str =
    "site = [{ listen = 'LISTEN', route = [{ respond.body = 'two' }, { path = '/x', respond.body = 'x' }] }]";

#[test]
fn b_60_a_changed_file_is_served_to_connections_that_stand() {
    let mut changing = Changing::start("reload", free_address(), ONE);
    let mut stream = TcpStream::connect(changing.corelane.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut ask = || {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"one") && !answer.ends_with(b"two") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
            answer.push(byte[0]);
        }
        String::from_utf8(answer).unwrap()
    };
    assert!(ask().ends_with("one"));
    let ended = changing.change(TWO);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "reloaded: 1 site, 2 routes, 0 upstreams\n");
    assert!(ask().ends_with("two"), "on the same connection");
    is(&changing.get("/x"), 200, "x");
    changing.corelane.says("INFO corelane: reloaded: 1 site, 2 routes, 0 upstreams");
    write(&changing.dir, changing.corelane.address, ONE);
    changing.corelane.signal("HUP");
    let is_one = || (changing.get("/").content == "one").then_some(());
    poll(PATIENCE, is_one).expect("HUP does the same");
    changing.corelane.says("reloaded: 1 site, 1 route, 0 upstreams");
    // What is asked for next time is what is in force.
    let config = get_unix(&changing.socket(), "/config");
    assert!(config.content.contains("= \"one\"  # "), "{config:?}");
    assert!(config.content.contains("timeouts.connect "), "{config:?}");
    assert!(!config.content.contains("\"two\""), "{config:?}");
}

#[test]
fn b_62_op_02_a_bad_file_changes_nothing_and_says_everything() {
    let origin = Origin::start();
    let text = format!("site = [{{ listen = 'LISTEN', route = [{{ to = '{}' }}] }}]", origin.address);
    let mut changing = Changing::start("bad-reload", free_address(), &text);
    let address = changing.corelane.address;
    let held = send_get(address, "/held");
    origin.head();
    let ended = changing
        .change("lanes = 0\ntimeouts.conect = '1s'\n[[site]]\nlisten = 'LISTEN'\nroute = [{ path = 'x' }]\n");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let words = [
        "corelane.toml:3:9: `lanes` is 0",
        "corelane.toml:4:10: unknown key `conect` in `timeouts`; did you mean `connect`?",
        "corelane.toml:7:10: the route does nothing",
        "corelane.toml:7:19: `site[1].route[1].path` is `x`",
    ];
    assert_eq!(lines.len(), words.len() + 1, "{ended:?}");
    for (line, words) in lines.iter().zip(words) {
        assert!(line.contains(words), "{words}: {ended:?}");
        assert!(changing.corelane.says(words).contains(" ERROR "));
    }
    assert!(lines[4].contains("has 4 errors; nothing has changed"), "{ended:?}");
    // What was under way ends well, and the old file is served.
    origin.release();
    assert_eq!(held.finish().status, 200);
    assert_eq!(changing.get("/").status, 200);
    // And so it is when an address cannot be had, or a name, or a log.
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    for (bad, words) in [
        (format!("site = [{{ listen = ['LISTEN', '{taken}'], route = [{{ respond.body = 'x' }}] }}]"), "taken by another program"),
        ("site = [{ listen = 'LISTEN', route = [{ to = 'name.invalid:80' }] }]".to_owned(), "cannot resolve name.invalid"),
        ("[log]\naccess = 'off'\nerrors = '/nonexistent/x'\n[[site]]\nlisten = 'LISTEN'\nroute = [{ respond.body = 'x' }]".to_owned(), "cannot open the log"),
    ] {
        let ended = changing.change(&bad);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(words) && ended.stderr.contains("nothing has changed"), "{ended:?}");
        assert_eq!(changing.get("/").status, 200);
    }
    assert_eq!(changing.change(ONE).code, Some(0), "a good file is served after all of that");
    is(&changing.get("/"), 200, "one");
}

#[test]
fn what_only_a_restart_changes_is_said_by_name() {
    let changing = Changing::start("fixed", free_address(), ONE);
    let more =
        "lanes = 7\npin = 'always'\ndriver = 'epoll'\nlimits.connections_max = 10\nlog.access = 'stdout'\n";
    let ended = changing.change(&format!("{more}{TWO}"));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for (line, key) in
        [(2, "lanes"), (3, "pin"), (4, "driver"), (5, "limits.connections_max"), (6, "log.access")]
    {
        let words = format!("corelane.toml:{line}: `{key}` cannot change while the program runs");
        assert!(ended.stderr.contains(&words), "{words}: {ended:?}");
    }
    is(&changing.get("/"), 200, "one");
    // Said differently, it is the same.
    let ended = changing.change(&format!("pin = 'auto'\n{TWO}"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    is(&changing.get("/"), 200, "two");
}

#[test]
fn op_07_addresses_come_and_go() {
    let (other, address) = (free_address(), free_address());
    let changing = Changing::start("addresses", address, ONE);
    let both =
        format!("site = [{{ listen = ['LISTEN', '{other}'], route = [{{ respond.body = 'both' }}] }}]");
    assert_eq!(changing.change(&both).code, Some(0));
    let ask = |address| exchange(address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").content;
    assert_eq!((ask(address).as_str(), ask(other).as_str()), ("both", "both"));
    assert_eq!(changing.change(ONE).code, Some(0));
    assert_eq!(ask(address), "one");
    let refused = || TcpStream::connect(other).err();
    poll(PATIENCE, refused).expect("it listens no more");
}

#[test]
fn logs_change_with_the_file() {
    let dir = Dir::new("reload-logs");
    let (first, second) = (dir.path("first.log"), dir.path("second.log"));
    let text = |log: &str, format: &str| {
        format!(
            "[log]\naccess = '{log}'\nformat = '{format}'\n[[site]]\nlisten = 'LISTEN'\nroute = [{{ respond.body = 'x' }}]\n"
        )
    };
    let changing = Changing::start("logs", free_address(), &text(first.to_str().unwrap(), "{url.path}"));
    changing.get("/1");
    assert_eq!(lines_of(&first, 1), ["/1"]);
    assert_eq!(changing.change(&text(second.to_str().unwrap(), "{url.path} {end}")).code, Some(0));
    changing.get("/2");
    assert_eq!(lines_of(&second, 1), ["/2 done"]);
    assert_eq!(changing.change(&text("off", "json")).code, Some(0));
    changing.get("/3");
    assert_eq!(changing.change(&text(first.to_str().unwrap(), "{url.path}")).code, Some(0), "and on again");
    changing.get("/4");
    assert_eq!(lines_of(&first, 2), ["/1", "/4"]);
    assert_eq!(lines_of(&second, 1).len(), 1);
}

#[test]
fn op_10_a_storm_of_reloads_is_as_good_as_one() {
    let changing = Changing::start("storm", free_address(), ONE);
    let stop = Arc::new(AtomicBool::new(false));
    let (address, stopped) = (changing.corelane.address, Arc::clone(&stop));
    let load = thread::spawn(move || {
        let mut answers = 0;
        while !stopped.load(Ordering::Relaxed) {
            let answer = exchange(address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert!(answer.status == 200 && ["one", "two"].contains(&answer.content.as_str()), "{answer:?}");
            answers += 1;
        }
        answers
    });
    for text in [TWO, ONE, TWO, ONE, TWO] {
        write(&changing.dir, address, text);
        for _ in 0..20 {
            changing.corelane.signal("HUP");
        }
    }
    // One that is asked for after all others is done after all others.
    assert_eq!(changing.reload().code, Some(0));
    is(&changing.get("/"), 200, "two");
    stop.store(true, Ordering::Relaxed);
    assert!(load.join().unwrap() > 0);
}

#[test]
fn a_reload_during_a_drain_is_refused() {
    let origin = Origin::start();
    let text = format!("site = [{{ listen = 'LISTEN', route = [{{ to = '{}' }}] }}]", origin.address);
    let mut changing = Changing::start("draining", free_address(), &text);
    let held = send_get(changing.corelane.address, "/held");
    origin.head();
    changing.corelane.signal("TERM");
    changing.corelane.says("draining");
    let ended = changing.reload();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("draining"), "{ended:?}");
    origin.release();
    assert_eq!(held.finish().status, 200);
    assert_eq!(changing.corelane.ended().code(), Some(0));
}

#[test]
fn a_reload_does_not_begin_counting_anew() {
    let text = |more: &str| {
        format!(
            "site = [{{ listen = 'LISTEN', route = [{{ respond.body = 'x', rate_limit = {{ rate = '1/h', burst = 2 }} }}{more}] }}]"
        )
    };
    let changing = Changing::start("counts", free_address(), &text(""));
    assert_eq!(
        [changing.get("/").status, changing.get("/").status, changing.get("/").status],
        [200, 200, 429]
    );
    assert_eq!(changing.change(&text(", { path = '/more', respond.body = 'more' }")).code, Some(0));
    assert_eq!((changing.get("/").status, changing.get("/more").status), (429, 200));
    assert_eq!(changing.change(&text("").replace("burst = 2", "burst = 3")).code, Some(0));
    assert_eq!(changing.get("/").status, 200, "another limit has counts of its own");
}

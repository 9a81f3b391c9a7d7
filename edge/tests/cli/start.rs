//! Starting, and failing to: what is said, and the exit code.

use crate::process::{
    client::{get, get_unix},
    clock::{PATIENCE, poll},
    corelane::{BINARY, Corelane, Dir, Ended, can, run, run_command},
    origin::{CONTENT, Origin},
};
use std::{net::TcpListener, os::unix::net::UnixListener, process::Command};

const LISTEN: [&str; 4] = ["proxy", "--listen", "127.0.0.1:0", "--to"];

/// Runs `corelane proxy`, which must not start.
#[track_caller]
fn refused(flags: &[&str], code: i32, words: &str) -> Ended {
    let ended = run(&[&["proxy", "--access-log", "off"], flags].concat());
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    assert!(!ended.stderr.contains("panicked") && !ended.stderr.contains("backtrace"), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
    ended
}

/// The one line that says why, whatever the log says besides.
fn reason(ended: &Ended) -> &str {
    let mut errors = ended.stderr.lines().filter(|line| line.starts_with("error: "));
    let reason = errors.next().expect("an error is said");
    assert_eq!(errors.next(), None, "one sentence");
    reason
}

#[test]
fn without_a_command_there_is_help() {
    let ended = run(&[]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("Usage: corelane"), "{ended:?}");
    let help = run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for command in ["demo", "proxy", "completions"] {
        assert!(help.stdout.contains(command), "{help:?}");
    }
}

#[test]
fn usage_errors_exit_with_2() {
    let to = "127.0.0.1:9";
    refused(&["--listen", "127.0.0.1:0"], 2, "--to");
    refused(&["--listen", "8080", "--to", to], 2, "HOST:PORT");
    refused(&["--listen", "127.0.0.1:0", "--to", "http://127.0.0.1:9"], 2, "a scheme has no place here");
    refused(&["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9=0"], 2, "weight");
    refused(&["--listen", "127.0.0.1:0", "--to", to, "--connect-timeout", "3"], 2, "a duration needs a unit");
    refused(&["--listen", "127.0.0.1:0", "--to", to, "--content-max", "3"], 2, "a size needs a unit");
    refused(&["--listen", "127.0.0.1:0", "--to", to, "--driver", "kqueue"], 2, "possible values");
    refused(&["--listen", "127.0.0.1:8080,127.0.0.1:8080", "--to", to], 2, "twice");
}

#[test]
fn an_unknown_flag_gets_a_suggestion() {
    refused(&["--lissten", "127.0.0.1:0"], 2, "--listen");
    let ended = run(&["prxy"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("'proxy'"), "{ended:?}");
}

#[test]
fn a_name_that_does_not_resolve_is_said() {
    let ended =
        refused(&["--listen", "127.0.0.1:0", "--to", "name.invalid:80"], 1, "cannot resolve name.invalid");
    reason(&ended);
}

#[test]
fn b_72_a_port_that_is_taken_is_said() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let ended = refused(&["--listen", &address, "--to", "127.0.0.1:9"], 1, &address);
    let hint = format!("ss -ltnp 'sport = :{}'", holder.local_addr().unwrap().port());
    assert!(
        reason(&ended).contains("taken by another program") && reason(&ended).contains(&hint),
        "{ended:?}"
    );
}

#[test]
fn b_72_a_second_instance_does_not_bind_beside_the_first() {
    let origin = Origin::start();
    let first = Corelane::proxy(origin.address, &[]);
    let address = first.address.to_string();
    refused(&["--listen", &address, "--to", "127.0.0.1:9"], 1, "taken by another program");
    assert_eq!(get(first.address, "/").content, CONTENT);
}

#[test]
fn op_20_of_two_that_start_at_once_one_serves_and_the_other_names_it() {
    let origin = Origin::start();
    for _ in 0..10 {
        let address = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().to_string()
        };
        let to = origin.address.to_string();
        let arguments = ["proxy", "--listen", &address, "--to", &to, "--lanes", "2", "--access-log", "off"];
        let mut both = [(); 2].map(|()| Corelane::spawn(&arguments));
        let lost = poll(PATIENCE, || both.iter_mut().position(|one| one.has_ended().is_some()));
        let lost = lost.expect("one of them gives up");
        let [first, second] = &mut both;
        let (loser, winner) = if lost == 0 { (first, second) } else { (second, first) };
        assert_eq!(loser.ended().code(), Some(1));
        let holder = format!("{address} is taken by another program (corelane, pid {})", winner.pid());
        loser.says(&holder);
        winner.listens();
        assert_eq!(get(winner.address, "/").content, CONTENT);
    }
}

#[test]
fn an_address_of_another_machine_is_said() {
    let ended =
        refused(&["--listen", "192.0.2.1:8080", "--to", "127.0.0.1:9"], 1, "not an address of this machine");
    reason(&ended);
}

#[test]
fn an_admin_address_that_cannot_be_had_is_said() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let proxy = |admin: &str| run(&[&LISTEN[..], &["127.0.0.1:9", "--admin", admin]].concat());
    for (admin, words) in [
        (taken.as_str(), "choose another --admin"),
        ("unix:/nonexistent/admin.sock", "does not exist"),
        ("unix:/dev/null", "is not a socket"),
    ] {
        let ended = proxy(admin);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(reason(&ended).contains(words), "{ended:?}");
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_said() {
    let ended = run(&[&LISTEN[..], &["127.0.0.1:9", "--access-log", "/nonexistent/access.log"]].concat());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(reason(&ended).contains("cannot open the access log /nonexistent/access.log"), "{ended:?}");
}

#[test]
fn op_18_too_few_descriptors_are_refused() {
    let script = format!("ulimit -n 200 && exec {BINARY} proxy --listen 127.0.0.1:0 --to 127.0.0.1:9");
    let ended = run_command(Command::new("sh").args(["-c", &script]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(reason(&ended).contains("ulimit -n") && reason(&ended).contains("LimitNOFILE="), "{ended:?}");
}

#[test]
fn op_18_fewer_descriptors_than_connections_take_are_refused() {
    let dir = Dir::new("descriptors");
    let path = dir.path("corelane.toml");
    let text = "limits.connections_max = 1000\nsite = [{ listen = '127.0.0.1:0', route = [{ respond.body = 'x' }] }]\n";
    std::fs::write(&path, text).unwrap();
    let script = format!("ulimit -n 1024 && exec {BINARY} run -c {}", path.display());
    let ended = run_command(Command::new("sh").args(["-c", &script]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(reason(&ended).contains("takes 2128 descriptors, and only 1024 are allowed"), "{ended:?}");
}

#[test]
fn b_76_the_version_says_all_that_a_report_needs() {
    let long = run(&["--version"]);
    assert_eq!(long.code, Some(0), "{long:?}");
    let short = run(&["-V"]);
    assert_eq!((short.code, short.stdout.lines().count()), (Some(0), 1), "{short:?}");
    assert_eq!(long.stdout.lines().next(), short.stdout.lines().next());
    assert!(short.stdout.starts_with("corelane ") && short.stdout.contains("(commit "), "{short:?}");
    for words in [
        "driver: ",
        "SINGLE_ISSUER|DEFER_TASKRUN",
        "lanes: auto (",
        "attempts_max",
        "request_head_bytes_max",
        "content_bytes_max",
        "drain_grace",
    ] {
        assert!(long.stdout.contains(words), "{words}: {long:?}");
    }
}

#[test]
fn completions_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = run(&["completions", shell]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        for word in ["reload", "drain", "trusted-proxy"] {
            assert!(ended.stdout.contains(word), "{shell} {word}");
        }
    }
}

#[test]
fn every_listener_is_said_and_serves() {
    let origin = Origin::start();
    let mut corelane = Corelane::proxy(origin.address, &["--listen", "[::1]:0", "--lanes", "2"]);
    let second = corelane.says("listening on http://[::1]:");
    let second = second.split_once("http://").unwrap().1.parse().unwrap();
    for address in [corelane.address, second] {
        let answer = get(address, "/");
        assert_eq!((answer.status, answer.content.as_str()), (200, CONTENT), "{address}");
    }
}

#[test]
fn b_06_unix_sockets_are_listened_on_and_forwarded_to() {
    let (origin, dir) = (Origin::start(), Dir::new("unix"));
    let at = |name: &str| format!("unix:{}", dir.path(name).display());
    // A dead process has left its file behind.
    drop(UnixListener::bind(dir.path("inner.sock")).unwrap());
    let (outer, inner) = (at("outer.sock"), at("inner.sock"));
    let mut inside = Corelane::proxy(origin.address, &["--listen", &inner, "--lanes", "2"]);
    inside.says(&format!("listening on {inner}"));
    let arguments = ["proxy", "--listen", "127.0.0.1:0", "--listen", &outer, "--to", &inner];
    let mut outside = Corelane::start(&[&arguments[..], &["--log-format", "json"]].concat());
    outside.says(&format!("listening on {outer}"));
    assert_eq!(get_unix(&dir.path("outer.sock"), "/").content, CONTENT);
    let line = outside.prints("client.address");
    assert!(line.contains("\"client.address\":\"unix:\",\"http."), "{line}");
    assert!(line.contains(&format!("{{\"endpoint\":\"{inner}\",")), "{line}");
    assert_eq!(get(outside.address, "/").content, CONTENT);

    let taken = refused(&["--listen", &inner, "--to", "127.0.0.1:9"], 1, "another program answers");
    assert!(reason(&taken).contains("choose another --listen"), "{taken:?}");
    refused(&["--listen", "unix:/nonexistent/a.sock", "--to", "127.0.0.1:9"], 1, "does not exist");
    refused(&["--listen", "unix:", "--to", "127.0.0.1:9"], 2, "a path is missing");

    inside.signal("TERM");
    assert_eq!(inside.ended().code(), Some(0));
    assert!(!dir.path("inner.sock").exists());
    assert_eq!(get(outside.address, "/").status, 502);
}

#[test]
fn no_upstream_is_said_and_gives_502() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut corelane = Corelane::proxy(nobody, &[]);
    assert!(corelane.says("no upstream answers; requests get 502 until one does").contains(" WARN "));
    assert_eq!(get(corelane.address, "/").status, 502);
}

#[test]
fn the_demo_serves_and_says_what_to_try() {
    let dir = Dir::new("demo");
    let socket = format!("unix:{}", dir.path("admin.sock").display());
    let mut demo = Corelane::start(&["demo", "--listen", "127.0.0.1:0", "--admin", &socket]);
    demo.prints(&format!("curl -i http://{}/hello", demo.address));
    // Each lane goes round by itself, so one of them may answer first again.
    let mut names = (0..20).map(|_| get(demo.address, "/a?b")).map(|answer| {
        assert!(answer.head.contains("x-origin: "), "{answer:?}");
        assert!(answer.content.contains("x-forwarded-for: 127.0.0.1"), "{answer:?}");
        answer.content.lines().next().unwrap().to_owned()
    });
    let expected = ["origin one: GET /a?b, 0 bytes of content", "origin two: GET /a?b, 0 bytes of content"];
    let first = names.next().unwrap();
    let second = names.find(|name| *name != first).expect("both answer");
    assert!(expected.contains(&first.as_str()) && expected.contains(&second.as_str()), "{first} {second}");
    demo.prints("\"GET /a?b HTTP/1.1\" 200 ");
    demo.signal("INT");
    assert_eq!(demo.ended().code(), Some(0));
}

#[test]
fn b_75_it_works_as_the_first_process_of_a_container() {
    const FIRST: [&str; 5] = ["unshare", "--user", "--map-root-user", "--pid", "--fork"];
    if !can(&[&FIRST[..], &["true"]].concat()) {
        return;
    }
    let origin = Origin::start();
    let to = origin.address.to_string();
    // The signals go to a shell's child, so that the first process itself gets them by its number within.
    let script =
        format!("exec {BINARY} proxy --listen 127.0.0.1:0 --to {to} --access-log off --admin unix:$0",);
    let dir = Dir::new("first");
    let socket = dir.path("admin.sock");
    let mut corelane = Corelane::spawn_command(
        Command::new(FIRST[0]).args(&FIRST[1..]).args(["sh", "-c", &script]).arg(&socket),
    );
    corelane.listens();
    assert_eq!(get(corelane.address, "/").status, 200);
    let ended = run(&["drain", "--admin", &format!("unix:{}", socket.display())]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(corelane.ended().code(), Some(0));
}

#[test]
fn b_75_a_service_user_needs_nothing() {
    const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    if !can(&[&NOBODY[..], &[BINARY, "-V"]].concat()) {
        return;
    }
    let origin = Origin::start();
    let to = origin.address.to_string();
    let mut corelane = Corelane::spawn_command(Command::new(NOBODY[0]).args(&NOBODY[1..]).args([
        BINARY,
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--to",
        &to,
        "--access-log",
        "off",
    ]));
    corelane.listens();
    corelane.says("going without an admin socket");
    assert_eq!(get(corelane.address, "/").status, 200);
    corelane.signal("USR2");
    corelane.says("USR2: a running program cannot be upgraded yet");
    corelane.signal("TERM");
    assert_eq!(corelane.ended().code(), Some(0));
}

#[test]
fn b_75_a_service_user_may_be_given_the_low_ports() {
    const SERVICE: [&str; 6] = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=+net_bind_service",
        "--ambient-caps=+net_bind_service",
    ];
    if !can(&[&SERVICE[..], &[BINARY, "-V"]].concat()) {
        return;
    }
    // Which of the low ports are free nobody can say beforehand.
    let start = |port: u16| {
        let listen = format!("127.0.0.1:{port}");
        let mut corelane = Corelane::spawn_command(Command::new(SERVICE[0]).args(&SERVICE[1..]).args([
            BINARY,
            "proxy",
            "--listen",
            &listen,
            "--to",
            "127.0.0.1:9",
            "--access-log",
            "off",
        ]));
        let listens = || corelane.said().contains("listening on").then_some(());
        poll(PATIENCE, listens).map(|()| corelane)
    };
    let mut corelane = [81, 82, 83].into_iter().find_map(start).expect("one of them is free");
    corelane.signal("TERM");
    assert_eq!(corelane.ended().code(), Some(0));
}

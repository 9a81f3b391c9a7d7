//! Names of endpoints that come to stand for other addresses while the program runs. Where nobody may have a file of
//! names of his own, nothing is said of them here, and `control/src/names.rs` says the most of it.

use crate::process::{
    client::get,
    clock::{PATIENCE, poll},
    corelane::{BINARY, Corelane, Dir, can},
};
use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener},
    path::Path,
    process::Command,
    thread,
};

/// A namespace with mounts of its own.
const OWN_NAMES: [&str; 6] = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"];

/// Answers everything with its own address.
fn origin(at: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(at).expect("a loopback address");
    let at = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let ip = at.ip().to_string();
                let mut bytes = [0; 4096];
                while stream.read(&mut bytes).is_ok_and(|count| count > 0) {
                    let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{ip}", ip.len());
                }
            });
        }
    });
    at
}

/// In place, because it is this file that is mounted.
fn names(path: &Path, ips: &[IpAddr]) {
    let lines = ips.iter().map(|ip| format!("{ip} app.test\n")).collect::<String>();
    fs::write(path, format!("127.0.0.1 localhost\n{lines}")).expect("a directory of its own");
}

#[test]
fn up_13_requests_go_where_a_name_leads_by_now() {
    let dir = Dir::new("names");
    let hosts = dir.path("hosts");
    let first = origin(([127, 0, 0, 1], 0).into());
    let second = origin(([127, 0, 0, 2], first.port()).into());
    names(&hosts, &[first.ip()]);
    // No name service is asked: it may take its time.
    let switch = dir.path("nsswitch.conf");
    fs::write(&switch, "hosts: files\n").unwrap();
    let script = |then: &str| {
        format!("mount --bind \"$0\" /etc/hosts && mount --bind \"$1\" /etc/nsswitch.conf && {then}")
    };
    let try_it = script("getent hosts app.test");
    let files = [&hosts, &switch].map(|path| path.to_str().expect("an ASCII path"));
    if !can(&[&OWN_NAMES[..], &[&try_it], &files].concat()) {
        return;
    }
    let proxy = format!(
        "exec {BINARY} proxy --listen 127.0.0.1:0 --to app.test:{} --names-every 20ms --access-log off --admin off",
        first.port()
    );
    let mut corelane = Corelane::spawn_command(
        Command::new(OWN_NAMES[0]).args(&OWN_NAMES[1..]).arg(script(&proxy)).args(files),
    );
    corelane.listens();
    let address = corelane.address;
    let leads_to = |ip: IpAddr| {
        let answered = || (get(address, "/").content == ip.to_string()).then_some(());
        poll(PATIENCE, answered).unwrap_or_else(|| panic!("it does not lead to {ip}"));
    };
    leads_to(first.ip());
    names(&hosts, &[second.ip()]);
    leads_to(second.ip());
    corelane.says("the upstream default has other addresses: 1 endpoint now");
    // An answer that fails is said once, and what was known stays.
    names(&hosts, &[]);
    corelane.says("cannot resolve app.test");
    for _ in 0..8 {
        assert_eq!(get(address, "/").content, second.ip().to_string());
    }
    names(&hosts, &[first.ip(), second.ip()]);
    corelane.says("the upstream default: its names can be looked up again");
    corelane.says("the upstream default has other addresses: 2 endpoints now");
    leads_to(first.ip());
    leads_to(second.ip());
    assert_eq!(corelane.said().matches("cannot resolve").count(), 1);
}

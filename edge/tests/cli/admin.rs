//! The admin server: what machines scrape and people read.

use crate::process::{
    client::{exchange, get, get_unix, send},
    corelane::{BINARY, Corelane, Dir, run, run_command},
    origin::Origin,
};
use serde_json::Value;
use std::{collections::BTreeSet, net::SocketAddr, os::unix::fs::PermissionsExt, process::Command};

fn start(flags: &[&str]) -> (Origin, Corelane, SocketAddr) {
    let origin = Origin::start();
    let mut corelane = Corelane::proxy(origin.address, &[&["--admin", "127.0.0.1:0"], flags].concat());
    let admin = corelane.admin();
    (origin, corelane, admin)
}

/// The value of a series, such as `corelane_requests_total` or `a{b="c"}`.
#[track_caller]
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().expect("a number")
}

#[test]
fn what_there_is_and_what_there_is_not() {
    let (_origin, _corelane, admin) = start(&[]);
    for (path, status, content) in [
        ("/livez", 200, "alive"),
        ("/readyz", 200, "ready"),
        ("/", 200, "/stats.json"),
        ("/", 200, "/profile.json"),
        ("/", 200, "/slow.json"),
        ("/config", 404, "no configuration file"),
        ("/nothing", 404, "not found"),
    ] {
        let answer = get(admin, path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.content.contains(content), "{answer:?}");
    }
    let upstreams: Value = serde_json::from_str(&get(admin, "/upstreams").content).unwrap();
    assert_eq!(upstreams["default"].as_array().map(Vec::len), Some(1), "{upstreams}");
    for method in ["POST", "DELETE", "PUT"] {
        let bytes = format!(
            "{method} /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(exchange(admin, bytes.as_bytes()).status, 405, "{method}");
    }
}

#[test]
fn metrics_count_what_happened() {
    let (origin, corelane, admin) = start(&["--lanes", "2"]);
    for _ in 0..5 {
        assert_eq!(get(corelane.address, "/").status, 200);
    }
    let answer = get(admin, "/metrics");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let metrics = &answer.content;
    let endpoint =
        format!("corelane_upstream_requests_total{{cluster=\"default\",endpoint=\"{}\"}}", origin.address);
    for (series, count) in [
        ("corelane_requests_total", 5.0),
        ("corelane_exchanges_ended_total{reason=\"done\"}", 5.0),
        ("corelane_responses_2xx_total", 5.0),
        ("corelane_response_content_bytes_total", 80.0),
        ("corelane_phase_seconds_count{phase=\"wait\"}", 5.0),
        ("corelane_phase_seconds_bucket{phase=\"request\",le=\"+Inf\"}", 5.0),
        ("corelane_draining", 0.0),
        (&endpoint, 5.0),
    ] {
        assert_eq!(value(metrics, series), count, "{series}");
    }
    let lanes =
        ["0", "1"].map(|lane| value(metrics, &format!("corelane_lane_requests_total{{lane=\"{lane}\"}}")));
    assert_eq!(lanes.iter().sum::<f64>(), 5.0, "{lanes:?}");
    assert!(value(metrics, "process_resident_memory_bytes") > 1e6);
    assert!(value(metrics, "process_open_fds") > 5.0);
    assert!(metrics.contains("corelane_build_info{version=\""), "{metrics}");
}

#[test]
fn the_exposition_is_well_formed() {
    let (_origin, corelane, admin) = start(&["--lanes", "2"]);
    get(corelane.address, "/");
    let metrics = get(admin, "/metrics").content;
    let (mut families, mut series, mut family) = (BTreeSet::new(), BTreeSet::new(), "");
    for line in metrics.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
            assert!(families.insert(family), "{family} stands there twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            assert_eq!(kind.split(' ').next(), Some(family));
        } else {
            let (name, number) = line.rsplit_once(' ').unwrap();
            number.parse::<f64>().unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(series.insert(name), "{name} stands there twice");
            let rest = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} is not of {family}"));
            let rest =
                ["_bucket", "_sum", "_count"].iter().find_map(|part| rest.strip_prefix(part)).unwrap_or(rest);
            assert!(rest.is_empty() || rest.starts_with('{') && rest.ends_with('}'), "{line}");
        }
    }
    assert!(series.len() > 100, "{}", series.len());
}

#[test]
fn stats_json_has_the_same_numbers() {
    let (origin, corelane, admin) = start(&["--lanes", "1"]);
    for _ in 0..3 {
        get(corelane.address, "/");
    }
    let answer = get(admin, "/stats.json");
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    let stats: Value = serde_json::from_str(&answer.content).unwrap();
    assert_eq!(stats["merged"]["requests_total"], 3, "{stats}");
    assert_eq!(stats["lanes"][0]["requests_total"], 3, "{stats}");
    assert_eq!(stats["lanes"][0]["id"], 0, "{stats}");
    assert_eq!((&stats["ended"]["done"], &stats["draining"]), (&3.into(), &false.into()), "{stats}");
    assert_eq!(stats["clusters"]["default"][0]["endpoint"], origin.address.to_string(), "{stats}");
    let request = &stats["phases_us"]["request"];
    let times = ["p50", "p90", "p99", "p99.9", "max"].map(|name| request[name].as_u64().unwrap());
    assert!(times.is_sorted() && times[0] > 0, "{request}");
    assert!(stats["uptime_s"].is_u64() && stats["version"].is_string(), "{stats}");
}

#[test]
fn profile_json_has_the_buckets_of_every_lane() {
    let (_origin, corelane, admin) = start(&["--lanes", "2"]);
    for _ in 0..8 {
        assert_eq!(get(corelane.address, "/").status, 200);
    }
    let answer = get(admin, "/profile.json");
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    let profile: Value = serde_json::from_str(&answer.content).unwrap();
    let count = |times: &Value| times["count"].as_u64().unwrap();
    let counted = |times: &Value| -> u64 {
        times["buckets"].as_array().unwrap().iter().map(|bucket| bucket[1].as_u64().unwrap()).sum()
    };
    for phase in profile["phases"].as_array().unwrap() {
        let name = phase["name"].as_str().unwrap();
        let merged = &profile["merged"][name];
        assert_eq!(count(merged), counted(merged), "{name}: {profile}");
        let lanes: u64 = [0, 1].iter().map(|lane| count(&profile["lanes"][lane]["phases"][name])).sum();
        assert_eq!(lanes, count(merged), "{name}: {profile}");
    }
    for name in ["request", "queue", "parse", "route", "wait", "behind"] {
        assert_eq!(count(&profile["merged"][name]), 8, "{name}: {profile}");
    }
    let sum = |name: &str| profile["merged"][name]["sum_ns"].as_u64().unwrap();
    assert!(sum("parse") > 0 && sum("turn") > 0, "{profile}");
    assert!(sum("route") + sum("connect") + sum("wait") + sum("transfer") <= sum("request"), "{profile}");
    assert!(profile["uptime_s"].is_f64() && profile["version"].is_string(), "{profile}");
}

#[test]
fn slow_json_has_what_was_slow_without_its_query() {
    let (origin, corelane, admin) = start(&["--lanes", "2"]);
    get(corelane.address, "/quick");
    let slow = || -> Value { serde_json::from_str(&get(admin, "/slow.json").content).unwrap() };
    let none = slow();
    assert_eq!((&none["slower_than_us"], &none["kept_per_lane"]), (&100_000.0.into(), &32.into()), "{none}");
    assert_eq!(
        (&none["lanes"], &none["slow"]),
        (&serde_json::json!([0, 1]), &serde_json::json!([])),
        "{none}"
    );
    origin.head();
    let address = corelane.address;
    std::thread::scope(|scope| {
        scope.spawn(move || assert_eq!(get(address, "/held/slow?token=secret").status, 200));
        origin.head();
        // The origin thinks; that takes a time by itself.
        std::thread::park_timeout(std::time::Duration::from_millis(150));
        origin.release();
    });
    let slow = slow();
    let one = &slow["slow"][0];
    assert_eq!(
        (&one["method"], &one["path"], &one["status"]),
        (&"GET".into(), &"/held/slow".into(), &200.into()),
        "{slow}"
    );
    assert_eq!(
        (&one["end"], &one["endpoint"]),
        (&"done".into(), &origin.address.to_string().into()),
        "{slow}"
    );
    assert!(one["phases_us"]["wait"].as_f64().unwrap() >= 100_000.0, "{slow}");
    assert!(
        one["at"].as_str().unwrap().ends_with('Z') && one["request_id"].as_str().unwrap().len() == 32,
        "{slow}"
    );
    assert_eq!(slow["slow"].as_array().map(Vec::len), Some(1), "{slow}");
    assert!(!slow.to_string().contains("secret"), "{slow}");
}

#[test]
fn op_17_a_lane_on_epoll_says_so_everywhere() {
    let (_origin, mut corelane, admin) = start(&["--driver", "epoll"]);
    assert!(corelane.says("lane 0 runs on epoll").contains(" WARN "));
    let metrics = get(admin, "/metrics").content;
    let driver = metrics.lines().find(|line| line.starts_with("corelane_lane_driver_info{")).unwrap();
    assert!(driver.contains("lane=\"0\",driver=\"epoll\",reason=\"asked for\""), "{driver}");
    let stats: Value = serde_json::from_str(&get(admin, "/stats.json").content).unwrap();
    assert_eq!(stats["lanes"][0]["driver"], "epoll");
    assert_eq!(stats["lanes"][0]["fallback_reason"], "asked for");
    assert_eq!(get(corelane.address, "/").status, 200);
}

#[test]
fn a_unix_socket_serves_its_group_and_goes_with_the_process() {
    let (origin, dir) = (Origin::start(), Dir::new("unix"));
    let path = dir.path("admin.sock");
    // What a dead process left behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let address = format!("unix:{}", path.display());
    let mut corelane = Corelane::proxy(origin.address, &["--admin", &address]);
    corelane.says(&format!("admin on {address}"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    for target in ["/livez", "/readyz", "/metrics", "/stats.json", "/upstreams"] {
        assert_eq!(get_unix(&path, target).status, 200, "{target}");
    }
    corelane.signal("TERM");
    assert_eq!(corelane.ended().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn op_19_hostile_admin_clients_are_felt_by_nobody_else() {
    let (_origin, corelane, admin) = start(&[]);
    let held: Vec<_> = (0..40).map(|_| send(admin, b"GET /metrics HTTP/1.1\r\nHost: ")).collect();
    let noise: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(exchange(admin, &noise).status, 400);
    assert_eq!(get(corelane.address, "/").status, 200);
    assert_eq!(get(admin, "/livez").status, 200);
    drop(held);
}

#[test]
fn op_19_nothing_is_changed_over_tcp() {
    let (_origin, mut corelane, admin) = start(&[]);
    for path in ["/drain", "/reload"] {
        let bytes =
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let answer = exchange(admin, bytes.as_bytes());
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.content.contains("unix socket"), "{answer:?}");
        assert_eq!(get(admin, path).status, 405);
    }
    assert_eq!(get(corelane.address, "/").status, 200);
    assert!(!corelane.said().contains("drain"));
    let ended = run(&["drain", "--admin", &admin.to_string()]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn the_socket_is_where_the_service_manager_says_and_drain_finds_it() {
    let (origin, dir) = (Origin::start(), Dir::new("usual"));
    let directory = dir.path("");
    let directory = directory.to_str().expect("an ASCII path");
    let to = origin.address.to_string();
    let mut corelane = Corelane::spawn_in(
        directory,
        &["proxy", "--listen", "127.0.0.1:0", "--to", &to, "--access-log", "off"],
    );
    corelane.listens();
    corelane.says(&format!("admin on unix:{directory}admin.sock"));
    assert_eq!(std::fs::metadata(dir.path("admin.sock")).unwrap().permissions().mode() & 0o777, 0o660);
    // Another one goes without.
    let mut second = Corelane::spawn_in(
        directory,
        &["proxy", "--listen", "127.0.0.1:0", "--to", &to, "--access-log", "off"],
    );
    second.listens();
    second.says("going without an admin socket: another program answers");
    let ask = |what: &str| run_command(Command::new(BINARY).env("RUNTIME_DIRECTORY", directory).args([what]));
    let reloaded = ask("reload");
    assert_eq!(reloaded.code, Some(1), "{reloaded:?}");
    assert!(reloaded.stderr.contains("no configuration file to reload"), "{reloaded:?}");
    let drained = ask("drain");
    let says = format!("{directory}admin.sock: draining\n");
    assert_eq!((drained.code, drained.stdout), (Some(0), says));
    assert_eq!(corelane.ended().code(), Some(0));
    let nobody = ask("drain");
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("is it running?"), "{nobody:?}");
    assert_eq!(second.has_ended(), None, "it is another one that was asked");
}

#[test]
fn there_may_be_several_places_or_none() {
    let (origin, dir) = (Origin::start(), Dir::new("several"));
    let socket = format!("unix:{}", dir.path("a.sock").display());
    let mut corelane = Corelane::proxy(origin.address, &["--admin", &socket, "--admin", "127.0.0.1:0"]);
    let tcp = corelane.admin();
    assert_eq!(get(tcp, "/livez").status, 200);
    assert_eq!(get_unix(&dir.path("a.sock"), "/livez").status, 200);
    let mut off = Corelane::proxy(origin.address, &["--admin", "off"]);
    assert!(!off.said().contains("admin"));
}

#[test]
fn nothing_is_exposed_unless_it_is_asked_for() {
    let origin = Origin::start();
    let mut corelane = Corelane::proxy(origin.address, &[]);
    // The admin server's paths are the origin's here.
    assert_eq!(get(corelane.address, "/metrics").content, crate::process::origin::CONTENT);
    assert!(!corelane.said().contains("admin on"));
}

use super::*;
use corelane_engine::{Method, RequestHead};
use proptest::prelude::*;
use std::cmp::Reverse;

fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::new();
    head.method = Method::from_bytes(method.as_bytes()).unwrap();
    head.target = target.into();
    for (name, value) in fields {
        head.fields.append(name, value);
    }
    head
}

fn hosts(patterns: &[&str]) -> Hosts {
    let mut hosts = Hosts::default();
    for (site, pattern) in (0..).zip(patterns) {
        let pattern = (!pattern.is_empty()).then(|| pattern.parse::<HostPattern>().unwrap());
        hosts.insert(pattern.as_ref(), site).unwrap();
    }
    hosts
}

#[test]
fn b_71_the_most_specific_host_wins() {
    let hosts = hosts(&["", "*.example.com", "example.com", "*.b.example.com", "x.b.example.com", "[::1]"]);
    for (authority, site) in [
        ("example.com", 2),
        ("EXAMPLE.com:8080", 2),
        ("example.com.", 2),
        ("example.com.:80", 2),
        ("a.example.com", 1),
        ("a.a.example.com", 1),
        ("b.example.com", 1),
        ("a.b.example.com", 3),
        ("x.b.example.com", 4),
        ("aexample.com", 0),
        (".example.com", 1),
        ("", 0),
        ("[::1]", 5),
        ("[::1]:80", 5),
        ("127.0.0.1:80", 0),
    ] {
        assert_eq!(hosts.find(authority.as_bytes()), Some(site), "{authority}");
    }
    let long = "a.".repeat(200);
    assert_eq!(hosts.find(long.as_bytes()), Some(0));
    assert_eq!(Hosts::default().find(b"example.com"), None);
}

#[test]
fn a_host_belongs_to_one_site() {
    let mut hosts = hosts(&["example.com", "*.example.com", ""]);
    for pattern in [Some("EXAMPLE.com"), Some("*.example.com"), None] {
        let pattern = pattern.map(|pattern| pattern.parse::<HostPattern>().unwrap());
        assert!(hosts.insert(pattern.as_ref(), 9).is_err(), "{pattern:?}");
    }
}

#[test]
fn hosts_have_no_ports_and_stars_only_in_front() {
    for wrong in
        ["", "*", "example.com:80", "a.*.b", "*a.b", "http://a", "a b", "ä.de", "a..b", "*.", "[::x]"]
    {
        assert!(wrong.parse::<HostPattern>().is_err(), "{wrong}");
    }
}

fn route(path: &str, conditions: Conditions) -> (Vec<PathPattern>, Conditions) {
    let paths = if path.is_empty() { Vec::new() } else { vec![path.parse().unwrap()] };
    (paths, conditions)
}

fn paths(routes: &[(Vec<PathPattern>, Conditions)]) -> Paths {
    Paths::new(routes.iter().map(|(paths, conditions)| (paths.as_slice(), conditions)))
}

fn method(method: &str) -> Conditions {
    Conditions { methods: vec![Method::from_bytes(method.as_bytes()).unwrap()], ..Conditions::default() }
}

#[test]
fn b_71_the_most_specific_path_wins() {
    let all = ["", "/*", "/a", "/a/*", "/a-b/*", "/a/b/c", "/a/b/*", "/a/"];
    let routes: Vec<_> = all.iter().map(|path| route(path, Conditions::default())).collect();
    let paths = paths(&routes);
    for (target, expected) in [
        ("/", "/*"),
        ("/a", "/a"),
        ("/a?b=c", "/a"),
        ("/a/", "/a/"),
        ("/a/x", "/a/*"),
        ("/a/b", "/a/b/*"),
        ("/a/b/c", "/a/b/c"),
        ("/a/b/c/d", "/a/b/*"),
        ("/a/bc", "/a/*"),
        ("/a-b", "/a-b/*"),
        ("/a-c", "/*"),
        ("/ab", "/*"),
        ("/A", "/*"),
        ("//a", "/*"),
        ("/%61", "/*"),
        ("*", ""),
    ] {
        let found = paths.find(&head("GET", target, &[])).map(|route| all[route as usize]);
        assert_eq!(found, Some(expected), "{target}");
    }
}

#[test]
fn b_71_more_conditions_win_then_the_order() {
    let fields = vec![("x-a".to_owned(), Expect::Exactly(b"1"[..].into()))];
    let parameters = vec![(b"q"[..].into(), Expect::Any)];
    let routes = [
        route("/a", Conditions::default()),
        route("/a", method("POST")),
        route("/a", Conditions { fields: fields.clone(), ..method("POST") }),
        route("/a", Conditions { fields, ..Conditions::default() }),
        route("/a", Conditions { parameters, ..Conditions::default() }),
        route("/*", method("DELETE")),
    ];
    let paths = paths(&routes);
    let find =
        |method: &str, target: &str, fields: &[(&str, &str)]| paths.find(&head(method, target, fields));
    assert_eq!(find("GET", "/a", &[]), Some(0));
    assert_eq!(find("POST", "/a", &[]), Some(1));
    assert_eq!(find("POST", "/a", &[("X-A", "1")]), Some(2));
    assert_eq!(find("POST", "/a", &[("X-A", "2")]), Some(1));
    assert_eq!(find("GET", "/a?q", &[("X-A", "2"), ("X-A", "1")]), Some(3), "the first of the file");
    assert_eq!(find("GET", "/a?x=1&q=", &[]), Some(4));
    assert_eq!(find("GET", "/a?qq=1", &[]), Some(0));
    assert_eq!(find("DELETE", "/a", &[]), Some(0), "a path is more than a method");
    assert_eq!(find("DELETE", "/b", &[]), Some(5));
    assert_eq!(find("GET", "/b", &[]), None);
}

#[test]
fn h1q_56_paths_that_can_be_read_in_two_ways_are_not_plain() {
    for plain in [
        "/",
        "/a",
        "/a/",
        "/a/b.c",
        "/a%20b",
        "/...",
        "/.well-known/x",
        "/~a",
        "/a%C3%A4",
        "*",
        "/a:b@c,d=e",
        "/%e0%a4%85",
        "/%f0%9f%a6%80",
        "/caf%e9",
        "/%e0b%80",
        "/%e0/%80",
    ] {
        assert!(is_plain(plain.as_bytes()), "{plain}");
    }
    for ambiguous in [
        "//",
        "//a",
        "/a//b",
        "/.",
        "/..",
        "/a/./b",
        "/a/../b",
        "/a/..",
        "/%2e%2e/",
        "/%2E/",
        "/.%2e/",
        "/%61dmin",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "/a;x",
        "/a%3bx",
        "/..;/a",
        "/%",
        "/%4",
        "/%zz",
        "/%00",
        "/%252e",
        "",
        "a",
        // Slashes and dots in more bytes than they need, which decoders have taken for slashes and dots.
        "/%c0%ae%c0%ae/a",
        "/a%C0%AFb",
        "/a%c1%9cb",
        "/a%e0%80%afb",
        "/a%E0%9F%bfb",
        "/a%f0%80%80%afb",
        "/%c0",
    ] {
        assert!(!is_plain(ambiguous.as_bytes()), "{ambiguous}");
    }
}

/// The rule as it is written down: every route is looked at.
fn reference(routes: &[(Vec<PathPattern>, Conditions)], head: &RequestHead) -> Option<u32> {
    let rank = |pattern: &PathPattern| match pattern {
        PathPattern::Exact(path) => (2, path.len()),
        PathPattern::Prefix(prefix) => (1, prefix.len()),
    };
    let candidates = (0..).zip(routes).filter_map(|(at, (paths, conditions))| {
        let best = if paths.is_empty() {
            Some((0, 0))
        } else {
            paths.iter().filter(|path| path.matches(head.path())).map(rank).max()
        };
        best.filter(|_| conditions.hold(head)).map(|rank| (rank, conditions.count(), Reverse(at)))
    });
    candidates.max().map(|(_, _, Reverse(at))| at)
}

fn any_path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "a-", "ab", ""], 1..4)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

fn any_route() -> impl Strategy<Value = (Vec<PathPattern>, Conditions)> {
    let pattern = (any_path(), any::<bool>()).prop_map(|(path, prefix)| {
        let text = if prefix { format!("{path}/*") } else { path };
        text.parse::<PathPattern>().unwrap()
    });
    let methods = proptest::collection::vec(prop_oneof![Just(Method::GET), Just(Method::POST)], 0..2);
    let fields = proptest::collection::vec(
        (
            prop_oneof![Just("x-a".to_owned()), Just("x-b".to_owned())],
            prop_oneof![Just(Expect::Any), Just(Expect::Exactly(b"1"[..].into()))],
        ),
        0..3,
    );
    (proptest::collection::vec(pattern, 0..3), methods, fields)
        .prop_map(|(paths, methods, fields)| (paths, Conditions { methods, fields, parameters: Vec::new() }))
}

proptest! {
    #[test]
    fn b_71_the_winner_is_that_of_the_naive_reading(
        routes in proptest::collection::vec(any_route(), 0..20),
        target in any_path(),
        post in any::<bool>(),
        fields in proptest::collection::vec(prop_oneof![Just(("x-a", "1")), Just(("x-b", "2"))], 0..2),
    ) {
        let head = head(if post { "POST" } else { "GET" }, &target, &fields);
        prop_assert_eq!(paths(&routes).find(&head), reference(&routes, &head));
    }
}

#[test]
fn res_14_hashes_are_keyed_with_a_secret() {
    let (one, other) = (hosts(&["example.com"]), hosts(&["example.com"]));
    assert_ne!(one.hash_of(b"example.com"), other.hash_of(b"example.com"), "nobody can tell what collides");
}

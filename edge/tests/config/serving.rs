//! `corelane run`: what each word of a configuration does to a request.

use crate::{
    process::{
        client::{exchange, get_unix},
        clock::{PATIENCE, poll},
        corelane::{Corelane, Dir, lines_of, run},
        origin::{CONTENT, Origin},
    },
    served::{BEFORE, is, serve},
};
use std::{fs, net::TcpListener};

#[test]
fn b_06_a_site_may_listen_on_a_unix_socket_and_a_route_lead_to_one() {
    let dir = Dir::new("unix-sites");
    let path = dir.path("inner.sock");
    let text = r#"
        [[site]]
        listen = "unix:SOCKET"
        route = [{ respond.body = "inside" }]
        [[site]]
        listen = "LISTEN"
        route = [
          { path = "/one", to = "unix:SOCKET" },
          { to = [{ address = "unix:SOCKET", weight = 2 }] },
        ]
        "#;
    let text = text.replace("SOCKET", path.to_str().expect("an ASCII path"));
    let served = serve("unix", None, &text);
    is(&served.get("/one"), 200, "inside");
    is(&served.get("/"), 200, "inside");
    is(&get_unix(&path, "/"), 200, "inside");
}

#[test]
fn b_71_the_host_chooses_the_site_and_the_path_the_route() {
    let served = serve(
        "routes",
        None,
        r#"
        [[site]]
        listen = "LISTEN"
        route = [{ respond.body = "any" }]
        [[site]]
        listen = "LISTEN"
        host = "*.example.com"
        route = [{ respond.body = "wildcard" }]
        [[site]]
        listen = "LISTEN"
        host = ["example.com", "www.example.com"]
        route = [
          { path = "/a", respond.body = "exact" },
          { path = "/a/*", respond.body = "prefix" },
          { path = "/a", method = "POST", respond.body = "post" },
          { path = "/a", header.x-a = "1", query.q = "*", respond.body = "both" },
        ]
        "#,
    );
    is(&served.get("/a"), 200, "exact");
    is(&served.get("/a/b"), 200, "prefix");
    is(&served.get_from("WWW.Example.com:80", "/a"), 200, "exact");
    is(&served.get_from("other.example.com", "/a"), 200, "wildcard");
    is(&served.get_from("example.org", "/a"), 200, "any");
    is(&served.ask(&["POST /a HTTP/1.1", "Host: example.com", "Content-Length: 0"]), 200, "post");
    is(&served.ask(&["GET /a?q HTTP/1.1", "Host: example.com", "X-A: 1"]), 200, "both");
    is(&served.get("/b"), 404, "404 Not Found\n");
    is(&served.get("/%61"), 404, "404 Not Found\n");
    is(&served.ask(&["GET /a HTTP/1.0"]), 200, "any");
}

#[test]
fn a_host_that_nobody_has_is_404() {
    let served = serve(
        "no-host",
        None,
        "[[site]]\nlisten = \"LISTEN\"\nhost = \"a.b\"\nroute = [{ respond.body = \"x\" }]\n",
    );
    is(&served.get("/"), 404, "404 Not Found\n");
    is(&served.get_from("a.b", "/"), 200, "x");
}

#[test]
fn requests_are_forwarded_with_new_paths_and_fields() {
    let origin = Origin::start();
    let served = serve(
        "forward",
        Some(&origin),
        r#"
        [upstream.app]
        to = [{ address = "ORIGIN", weight = 2 }]
        [[site]]
        listen = "LISTEN"
        request.header = { set.x-site = "1", remove = "X-Secret" }
        response.header = { set.x-answer = "site", remove = "content-type" }
        [[site.route]]
        path = "/api/*"
        to = "ORIGIN"
        strip = "/api"
        request.header = { set.x-site = "2", set.host = "internal", add.x-two = ["a", "b"] }
        response.header.set.x-answer = "route"
        [[site.route]]
        path = "/v1/*"
        upstream = "app"
        strip = "/v1"
        rewrite = "/v2{path}"
        "#,
    );
    let answer = served.ask(&["GET /api/x?y=1 HTTP/1.1", "Host: example.com", "X-Secret: s"]);
    is(&answer, 200, CONTENT);
    assert!(answer.head.contains("x-answer: route"), "{answer:?}");
    let head = origin.head().to_ascii_lowercase();
    assert!(head.starts_with("get /x?y=1 http/1.1\r\n"), "{head}");
    for line in ["host: internal", "x-site: 2", "x-two: a", "x-two: b"] {
        assert!(head.contains(&format!("{line}\r\n")), "{line}: {head}");
    }
    assert!(!head.contains("x-secret"), "{head}");
    let answer = served.get("/v1");
    is(&answer, 200, CONTENT);
    assert!(answer.head.contains("x-answer: site"), "{answer:?}");
    assert!(origin.head().starts_with("GET /v2 HTTP/1.1\r\n"));
}

#[test]
fn redirects_and_fixed_answers() {
    let served = serve(
        "redirect",
        None,
        r#"
        [[site]]
        listen = "LISTEN"
        route = [
          { path = "/old/*", redirect = { to = "https://{host}{path}{query}" } },
          { path = "/temporary", redirect = { to = "/new", status = 302 } },
          { path = "/none", respond = { status = 204 } },
          { path = "/json", respond = { status = 201, body = "{}", type = "application/json" } },
        ]
        "#,
    );
    let answer = served.get_from("example.com:8080", "/old/x?a=b");
    is(&answer, 308, "");
    assert!(answer.head.contains("location: https://example.com/old/x?a=b\r\n"), "{answer:?}");
    let answer = served.get("/temporary?a");
    assert!(answer.status == 302 && answer.head.contains("location: /new\r\n"), "{answer:?}");
    is(&served.get("/none"), 204, "");
    let answer = served.get("/json");
    is(&answer, 201, "{}");
    assert!(answer.head.contains("content-type: application/json\r\n"), "{answer:?}");
    let answer = served.ask(&["HEAD /json HTTP/1.1", "Host: a"]);
    is(&answer, 201, "");
    assert!(answer.head.contains("content-length: 2"), "{answer:?}");
}

#[test]
fn b_73_networks_are_allowed_and_denied() {
    let served = serve(
        "networks",
        None,
        r#"
        [[site]]
        listen = "LISTEN"
        allow = "10.0.0.0/8"
        route = [
          { path = "/site", respond.body = "x" },
          { path = "/route", respond.body = "x", allow = "127.0.0.0/8" },
          { path = "/both", respond.body = "x", allow = "127.0.0.1", deny = "127.0.0.0/30" },
        ]
        "#,
    );
    is(&served.get("/site"), 403, "403 Forbidden\n");
    is(&served.get("/route"), 200, "x");
    is(&served.get("/both"), 403, "403 Forbidden\n");
}

#[test]
fn b_73_users_come_in_by_password() {
    let served = serve(
        "auth",
        None,
        r#"
        [[site]]
        listen = "LISTEN"
        basic_auth = { realm = "staff", users = { "Hans" = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5" } }
        route = [{ respond.body = "in" }]
        "#,
    );
    let answer = served.get("/");
    is(&answer, 401, "401 Unauthorized\n");
    assert!(
        answer.head.contains("www-authenticate: basic realm=\"staff\", charset=\"utf-8\"\r\n"),
        "{answer:?}"
    );
    let with = |credentials: &str| {
        let field = format!("Authorization: {credentials}");
        served.ask(&["GET / HTTP/1.1", "Host: a", &field]).status
    };
    // Hans:Hello world! / Hans:hello / Eve:Hello world!
    assert_eq!(with("Basic SGFuczpIZWxsbyB3b3JsZCE="), 200);
    assert_eq!(with("basic SGFuczpIZWxsbyB3b3JsZCE="), 200, "it is remembered");
    assert_eq!(with("Basic SGFuczpoZWxsbw=="), 401);
    assert_eq!(with("Basic RXZlOkhlbGxvIHdvcmxkIQ=="), 401);
    assert_eq!(with("Bearer SGFuczpIZWxsbyB3b3JsZCE="), 401);
    assert_eq!(with("Basic ===="), 401);
}

#[test]
fn b_73_errors_have_pages() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = r#"
        [[site]]
        listen = "LISTEN"
        response.header.set.x-served-by = "corelane"
        error_page = { 404 = { body = "<p>gone" }, 5xx = { body = "sorry", type = "text/plain" } }
        route = [
          { path = "/down", to = "NOBODY" },
          { path = "/here", to = "NOBODY", error_page.502.body = "down" },
          { path = "/fixed", respond = { status = 503, body = "overloaded" } },
          { path = "/teapot", respond = { status = 418, body = "tea" } },
        ]
        "#;
    let served = serve("pages", None, &text.replace("NOBODY", &nobody.to_string()));
    let answer = served.get("/nowhere");
    is(&answer, 404, "<p>gone");
    assert!(answer.head.contains("content-type: text/html; charset=utf-8\r\n"), "{answer:?}");
    assert!(answer.head.contains("x-served-by: corelane"), "{answer:?}");
    is(&served.get("/down"), 502, "sorry");
    is(&served.get("/here"), 502, "down");
    is(&served.get("/fixed"), 503, "sorry");
    is(&served.get("/teapot"), 418, "tea");
}

#[test]
fn h1q_56_guarded_sites_refuse_paths_that_can_be_read_in_two_ways() {
    let served = serve(
        "paths",
        None,
        r#"
        [[site]]
        listen = "LISTEN"
        host = "guarded"
        route = [{ path = "/admin/*", respond.body = "admin", deny = "127.0.0.1" }, { respond.body = "open" }]
        [[site]]
        listen = "LISTEN"
        host = "trusting"
        strict_paths = false
        route = [{ path = "/admin/*", respond.body = "admin", deny = "127.0.0.1" }, { respond.body = "open" }]
        [[site]]
        listen = "LISTEN"
        route = [{ path = "/admin/*", respond.body = "admin" }, { respond.body = "open" }]
        "#,
    );
    is(&served.get_from("guarded", "/admin/x"), 403, "403 Forbidden\n");
    is(&served.get_from("guarded", "/administrator"), 200, "open");
    for path in ["/x/../admin/x", "//admin/x", "/%2e%2e/", "/%61dmin/x", "/admin%2fx", "/admin;x", "/./admin"]
    {
        is(&served.get_from("guarded", path), 400, "400 Bad Request\n");
        is(&served.get_from("trusting", path), 200, "open");
        is(&served.get_from("example.com", path), 200, "open");
    }
}

#[test]
fn limits_times_and_sizes_reach_the_engine() {
    let served = serve(
        "limits",
        None,
        r#"
        content_max = "4b"
        driver = "epoll"
        lanes = 2
        limits = { request_line_max = "64b" }
        site = [{ listen = "LISTEN", route = [{ respond.body = "x" }] }]
        "#,
    );
    is(&served.get("/"), 200, "x");
    assert_eq!(served.get(&format!("/{}", "x".repeat(64))).status, 414);
    assert_eq!(served.ask(&["POST / HTTP/1.1", "Host: a", "Content-Length: 5", "", "12345"]).status, 413);
}

#[test]
fn b_72_a_port_that_is_taken_is_said_in_the_words_of_the_file() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = Dir::new("taken");
    let path = dir.path("corelane.toml");
    let listen = holder.local_addr().unwrap();
    fs::write(
        &path,
        format!("{BEFORE}[[site]]\nlisten = \"{listen}\"\nroute = [{{ respond.body = \"x\" }}]\n"),
    )
    .unwrap();
    let path = path.to_str().unwrap();
    let ended = run(&["run", "-c", path]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("taken by another program") && ended.stderr.contains("choose another `listen`"),
        "{ended:?}"
    );
    // What is checked is not bound.
    assert_eq!(run(&["check", "-c", path]).code, Some(0));
}

#[test]
fn a_bad_file_serves_nothing() {
    let dir = Dir::new("bad");
    let path = dir.path("corelane.toml");
    fs::write(&path, "lanes = 0\n").unwrap();
    let ended = run(&["run", "-c", path.to_str().unwrap()]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("`lanes` is 0") && ended.stderr.contains("`site` is missing"), "{ended:?}");
    assert!(!ended.stderr.contains("listening"), "{ended:?}");
}

#[test]
fn h1q_69_log_lines_look_as_the_file_says() {
    let dir = Dir::new("log-format");
    let log = dir.path("access.log");
    let serve = |format: &str| {
        let text = format!(
            "log = {{ access = '{}', {format} }}\nsite = [{{ listen = '127.0.0.1:0', route = [{{ respond.body = 'x' }}] }}]\n",
            log.display()
        );
        let path = dir.path("corelane.toml");
        fs::write(&path, text).unwrap();
        let corelane = Corelane::start(&["run", "-c", path.to_str().unwrap()]);
        exchange(
            corelane.address,
            b"GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: \"\xff\r\nConnection: close\r\n\r\n",
        );
        let lines = lines_of(&log, 1);
        fs::remove_file(&log).unwrap();
        lines.join("|")
    };
    let line = serve(
        r#"format = '{http.request.target} {http.response.status_code} "{user_agent.original}" {{{upstream.address}}}'"#,
    );
    assert_eq!(line, r#"/a?b 200 "\"\xff" {-}"#);
    let line = serve(r#"fields = ["end", "url.query", "http.response.body.size"]"#);
    assert_eq!(line, r#"{"end":"done","url.query":"b","http.response.body.size":1}"#);
}

#[test]
fn the_log_of_the_process_goes_where_the_file_says() {
    let dir = Dir::new("log-errors");
    let (log, path) = (dir.path("errors.log"), dir.path("corelane.toml"));
    fs::write(
        &path,
        format!("log = {{ access = 'off', errors = '{}' }}\nsite = [{{ listen = '127.0.0.1:0', route = [{{ respond.body = 'x' }}] }}]\n", log.display()),
    )
    .unwrap();
    let _corelane = Corelane::spawn(&["run", "-c", path.to_str().unwrap()]);
    let says = || fs::read_to_string(&log).ok()?.contains("INFO corelane: listening on").then_some(());
    poll(PATIENCE, says).expect("it stands there");
}

//! `check`, `explain`, `schema`, `fmt`, and files that are made of others.

use crate::process::corelane::{BINARY, Dir, Ended, run, run_command};
use std::{fs, path::Path, process::Command};

fn in_crate(arguments: &[&str]) -> Ended {
    run_command(Command::new(BINARY).current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments))
}

#[test]
fn examples_are_fine_and_in_their_canonical_form() {
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-config")).unwrap() {
        let path = file.unwrap().path();
        let path = path.to_str().unwrap();
        let checked = run(&["check", "-c", path]);
        assert_eq!(checked.code, Some(0), "{checked:?}");
        assert!(checked.stdout.contains(": fine: "), "{checked:?}");
        assert_eq!(run(&["fmt", "--check", "-c", path]).code, Some(0), "{path}");
    }
}

#[test]
fn explain_says_every_value_with_its_origin() {
    let ended = in_crate(&["explain", "-c", "examples-config/small.toml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let has = |start: &str, end: &str| {
        ended.stdout.lines().any(|line| line.starts_with(start) && line.ends_with(end))
    };
    for (start, end) in [
        ("lanes ", "= \"auto\"  # default"),
        ("timeouts.connect ", "= \"3s\"  # default"),
        ("limits.request_line_max ", "= \"8k\"  # default"),
        ("site[1].host ", "= \"example.com\"  # examples-config/small.toml:4"),
        ("site[1].listen ", "= \":80\"  # default"),
        ("site[1].route[2].balance ", "= \"least-request\"  # examples-config/small.toml:7"),
    ] {
        assert!(has(start, end), "{start}{end}: {}", ended.stdout);
    }
}

/// Where these words of the example begin.
fn place(words: &str) -> String {
    let name = "examples-config/everything.toml";
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("the example is there");
    let before = text.split_once(words).unwrap_or_else(|| panic!("{words}")).0;
    format!("{name}:{}", before.lines().count() + 1)
}

#[test]
fn b_71_explain_says_who_wins_and_who_loses() {
    let explain =
        |more: &[&str]| in_crate(&[&["explain", "-c", "examples-config/everything.toml"], more].concat());
    let ended = explain(&[
        "GET",
        "http://www.example.com:8080/api/x?page=1",
        "-H",
        "X-Version: 2",
        "-H",
        "x-debug: 1",
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "GET http://www.example.com:8080/api/x?page=1".to_owned(),
        format!("site      example.com, *.example.com  # {}", place("[[site]]\nhost")),
        "does      401 for clients that are not users of \"restricted\"".to_owned(),
        "does      forward to 10.0.0.3:9000 (least-request of 10.0.0.3:9000)".to_owned(),
        "does      wait 500ms to connect, 10s for the head, 10s between bytes, no limit in all".to_owned(),
        "does      try once".to_owned(),
        "does      take any amount of content".to_owned(),
        format!("lost      /  # {}: another path", place("[[site.route]]\npath = \"/\"\n")),
        format!(
            "lost      any path  # {}: less specific, or later in the file",
            place("[[site.route]]\nupstream = \"app\"")
        ),
    ] {
        assert!(ended.stdout.lines().any(|said| said == line), "{line}: {}", ended.stdout);
    }
    let lost = explain(&["GET", "http://www.example.com:8080/api/x"]).stdout;
    let api = place("[[site.route]]\npath = \"/api/*\"");
    assert!(lost.contains(&format!("{api}: a header field is missing or different")), "{lost}");
    for (url, words) in [
        ("http://example.org:8080/", "404       no site has this host"),
        ("http://example.com/", "no site listens on port 80"),
        ("http://example.com:8080/a/../b", "400       the path can be read as another one"),
    ] {
        let ended = explain(&["GET", url]);
        assert!(ended.stdout.contains(words), "{words}: {ended:?}");
    }
    assert_eq!(explain(&["GET"]).code, Some(2));
    assert_eq!(explain(&["GET", "example.com"]).code, Some(2));
}

#[test]
fn secrets_are_not_explained() {
    let ended = in_crate(&["explain", "-c", "examples-config/everything.toml"]);
    assert!(ended.stdout.contains("ann = (hidden)"), "{ended:?}");
    assert!(!ended.stdout.contains("$2b$") && !ended.stdout.contains("saltstring"), "{ended:?}");
    let dir = Dir::new("secrets");
    let path = dir.path("corelane.toml");
    fs::write(
        &path,
        "[[site]]\n[[site.route]]\nto = '127.0.0.1:1'\nheader.X-Api-Key = 'k3y'\nrequest.header.set = { Authorization = 'Bearer t0p', x-plain = 'plain' }\n",
    )
    .unwrap();
    let ended = run(&["explain", "-c", path.to_str().unwrap()]);
    assert!(ended.stdout.contains("{ Authorization = (hidden), x-plain = \"plain\" }"), "{ended:?}");
    assert!(!ended.stdout.contains("k3y") && !ended.stdout.contains("t0p"), "{ended:?}");
}

#[test]
fn fmt_rewrites_and_keeps_comments() {
    let dir = Dir::new("fmt");
    let path = dir.path("corelane.toml");
    fs::write(&path, "# why\n[[site]]\nhost='a.b'   # here\nroute=[{to=\"127.0.0.1:1\"}]\n").unwrap();
    let name = path.to_str().unwrap();
    let ended = run(&["fmt", "--check", "-c", name]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(run(&["fmt", "-c", name]).code, Some(0));
    let expected = "# why\n[[site]]\nhost = 'a.b' # here\nroute = [{ to = \"127.0.0.1:1\" }]\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    assert_eq!(run(&["fmt", "--check", "-c", name]).code, Some(0));
    fs::write(&path, "a = \n").unwrap();
    assert_eq!(run(&["fmt", "-c", name]).code, Some(3));
    assert_eq!(fs::read_to_string(&path).unwrap(), "a = \n", "what is no TOML stays as it is");
}

#[test]
fn files_are_made_of_others_in_the_order_of_their_names() {
    let dir = Dir::new("include");
    let write = |name: &str, text: &str| fs::write(dir.path(name), text).unwrap();
    write("main.toml", "include = \"more-*.toml\"\n[upstream.app]\nto = \"127.0.0.1:1\"\n");
    write("more-2.toml", "[[site]]\nhost = \"b\"\nroute = [{ upstream = \"app\" }]\n");
    write(
        "more-1.toml",
        "[[site]]\nhost = \"a\"\nroute = [{ upstream = \"two\" }]\n[upstream.two]\nto = \"127.0.0.1:2\"\n",
    );
    let ended = run(&["explain", "-c", dir.path("main.toml").to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let hosts: Vec<&str> = ended.stdout.lines().filter(|line| line.contains(".host ")).collect();
    assert!(hosts[0].contains("\"a\"") && hosts[0].ends_with("more-1.toml:2"), "{hosts:?}");
    assert!(hosts[1].contains("\"b\"") && hosts[1].ends_with("more-2.toml:2"), "{hosts:?}");
}

#[test]
fn the_environment_fills_strings() {
    let dir = Dir::new("env");
    let path = dir.path("corelane.toml");
    fs::write(&path, "[[site]]\nhost = \"${CORELANE_TEST_HOST}\"\nlisten = \"${CORELANE_TEST_LISTEN:-:8080}\"\nroute = [{ to = \"127.0.0.1:1\" }]\n").unwrap();
    let mut command = Command::new(BINARY);
    let ended = run_command(command.env("CORELANE_TEST_HOST", "from.env").args([
        "explain",
        "-c",
        path.to_str().unwrap(),
    ]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("\"from.env\"") && ended.stdout.contains("\":8080\""), "{ended:?}");
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let ended = run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(schema["properties"]["lanes"]["default"], "auto");
    assert_eq!(schema["properties"]["limits"]["properties"]["request_fields_max"]["default"], 128);
    assert_eq!(schema["properties"]["retry"]["properties"]["on_timeout"]["default"], false);
    assert_eq!(schema["properties"]["site"]["items"]["properties"]["strict_paths"]["type"], "boolean");
}

#[test]
fn the_reference_in_the_documentation_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, reference) = page.split_once("<!-- corelane schema --reference -->\n\n").expect("the mark");
    let ended = run(&["schema", "--reference"]);
    assert_eq!(
        reference.trim_end(),
        ended.stdout.trim_end(),
        "write what `corelane schema --reference` says below the mark"
    );
}

#[test]
fn the_examples_in_the_documentation_are_fine() {
    let dir = Dir::new("docs");
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md")).unwrap();
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert!(examples.len() > 5);
    for (number, example) in examples.iter().enumerate() {
        let path = dir.path(&format!("{number}.toml"));
        fs::write(&path, example).unwrap();
        let ended = run(&["check", "-c", path.to_str().unwrap()]);
        assert_eq!(ended.code, Some(0), "{example}{ended:?}");
        assert_eq!(run(&["fmt", "--check", "-c", path.to_str().unwrap()]).code, Some(0), "{example}");
    }
}

#[test]
fn ten_thousand_routes_are_checked_in_time() {
    use std::fmt::Write;
    let dir = Dir::new("many");
    let path = dir.path("corelane.toml");
    let mut text = String::new();
    for site in 0..100 {
        write!(text, "[[site]]\nhost = \"h{site}.example.com\"\nroute = [\n").unwrap();
        for route in 0..100 {
            writeln!(text, "  {{ path = \"/r{route}/*\", to = [\"10.0.{site}.{route}:8080\"] }},").unwrap();
        }
        text.push_str("]\n");
    }
    fs::write(&path, text).unwrap();
    let ended = run(&["check", "-c", path.to_str().unwrap()]);
    assert!(ended.stdout.contains("100 sites, 10000 routes"), "{ended:?}");
}

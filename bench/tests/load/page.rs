//! The page of a report, as a browser shows it.

use crate::support::{Directory, Origin, Running, load, program};
use std::{
    fs::File,
    io::BufReader,
    process::{Command, Stdio},
};

const BROWSER: &str = "chromium";
/// The page's own ground and series, as `Page` has them.
const LIGHT: [[u8; 3]; 3] = [[0xff, 0xff, 0xff], [0x25, 0x63, 0xeb], [0xd9, 0x48, 0x0f]];
const DARK: [[u8; 3]; 3] = [[0x14, 0x17, 0x1e], [0x6e, 0xa0, 0xff], [0xff, 0x8a, 0x57]];

fn has_browser() -> bool {
    let found = Command::new(BROWSER).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        println!("skipped: no {BROWSER}");
    }
    found.is_ok()
}

/// What the browser makes of a page.
fn browse(directory: &Directory, page: &str, more: &[&str]) -> String {
    let profile = directory.file(&format!("profile-{}", more.join("").len()));
    let profile_flag = format!("--user-data-dir={profile}");
    let mut command = Command::new(BROWSER);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--hide-scrollbars", "--window-size=1000,1600", &profile_flag]);
    let outcome = Running::start(command.args(more).arg(format!("file://{page}"))).finish();
    let _ = std::fs::remove_dir_all(profile);
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    outcome.stdout
}

struct Picture {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    fn read(path: &str) -> Self {
        let mut decoder = png::Decoder::new(BufReader::new(File::open(path).expect("a picture")));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader = decoder.read_info().expect("a PNG");
        let mut bytes = vec![0; reader.output_buffer_size().expect("it fits")];
        let info = reader.next_frame(&mut bytes).expect("a frame");
        let samples = info.color_type.samples();
        let pixels = bytes[..info.buffer_size()].chunks(samples).map(|pixel| [pixel[0], pixel[1], pixel[2]]);
        Self { width: info.width as usize, pixels: pixels.collect() }
    }

    fn count(&self, colour: [u8; 3]) -> usize {
        self.pixels.iter().filter(|pixel| **pixel == colour).count()
    }

    /// Whether everything within some pixels of the sides is ground: what reaches a side is cut off.
    fn has_margins(&self, ground: [u8; 3]) -> bool {
        let sides =
            |row: &[[u8; 3]]| row[..4].iter().chain(&row[row.len() - 4..]).all(|pixel| *pixel == ground);
        self.pixels.chunks(self.width).all(sides)
    }
}

/// A report of a run that was long enough to have a course, with errors in it.
fn report(directory: &Directory) -> String {
    let origin = Origin::start(&["--delay", "exponential:2ms", "--fail", "5%"]);
    let page = directory.file("page.html");
    let arguments = ["--rate", "500", "--duration", "3s", "--warmup", "0s", "--html", &page];
    let outcome = load(&[&[origin.url("/").as_str()], &arguments[..]].concat());
    assert_eq!(outcome.code(), 1, "{outcome:?}");
    page
}

/// A comparison of whoever has been built, with no proxy at all at least.
fn comparison(directory: &Directory) -> String {
    let page = directory.file("comparison.html");
    let arguments = ["compare", "--no-build", "--scenario", "h1-small", "--rounds", "2", "--seconds", "1"];
    let more = ["--connections", "8", "--html", &page];
    let outcome = Running::start(&mut program(&[&arguments[..], &more].concat())).finish();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    page
}

/// The values of an attribute in what follows each occurrence of something.
fn attributes<'a>(dom: &'a str, behind: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let elements = dom.split(behind).skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
    elements.filter_map(move |element| element.split(name).nth(1)?.split('"').nth(1))
}

fn assert_plots(dom: &str) {
    let figures: Vec<&str> = dom.split("<figure>").skip(1).collect();
    assert_eq!(figures.len(), 3, "{dom}");
    for (figure, points_min) in figures.iter().zip([20, 3, 3]) {
        assert_eq!(attributes(figure, "<svg", "viewBox").collect::<Vec<_>>(), ["0 0 900 320"]);
        let lines: Vec<&str> = attributes(figure, "class=\"series\"", " d").collect();
        assert_eq!(lines.len(), 2, "{figure}");
        for line in lines {
            let points = line.split(['M', 'L']).filter(|point| !point.is_empty());
            let points: Vec<Vec<f64>> = points
                .map(|point| point.split(' ').map(|at| at.parse().expect("a number")).collect())
                .collect();
            assert!(points.len() >= points_min, "{line}");
            let is_inside = |point: &Vec<f64>| {
                (0.0..=900.0).contains(&point[0]) && (0.0..=320.0).contains(&point[1]) && point.len() == 2
            };
            assert!(points.iter().all(is_inside) && points.is_sorted_by(|a, b| a[0] <= b[0]), "{line}");
        }
        let texts = figure.split("<text").skip(1);
        let texts: Vec<&str> = texts.filter_map(|text| text.split(['>', '<']).nth(1)).collect();
        assert!(texts.len() >= 8 && texts.iter().all(|text| !text.is_empty()), "{texts:?}");
    }
    for wrong in ["NaN", "inf", "undefined"] {
        assert!(!dom.to_lowercase().contains(&format!("{}\"", wrong.to_lowercase())), "{wrong}");
        assert!(!dom.contains(&format!("{wrong} ")), "{wrong}");
    }
}

/// That each subject of a table has its bars, as long as they are to be.
fn assert_bars(dom: &str) {
    let cells = |row: &str| row.split("</t").filter_map(|cell| cell.rsplit('>').next()).count();
    let rows: Vec<&str> = dom.split("<tr>").skip(1).filter_map(|row| row.split("</tr>").next()).collect();
    assert!(rows.len() >= 2 && rows.iter().all(|row| cells(row) == cells(rows[0])), "{rows:?}");
    let figures: Vec<&str> = dom.split("<figure>").skip(1).collect();
    // Throughput and latency of all; the CPU time of those that are proxies.
    assert!((2..=3).contains(&figures.len()), "{dom}");
    for figure in figures {
        let view = attributes(figure, "<svg", "viewBox").next().expect("a picture");
        let height: f64 = view.rsplit(' ').next().expect("a height").parse().expect("a number");
        let widths: Vec<f64> = attributes(figure, "class=\"bar\"", "width")
            .map(|width| width.parse().expect("a number"))
            .collect();
        let tops = attributes(figure, "class=\"bar\"", " y").map(|top| top.parse().expect("a number"));
        assert!(!widths.is_empty() && widths.iter().all(|width| (1.0..=630.0).contains(width)), "{figure}");
        assert!(tops.collect::<Vec<f64>>().iter().all(|top| top + 20.0 < height), "{figure}");
    }
    assert!(!dom.contains("NaN") && !dom.contains(">inf"), "{dom}");
}

#[test]
fn plots_are_drawn_and_nothing_is_fetched() {
    if !has_browser() {
        return;
    }
    let directory = Directory::new("page");
    let pictures = look_at(&directory, &report(&directory), assert_plots);
    for (picture, [ground, one, two]) in pictures.iter().zip([LIGHT, DARK]) {
        let area = picture.pixels.len();
        assert!((area / 2..area * 99 / 100).contains(&picture.count(ground)), "{}", picture.count(ground));
        // Three plots, each with two lines over most of its width.
        assert!(picture.count(one) > 1000 && picture.count(two) > 1000, "the lines are drawn");
        assert!(picture.has_margins(ground), "nothing is cut off");
    }
}

#[test]
fn bars_are_drawn_and_nothing_is_fetched() {
    if !has_browser() {
        return;
    }
    let directory = Directory::new("bars");
    let pictures = look_at(&directory, &comparison(&directory), assert_bars);
    for (picture, [ground, one, _]) in pictures.iter().zip([LIGHT, DARK]) {
        // The first bar of each figure, 20 pixels high, and of a length that can be seen.
        assert!(picture.count(one) > 1000, "the bars are drawn: {}", picture.count(one));
        assert!(picture.has_margins(ground), "nothing is cut off");
    }
}

/// Has a browser show a page, in its light and its dark colours: the same with no network as with one.
fn look_at(directory: &Directory, page: &str, assert_dom: fn(&str)) -> [Picture; 2] {
    let text = std::fs::read_to_string(page).expect("it is there");
    for outside in ["src=", "href=", "url(", "@import", "<script", "<link", "<img", "<iframe", "<object"] {
        assert!(!text.contains(outside), "{outside}");
    }
    let dom = browse(directory, page, &["--dump-dom"]);
    assert_dom(&dom);

    // A browser that may fetch nothing, and cannot either, shows the same.
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">";
    let alone = directory.file("alone.html");
    std::fs::write(&alone, text.replace("<head>", &format!("<head>{policy}"))).expect("a file");
    let offline = "--host-resolver-rules=MAP * ~NOTFOUND";
    let dom_alone = browse(directory, &alone, &[offline, "--dump-dom"]);
    assert!(dom_alone.contains(policy));
    assert!(dom_alone.replace(policy, "") == dom, "{dom_alone}");

    let shot = |page: &str, name: &str, more: &[&str]| {
        let file = directory.file(name);
        browse(directory, page, &[more, &[&format!("--screenshot={file}")]].concat());
        Picture::read(&file)
    };
    let light = shot(page, "light.png", &[]);
    let dark = shot(page, "dark.png", &["--blink-settings=preferredColorScheme=0"]);
    let light_alone = shot(&alone, "alone.png", &[offline]);
    assert!(light_alone.pixels == light.pixels, "nothing is missing without the network");
    [light, dark]
}

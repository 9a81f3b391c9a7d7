//! Pages with tables and plots that need nothing but themselves: no script, no font, nothing from anywhere else.

mod axis;
mod bars;
mod chart;

pub(crate) use axis::{Axis, Scale};
pub(crate) use bars::{Bar, Bars};
pub(crate) use chart::{Chart, Series};

use std::fmt::Write as _;

/// More columns do not fit into a page with their cells in one line each.
const COLUMNS_MAX: usize = 8;

/// Every page's look, in light and in dark.
const STYLE: &str = "\
:root{--ink:#1c2330;--faint:#66708a;--line:#d9dde6;--ground:#fff;--box:#f6f7fa;\
--c0:#2563eb;--c1:#d9480f;--c2:#0f8a5f;--c3:#9333ea;--c4:#b7791f;--c5:#0e7490;--c6:#be185d;--c7:#4d7c0f}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9f0;--faint:#99a3ba;--line:#333a49;--ground:#14171e;--box:#1c212b;\
--c0:#6ea0ff;--c1:#ff8a57;--c2:#3ecf9a;--c3:#c08bff;--c4:#e5b454;--c5:#4cc3da;--c6:#ff7ab8;--c7:#a3d65c}}\
body{margin:2rem auto;max-width:62rem;padding:0 1rem;color:var(--ink);background:var(--ground);\
font:15px/1.5 system-ui,sans-serif}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}\
.scroll{overflow-x:auto;margin:1rem 0}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}\
th,td{padding:.3rem .8rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\
.wide th,.wide td{white-space:normal;padding:.3rem .4rem;font-size:.85rem}\
th:first-child,td:first-child{text-align:left}pre{background:var(--box);padding:.8rem;overflow-x:auto;font-size:.85rem}\
summary{cursor:pointer}figure{margin:1.2rem 0}figcaption{font-weight:600}svg{width:100%;height:auto}\
svg text{fill:var(--faint);font-size:12px}.grid{stroke:var(--line)}.axis{stroke:var(--faint)}\
.key{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.88rem}.key i{display:inline-block;width:1rem;height:.2rem;\
margin-right:.4rem;vertical-align:middle}";

/// A page, from its title to its end.
pub(crate) struct Page(String);

impl Page {
    pub(crate) fn new(title: &str) -> Self {
        let title = escape(title);
        Self(format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
             <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
        ))
    }

    pub(crate) fn heading(&mut self, text: &str) {
        self.put(format_args!("<h2>{}</h2>\n", escape(text)));
    }

    pub(crate) fn paragraph(&mut self, text: &str) {
        self.put(format_args!("<p>{}</p>\n", escape(text)));
    }

    /// A table; its first column is text and the others are numbers. One of many columns breaks its cells into lines, so
    /// that all of it is seen.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let class = if head.len() > COLUMNS_MAX { " class=\"wide\"" } else { "" };
        self.put(format_args!("<div class=\"scroll\"><table{class}><thead><tr>"));
        for name in head {
            self.put(format_args!("<th>{}</th>", escape(name)));
        }
        self.put(format_args!("</tr></thead><tbody>\n"));
        for row in rows {
            self.put(format_args!("<tr>"));
            for cell in row {
                self.put(format_args!("<td>{}</td>", escape(cell)));
            }
            self.put(format_args!("</tr>\n"));
        }
        self.put(format_args!("</tbody></table></div>\n"));
    }

    /// Text as it is, folded away behind its caption.
    pub(crate) fn pre(&mut self, caption: &str, text: &str) {
        let (caption, text) = (escape(caption), escape(text));
        self.put(format_args!("<details><summary>{caption}</summary><pre>{text}</pre></details>\n"));
    }

    pub(crate) fn chart(&mut self, chart: &Chart) {
        let names = chart.series.iter().map(|series| series.name.as_str());
        self.figure(&chart.title, &chart.to_svg(), names);
    }

    pub(crate) fn bars(&mut self, bars: &Bars) {
        self.figure(&bars.title, &bars.to_svg(), std::iter::empty());
    }

    fn figure<'a>(&mut self, title: &str, svg: &str, names: impl Iterator<Item = &'a str>) {
        self.put(format_args!("<figure><figcaption>{}</figcaption>{svg}<div class=\"key\">", escape(title)));
        for (at, name) in names.enumerate() {
            let name = escape(name);
            self.put(format_args!("<span><i style=\"background:{}\"></i>{name}</span>", colour(at)));
        }
        self.put(format_args!("</div></figure>\n"));
    }

    pub(crate) fn finish(mut self) -> String {
        self.put(format_args!("</body></html>\n"));
        self.0
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let _ = self.0.write_fmt(text);
    }
}

/// The colour of a series, by its place.
fn colour(at: usize) -> String {
    format!("var(--c{})", at % 8)
}

/// Text that is nothing but text.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut page = Page::new("<script>");
        page.heading("<b>");
        page.paragraph("a & b");
        page.table(&["<i>"], &[vec!["<u>".to_owned()]]);
        page.pre("<p>", "</pre><img>");
        let text = page.finish();
        for tag in ["<script>", "<b>", "<i>", "<u>", "<p><", "<img>"] {
            assert!(!text.contains(tag), "{tag}");
        }
        assert!(text.contains("a &amp; b") && text.contains("&lt;/pre&gt;"));
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let mut page = Page::new("page");
        let axis = |scale| Axis { label: "x".to_owned(), scale };
        page.chart(&Chart {
            title: "t".to_owned(),
            x: axis(Scale::Linear),
            y: axis(Scale::Log),
            series: vec![Series { name: "s".to_owned(), points: vec![(0.0, 1.0), (1.0, 10.0)] }],
        });
        let text = page.finish();
        for outside in ["http:", "https:", "src=", "url(", "@import", "<script"] {
            assert!(!text.contains(outside), "{outside}");
        }
    }
}

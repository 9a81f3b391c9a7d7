//! Bars side by side, each with the range of its values.

use super::{
    axis::{Axis, Scale, number},
    colour, escape,
};
use std::fmt::Write as _;

/// Bars that share an axis.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    pub(crate) title: String,
    /// What the values are, with their unit.
    pub(crate) label: String,
    pub(crate) bars: Vec<Bar>,
}

/// A bar: its name, its value, and how low and high its values were.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Which of the page's colours it has: who is in several pictures has the same in each.
    pub(crate) colour: usize,
}

const WIDTH: f64 = 900.0;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 150.0;
const EACH: f64 = 30.0;
const BELOW: f64 = 44.0;

impl Bars {
    /// The bars as a picture.
    pub(crate) fn to_svg(&self) -> String {
        let axis = Axis { label: self.label.clone(), scale: Scale::Linear };
        let range = axis.fit(self.bars.iter().flat_map(|bar| [bar.value, bar.high]));
        let bottom = EACH * self.bars.len() as f64 + 6.0;
        let height = bottom + BELOW;
        let at = |value: f64| LEFT + range.place(value).unwrap_or(0.0) * (WIDTH - LEFT - RIGHT);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\">");
        for (place, name) in range.ticks() {
            let x = LEFT + place * (WIDTH - LEFT - RIGHT);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                escape(&name)
            );
        }
        for (place, bar) in self.bars.iter().enumerate() {
            let (top, middle) = (EACH * place as f64 + 8.0, EACH * place as f64 + 18.0);
            let (value, low, high) = (at(bar.value), at(bar.low), at(bar.high));
            let says = format!("{} ({}–{})", number(bar.value), number(bar.low), number(bar.high));
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
                 <rect class=\"bar\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"20\" fill=\"{}\"/>\
                 <path class=\"axis\" fill=\"none\" d=\"M{low:.1} {middle:.1}H{high:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 8.0,
                middle + 4.0,
                escape(&bar.name),
                (value - LEFT).max(0.0),
                colour(bar.colour),
                high.max(value) + 8.0,
                middle + 4.0,
                escape(&says)
            );
        }
        let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        let label = escape(&self.label);
        let _ = write!(
            svg,
            "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text></svg>",
            height - 8.0
        );
        svg
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_values() {
        let bar =
            |name: &str, value| Bar { name: name.to_owned(), value, low: value, high: value, colour: 3 };
        let bars =
            Bars {
                title: "t".to_owned(), label: "µs".to_owned(), bars: vec![bar("a", 5.0), bar("b", 10.0)]
            };
        let svg = bars.to_svg();
        assert!(svg.contains("width=\"315.0\"") && svg.contains("width=\"630.0\""), "{svg}");
        assert!(svg.contains("5 (5–5)") && svg.matches("var(--c3)").count() == 2, "{svg}");
    }
}

//! Lines over an axis.

use super::{
    axis::{Axis, Range, number},
    colour, escape,
};
use std::fmt::Write as _;

/// Lines that share two axes.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// A line.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 320.0;
/// Room around the plot: left, top, right, bottom.
const ROOM: (f64, f64, f64, f64) = (64.0, 12.0, 36.0, 44.0);
/// Points that say their values when pointed at, on all lines together.
const DOTS_MAX: usize = 240;

/// From a place, 0 to 1 each way, to the picture's own units.
fn at(x: f64, y: f64) -> (f64, f64) {
    let (left, top, right, bottom) = ROOM;
    (left + x * (WIDTH - left - right), HEIGHT - bottom - y * (HEIGHT - top - bottom))
}

impl Chart {
    /// The chart as a picture.
    pub(crate) fn to_svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| series.points.iter().copied());
        let x = self.x.fit(points().map(|(x, _)| x));
        let y = self.y.fit(points().map(|(_, y)| y));
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
        self.grid(&x, &y, &mut svg);
        let dots = points().count() <= DOTS_MAX;
        for (place, series) in self.series.iter().enumerate() {
            line(series, &x, &y, &colour(place), &mut svg);
            if dots {
                self.dots(series, (&x, &y), &colour(place), &mut svg);
            }
        }
        svg.push_str("</svg>");
        svg
    }

    fn grid(&self, x: &Range, y: &Range, svg: &mut String) {
        for (place, name) in y.ticks() {
            let ((left, at_y), (right, _)) = (at(0.0, place), at(1.0, place));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{left:.1}\" y1=\"{at_y:.1}\" x2=\"{right:.1}\" y2=\"{at_y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                at_y + 4.0,
                escape(&name)
            );
        }
        for (place, name) in x.ticks() {
            let ((at_x, bottom), (_, top)) = (at(place, 0.0), at(place, 1.0));
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{at_x:.1}\" y1=\"{bottom:.1}\" x2=\"{at_x:.1}\" y2=\"{top:.1}\"/>\
                 <text x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                bottom + 17.0,
                escape(&name)
            );
        }
        let ((left, bottom), (right, top)) = (at(0.0, 0.0), at(1.0, 1.0));
        let _ = write!(
            svg,
            "<path class=\"axis\" fill=\"none\" d=\"M{left:.1} {top:.1}V{bottom:.1}H{right:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(13 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (left + right) / 2.0,
            HEIGHT - 6.0,
            escape(&self.x.label),
            (top + bottom) / 2.0,
            escape(&self.y.label),
        );
    }

    /// What a reader points at to see a value.
    fn dots(&self, series: &Series, (x, y): (&Range, &Range), colour: &str, svg: &mut String) {
        for (at_x, at_y) in &series.points {
            let (Some(px), Some(py)) = (x.place(*at_x), y.place(*at_y)) else { continue };
            let (px, py) = at(px, py);
            let says = format!("{}: {} at {}", series.name, number(*at_y), number(*at_x));
            let _ = write!(
                svg,
                "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"2.5\" fill=\"{colour}\"><title>{}</title></circle>",
                escape(&says)
            );
        }
    }
}

fn line(series: &Series, x: &Range, y: &Range, colour: &str, svg: &mut String) {
    let mut path = String::new();
    let mut pen_is_down = false;
    for (at_x, at_y) in &series.points {
        match (x.place(*at_x), y.place(*at_y)) {
            (Some(px), Some(py)) => {
                let (px, py) = at(px, py);
                let _ = write!(path, "{}{px:.1} {py:.1}", if pen_is_down { 'L' } else { 'M' });
                pen_is_down = true;
            }
            // A value that cannot be shown is a gap.
            _ => pen_is_down = false,
        }
    }
    let _ = write!(
        svg,
        "<path class=\"series\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" d=\"{path}\"/>"
    );
}

#[cfg(test)]
mod tests {
    use super::super::Scale;
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        let axis = |label: &str| Axis { label: label.to_owned(), scale: Scale::Linear };
        let series = vec![Series { name: "a<b".to_owned(), points }];
        Chart { title: "t".to_owned(), x: axis("x"), y: axis("y"), series }
    }

    #[test]
    fn a_line_goes_through_its_points() {
        let svg = chart(vec![(0.0, 0.0), (10.0, 10.0)]).to_svg();
        assert!(svg.contains("M64.0 276.0L864.0 12.0"), "{svg}");
        assert!(svg.contains("a&lt;b: 10 at 10"), "{svg}");
    }

    #[test]
    fn what_cannot_be_shown_is_a_gap() {
        let svg = chart(vec![(0.0, 1.0), (5.0, f64::NAN), (10.0, 1.0)]).to_svg();
        assert_eq!(svg.matches("NaN").count(), 0);
        let path = svg.split("class=\"series\"").nth(1).expect("a line");
        assert_eq!(path.matches('M').count(), 2, "{path}");
    }

    #[test]
    fn many_points_have_no_dots() {
        let points = |count: u32| (0..count).map(|at| (f64::from(at), 1.0)).collect();
        assert_eq!(chart(points(1000)).to_svg().matches("<circle").count(), 0);
        assert_eq!(chart(points(100)).to_svg().matches("<circle").count(), 100);
    }
}

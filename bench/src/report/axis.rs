//! From values to places on a plot.

/// How values are laid out along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From 0, or from the least if that is below.
    Linear,
    /// Each step is a factor; values above 0 only.
    Log,
    /// Percentiles, 0 to 100: each step is another nine.
    Percentile,
}

/// An axis, what it shows and how.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
}

/// A mark on an axis: where it stands, from 0 to 1, and what it says.
pub(crate) type Tick = (f64, String);

/// An axis that knows what it has to show.
#[derive(Debug)]
pub(crate) struct Range {
    scale: Scale,
    low: f64,
    high: f64,
}

/// The most nines that are told apart.
const NINES_MAX: f64 = 6.0;

fn nines(percentile: f64) -> f64 {
    (1.0 - percentile / 100.0).log10().abs().min(NINES_MAX)
}

impl Axis {
    /// Fits the axis to its values.
    pub(crate) fn fit(&self, values: impl Iterator<Item = f64>) -> Range {
        let scale = self.scale;
        let shown = values.filter(|value| value.is_finite() && (scale != Scale::Log || *value > 0.0));
        let (mut low, mut high) = shown
            .map(|value| if scale == Scale::Percentile { nines(value) } else { value })
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            (low, high) = (1.0, 1.0);
        }
        match scale {
            Scale::Linear => {
                low = low.min(0.0);
                let step = step(high - low);
                high = (high / step).ceil() * step;
                low = (low / step).floor() * step;
                if high <= low {
                    high = low + step;
                }
            }
            Scale::Log => {
                low = 10f64.powf(low.log10().floor());
                high = 10f64.powf(high.log10().ceil());
                if high <= low {
                    high = low * 10.0;
                }
            }
            Scale::Percentile => (low, high) = (0.0, (high - 1e-6).ceil().max(1.0)),
        }
        Range { scale, low, high }
    }
}

/// A round step that divides a span into four to ten.
fn step(span: f64) -> f64 {
    if span <= 0.0 {
        return 1.0;
    }
    let rough = span / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough)
        .unwrap_or(power)
}

impl Range {
    /// Where a value stands, from 0 to 1; `None` if it cannot be shown.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        if !value.is_finite() || self.scale == Scale::Log && value <= 0.0 {
            return None;
        }
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).log10() / (self.high / self.low).log10(),
            Scale::Percentile => nines(value) / self.high,
        };
        Some(place.clamp(0.0, 1.0))
    }

    /// The marks.
    pub(crate) fn ticks(&self) -> Vec<Tick> {
        match self.scale {
            Scale::Linear => {
                let step = step(self.high - self.low);
                let count = ((self.high - self.low) / step).round().max(1.0) as usize;
                (0..=count)
                    .map(|at| (at as f64 / count as f64, number(self.low + at as f64 * step)))
                    .collect()
            }
            Scale::Log => {
                let decades = (self.high / self.low).log10().round().max(1.0) as i32;
                (0..=decades)
                    .map(|at| (f64::from(at) / f64::from(decades), number(self.low * 10f64.powi(at))))
                    .collect()
            }
            Scale::Percentile => {
                let names = ["0", "90", "99", "99.9", "99.99", "99.999", "99.9999"];
                names
                    .iter()
                    .enumerate()
                    .take(self.high as usize + 1)
                    .map(|(at, name)| (at as f64 / self.high, format!("{name} %")))
                    .collect()
            }
        }
    }
}

/// A number as short as it can be said.
pub(crate) fn number(value: f64) -> String {
    let magnitude = value.abs();
    let (scaled, suffix) = match magnitude {
        m if m >= 1e9 => (value / 1e9, "G"),
        m if m >= 1e6 => (value / 1e6, "M"),
        m if m >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        m if m >= 100.0 || m == 0.0 => 0,
        m if m >= 1.0 => 2,
        _ => 4,
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(scale: Scale, values: &[f64]) -> Range {
        Axis { label: String::new(), scale }.fit(values.iter().copied())
    }

    #[test]
    fn linear_axes_begin_at_zero_and_end_round() {
        let range = fit(Scale::Linear, &[3.0, 47.0]);
        assert_eq!(
            (range.place(0.0), range.place(50.0), range.place(25.0)),
            (Some(0.0), Some(1.0), Some(0.5))
        );
        let names: Vec<String> = range.ticks().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["0", "10", "20", "30", "40", "50"]);
    }

    #[test]
    fn log_axes_are_decades() {
        let range = fit(Scale::Log, &[0.0, 30.0, 2500.0]);
        assert_eq!(
            (range.place(10.0), range.place(10_000.0), range.place(0.0)),
            (Some(0.0), Some(1.0), None)
        );
        let names: Vec<String> = range.ticks().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["10", "100", "1000", "10k"]);
    }

    #[test]
    fn each_nine_takes_as_much_room() {
        let range = fit(Scale::Percentile, &[0.0, 99.9]);
        let places = [0.0, 90.0, 99.0, 99.9].map(|at| range.place(at).map(|place| (place * 3.0).round()));
        assert_eq!(places, [Some(0.0), Some(1.0), Some(2.0), Some(3.0)]);
    }

    #[test]
    fn nothing_to_show_is_no_trouble() {
        for scale in [Scale::Linear, Scale::Log, Scale::Percentile] {
            let range = fit(scale, &[]);
            assert!(range.ticks().iter().all(|(place, _)| place.is_finite()), "{scale:?}");
            assert_eq!(fit(scale, &[f64::NAN]).place(f64::NAN), None);
        }
        assert_eq!(fit(Scale::Linear, &[0.0]).place(0.0), Some(0.0));
    }

    #[test]
    fn numbers_are_short() {
        let said = [0.0, 0.25, 12.5, 999.0, 12_000.0, 2.5e6, 3e9].map(number);
        assert_eq!(said, ["0", "0.25", "12.5", "999", "12k", "2.5M", "3G"]);
    }
}

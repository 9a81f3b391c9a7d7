//! Whether everything is back where it was.

use super::watch::{GAUGES, Sample};

/// The fit takes each pair of so many samples at most.
const FITTED_MAX: usize = 600;
/// What memory may have grown by over the second half, by the fit: this part of what there is, or so many bytes.
const GROWTH_PART_MAX: f64 = 0.03;
const GROWTH_BYTES_MAX: f64 = (512 << 10) as f64;
/// What memory may lie above its baseline in the end.
const REST_PART_MAX: f64 = 0.1;
const REST_BYTES_MAX: f64 = (1 << 20) as f64;
/// Pipes that lanes keep for content, two descriptors each.
const PIPE_DESCRIPTORS_MAX: usize = 64;

/// A line of the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) says: String,
    pub(super) good: bool,
}

impl Finding {
    pub(super) fn new(what: impl Into<String>, good: bool, says: impl Into<String>) -> Self {
        Self { what: what.into(), says: says.into(), good }
    }
}

/// What is left when the load has gone, beside what there was before it came.
pub(super) fn rest(before: &Sample, after: &Sample) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in GAUGES {
        let (before, after) = (before.value(name), after.value(name));
        // Free buffers are given back down to a few; fewer than before is as good.
        let good = if name == "buffers_kept" { after <= before.max(16) } else { after == before };
        findings.push(Finding::new(name, good, format!("{before} before, {after} after")));
    }
    let descriptors = format!("{} before, {} after", before.descriptors, after.descriptors);
    findings.push(Finding::new("descriptors", before.descriptors == after.descriptors, descriptors));
    let pipes = format!("{} of at most {PIPE_DESCRIPTORS_MAX}", after.pipes);
    findings.push(Finding::new("descriptors of pipes", after.pipes <= PIPE_DESCRIPTORS_MAX, pipes));
    let most = before.resident_bytes as f64 * (1.0 + REST_PART_MAX) + REST_BYTES_MAX;
    let memory = format!(
        "{} KiB before, {} KiB after; at most {:.0}",
        before.resident_bytes >> 10,
        after.resident_bytes >> 10,
        most / 1024.0
    );
    findings.push(Finding::new("memory at rest", after.resident_bytes as f64 <= most, memory));
    findings
}

/// Whether memory grows, by a fit over the second half of the samples that a few outliers do not bend: the median of the
/// slopes of all pairs (Theil and Sen).
pub(super) fn growth(samples: &[Sample]) -> Finding {
    let half = &samples[samples.len() / 2..];
    let each = half.len().div_ceil(FITTED_MAX).max(1);
    let points: Vec<(f64, f64)> = half
        .iter()
        .step_by(each)
        .map(|sample| (sample.at.as_secs_f64(), sample.resident_bytes as f64))
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Finding::new("memory under load", false, "nothing was looked at");
    };
    let seconds = last.0 - first.0;
    let level = median(points.iter().map(|point| point.1).collect());
    let grown = slope(&points) * seconds;
    let most = (level * GROWTH_PART_MAX).max(GROWTH_BYTES_MAX);
    let says = format!(
        "{:.0} KiB in the median, {:+.0} KiB over the last {seconds:.0} s by the fit; at most {:.0}",
        level / 1024.0,
        grown / 1024.0,
        most / 1024.0
    );
    Finding::new("memory under load", grown <= most, says)
}

fn slope(points: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::new();
    for (i, a) in points.iter().enumerate() {
        slopes.extend(points[i + 1..].iter().filter(|b| b.0 > a.0).map(|b| (b.1 - a.1) / (b.0 - a.0)));
    }
    median(slopes)
}

/// 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_bend_the_fit() {
        let line = |i: u32| (f64::from(i), 1000.0 + 3.0 * f64::from(i));
        let mut points: Vec<_> = (0..100).map(line).collect();
        assert!((slope(&points) - 3.0).abs() < 1e-9);
        for at in [3, 40, 77] {
            points[at].1 += 1e9;
        }
        assert!((slope(&points) - 3.0).abs() < 0.1, "{}", slope(&points));
        assert_eq!(slope(&points[..1]), 0.0);
    }
}

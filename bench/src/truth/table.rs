//! What was predicted beside what was measured.

use crate::{failure::Failure, units::say_micros};

/// Times in microseconds, and how they are to compare.
#[derive(Debug, Clone, Copy)]
pub(super) enum Prediction {
    /// So much, give or take a part of it.
    Near(f64, f64),
    /// Less than so much.
    Below(f64),
}

/// What has been checked so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: usize,
    off: Vec<String>,
    warnings: Vec<String>,
}

fn row(what: &str, cells: [&str; 4]) -> String {
    let [predicted, measured, deviation, verdict] = cells;
    format!("{what:<52} {predicted:>11} {measured:>11} {deviation:>18}  {verdict}\n")
}

impl Table {
    /// What stands above the columns.
    pub(super) fn head() -> String {
        row("what", ["predicted", "measured", "deviation", "verdict"])
    }

    /// Compares, and gives the row that says it.
    pub(super) fn check(&mut self, what: &str, prediction: Prediction, measured: f64) -> String {
        let (predicted, deviation, fits) = match prediction {
            Prediction::Near(expected, tolerance) => {
                let off = measured / expected - 1.0;
                let says = format!("{:+.1} % (±{:.0} %)", off * 100.0, tolerance * 100.0);
                (say_micros(expected), says, off.abs() <= tolerance)
            }
            Prediction::Below(limit) => (format!("< {}", say_micros(limit)), String::new(), measured < limit),
        };
        self.rows += 1;
        if !fits {
            self.off.push(what.to_owned());
        }
        let verdict = if fits { "true" } else { "OFF" };
        row(what, [&predicted, &say_micros(measured), &deviation, verdict])
    }

    /// Notes what a measurement has warned of.
    pub(super) fn warn(&mut self, what: &str, warnings: &[String]) {
        self.warnings.extend(warnings.iter().map(|warning| format!("{what}: {warning}")));
    }

    /// What stands below the rows.
    pub(super) fn foot(&self) -> String {
        self.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect()
    }

    /// Whether all was as predicted.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        match self.off.len() {
            0 => Ok(()),
            off => Err(Failure::Run(format!(
                "{off} of {} are off ({}); if something else uses this machine, try again without",
                self.rows,
                self.off.join("; ")
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_is_said() {
        let mut table = Table::default();
        let said = table.check("a", Prediction::Near(90_000.0, 0.05), 92_000.0);
        assert!(
            said.contains("90.0 ms") && said.contains("92.0 ms") && said.contains("+2.2 % (±5 %)"),
            "{said}"
        );
        assert!(said.ends_with("true\n") && table.verdict().is_ok());
        assert!(table.check("b", Prediction::Below(100.0), 99.0).ends_with("true\n"));
        assert!(table.check("c", Prediction::Near(100.0, 0.02), 97.9).ends_with("OFF\n"));
        assert!(table.check("d", Prediction::Near(100.0, 0.02), 102.1).ends_with("OFF\n"));
        assert!(table.check("e", Prediction::Below(100.0), 100.0).ends_with("OFF\n"));
        // Nothing was measured.
        assert!(table.check("f", Prediction::Near(100.0, 0.02), 0.0).ends_with("OFF\n"));
        let says = table.verdict().expect_err("four are off").to_string();
        assert!(says.contains("4 of 6 are off (c; d; e; f)"), "{says}");
    }
}

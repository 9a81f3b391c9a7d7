//! The counts that are committed, and the gate: who makes something costlier says so by recording it.

use crate::{callgrind::Counted, facts::Facts};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt, fs, io, path::Path};

/// The command that writes a baseline.
pub(crate) const RECORD: &str = "cargo run --profile counts -p corelane-counts -- record";
/// Percent of the baseline by which a count may rise; one that falls by more is worth recording.
const TOLERANCE_PERCENT: u64 = 3;

/// Counts by subject, and on what they depend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Baseline {
    pub(crate) facts: Facts,
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Baseline {
    pub(crate) fn of(facts: &Facts, counted: &[Counted]) -> Self {
        let counts = counted.iter().map(|subject| (subject.name.clone(), subject.instructions)).collect();
        Self { facts: facts.clone(), counts }
    }

    /// `None` if there is no such file.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, String> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let value: Value =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        let baseline = Self::of_value(&value);
        baseline.map(Some).ok_or_else(|| format!("{} is not a baseline; {RECORD}", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let directory = path.parent().expect("a baseline is in a directory");
        let written = fs::create_dir_all(directory).and_then(|()| fs::write(path, self.to_text()));
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    /// As it stands in its file: a line for each count, in the order of names, so that a change is a line's change.
    pub(crate) fn to_text(&self) -> String {
        let Facts { rustc, arch, libc, vectors, valgrind } = &self.facts;
        let counts: Map<String, Value> =
            self.counts.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
        let value = json!({
            "facts": { "rustc": rustc, "arch": arch, "libc": libc, "vectors": vectors, "valgrind": valgrind },
            "instructions": counts,
        });
        format!("{value:#}\n")
    }

    fn of_value(value: &Value) -> Option<Self> {
        let fact = |name: &str| Some(value.get("facts")?.get(name)?.as_str()?.to_owned());
        let facts = Facts {
            rustc: fact("rustc")?,
            arch: fact("arch")?,
            libc: fact("libc")?,
            vectors: fact("vectors")?,
            valgrind: fact("valgrind")?,
        };
        let counts = value.get("instructions")?.as_object()?.iter();
        let counts = counts.map(|(name, count)| Some((name.clone(), count.as_u64()?)));
        Some(Self { facts, counts: counts.collect::<Option<_>>()? })
    }
}

/// What the gate has to say. It passes unless something costs more, or is compared with nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Within the tolerance.
    same: usize,
    worse: Vec<Change>,
    better: Vec<Change>,
    /// Counted, and not in the baseline.
    unknown: Vec<String>,
    /// In the baseline, and not counted.
    gone: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Change {
    name: String,
    before: u64,
    now: u64,
}

/// Both are of the same facts.
pub(crate) fn compare(before: &Baseline, now: &Baseline) -> Verdict {
    let mut verdict = Verdict::default();
    for (name, count) in &now.counts {
        let Some(was) = before.counts.get(name) else {
            verdict.unknown.push(name.clone());
            continue;
        };
        let change = Change { name: name.clone(), before: *was, now: *count };
        let (percent_of_now, percent_of_before) = (count * 100, |percent: u64| was * percent);
        if percent_of_now > percent_of_before(100 + TOLERANCE_PERCENT) {
            verdict.worse.push(change);
        } else if percent_of_now < percent_of_before(100 - TOLERANCE_PERCENT) {
            verdict.better.push(change);
        } else {
            verdict.same += 1;
        }
    }
    let gone = before.counts.keys().filter(|name| !now.counts.contains_key(*name));
    verdict.gone = gone.cloned().collect();
    verdict
}

impl Verdict {
    pub(crate) fn passes(&self) -> bool {
        self.worse.is_empty() && self.unknown.is_empty() && self.gone.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} counts are within {TOLERANCE_PERCENT} % of the baseline", self.same)?;
        for (changes, says) in [(&self.worse, "more than before"), (&self.better, "less than before")] {
            if changes.is_empty() {
                continue;
            }
            writeln!(f, "\n{:>10} {:>10} {:>7}  {says}", "baseline", "now", "ratio")?;
            for Change { name, before, now } in changes {
                writeln!(f, "{before:>10} {now:>10} {:>7.3}  {name}", *now as f64 / *before as f64)?;
            }
        }
        for name in &self.unknown {
            writeln!(f, "not in the baseline: {name}")?;
        }
        for name in &self.gone {
            writeln!(f, "no longer counted: {name}")?;
        }
        if !self.passes() {
            writeln!(f, "\nIf that is as it should be, record it: {RECORD}")?;
        } else if !self.better.is_empty() {
            writeln!(f, "\nThat is an improvement; record it, so that it stays: {RECORD}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[(&str, u64)]) -> Baseline {
        let facts = Facts {
            rustc: "1.95.0".to_owned(),
            arch: "x86_64".to_owned(),
            libc: "glibc 2.36".to_owned(),
            vectors: "avx2".to_owned(),
            valgrind: "valgrind-3.19.0".to_owned(),
        };
        let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Baseline { facts, counts }
    }

    #[test]
    fn three_percent_may_be_and_no_more() {
        for (now, passes) in [(1000, true), (1030, true), (1031, false), (900, true)] {
            let verdict = compare(&of(&[("parse", 1000)]), &of(&[("parse", now)]));
            assert_eq!(verdict.passes(), passes, "{now}");
        }
    }

    #[test]
    fn what_fell_by_more_than_three_percent_is_said() {
        let says = |now| compare(&of(&[("parse", 1000)]), &of(&[("parse", now)])).to_string();
        assert!(!says(970).contains("improvement"), "{}", says(970));
        assert!(says(969).contains("      1000        969   0.969  parse"), "{}", says(969));
        assert!(says(969).contains(RECORD), "{}", says(969));
    }

    #[test]
    fn a_failure_has_a_table_and_the_command() {
        let verdict = compare(&of(&[("parse", 1000), ("emit", 5)]), &of(&[("parse", 1100), ("emit", 5)]));
        let says = verdict.to_string();
        assert!(says.contains("1 counts are within 3 %"), "{says}");
        assert!(says.contains("      1000       1100   1.100  parse"), "{says}");
        assert!(says.ends_with(&format!("record it: {RECORD}\n")), "{says}");
    }

    #[test]
    fn what_is_compared_with_nothing_fails() {
        let (one, two) = (of(&[("parse", 1000)]), of(&[("parse", 1000), ("emit", 5)]));
        let (more, less) = (compare(&one, &two), compare(&two, &one));
        assert!(!more.passes() && more.to_string().contains("not in the baseline: emit"));
        assert!(!less.passes() && less.to_string().contains("no longer counted: emit"));
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let path = std::env::temp_dir().join(format!("corelane-baseline-{}.json", std::process::id()));
        assert_eq!(Baseline::read(&path), Ok(None));
        let baseline = of(&[("parse", 1000), ("emit", 5)]);
        baseline.write(&path).expect("it is written");
        assert_eq!(Baseline::read(&path), Ok(Some(baseline)));
        fs::write(&path, "{}").expect("it is written");
        assert!(Baseline::read(&path).is_err());
        fs::remove_file(&path).expect("it is there");
    }
}

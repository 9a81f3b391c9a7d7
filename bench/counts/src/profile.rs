//! What callgrind writes, read: which function, at which instruction, had what executed, and whom it called.
//!
//! The format is <https://valgrind.org/docs/manual/cl-format.html>, with names and places written out.

use std::{collections::BTreeMap, fs, path::Path};

/// An instruction, or a function as a whole if instructions were not told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) object: String,
    pub(crate) function: String,
    /// In the object's file; 0 if instructions were not told apart.
    pub(crate) address: u64,
}

/// Costs by place: instructions, which may be negative in a difference.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    /// What was executed there.
    pub(crate) own: BTreeMap<Place, i64>,
    /// What was executed by what was called from there, by its name.
    pub(crate) calls: BTreeMap<(Place, String), i64>,
}

impl Profile {
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|line| format!("{}: line {line} is not understood", path.display()))
    }

    /// An error is the number of the line that is not understood.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut profile = Self::default();
        let mut here = Place { object: String::new(), function: String::new(), address: 0 };
        let mut with_addresses = false;
        let mut callee = String::new();
        // The line after `calls=` has what the call cost, not what was executed here.
        let mut is_call = false;
        for (line, number) in text.lines().zip(1_usize..) {
            let is_cost = line.starts_with(|c: char| c.is_ascii_digit());
            if is_cost {
                let cost = cost(line, with_addresses).ok_or(number)?;
                let place = Place { address: cost.address, ..here.clone() };
                if std::mem::take(&mut is_call) {
                    *profile.calls.entry((place, callee.clone())).or_default() += cost.instructions;
                } else {
                    *profile.own.entry(place).or_default() += cost.instructions;
                }
                continue;
            }
            match line.split_once('=') {
                Some(("ob", name)) => name.clone_into(&mut here.object),
                Some(("fn", name)) => without_recursion(name).clone_into(&mut here.function),
                Some(("cfn", name)) => without_recursion(name).clone_into(&mut callee),
                Some(("calls", _)) => is_call = true,
                _ if line.starts_with("positions:") => with_addresses = line.contains("instr"),
                _ => {}
            }
        }
        Ok(profile)
    }

    /// All that was executed.
    pub(crate) fn total(&self) -> u64 {
        u64::try_from(self.own.values().sum::<i64>()).unwrap_or(0)
    }

    /// Functions by what was executed in themselves, the most first.
    pub(crate) fn by_self(&self) -> Vec<(&str, i64)> {
        let mut functions: BTreeMap<&str, i64> = BTreeMap::new();
        for (place, cost) in &self.own {
            *functions.entry(&place.function).or_default() += cost;
        }
        let mut functions: Vec<(&str, i64)> = functions.into_iter().collect();
        functions.sort_by_key(|(_, cost)| -cost);
        functions
    }

    /// What this has more than `other`.
    pub(crate) fn less(mut self, other: &Self) -> Self {
        for (place, cost) in &other.own {
            *self.own.entry(place.clone()).or_default() -= cost;
        }
        for (call, cost) in &other.calls {
            *self.calls.entry(call.clone()).or_default() -= cost;
        }
        self
    }
}

struct Cost {
    address: u64,
    instructions: i64,
}

/// `0x1a2b 17 5` or `17 5`: the address, the line of the source, the cost. A line without a cost has none.
fn cost(line: &str, with_addresses: bool) -> Option<Cost> {
    let mut words = line.split(' ');
    let address = match with_addresses {
        true => u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?,
        false => 0,
    };
    let _line: u64 = words.next()?.parse().ok()?;
    let instructions = words.next().map_or(Some(0), |cost| cost.parse().ok())?;
    Some(Cost { address, instructions })
}

/// A function that calls itself has a name of its own for each depth: `f'2`.
fn without_recursion(name: &str) -> &str {
    match name.rsplit_once('\'') {
        Some((name, depth)) if !depth.is_empty() && depth.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
version: 1
creator: callgrind-3.19.0
positions: instr line
events: Ir
summary: 17

ob=/bin/proxy
fl=src/main.rs
fn=serve
0x10 5 3
0x14 6 1
cob=/lib/libc.so.6
cfi=./string/memcpy.S
cfn=memcpy
calls=2 0x900
0x14 6 8
fi=src/other.rs
0x18 9 2

ob=/lib/libc.so.6
fl=./string/memcpy.S
fn=memcpy
0x900 1 8
fn=serve'2
0x10 5 3

totals: 17
";

    #[test]
    fn costs_are_by_place_and_those_of_calls_apart() {
        let profile = Profile::parse(FILE).expect("it is understood");
        assert_eq!(profile.total(), 17);
        assert_eq!(profile.by_self(), [("serve", 9), ("memcpy", 8)]);
        let calls: Vec<_> =
            profile.calls.iter().map(|((place, callee), cost)| (place.address, &**callee, *cost)).collect();
        assert_eq!(calls, [(0x14, "memcpy", 8)]);
    }

    #[test]
    fn a_difference_is_by_place() {
        let once = Profile::parse(FILE).expect("it is understood");
        let twice = Profile::parse(&FILE.replace("0x10 5 3", "0x10 5 30")).expect("it is understood");
        let more = twice.less(&once);
        assert_eq!((more.total(), more.by_self()[0]), (54, ("serve", 54)));
        assert!(more.calls.values().all(|cost| *cost == 0));
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        assert_eq!(Profile::parse("positions: line\nfn=f\n12 x\n").expect_err("no number"), 3);
        assert_eq!(Profile::parse("positions: instr line\nfn=f\n12 4\n").expect_err("no address"), 3);
    }
}

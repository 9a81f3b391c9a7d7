//! The command line, and what it asks for.

use super::{
    scenario::{Scenario, Shape},
    subject::Subject,
};
use clap::ValueEnum;
use std::{collections::BTreeMap, path::PathBuf};

/// The one that most people know; another takes its place where it is not installed.
const BASELINE: Subject = Subject::Nginx;
/// Many short rounds rather than few long ones: what disturbs a machine is then seldom between the two measurements of
/// one ratio, and hits few of them.
const ROUNDS: u32 = 9;
const SECONDS: u32 = 2;
const QUICK_SECONDS: u32 = 1;
/// Connections that a process can have to one port of one address, about: the ports that Linux gives out.
const CONNECTIONS_MAX: u32 = 28_000;

/// Proxies side by side: CPU time per request, by the kernel's account.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// h1-small alone, with corelane, nginx, haproxy, the floor and direct, in rounds of a second.
    #[arg(long)]
    pub(super) quick: bool,
    /// What to ask of them; all of it by default.
    #[arg(long = "scenario", value_name = "A,B,…", value_delimiter = ',')]
    pub(super) scenarios: Vec<Scenario>,
    /// Whom to put beside corelane, the floor and direct; whatever is installed by default. `pingora` is built.
    #[arg(long = "peer", value_name = "A,B,…", value_delimiter = ',')]
    pub(super) peers: Vec<Subject>,
    /// Whom to leave out.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    pub(super) without: Vec<Subject>,
    /// Where the program of a peer is; measures it, too. Repeatable.
    #[arg(long = "peer-bin", value_name = "NAME=PATH", value_parser = peer_bin)]
    pub(super) peer_bins: Vec<(Subject, PathBuf)>,
    /// A corelane built elsewhere.
    #[arg(long, value_name = "PATH")]
    pub(super) corelane: Option<PathBuf>,
    /// A floor built elsewhere.
    #[arg(long, value_name = "PATH")]
    pub(super) floor: Option<PathBuf>,
    /// Builds nothing: measures the binaries that are beside this one, or installed.
    #[arg(long)]
    pub(super) no_build: bool,
    /// To whose costs the others' are put in proportion.
    #[arg(long, value_enum, default_value_t = BASELINE, hide_possible_values = true, value_name = "NAME")]
    pub(super) baseline: Subject,
    /// Measurements of each subject (9). Fewer than five give no verdict.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) rounds: Option<u32>,
    /// How long each takes (2; with --quick 1).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(super) seconds: Option<u32>,
    /// Client connections, instead of the scenario's own number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    pub(super) connections: Option<u32>,
    /// Content of an answer, such as 4k, instead of the scenario's own size.
    #[arg(long, value_name = "SIZE", value_parser = crate::units::size)]
    pub(super) size: Option<u64>,
    /// Writes every round to a file; `-` is standard output, without the tables then.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Writes the tables, plots and configurations to a page that needs nothing else.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Keeps configurations and logs there.
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
    /// Where programs are looked for, beside the usual places.
    #[arg(long, env = "PATH", hide_env_values = true, hide = true, default_value = "")]
    pub(super) search_path: String,
}

impl Args {
    pub(super) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(ROUNDS)
    }

    pub(super) fn seconds(&self) -> u32 {
        self.seconds.unwrap_or(if self.quick { QUICK_SECONDS } else { SECONDS })
    }

    pub(super) fn shapes(&self) -> Vec<(Scenario, Shape)> {
        let all = if self.quick { &[Scenario::H1Small][..] } else { Scenario::value_variants() };
        let mut scenarios = if self.scenarios.is_empty() { all.to_vec() } else { self.scenarios.clone() };
        let mut known = Vec::new();
        scenarios.retain(|scenario| {
            !known.contains(scenario) && {
                known.push(*scenario);
                true
            }
        });
        let shape = |scenario: Scenario| {
            let shape = scenario.shape();
            Shape {
                connections: self.connections.unwrap_or(shape.connections),
                answer_bytes: self.size.unwrap_or(shape.answer_bytes),
            }
        };
        scenarios.into_iter().map(|scenario| (scenario, shape(scenario))).collect()
    }

    /// Who must be there, and whom to look for.
    pub(super) fn subjects(&self) -> (Vec<Subject>, Vec<Subject>) {
        let mut wanted = vec![Subject::Direct, Subject::Floor, Subject::Corelane];
        if !self.peers.is_empty() {
            wanted.extend(&self.peers);
        } else if self.quick {
            wanted.extend([Subject::Nginx, Subject::Haproxy]);
        } else {
            wanted.extend(Subject::INSTALLED);
        }
        let mut asked = self.peers.clone();
        asked.extend(self.peer_bins.iter().map(|(subject, _)| subject));
        asked.extend((self.baseline != BASELINE).then_some(self.baseline));
        wanted.extend(&asked);
        wanted.retain(|subject| !self.without.contains(subject));
        wanted.sort_unstable();
        wanted.dedup();
        (asked, wanted)
    }

    /// The programs that the command line names.
    pub(super) fn named(&self) -> BTreeMap<Subject, PathBuf> {
        let ours = [(Subject::Corelane, &self.corelane), (Subject::Floor, &self.floor)];
        let ours = ours.into_iter().filter_map(|(subject, path)| Some((subject, path.clone()?)));
        ours.chain(self.peer_bins.iter().cloned()).collect()
    }

    /// The command line, as far as it says what is measured.
    pub(super) fn say(&self) -> String {
        let mut line = "corelane-bench compare".to_owned();
        if self.quick {
            line.push_str(" --quick");
        }
        let names = |names: &[&str]| names.join(",");
        let mut list = |flag: &str, all: Vec<&str>| {
            if !all.is_empty() {
                line.push_str(&format!(" {flag} {}", names(&all)));
            }
        };
        list("--scenario", self.scenarios.iter().map(|scenario| scenario.name()).collect());
        list("--peer", self.peers.iter().map(|subject| subject.name()).collect());
        list("--without", self.without.iter().map(|subject| subject.name()).collect());
        for (subject, path) in self.named() {
            line.push_str(&format!(" --peer-bin {subject}={}", path.display()));
        }
        if self.baseline != BASELINE {
            line.push_str(&format!(" --baseline {}", self.baseline));
        }
        let numbers = [("rounds", self.rounds), ("seconds", self.seconds), ("connections", self.connections)];
        for (flag, number) in numbers {
            if let Some(number) = number {
                line.push_str(&format!(" --{flag} {number}"));
            }
        }
        if let Some(size) = self.size {
            line.push_str(&format!(" --size {size}"));
        }
        line
    }
}

fn peer_bin(text: &str) -> Result<(Subject, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("write it as NAME=PATH, such as envoy=/opt/envoy")?;
    let subject = Subject::from_str(name, false).map_err(|_| {
        let known: Vec<_> = Subject::value_variants().iter().map(|subject| subject.name()).collect();
        format!("`{name}` is none of {}", known.join(", "))
    })?;
    if subject == Subject::Direct {
        return Err("direct is no program".to_owned());
    }
    Ok((subject, PathBuf::from(path)))
}

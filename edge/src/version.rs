//! What `--version` says: enough for a report of a bug.

use crate::cli::Cli;
use clap::Parser;
use corelane_engine::{Driver, Limits, RING_FLAGS, Running, available_cpus};
use std::fmt::{Debug, Write};

/// The version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that this was built from.
pub(crate) const COMMIT: &str = env!("CORELANE_COMMIT");

/// Whether the compiler had a profile of the hot paths: `ci/profile` of the repository.
const HAS_PROFILE: bool = cfg!(corelane_profile);

/// One line.
pub(crate) fn short() -> String {
    format!("corelane {VERSION} (commit {COMMIT})\n")
}

/// The same, and the driver that a lane gets here, and every limit and timeout with its default.
pub(crate) fn long() -> String {
    let driver = match corelane_engine::probe_driver(Driver::Auto) {
        Ok(Running::Uring) => Running::Uring.name().to_owned(),
        Ok(Running::Epoll { reason }) => format!("epoll ({reason})"),
        Err(error) => format!("none ({error})"),
    };
    let profile = if HAS_PROFILE { "yes" } else { "no" };
    let serving = defaults();
    let lanes =
        serving.lanes.map_or_else(|| format!("auto ({} here)", available_cpus()), |lanes| lanes.to_string());
    let names = serving.names().map_or_else(|| "never".to_owned(), |every| format!("every {every:?}"));
    let mut text = short();
    write!(
        text,
        "laid out by a profile: {profile}\ndriver: {driver}\nring flags: {RING_FLAGS}\nlanes: {lanes}\n\
         names are looked up again: {names}\n\nlimits\n"
    )
    .expect("a string takes everything");
    list(&mut text, &Limits::default());
    let content = serving.content_max;
    writeln!(text, "  {:<32} {content}", "content_bytes_max").expect("a string takes everything");
    text.push_str("\ntimeouts\n");
    let exchanges = serving.exchanges();
    list(&mut text, &exchanges.timeouts);
    text.push_str("\nretries\n");
    list(&mut text, &exchanges.retry);
    writeln!(text, "  {:<32} {}", "replay_bytes_max", exchanges.replay_bytes_max)
        .expect("a string takes everything");
    text
}

/// What `corelane proxy` does without any option.
fn defaults() -> crate::cli::ServingArgs {
    let cli = Cli::try_parse_from(["corelane", "demo"]).expect("demo needs no arguments");
    match cli.command {
        Some(crate::cli::Command::Demo(args)) => args.serving,
        _ => unreachable!("the command is demo"),
    }
}

/// The members of a struct, one on a line. They are taken from its `Debug` form, so that none is ever left out.
fn list(text: &mut String, table: &impl Debug) {
    for line in format!("{table:#?}").lines() {
        let member = line.strip_prefix("    ").and_then(|line| line.strip_suffix(',')?.split_once(": "));
        if let Some((name, value)) = member {
            writeln!(text, "  {name:<32} {}", value.to_lowercase()).expect("a string takes everything");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corelane_engine::Timeouts;

    #[test]
    fn b_76_every_limit_and_timeout_is_listed() {
        let mut text = String::new();
        list(&mut text, &Limits::default());
        list(&mut text, &Timeouts::default());
        for line in [
            "  request_line_bytes_max           8192\n",
            "  leading_empty_lines_max          2\n",
            "  connect                          3s\n",
            "  tunnel_idle                      3600s\n",
            "  request                          none\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        assert_eq!(short().lines().count(), 1);
    }
}

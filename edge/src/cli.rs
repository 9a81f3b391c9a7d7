//! The command line, as a value. Nothing here acts.

use crate::{
    address::{Listen, To},
    admin::AdminAt,
    balance::Balance,
    logs::{self, AccessLogTo, Logs},
    plan::NamesEvery,
    units,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use corelane_control::log::{Format, Target};
use corelane_engine::{Driver, Level, Network, Settings, Timeouts};
use std::{path::PathBuf, time::Duration};

/// A reverse proxy on lanes: threads that share nothing, each with its own event loop.
#[derive(Debug, Parser)]
#[command(
    name = "corelane",
    disable_version_flag = true,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 fine, 1 failure at run time, 2 usage, 3 bad configuration."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Say the version, the commit, the driver, and the limits in force
    #[arg(long)]
    pub(crate) version: bool,
    /// Say the version and the commit
    #[arg(short = 'V')]
    pub(crate) short_version: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Two small origins and the proxy before them: nothing to install, something to curl
    Demo(DemoArgs),
    /// Listen on addresses and forward everything to upstreams
    #[command(after_help = SIGNALS)]
    Proxy(ProxyArgs),
    /// Serve what a configuration file says
    #[command(after_help = SIGNALS)]
    Run(FileArgs),
    /// Say everything that is wrong with a configuration, and serve nothing
    Check(FileArgs),
    /// Say what holds and where it was set; or, of a request, which route takes it and why the others do not
    Explain(ExplainArgs),
    /// Print the JSON Schema of a configuration
    Schema {
        /// The reference as Markdown instead
        #[arg(long)]
        reference: bool,
    },
    /// Rewrite a configuration in its canonical form; comments stay
    Fmt(FmtArgs),
    /// Let a running program serve its changed configuration; waits, and says how that went
    Reload(AskArgs),
    /// Let a running program finish what is in flight, and end
    Drain(AskArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const SIGNALS: &str = "\
Durations and sizes have a unit: 500ms, 3s, 1m, 1h; 64k, 1m, 1g.

Signals: TERM, INT drain (a second one stops at once), QUIT drains without a deadline, USR1 reopens the access log.";

#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// Where to listen; `:8080` is every address of the machine. Repeatable, or separated by commas
    #[arg(long, value_name = "HOST:PORT|unix:PATH", required = true, value_delimiter = ',')]
    pub(crate) listen: Vec<Listen>,
    /// Where to forward to, with a weight if they differ. Repeatable, or separated by commas
    #[arg(long, value_name = "HOST:PORT|unix:PATH[=WEIGHT]", required = true, value_delimiter = ',')]
    pub(crate) to: Vec<To>,
    /// How an upstream is chosen: round-robin, random, least-request, p2c, hash:client, hash:path, hash:header:NAME,
    /// hash:cookie:NAME
    #[arg(long, value_name = "CHOICE", default_value_t)]
    pub(crate) balance: Balance,
    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}

/// A configuration.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) config: FileArgs,
    /// The method of a request
    #[arg(requires = "url")]
    pub(crate) method: Option<String>,
    /// Its URL
    pub(crate) url: Option<String>,
    /// One of its header fields. Repeatable
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", requires = "url")]
    pub(crate) headers: Vec<String>,
}

/// Which running program is meant.
#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// Its admin socket [default: that of --config, or the usual one]
    #[arg(long, value_name = "unix:PATH")]
    pub(crate) admin: Option<AdminAt>,
    /// Its configuration file, which says where its admin socket is
    #[arg(short = 'c', long = "config", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FmtArgs {
    #[command(flatten)]
    pub(crate) config: FileArgs,
    /// Change nothing; exit with 1 if the file is not in its canonical form
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to listen. Repeatable, or separated by commas
    #[arg(long, value_name = "HOST:PORT|unix:PATH", default_value = "127.0.0.1:8080", value_delimiter = ',')]
    pub(crate) listen: Vec<Listen>,
    #[command(flatten)]
    pub(crate) serving: ServingArgs,
}

/// What the commands that serve have in common.
#[derive(Debug, Args)]
pub(crate) struct ServingArgs {
    /// Lanes: threads that serve, each with an event loop of its own
    #[arg(long, value_name = "N|auto", default_value = "auto", value_parser = lanes)]
    pub(crate) lanes: Lanes,
    /// The event loop: io_uring where the kernel grants it, or one of the two
    #[arg(long, value_name = "DRIVER", default_value = "auto", value_enum)]
    driver: DriverName,
    /// Where operators look: /metrics and more. Repeatable, or separated by commas
    /// [default: a unix socket in $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR or /run/corelane; for demo: any free port]
    #[arg(long, value_name = "HOST:PORT|unix:PATH|off", value_delimiter = ',')]
    pub(crate) admin: Vec<AdminAt>,
    /// Where access log lines go
    #[arg(long, value_name = "stdout|stderr|off|PATH", default_value = "stdout", value_parser = logs::access)]
    pub(crate) access_log: AccessLogTo,
    /// How access log lines look: a template has names of fields in braces [default: json; for demo: combined]
    #[arg(long, value_name = "json|combined|TEMPLATE", value_parser = logs::format)]
    pub(crate) log_format: Option<Format>,
    /// The most content that a request may have; more is answered with 413
    #[arg(long, value_name = "SIZE", default_value = "1g", value_parser = units::size)]
    pub(crate) content_max: u64,
    /// Proxies whose X-Forwarded-For is believed. Repeatable, or separated by commas
    #[arg(long, value_name = "NETWORK|unix", value_delimiter = ',')]
    trusted_proxy: Vec<Network>,
    /// How often names in --to are looked up again
    #[arg(long, value_name = "TIME|none", default_value = "30s", value_parser = names_every)]
    names_every: Every,
    #[command(flatten)]
    times: TimeArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Times")]
struct TimeArgs {
    /// For requests in flight when a drain begins
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration)]
    drain_grace: Duration,
    /// To connect to an upstream
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = units::positive_duration)]
    connect_timeout: Duration,
    /// For the whole head of a request
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::positive_duration)]
    client_head_timeout: Duration,
    /// For the head of a response
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::positive_duration)]
    upstream_head_timeout: Duration,
    /// Between two pieces of content, on either side
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::positive_duration)]
    between_bytes_timeout: Duration,
    /// For a client's connection without a request
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = units::positive_duration)]
    client_idle_timeout: Duration,
    /// For a pooled upstream connection
    #[arg(long, value_name = "TIME", default_value = "50s", value_parser = units::positive_duration)]
    upstream_idle_timeout: Duration,
    /// For a tunnel without a byte in either direction
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = units::positive_duration)]
    tunnel_idle_timeout: Duration,
    /// For what a client still sends once it has its answer
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = units::duration)]
    linger: Duration,
}

impl ServingArgs {
    pub(crate) fn driver(&self) -> Driver {
        match self.driver {
            DriverName::Auto => Driver::Auto,
            DriverName::Uring => Driver::Uring,
            DriverName::Epoll => Driver::Epoll,
        }
    }

    /// `format` where the command line says nothing.
    pub(crate) fn logs(&self, format: Format) -> Logs {
        Logs {
            access: self.access_log.clone(),
            format: self.log_format.clone().unwrap_or(format),
            errors: Target::Stderr,
            least: Level::Info,
        }
    }

    pub(crate) fn names(&self) -> NamesEvery {
        self.names_every
    }

    /// What every exchange is held to.
    pub(crate) fn exchanges(&self) -> Settings {
        let mut settings = Settings::default();
        settings.timeouts = self.timeouts();
        settings.content_bytes_max = Some(self.content_max);
        settings.trusted_proxies = self.trusted_proxy.as_slice().into();
        settings
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        let mut timeouts = Timeouts::default();
        timeouts.drain_grace = self.times.drain_grace;
        timeouts.connect = self.times.connect_timeout;
        timeouts.client_head = self.times.client_head_timeout;
        timeouts.upstream_head = self.times.upstream_head_timeout;
        timeouts.between_bytes = self.times.between_bytes_timeout;
        timeouts.client_idle = self.times.client_idle_timeout;
        timeouts.upstream_idle = self.times.upstream_idle_timeout;
        timeouts.tunnel_idle = self.times.tunnel_idle_timeout;
        timeouts.linger = self.times.linger;
        timeouts
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DriverName {
    Auto,
    Uring,
    Epoll,
}

/// Lanes that a process may have; more than any machine has cores today.
const LANES_MAX: usize = 1024;

/// How many lanes; none: as many as there are CPUs for the process.
pub(crate) type Lanes = Option<usize>;

fn lanes(text: &str) -> Result<Lanes, String> {
    match text.parse() {
        _ if text == "auto" => Ok(None),
        Ok(lanes) if (1..=LANES_MAX).contains(&lanes) => Ok(Some(lanes)),
        _ => Err(format!("expected a number from 1 to {LANES_MAX}, or auto")),
    }
}

/// None: never.
type Every = NamesEvery;

fn names_every(text: &str) -> Result<Every, String> {
    if text == "none" { Ok(None) } else { units::positive_duration(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn proxy(arguments: &[&str]) -> Result<ProxyArgs, String> {
        let all = ["corelane", "proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:9001"];
        match Cli::try_parse_from(all.iter().chain(arguments)) {
            Ok(Cli { command: Some(Command::Proxy(args)), .. }) => Ok(args),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_engines() {
        assert_eq!(proxy(&[]).unwrap().serving.timeouts(), Timeouts::default());
    }

    #[test]
    fn every_time_reaches_its_timeout() {
        let args = [
            "--drain-grace=1s",
            "--connect-timeout=2s",
            "--client-head-timeout=3s",
            "--upstream-head-timeout=4s",
            "--between-bytes-timeout=5s",
            "--client-idle-timeout=6s",
            "--upstream-idle-timeout=7s",
            "--tunnel-idle-timeout=8s",
            "--linger=9s",
        ];
        let timeouts = proxy(&args).unwrap().serving.timeouts();
        let seconds = [
            timeouts.drain_grace,
            timeouts.connect,
            timeouts.client_head,
            timeouts.upstream_head,
            timeouts.between_bytes,
            timeouts.client_idle,
            timeouts.upstream_idle,
            timeouts.tunnel_idle,
            timeouts.linger,
        ];
        assert_eq!(seconds.map(|time| time.as_secs()), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn lists_are_repeated_or_have_commas() {
        let args = proxy(&["--to", "127.0.0.1:9002=3,127.0.0.1:9003", "--listen", ":0"]).unwrap();
        assert_eq!((args.to.len(), args.listen.len()), (3, 2));
    }

    #[test]
    fn a_bare_number_is_no_time() {
        let error = proxy(&["--connect-timeout", "3"]).unwrap_err();
        assert!(error.contains("needs a unit"), "{error}");
        let error = proxy(&["--content-max", "1024"]).unwrap_err();
        assert!(error.contains("needs a unit"), "{error}");
    }

    #[test]
    fn an_admin_port_is_never_open_to_everybody_by_mistake() {
        let error = proxy(&["--admin", ":9090"]).unwrap_err();
        assert!(error.contains("127.0.0.1:9090"), "{error}");
        assert_eq!(proxy(&["--admin", "unix:/a"]).unwrap().serving.admin, [AdminAt::Unix("/a".into())]);
    }

    #[test]
    fn lanes_are_bounded() {
        assert_eq!(proxy(&["--lanes", "4"]).unwrap().serving.lanes, Some(4));
        for lanes in ["0", "-1", "1025", "two"] {
            assert!(proxy(&[&format!("--lanes={lanes}")]).is_err(), "{lanes}");
        }
    }
}

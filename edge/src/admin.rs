//! Where the admin server listens: as somebody says, or on a unix socket that whoever runs the program can find.

use crate::{address::HostPort, config::Env, failure::Failure};
use corelane_control::{Address, Admin, Events};
use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// The name of the socket in its directory.
const SOCKET: &str = "admin.sock";
/// Where it is when the environment names no directory.
const DIRECTORY: &str = "/run/corelane";
/// The permissions of a directory that is made for the socket: its group may look for it.
const DIRECTORY_MODE: u32 = 0o750;

/// One place for the admin server, before names are resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum AdminAt {
    Off,
    Tcp(HostPort),
    Unix(PathBuf),
}

impl FromStr for AdminAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            _ if text == "off" => Ok(Self::Off),
            Some("") => Err("expected a path after unix:, such as unix:/run/corelane/admin.sock".to_owned()),
            Some(path) if path.contains('\0') => Err("a path has no NUL".to_owned()),
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None if text.starts_with(':') => Err(format!(
                "say for whom: 127.0.0.1{text} for this machine only, 0.0.0.0{text} for everybody"
            )),
            None => text.parse().map(Self::Tcp),
        }
    }
}

/// Where the socket may be that nobody has named: the first of these that works. A service manager names the first,
/// a login session the second.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usual(Vec<PathBuf>);

impl Usual {
    pub(crate) fn new(env: Env<'_>) -> Self {
        let mut places = Vec::new();
        // Service managers separate several by colons. Where there is one, it is meant, and no other.
        if let Some(first) = env("RUNTIME_DIRECTORY").and_then(|all| all.split(':').next().map(PathBuf::from))
        {
            return Self(vec![first.join(SOCKET)]);
        }
        if let Some(session) = env("XDG_RUNTIME_DIR") {
            places.push(Path::new(&session).join("corelane").join(SOCKET));
        }
        places.push(Path::new(DIRECTORY).join(SOCKET));
        places.retain(|place| place.is_absolute());
        Self(places)
    }

    /// Where a running program may be found.
    pub(crate) fn places(&self) -> &[PathBuf] {
        &self.0
    }
}

/// Binds what was asked for. Without any wish, the usual socket is tried, and a program that cannot have it goes
/// without.
pub(crate) fn bind(
    wished: &[AdminAt],
    usual: &Usual,
    setting: &str,
    events: &Events,
) -> Result<Vec<Admin>, Failure> {
    if wished.is_empty() {
        return Ok(bind_usual(usual, setting, events).into_iter().collect());
    }
    let mut bound = Vec::new();
    for at in wished {
        let address = match at {
            AdminAt::Off => continue,
            AdminAt::Unix(path) => Address::Unix(path.clone()),
            AdminAt::Tcp(at) => match at.resolve()?.first() {
                Some(first) => Address::Tcp(*first),
                None => continue,
            },
        };
        bound.push(Admin::bind(&address).map_err(|error| Failure::Run(error.says(setting)))?);
    }
    Ok(bound)
}

/// The first place alone: a program that listened somewhere else because another one is there already would not be
/// found.
fn bind_usual(usual: &Usual, setting: &str, events: &Events) -> Option<Admin> {
    let path = usual.0.first()?;
    let made = path.parent().map_or(Ok(()), make_directory);
    let bound = match made {
        Ok(()) => Admin::bind(&Address::Unix(path.clone())).map_err(|error| error.says(setting)),
        Err(error) => Err(format!(
            "cannot create the directory of {}: {error}; choose a {setting}, or off",
            path.display()
        )),
    };
    match bound {
        Ok(admin) => Some(admin),
        Err(says) => {
            events.info(format_args!("going without an admin socket: {says}"));
            None
        }
    }
}

/// Only the last directory is made: what is above it is the system's.
fn make_directory(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_address_says_for_whom_it_is() {
        assert_eq!("off".parse(), Ok(AdminAt::Off));
        assert_eq!("unix:/a".parse(), Ok(AdminAt::Unix("/a".into())));
        assert!(matches!("127.0.0.1:9090".parse(), Ok(AdminAt::Tcp(_))));
        assert!(":9090".parse::<AdminAt>().unwrap_err().contains("127.0.0.1:9090"));
        assert!("unix:".parse::<AdminAt>().is_err());
    }

    #[test]
    fn the_usual_place_is_the_first_that_somebody_names() {
        let places = |names: &[(&str, &str)]| {
            let env = |name: &str| {
                names.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            Usual::new(&env).places().iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(places(&[]), ["/run/corelane/admin.sock"]);
        assert_eq!(
            places(&[("RUNTIME_DIRECTORY", "/run/a:/run/b"), ("XDG_RUNTIME_DIR", "/run/user/1")]),
            ["/run/a/admin.sock"]
        );
        assert_eq!(
            places(&[("XDG_RUNTIME_DIR", "/run/user/1")]),
            ["/run/user/1/corelane/admin.sock", "/run/corelane/admin.sock"]
        );
        assert_eq!(places(&[("XDG_RUNTIME_DIR", "relative")]), ["/run/corelane/admin.sock"]);
    }
}

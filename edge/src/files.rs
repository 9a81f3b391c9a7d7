//! The commands that look at a configuration and serve nothing: `check`, `explain`, `schema`, `fmt`.

use crate::{
    cli::{ExplainArgs, FmtArgs},
    config::{self, Env, Invalid, Loaded, explain, format},
    failure::Failure,
    plan::summary,
};
use std::{fs, path::Path};

/// A configuration, or all that is wrong with it.
pub(crate) fn load(path: &Path, env: Env<'_>) -> Result<Loaded, Failure> {
    config::load(path, env).map_err(|Invalid { list, says }| Failure::Config { list, says })
}

/// In a line, what there is.
pub(crate) fn check(path: &Path, env: Env<'_>) -> Result<String, Failure> {
    let config = load(path, env)?.config;
    let routes: usize = config.sites.iter().map(|site| site.routes.len()).sum();
    let counts = [(config.sites.len(), "site"), (routes, "route"), (config.upstreams.len(), "upstream")];
    Ok(format!("{}: fine: {}\n", path.display(), summary(&counts)))
}

pub(crate) fn explain(args: &ExplainArgs, env: Env<'_>) -> Result<String, Failure> {
    let asked = match (&args.method, &args.url) {
        (Some(method), Some(url)) => {
            Some(explain::Asked::new(method, url, &args.headers).map_err(Failure::Usage)?)
        }
        _ => None,
    };
    let loaded = load(&args.config.file, env)?;
    Ok(match asked {
        Some(asked) => explain::request(loaded, &asked),
        None => explain::all(&loaded),
    })
}

/// Rewrites a file, or says that it would.
pub(crate) fn fmt(args: &FmtArgs) -> Result<(), Failure> {
    let path = &args.config.file;
    let failed = |what: &str, why: &dyn std::fmt::Display| {
        Failure::Run(format!("cannot {what} {}: {why}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| failed("read", &error))?;
    let formatted = format::format(&text).map_err(|error| Failure::Config {
        list: String::new(),
        says: format!("{} is not TOML: {}; corelane check says where", path.display(), error.message()),
    })?;
    if formatted == text {
        return Ok(());
    }
    if args.check {
        return Err(Failure::Run(format!(
            "{} is not in its canonical form; corelane fmt -c {} makes it so",
            path.display(),
            path.display()
        )));
    }
    fs::write(path, formatted).map_err(|error| failed("write", &error))
}

//! Where a check finds the rules: the options of `config check` and `policy
//! check`.

use super::stop::{Done, Stop};
use crate::access::{Access, Sources};
use crate::config::Config;
use clap::Args;
use std::path::{Path, PathBuf};

/// A directory or a configuration file.
#[derive(Args, Debug)]
#[group(id = "place", required = true, multiple = false)]
pub struct Place {
    /// A directory made by `oubliette init`
    #[arg(long, env = "OUBLIETTE_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// The configuration file.
    pub fn file(&self) -> PathBuf {
        match (&self.config, &self.dir) {
            (Some(file), _) => file.clone(),
            (None, Some(dir)) => config_file(dir),
            (None, None) => config_file(Path::new(".")),
        }
    }

    /// Reads the configuration.
    pub fn load(&self) -> Done<Config> {
        Ok(Config::load(&self.file())?)
    }
}

/// The configuration file of a directory that `init` made.
pub fn config_file(dir: &Path) -> PathBuf {
    dir.join("config").join("oubliette.toml")
}

/// Loads catalog, roles and policy, and checks that they fit each other.
pub fn load(config: &Config) -> Done<Access> {
    let sources = Sources {
        catalog: config.catalog.clone(),
        roles: config.roles.clone(),
        policy: config.policy.clone(),
    };
    Access::load(sources).map_err(Stop::from)
}

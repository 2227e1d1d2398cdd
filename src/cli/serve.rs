//! `oubliette serve`: the server in the foreground.

use super::stop::{Done, Stop};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `serve`.
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

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub struct Serve {
    #[command(flatten)]
    place: Place,
    /// Listen here instead of where the configuration says (port 0: any)
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Drain and end when stdin is closed: for a parent that starts a server
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Serve {
    /// Runs until a signal ends it.
    pub fn run(self) -> Done {
        Err(Stop::Failed(
            "the server is not part of this build yet".to_owned(),
        ))
    }
}

//! `oubliette serve`: the server in the foreground.

use super::stop::{Done, Stop};
use clap::Args;
use rustix::process::{Signal, getpid, kill_process};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::runtime::Runtime;

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
    /// Serve metrics here instead of where the configuration says
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Drain and end when stdin is closed: for a parent that starts a server
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

impl Serve {
    /// Runs until a signal ends it.
    pub fn run(self) -> Done {
        if self.until_stdin_closes {
            end_with_stdin();
        }
        Err(Stop::Failed(
            "the server is not part of this build yet".to_owned(),
        ))
    }
}

/// How a server's runtime is made, for people.
pub fn runtime_name() -> String {
    format!("tokio, {} worker threads", workers())
}

/// Half of the cores serve; the other half is left to the threads that read
/// and write the files.
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    (cores / 2).max(1)
}

/// The runtime that servers run on.
pub fn runtime() -> Done<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(|error| Stop::Failed(format!("the runtime cannot start: {error}")))
}

/// Ends this process as SIGTERM would when stdin closes: a server that another
/// process started does not outlive it.
pub fn end_with_stdin() {
    std::thread::spawn(|| {
        let mut stdin = std::io::stdin().lock();
        // Whatever is sent is read and ignored; an error means closed too.
        let _closed = std::io::copy(&mut stdin, &mut std::io::sink());
        let _sent = kill_process(getpid(), Signal::TERM);
    });
}

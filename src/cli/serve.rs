//! `oubliette serve`: the server in the foreground.

use super::child::READY;
use super::out::Out;
use super::rules::Place;
use super::stop::{Done, Stop};
use crate::config::Config;
use crate::config::check::Allowances;
use clap::Args;
use rustix::process::{Signal, getpid, kill_process};
use std::net::SocketAddr;
use tokio::runtime::Runtime;

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub struct Serve {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    allowed: Allowances,
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
        let mut config = self.place.load()?;
        config.listen = self.listen.unwrap_or(config.listen);
        config.metrics = self.metrics.unwrap_or(config.metrics);
        runtime()?.block_on(serve(config, self.allowed))
    }
}

async fn serve(config: Config, allowed: Allowances) -> Done {
    let ready = |address: SocketAddr| Out::new(false).line(&format!("{READY}{address}"));
    Ok(crate::serve::run(config, allowed, ready).await?)
}

/// How a server's runtime is made, for people.
pub fn runtime_name() -> String {
    format!("tokio, worker threads: {}", workers())
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

//! The log: to stderr, for people or as JSON. Only this crate speaks at the
//! configured level; the libraries below it would log request headers at
//! `debug`, so they are held at `warn`.

use crate::config::{Level, Log, LogFormat};
use crate::error::{Error, Result};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Starts the log, once per process, and sends panics to it.
///
/// # Errors
/// [`Error::Internal`] when a log was started before.
pub fn start(log: &Log) -> Result<()> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter(log.level)))
        .try_init()
        .map_err(|_| Error::Internal("the log was started twice"))?;
    log_panics();
    Ok(())
}

fn filter(level: Level) -> Targets {
    let ours = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    Targets::new()
        .with_default(LevelFilter::WARN.min(ours))
        .with_target("oubliette", ours)
}

/// A panic is logged by its place alone: its message may quote what the code
/// was working on.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a bug: this thread panicked; please report it");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level as L;

    #[test]
    fn libraries_never_log_below_warn() {
        for level in [Level::Error, Level::Warn, Level::Info, Level::Debug] {
            let filter = filter(level);
            for library in ["h2", "hyper", "tonic", "rustls", "cedar_policy"] {
                assert!(!filter.would_enable(library, &L::INFO), "{library}");
            }
        }
        assert!(filter(Level::Debug).would_enable("oubliette::serve", &L::DEBUG));
        assert!(!filter(Level::Info).would_enable("oubliette::serve", &L::DEBUG));
        assert!(!filter(Level::Error).would_enable("h2", &L::WARN));
    }
}

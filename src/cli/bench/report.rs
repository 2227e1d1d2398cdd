//! What a bench found, for people and in one line for programs.

use super::Options;
use super::load::Measured;
use crate::cli::out::Out;
use crate::cli::serve;
use crate::cli::stop::{Done, Stop};
use serde_json::{Value as Json, json};

/// A bench's findings.
pub struct Report<'a> {
    /// "reads" or "writes".
    pub what: &'static str,
    /// How it was measured.
    pub options: &'a Options,
    /// The vault.
    pub vault: &'a Measured,
    /// The echo.
    pub echo: &'a Measured,
    /// Audit entries that the vault's calls left.
    pub audited: u64,
}

impl Report<'_> {
    /// Prints it. A reply without its audit entry is a failure.
    pub fn tell(&self) -> Done {
        // People read the table also where the last line is for programs.
        let mut out = Out::new(false);
        out.table(&["", "vault", "bare echo"], &self.rows());
        out.line(&self.circumstances());
        if self.options.json {
            Out::new(true).document(&self.document());
        }
        if self.audited < self.vault.replies {
            return Err(Stop::Failed(format!(
                "{} replies but only {} audit entries: something left without being written down",
                self.vault.replies, self.audited
            )));
        }
        Ok(())
    }

    fn ratio(&self) -> f64 {
        self.vault.rate() / self.echo.rate().max(f64::EPSILON)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, of: &dyn Fn(&Measured) -> String| {
            vec![name.to_owned(), of(self.vault), of(self.echo)]
        };
        vec![
            row(&format!("{} a second", self.what), &|m| {
                format!("{:.0}", m.rate())
            }),
            row("server CPU each, µs", &|m| format!("{:.1}", m.cpu())),
            row("load generator CPU each, µs", &|m| {
                format!("{:.1}", m.own_cpu())
            }),
            row("latency p50, µs", &|m| m.latency(500).to_string()),
            row("latency p99, µs", &|m| m.latency(990).to_string()),
            row("good replies, warm-up included", &|m| m.replies.to_string()),
            vec![
                "audit entries of these".to_owned(),
                self.audited.to_string(),
                "-".to_owned(),
            ],
            vec![
                "of the echo's rate".to_owned(),
                format!("{:.0} %", self.ratio() * 100.0),
                "100 %".to_owned(),
            ],
        ]
    }

    fn circumstances(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        format!(
            "{} customers, 10 fields of 32 bytes; {} in flight over {} connections, TLS 1.3 with \
             client certificates; {} s each.\n\
             Servers: {}, mimalloc, one process each; load: this process, one thread; {} cores \
             for all. Durable: an answer waits for its audit entry's fsync.",
            self.options.customers,
            self.options.in_flight,
            self.options.connections,
            self.options.seconds,
            serve::runtime_name(),
            cores,
        )
    }

    fn document(&self) -> Json {
        let tenth = |number: f64| (number * 10.0).round() / 10.0;
        json!({
            "vault_rps": self.vault.rate().round(),
            "vault_cpu_us": tenth(self.vault.cpu()),
            "vault_p50_us": self.vault.latency(500),
            "vault_p99_us": self.vault.latency(990),
            "echo_rps": self.echo.rate().round(),
            "echo_cpu_us": tenth(self.echo.cpu()),
            "echo_p50_us": self.echo.latency(500),
            "echo_p99_us": self.echo.latency(990),
            "ratio": (self.ratio() * 1000.0).round() / 1000.0,
            "replies": self.vault.replies,
            "audited": self.audited,
            "customers": self.options.customers,
            "in_flight": self.options.in_flight,
            "connections": self.options.connections,
            "seconds": self.options.seconds,
            "runtime": serve::runtime_name(),
            "allocator": "mimalloc",
        })
    }
}

//! What is counted, for Prometheus. Every label value is a word of the
//! program's own (`&'static str`): no tenant, customer, record or purpose can
//! become a label, so the endpoint says nothing about anybody (promise P1) and
//! the number of series is fixed.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::time::Duration;

/// The method of a call and the reason it ended with, `OK` for a good one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    /// The method's name in the proto, for example `GetRecord`.
    pub method: &'static str,
    /// [`crate::error::Error::reason`], or `OK`.
    pub reason: &'static str,
}

/// The method of a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MethodLabel {
    /// The method's name in the proto.
    pub method: &'static str,
}

/// Why a connection did not come to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WhyLabel {
    /// One of a few fixed words.
    pub why: &'static str,
}

/// What looked wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// [`crate::audit::signals::Kind::word`].
    pub kind: &'static str,
}

/// Which database file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FileLabel {
    /// `keys` or `vault`.
    pub file: &'static str,
}

/// What was loaded anew and how that went.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReloadLabels {
    /// What, for example `tls`.
    pub what: &'static str,
    /// `ok` or `refused`.
    pub outcome: &'static str,
}

type HistogramFamily<L> = Family<L, Histogram, fn() -> Histogram>;

/// All counters of one server. Adding to one takes no lock that a writer holds
/// for long, so a call may do it on its hot path.
pub struct Metrics {
    registry: Registry,
    /// Calls that ended, by method and reason.
    pub calls: Family<CallLabels, Counter>,
    /// How long calls took, in seconds, by method.
    pub call_seconds: HistogramFamily<MethodLabel>,
    /// Calls under way.
    pub calls_in_flight: Gauge,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that were not let in: `full`, `handshake_slow`,
    /// `handshake_failed`.
    pub connections_refused: Family<WhyLabel, Counter>,
    /// Failures of `accept` itself, such as a want of file descriptors.
    pub accept_failures: Counter,
    /// Audit entries that could not be made durable; nothing left the vault.
    pub audit_write_failures: Counter,
    /// Audit entries that a signed checkpoint covers.
    pub sealed_entries: Gauge,
    /// Audit entries that a checkpoint covers which enough witnesses cosigned.
    pub witnessed_entries: Gauge,
    /// Times that the log could not be sealed; the next try follows.
    pub seal_failures: Counter,
    /// Times that the anchor outside was out of reach, or told of another log.
    pub anchor_failures: Counter,
    /// Records that sweeps looked at because something had come due.
    pub sweep_looks: Counter,
    /// Fields that were deleted because they were past their time.
    pub swept_fields: Counter,
    /// How many days the last sweep's values were past their time, at the most.
    pub sweep_late_days: Gauge,
    /// Records past their time that wait for a request or a hold to end.
    pub sweeps_waiting: Gauge,
    /// Signals that something is wrong, by kind.
    pub signals: Family<KindLabel, Counter>,
    /// Durable commits, by database file.
    pub commits: Family<FileLabel, Counter>,
    /// Changes in them: the more share one, the fewer flushes a call costs.
    pub changes: Family<FileLabel, Counter>,
    /// Certificates, policies and the like loaded anew while serving.
    pub reloads: Family<ReloadLabels, Counter>,
    /// 1 while calls are served, else 0.
    pub ready: Gauge,
}

/// From 50 microseconds, doubling, to 13 seconds.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 19))
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("oubliette"),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(seconds as fn() -> Histogram),
            calls_in_flight: Gauge::default(),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            accept_failures: Counter::default(),
            audit_write_failures: Counter::default(),
            sealed_entries: Gauge::default(),
            witnessed_entries: Gauge::default(),
            seal_failures: Counter::default(),
            anchor_failures: Counter::default(),
            sweep_looks: Counter::default(),
            swept_fields: Counter::default(),
            sweep_late_days: Gauge::default(),
            sweeps_waiting: Gauge::default(),
            signals: Family::default(),
            commits: Family::default(),
            changes: Family::default(),
            reloads: Family::default(),
            ready: Gauge::default(),
        };
        metrics.register_calls();
        metrics.register_connections();
        metrics.register_storage();
        metrics
    }

    fn register_calls(&mut self) {
        let r = &mut self.registry;
        r.register("calls", "Calls that ended", self.calls.clone());
        let help = "How long calls took, in seconds";
        r.register("call_seconds", help, self.call_seconds.clone());
        let help = "Calls under way";
        r.register("calls_in_flight", help, self.calls_in_flight.clone());
        let help = "1 while calls are served";
        r.register("ready", help, self.ready.clone());
        let help = "Certificates, policies and the like loaded anew";
        r.register("reloads", help, self.reloads.clone());
    }

    fn register_connections(&mut self) {
        let r = &mut self.registry;
        r.register("connections", "Open connections", self.connections.clone());
        let help = "Connections that were not let in";
        r.register(
            "connections_refused",
            help,
            self.connections_refused.clone(),
        );
        let help = "Failures of accept, such as a want of file descriptors";
        r.register("accept_failures", help, self.accept_failures.clone());
    }

    fn register_storage(&mut self) {
        let r = &mut self.registry;
        let help = "Audit entries that could not be written; nothing left";
        r.register(
            "audit_write_failures",
            help,
            self.audit_write_failures.clone(),
        );
        let help = "Audit entries under a signed checkpoint";
        r.register("sealed_entries", help, self.sealed_entries.clone());
        let help = "Audit entries under a checkpoint that enough witnesses cosigned";
        r.register("witnessed_entries", help, self.witnessed_entries.clone());
        let help = "Times that the log could not be sealed";
        r.register("seal_failures", help, self.seal_failures.clone());
        let help = "Times that the anchor outside did not hold";
        r.register("anchor_failures", help, self.anchor_failures.clone());
        let help = "Records looked at because something had come due";
        r.register("sweep_looks", help, self.sweep_looks.clone());
        let help = "Fields deleted because they were past their time";
        r.register("swept_fields", help, self.swept_fields.clone());
        let help = "Days that values of the last sweep were past their time";
        r.register("sweep_late_days", help, self.sweep_late_days.clone());
        let help = "Records past their time that wait";
        r.register("sweeps_waiting", help, self.sweeps_waiting.clone());
        let help = "Signals that something is wrong with what a principal does";
        r.register("signals", help, self.signals.clone());
        r.register("commits", "Durable commits", self.commits.clone());
        r.register(
            "changes",
            "Changes in durable commits",
            self.changes.clone(),
        );
    }

    /// Counts a call that ended.
    pub fn call_ended(&self, method: &'static str, reason: &'static str, took: Duration) {
        self.calls
            .get_or_create(&CallLabels { method, reason })
            .inc();
        self.call_seconds
            .get_or_create(&MethodLabel { method })
            .observe(took.as_secs_f64());
    }

    /// Counts a connection that was not let in.
    pub fn refused(&self, why: &'static str) {
        self.connections_refused
            .get_or_create(&WhyLabel { why })
            .inc();
    }

    /// Notes that `file` (`keys` or `vault`) has seen so many commits and
    /// changes since it was opened.
    pub fn stored(&self, file: &'static str, commits: u64, changes: u64) {
        for (family, now) in [(&self.commits, commits), (&self.changes, changes)] {
            let counter = family.get_or_create(&FileLabel { file });
            counter.inc_by(now.saturating_sub(counter.get()));
        }
    }

    /// Notes how many audit entries a signed checkpoint covers.
    pub fn sealed(&self, entries: u64) {
        self.sealed_entries.set(entries.cast_signed());
    }

    /// Notes how many audit entries a checkpoint covers that enough witnesses
    /// cosigned.
    pub fn witnessed(&self, entries: u64) {
        self.witnessed_entries.set(entries.cast_signed());
    }

    /// Counts a sweep: records looked at, fields deleted, records that wait, and
    /// days of lateness where something was deleted.
    pub fn swept(&self, looked: u64, fields: u64, waiting: u64, late: u32) {
        self.sweep_looks.inc_by(looked);
        self.swept_fields.inc_by(fields);
        self.sweeps_waiting.set(waiting.cast_signed());
        if fields > 0 {
            self.sweep_late_days.set(late.into());
        }
    }

    /// Counts a signal of a kind.
    pub fn signalled(&self, kind: &'static str) {
        self.signals.get_or_create(&KindLabel { kind }).inc();
    }

    /// Counts a reload of `what`.
    pub fn reloaded(&self, what: &'static str, ok: bool) {
        let outcome = if ok { "ok" } else { "refused" };
        self.reloads
            .get_or_create(&ReloadLabels { what, outcome })
            .inc();
    }

    /// The whole in the OpenMetrics text format 1.0.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail; a metric that did would be left out.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_under_its_name() {
        let metrics = Metrics::new();
        metrics.call_ended("GetRecord", "OK", Duration::from_micros(70));
        metrics.refused("full");
        metrics.stored("vault", 2, 3);
        metrics.stored("vault", 3, 7);
        metrics.reloaded("tls", false);
        metrics.sealed(9);
        let text = metrics.text();
        for line in [
            "oubliette_calls_total{method=\"GetRecord\",reason=\"OK\"} 1",
            "oubliette_call_seconds_bucket{le=\"0.0001\",method=\"GetRecord\"} 1",
            "oubliette_call_seconds_bucket{le=\"0.00005\",method=\"GetRecord\"} 0",
            "oubliette_connections_refused_total{why=\"full\"} 1",
            "oubliette_commits_total{file=\"vault\"} 3",
            "oubliette_changes_total{file=\"vault\"} 7",
            "oubliette_reloads_total{what=\"tls\",outcome=\"refused\"} 1",
            "oubliette_sealed_entries 9",
            "oubliette_ready 0",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}

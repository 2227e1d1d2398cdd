//! `bench audit`: what an audit entry costs, part by part, in CPU of this
//! process.

use super::super::child::cpu_micros;
use super::super::out::{Out, note};
use super::super::stop::{Done, Stop};
use super::super::workplace::Workplace;
use super::prepare;
use crate::audit::merkle::leaf_hash;
use crate::audit::{Detail, Leaf, Log, Subject, Verdict, history};
use crate::clock::Instant;
use crate::crypto::mac::mac;
use crate::crypto::{
    Deployment, IdentityKey, IdentityKeys, Label, MessageContext, message, random_bytes,
};
use crate::error::Result;
use crate::id::{CustomerNumber, TenantNumber};
use crate::serve::open_store;
use crate::store::{LeafRow, Store};
use clap::Args;
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;

/// Arguments of `bench audit`.
#[derive(Args, Debug, Clone)]
pub struct Audit {
    /// Entries that each part is measured with
    #[arg(long, value_name = "N", default_value_t = 100_000,
          value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    entries: u32,
    /// Entries that wait together for their commit
    #[arg(long, value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u32).range(1..=4_096))]
    in_flight: u32,
    /// End with one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What the parts are made with.
struct Scene {
    deployment: Deployment,
    keys: IdentityKeys,
    detail: Detail,
    log: Log,
    store: Arc<dyn Store>,
}

impl Audit {
    /// Measures and reports.
    pub fn run(self) -> Done {
        let workplace = Workplace::temporary("bench-audit")?;
        prepare(workplace.dir())?;
        let store = open_store(&workplace.dir().join("data"))?;
        let scene = Scene {
            deployment: Deployment(random_bytes()?),
            keys: IdentityKey::generate()?.subkeys(),
            detail: Detail {
                tenant: TenantNumber(1),
                customer: CustomerNumber(7),
                records: vec![(1, 1)],
            },
            log: Log::new(Arc::clone(&store), "1".to_owned(), 1),
            store,
        };
        let parts = self.parts(&scene)?;
        let whole: f64 = parts.iter().map(|(_, cost)| cost).sum();
        let mut rows: Vec<Vec<String>> = parts
            .iter()
            .map(|(name, cost)| vec![(*name).to_owned(), format!("{cost:.2}")])
            .collect();
        rows.push(vec!["together".to_owned(), format!("{whole:.2}")]);
        let mut out = Out::new(false);
        out.table(&["part of an audit entry", "CPU, µs"], &rows);
        out.line(&format!(
            "{} entries, {} waiting together; the commits' share of CPU is in the last part, the \
             time that the disk takes is not",
            self.entries, self.in_flight
        ));
        if self.json {
            let parts: serde_json::Map<_, _> = parts
                .iter()
                .map(|(name, cost)| ((*name).to_owned(), json!(cost)))
                .collect();
            Out::new(true).document(&json!({"parts_us": parts, "together_us": whole}));
        }
        Ok(())
    }

    fn parts(&self, scene: &Scene) -> Done<Vec<(&'static str, f64)>> {
        let (keys, now) = (&scene.keys, Instant::now());
        let mut parts = Vec::new();
        let nonces = self.each(|| Ok((random_bytes::<16>()?, random_bytes::<8>()?)))?;
        parts.push(("nonces", nonces));
        let tag = self.each(|| Ok(mac(&keys.audit_tag, &[black_box(&[1; 16])])))?;
        parts.push(("subject tag", tag));
        let context = MessageContext {
            deployment: scene.deployment,
            label: Label::AuditDetail,
            tenant: 1,
            customer: 7,
            number: 0,
            extra: 0,
        };
        let detail =
            self.each(|| message::seal(&keys.audit_detail, &context.bytes(), black_box(&[0; 64])))?;
        parts.push(("sealed detail", detail));
        let row = self.each(|| {
            let slot = history::slot(black_box(now));
            let mask = history::mask(keys, slot, &[0; 8]);
            Ok((history::locator(keys, slot), mask))
        })?;
        parts.push(("history row", row));
        let made = self.each(|| scene.row(now))?;
        let before: f64 = parts.iter().map(|(_, cost)| cost).sum();
        parts.push(("leaf, and the hash of the detail", (made - before).max(0.0)));
        let leaf = scene.row(now)?.leaf;
        let hash = self.each(|| Ok(leaf_hash(black_box(&leaf))))?;
        // A tree has about as many inner nodes as leaves, of 65 bytes each.
        let node = self.each(|| Ok(leaf_hash(black_box(&[0; 64]))))?;
        parts.push(("leaf hash and tree", hash + node));
        parts.push(("SQLite and commit", self.stored(scene, now, made)?));
        Ok(parts)
    }

    /// CPU of one step, in microseconds.
    fn each<T>(&self, mut step: impl FnMut() -> Result<T>) -> Done<f64> {
        let before = cpu()?;
        for _ in 0..self.entries {
            black_box(step()?);
        }
        Ok(per(cpu()?.saturating_sub(before), self.entries))
    }

    /// What is left of storing entries when making them is taken off: CPU is
    /// counted in hundredths of a second, too coarse for one commit.
    fn stored(&self, scene: &Scene, now: Instant, made: f64) -> Done<f64> {
        note("measuring the store");
        let begun = cpu()?;
        for _ in 0..self.entries.div_ceil(self.in_flight) {
            let rows: Result<Vec<LeafRow>> = (0..self.in_flight).map(|_| scene.row(now)).collect();
            let waiting: Vec<_> = rows?
                .into_iter()
                .map(|row| scene.store.append(vec![row]))
                .collect();
            for pending in waiting {
                pending.wait()?;
            }
        }
        let whole = per(cpu()?.saturating_sub(begun), self.entries);
        Ok((whole - made).max(0.0))
    }
}

impl Scene {
    fn row(&self, now: Instant) -> Result<LeafRow> {
        let call = self.log.begin("GetRecord", Some("acme/bench".into()), now);
        call.mark_recorded();
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        leaf.purpose = "support".to_owned();
        leaf.record_type = "contact".to_owned();
        leaf.policies = vec!["support-reads-contacts".to_owned()];
        leaf.fields = (1..=10).collect();
        leaf.count = 1;
        let subject = Subject::of(self.deployment, &self.keys, &self.detail, now)?;
        Ok(self.log.row(&call, &leaf, subject))
    }
}

fn cpu() -> Done<u64> {
    cpu_micros(std::process::id())
        .ok_or_else(|| Stop::Failed("this system does not tell a process its CPU time".to_owned()))
}

#[allow(clippy::cast_precision_loss)] // A few significant digits are told.
fn per(micros: u64, entries: u32) -> f64 {
    micros as f64 / f64::from(entries)
}

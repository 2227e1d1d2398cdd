//! Old entries of the log pruned. The order is what makes it safe: a look at
//! all that goes, then in one transaction the entry that says so, then a
//! checkpoint over that entry, and only then step by step the removal. It is
//! never undone and never begun again: what a crash cuts off goes on at the next
//! start. Two people always must want it, since it is evidence that goes.

use super::Vault;
use super::certificate::document::day_text;
use crate::access::{Grant, PruneEntries};
use crate::audit::pruning::{Survey, anchored, is_exported, stays};
use crate::audit::tiles::WIDTH;
use crate::audit::{Call, Leaf, Verdict, history};
use crate::clock::{Day, Instant};
use crate::error::{Error, Result, Violation};
use crate::limits;
use crate::store::{ApprovalAction, BeginPrune, DataFile, PruneStep, PrunedRow, Rows};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{OwnedMutexGuard, mpsc};

const DAY_MICROS: i64 = 86_400_000_000;

/// How long entries of the log are kept at the least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKeeping {
    /// In days.
    pub days: u32,
    /// Nothing goes that the checkpoint in this file does not cover.
    pub anchor: Option<PathBuf>,
    /// Nothing goes that witnesses did not cosign.
    pub is_witnessed: bool,
    /// Nothing goes that this export does not hold.
    pub exported: Option<PathBuf>,
}

impl Default for LogKeeping {
    fn default() -> Self {
        Self {
            days: limits::LOG_KEPT_LEAST,
            anchor: None,
            is_witnessed: false,
            exported: None,
        }
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneStage {
    /// Entries are looked at.
    Looking,
    /// They are removed.
    Removing,
    /// It is over.
    Done,
}

/// How far a prune is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneView {
    /// What is being done.
    pub stage: PruneStage,
    /// Up to which entry it is done.
    pub done: u64,
    /// And how far it goes.
    pub total: u64,
    /// Entries that were pruned before.
    pub before: u64,
    /// Of all pruned entries, those that stay; known at the end.
    pub kept: u64,
    /// From when on the log is complete, known at the end.
    pub complete_from: Option<Instant>,
    /// What keeps it from going as far as was asked, as a word; empty: nothing.
    pub held_by: &'static str,
}

type Views = mpsc::Sender<Result<PruneView>>;

/// How far a prune may go.
struct Bounds {
    known: Option<PrunedRow>,
    entries: u64,
    held_by: &'static str,
}

impl Bounds {
    fn pruned(&self) -> u64 {
        self.known.map_or(0, |of| of.entries)
    }
}

/// A prune that was asked for.
struct Pruning {
    bounds: Bounds,
    before: i64,
    by: Arc<str>,
    /// Who approved it; nobody where nothing is removed.
    approver: Option<String>,
    views: Views,
    _busy: OwnedMutexGuard<()>,
}

impl Vault {
    /// From here on entries are kept so. Once, at start.
    pub fn keep_log(&self, keeping: LogKeeping) {
        // Only start-up calls this, and it does so once.
        let _ = self.0.log_keeping.set(keeping);
    }

    fn log_keeping(&self) -> LogKeeping {
        self.0.log_keeping.get().cloned().unwrap_or_default()
    }

    /// Prunes entries of calls before a day, in whole bundles, or only says what
    /// would go. The call's own entry is durable when this returns; what is
    /// received tells how far it is, and it goes on where nobody listens.
    pub async fn prune_entries(
        &self,
        call: &Call,
        grant: &Grant<PruneEntries>,
    ) -> Result<mpsc::Receiver<Result<PruneView>>> {
        let asked = grant.target();
        let least = self.log_keeping().days;
        let newest = call.time.day().0.saturating_sub(least.cast_signed());
        if asked.before.0 > newest {
            let rule = format!("must be at least {least} days ago, for so long entries are kept");
            return Err(Error::invalid(Violation::new("before_time", rule)));
        }
        let busy = Arc::clone(&self.0.pruning).try_lock_owned();
        let busy = busy.map_err(|_| Error::PruneUnderWay)?;
        let bounds = self.bounds(asked.before).await?;
        let by = grant.principal().name();
        let approver = if asked.dry_run || bounds.entries <= bounds.pruned() {
            None
        } else {
            let (action, day) = (ApprovalAction::PruneLog, asked.before);
            let reason = format!("entries before {}. {}", day_text(day), asked.reason);
            let target = u64::from(day.0.unsigned_abs());
            let room = self.approvals();
            let approved = room.demand(action, target, by, reason.trim()).await?;
            Some(approved.approver().to_owned())
        };
        let mut leaf = self.leaf(grant, Verdict::Allowed);
        leaf.count = bounds.entries.saturating_sub(bounds.pruned());
        self.record_plain(call, &leaf, ()).await?;
        let (views, told) = mpsc::channel(1);
        let pruning = Pruning {
            bounds,
            before: i64::from(asked.before.0) * DAY_MICROS,
            by: Arc::clone(by),
            approver,
            views,
            _busy: busy,
        };
        let vault = self.clone();
        tokio::spawn(async move {
            let ended = vault.prune_to_the_end(&pruning).await;
            if let Err(error) = &ended {
                tracing::warn!(reason = error.reason(), "the log was not pruned to the end");
            }
            let told = pruning.views.send(ended);
            // Whoever asked may be gone, or not listen any more.
            let _ = tokio::time::timeout(limits::STREAM_STALL_TIME, told).await;
        });
        Ok(told)
    }

    /// Goes on where a prune was cut off, until it is done.
    pub async fn go_on_pruning(self) {
        let _busy = self.0.pruning.lock().await;
        let (views, _) = mpsc::channel(1);
        while self.is_sound() {
            match self.finish_prune(&views).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(reason = error.reason(), "the log is not pruned yet");
                    tokio::time::sleep(limits::JOB_PAUSE).await;
                }
            }
        }
    }

    /// Up to where entries may go that came before a day: under a checkpoint
    /// of before that day, and under what is anchored outside.
    async fn bounds(&self, before: Day) -> Result<Bounds> {
        let (keeping, key) = (self.log_keeping(), self.0.log_key.get().cloned());
        let look = move |rows: &mut dyn Rows| {
            let known = rows.pruned()?;
            let entries = rows.sealed_before(i64::from(before.0) * DAY_MICROS)?;
            let mut anchors = Vec::new();
            if keeping.is_witnessed {
                anchors.push(rows.cosigned()?.map_or(0, |of| of.size));
            }
            if let Some(file) = &keeping.anchor {
                let key = key.ok_or(Error::Internal("a log without a key"))?;
                anchors.push(anchored(rows, &key, file)?);
            }
            let least = anchors.into_iter().min().unwrap_or(u64::MAX);
            let held_by = if least < entries { "anchor" } else { "" };
            let entries = entries.min(least);
            let entries = entries - entries % WIDTH as u64;
            Ok(Bounds {
                known,
                entries,
                held_by,
            })
        };
        self.0.log.aside(look).await
    }

    async fn prune_to_the_end(&self, pruning: &Pruning) -> Result<PruneView> {
        self.finish_prune(&pruning.views).await?;
        let mut view = PruneView {
            stage: PruneStage::Looking,
            done: pruning.bounds.pruned(),
            total: pruning.bounds.entries,
            before: pruning.bounds.pruned(),
            kept: 0,
            complete_from: None,
            held_by: pruning.bounds.held_by,
        };
        let survey = self.survey(pruning, &mut view).await?;
        view.stage = PruneStage::Done;
        (view.done, view.kept) = (survey.size(), survey.kept());
        view.total = survey.size();
        let until = Some(survey.until()).filter(|_| survey.size() > 0);
        view.complete_from = until.map(|until| Instant::from_micros(until.saturating_add(1)));
        let is_more = survey.size() > pruning.bounds.pruned();
        let Some(approver) = pruning.approver.clone().filter(|_| is_more) else {
            return Ok(view);
        };
        self.begin_prune(survey, &pruning.by, approver).await?;
        self.finish_prune(&pruning.views).await?;
        Ok(view)
    }

    /// Looks at all that goes.
    async fn survey(&self, pruning: &Pruning, view: &mut PruneView) -> Result<Survey> {
        let known = pruning.bounds.known;
        let begun = self.0.log.aside(move |rows| Survey::begin(rows, known));
        let mut survey = begun.await?;
        let exported = self.log_keeping().exported;
        while survey.size() < pruning.bounds.entries {
            let (to, before) = (pruning.bounds.entries, pruning.before);
            let exported = exported.clone();
            let more = self.0.log.aside(move |rows| {
                for _ in 0..limits::PRUNE_BUNDLES {
                    rows.refresh();
                    let entries = rows.entries(survey.size(), WIDTH)?;
                    let is_exported = match &exported {
                        Some(dir) => is_exported(dir, &entries)?,
                        None => true,
                    };
                    if !is_exported {
                        return Ok((survey, Some("export")));
                    }
                    if !survey.take(&entries, before)? {
                        return Ok((survey, Some("")));
                    }
                    if survey.size() >= to {
                        break;
                    }
                }
                Ok((survey, None))
            });
            let (looked, held_by) = more.await?;
            survey = looked;
            view.done = survey.size();
            // Progress is told to whoever has room for it.
            let _ = pruning.views.try_send(Ok(*view));
            if let Some(held_by) = held_by {
                view.held_by = held_by;
                break;
            }
        }
        Ok(survey)
    }

    /// Writes it down: from here on it happens.
    async fn begin_prune(&self, survey: Survey, by: &Arc<str>, approver: String) -> Result<()> {
        let (entries, until) = (survey.size(), survey.until());
        let call = self
            .0
            .log
            .begin("PruneLog", Some(Arc::clone(by)), Instant::now());
        let mut leaf = Leaf::new(Verdict::Allowed, "");
        leaf.count = entries;
        leaf.fact = Some(survey.fact(by.to_string(), approver)?);
        let begun = self.0.store.begin_prune(BeginPrune {
            leaf: self.plain_row(&call, &leaf)?,
            entries,
            until,
        });
        match begun.in_time().await? {
            0 => Err(Error::PruneUnderWay),
            _ => {
                call.mark_recorded();
                Ok(())
            }
        }
    }

    /// Removes what a prune that was written down says, once that is under a
    /// checkpoint, and then what is left of it in other places.
    async fn finish_prune(&self, views: &Views) -> Result<()> {
        let known = self.0.log.aside(|rows| rows.pruned());
        let Some(mut known) = known.await? else {
            return Ok(());
        };
        let before = known.removed;
        self.told_under_a_checkpoint(known).await?;
        while known.removed < known.entries {
            let after = known.removed;
            let to = known.entries.min(after + limits::PRUNE_ENTRIES);
            let stay = self.0.log.aside(move |rows| staying(rows, after, to));
            let stay = stay.await?;
            let step = self.0.store.prune_leaves(PruneStep { after, to, stay });
            if !step.in_time().await? {
                return Err(Error::PruneUnderWay);
            }
            known.removed = to;
            let _ = views.try_send(Ok(PruneView {
                stage: PruneStage::Removing,
                done: to,
                total: known.entries,
                before,
                kept: 0,
                complete_from: None,
                held_by: "",
            }));
        }
        let first = Instant::from_micros(known.until.saturating_sub(history::lag()));
        let hours = history::slot(first);
        while !self.0.store.prune_history(hours).in_time().await? {}
        // Until then the write-ahead log may hold what was removed.
        if !self.truncated(DataFile::Vault).await? {
            tracing::warn!(
                "a reader holds remnants of pruned entries; the next start removes them"
            );
        }
        Ok(())
    }

    /// Waits until whoever sees a hole is told why.
    async fn told_under_a_checkpoint(&self, known: PrunedRow) -> Result<()> {
        let sealed = |rows: &mut dyn Rows| Ok(rows.checkpoint()?.map_or(0, |of| of.size));
        while self.0.log.aside(sealed).await? < known.leaf {
            if !self.is_sound() {
                return Err(Error::Internal("a log that is sealed no more"));
            }
            tokio::time::sleep(limits::SEAL_EVERY).await;
        }
        Ok(())
    }
}

/// The numbers of those that stay.
fn staying(rows: &mut dyn Rows, mut after: u64, to: u64) -> Result<Vec<u64>> {
    let mut stay = Vec::new();
    while after < to {
        for (number, entry) in rows.entries(after, limits::LEAVES_PER_READ)? {
            if number <= to && stays(&entry)? {
                stay.push(number);
            }
            after = number;
        }
    }
    Ok(stay)
}

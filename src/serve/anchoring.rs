//! The log held against its anchors: the file each time that it is sealed, the
//! witnesses side by side and less often, since they are far away.

use crate::audit::Sealer;
use crate::audit::anchor::{Anchor, FileAnchor, Held, Mode, Shown, Slipped, WitnessClient};
use crate::config::Audit;
use crate::error::Result;
use crate::limits;
use crate::metrics::Metrics;
use crate::store::Store;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// An anchor, shown one log after the other.
type Place = Arc<Mutex<dyn Anchor>>;

async fn show(place: &Place, log: &Shown) -> Held {
    let (place, log) = (Arc::clone(place), log.clone());
    let shown = spawn_blocking(move || {
        let mut anchor = place.lock().unwrap_or_else(PoisonError::into_inner);
        anchor.show(&log)
    });
    shown.await.unwrap_or_else(|_| {
        let why = "an anchor ended by itself".to_owned();
        Err(Slipped::Unreachable(why))
    })
}

/// The anchors of a configuration.
pub struct Anchors {
    file: Option<Place>,
    witnesses: Witnesses,
    mode: Mode,
    metrics: Arc<Metrics>,
}

/// The witnesses of a configuration.
#[derive(Clone)]
struct Witnesses {
    all: Vec<Place>,
    need: usize,
    every: Duration,
}

/// What the witnesses said of one checkpoint.
struct Round {
    lines: String,
    slipped: Vec<Slipped>,
    is_enough: bool,
}

impl Round {
    /// What keeps the checkpoint from being anchored: a conflict with any, or
    /// too few.
    fn trouble(&self) -> Option<&Slipped> {
        let is_conflict = |slipped: &&Slipped| matches!(slipped, Slipped::Conflict(_));
        let conflict = self.slipped.iter().find(is_conflict);
        conflict.or_else(|| self.slipped.first().filter(|_| !self.is_enough))
    }
}

impl Witnesses {
    async fn ask(&self, log: &Shown) -> Round {
        let asked = self.all.iter().cloned().map(|place| {
            let log = log.clone();
            tokio::spawn(async move { show(&place, &log).await })
        });
        let asked: Vec<_> = asked.collect();
        let (mut lines, mut many, mut slipped) = (String::new(), 0, Vec::new());
        for answer in asked {
            match answer.await {
                Ok(Ok(line)) => {
                    many += 1;
                    lines.push_str(&line.unwrap_or_default());
                }
                Ok(Err(why)) => slipped.push(why),
                Err(_) => slipped.push(Slipped::Unreachable("a witness was not asked".to_owned())),
            }
        }
        Round {
            lines,
            slipped,
            is_enough: many >= self.need,
        }
    }

    /// As it is, or until enough answered, a few times.
    async fn ask_at_start(&self, log: &Shown, mode: Mode) -> Round {
        let mut round = self.ask(log).await;
        for _ in 1..limits::WITNESS_ROUNDS_AT_START {
            let again = matches!(round.trouble(), Some(Slipped::Unreachable(_)));
            if !again || mode == Mode::Report {
                break;
            }
            sleep(limits::WITNESS_EVERY_LEAST).await;
            round = self.ask(log).await;
        }
        round
    }
}

impl Anchors {
    /// The anchors of a configuration.
    ///
    /// # Errors
    /// [`crate::error::Error::Setup`] where one is not described as it must be.
    pub fn new(audit: &Audit, metrics: &Arc<Metrics>) -> Result<Self> {
        let file = audit.file.as_deref().map(FileAnchor::new);
        let clients = audit.witnesses.iter().map(|address| {
            let client = WitnessClient::new(address.clone())?;
            Ok(Arc::new(Mutex::new(client)) as Place)
        });
        Ok(Self {
            file: file.map(|file| Arc::new(Mutex::new(file)) as Place),
            witnesses: Witnesses {
                all: clients.collect::<Result<_>>()?,
                need: audit.need,
                every: audit.every,
            },
            mode: audit.mode,
            metrics: Arc::clone(metrics),
        })
    }

    /// Holds the log against every anchor, at start, before anything is written.
    ///
    /// # Errors
    /// The refusal to start, in strict mode.
    pub async fn hold(&self, log: &Shown) -> Result<()> {
        let file = self.show_file(log).await;
        let round = self.witnesses.ask_at_start(log, self.mode).await;
        for slipped in file.iter().chain(&round.slipped) {
            report(&self.metrics, slipped);
        }
        match file.as_ref().or_else(|| round.trouble()) {
            Some(slipped) if self.mode == Mode::Strict => Err(slipped.refusal()),
            _ => Ok(()),
        }
    }

    async fn show_file(&self, log: &Shown) -> Option<Slipped> {
        show(self.file.as_ref()?, log).await.err()
    }

    /// Leaves a new checkpoint in the file; answers why the vault must not call
    /// itself ready, as a word.
    pub async fn leave(&self, log: &Shown) -> Option<&'static str> {
        let slipped = self.show_file(log).await?;
        report(&self.metrics, &slipped);
        (self.mode == Mode::Strict).then(|| slipped.word())
    }

    /// Asks the witnesses for as long as `logs` has a sender, and then once
    /// more; tells why the vault must not call itself ready. Cosignatures are
    /// kept in the store.
    pub fn witness(
        &self,
        logs: watch::Receiver<Shown>,
        store: Arc<dyn Store>,
    ) -> (
        watch::Receiver<Option<&'static str>>,
        tokio::task::JoinHandle<()>,
    ) {
        let (tell, told) = watch::channel(None);
        let witnessing = Witnessing {
            witnesses: self.witnesses.clone(),
            mode: self.mode,
            metrics: Arc::clone(&self.metrics),
            store,
            tell,
            done: None,
            good: Instant::now(),
        };
        (told, tokio::spawn(witnessing.run(logs)))
    }
}

/// The witnesses, asked beside the calls.
struct Witnessing {
    witnesses: Witnesses,
    mode: Mode,
    metrics: Arc<Metrics>,
    store: Arc<dyn Store>,
    tell: watch::Sender<Option<&'static str>>,
    /// How many entries enough of them cosigned.
    done: Option<u64>,
    /// When nothing was left to cosign.
    good: Instant,
}

impl Witnessing {
    async fn run(mut self, mut logs: watch::Receiver<Shown>) {
        if self.witnesses.all.is_empty() {
            return;
        }
        let mut look = interval(self.witnesses.every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = look.tick() => false,
                () = gone(&mut logs) => true,
            };
            let log = logs.borrow().clone();
            let trouble = self.round(&log).await;
            self.tell.send_replace(trouble);
            if is_last {
                return;
            }
        }
    }

    async fn round(&mut self, log: &Shown) -> Option<&'static str> {
        if self.done == Some(log.head.size) {
            self.good = Instant::now();
            return None;
        }
        let round = self.witnesses.ask(log).await;
        for slipped in &round.slipped {
            report(&self.metrics, slipped);
        }
        if round.is_enough {
            let kept = Sealer::keep_cosigned(&self.store, log, &round.lines).await;
            if let Err(why) = kept {
                tracing::warn!(reason = why.reason(), "cosignatures are not kept yet");
            }
        }
        let slipped = match round.trouble() {
            None => {
                self.metrics.witnessed(log.head.size);
                self.done = Some(log.head.size);
                self.good = Instant::now();
                return None;
            }
            Some(slipped) => slipped,
        };
        let grace = limits::WITNESS_GRACE.max(self.witnesses.every * 2);
        let is_due = matches!(slipped, Slipped::Conflict(_)) || self.good.elapsed() > grace;
        (is_due && self.mode == Mode::Strict).then(|| slipped.word())
    }
}

/// Completes when nobody sends any more.
async fn gone(logs: &mut watch::Receiver<Shown>) {
    while logs.changed().await.is_ok() {}
}

fn report(metrics: &Metrics, slipped: &Slipped) {
    metrics.anchor_failures.inc();
    tracing::error!(why = slipped.text(), "the log's anchor does not hold");
}

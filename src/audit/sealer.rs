//! The log's tree, kept behind its leaves and off the way of any call: new
//! leaves are read in small batches, hashed, and sealed under a checkpoint.

use super::anchor::{Past, Shown};
use super::checkpoint::{self, Checkpoint};
use super::merkle::{Hash, consistency, leaf_hash, root_of};
use super::tiles::{Edge, Tiled};
use crate::clock::Instant;
use crate::crypto::Deployment;
use crate::error::{Error, Result};
use crate::keys::signing::{PublicKey, SigningKey};
use crate::limits;
use crate::store::{CheckpointRow, Rows, Seal, Store};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// Of each minute the last checkpoint is kept.
const MINUTE_MICROS: i64 = 60_000_000;

/// Keeps the tree of one log.
pub struct Sealer {
    store: Arc<dyn Store>,
    key: Arc<SigningKey>,
    edge: Edge,
    head: watch::Sender<Option<CheckpointRow>>,
}

impl Sealer {
    /// Takes up the tree where it stands, with the signing key in a file: the
    /// log of a deployment in a trust domain. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Setup`] where the newest checkpoint does not fit the leaves and
    /// tiles that are there.
    pub async fn open(store: Arc<dyn Store>, trust_domain: &str, key: &Path) -> Result<Self> {
        let deployment = aside(&store, |rows| rows.deployment()).await?;
        let Some(deployment) = deployment else {
            return Err(Error::Setup(
                "there is no vault here; found one with `oubliette init DIR`".to_owned(),
            ));
        };
        let origin = checkpoint::origin(trust_domain, Deployment(deployment));
        let key = Arc::new(SigningKey::load(key, origin)?);
        let (edge, head) = load(&store, &key).await?;
        Ok(Self {
            store,
            key,
            edge,
            head: watch::Sender::new(head),
        })
    }

    /// The log's public key.
    pub fn key(&self) -> &PublicKey {
        self.key.public()
    }

    /// The log as anchors see it. An empty one has a head too, which an anchor
    /// that has seen more tells from a log that is new.
    pub fn shown(&self) -> Shown {
        let whole = self.edge.whole();
        let head = Checkpoint {
            origin: self.key().name().to_owned(),
            size: whole.size(),
            root: whole.root(),
        };
        let newest = self.head.borrow();
        let signed = newest.as_ref().filter(|row| row.size == head.size);
        Shown {
            key: self.key().clone(),
            note: signed.map_or_else(|| head.sign(&self.key), |row| row.note.clone()),
            head,
            past: Arc::new(Stored(Arc::clone(&self.store))),
        }
    }

    /// The newest checkpoint, now and later.
    pub fn head(&self) -> watch::Receiver<Option<CheckpointRow>> {
        self.head.subscribe()
    }

    /// Keeps a checkpoint with the cosignatures that anchors gave to it.
    ///
    /// # Errors
    /// The store refused.
    pub async fn keep_cosigned(store: &Arc<dyn Store>, log: &Shown, lines: &str) -> Result<()> {
        let row = CheckpointRow {
            size: log.head.size,
            time: Instant::now().micros(),
            note: format!("{}{lines}", log.note),
        };
        store.keep_cosigned(row).in_time().await
    }

    /// Seals every leaf that is there by now; answers how many are sealed.
    ///
    /// # Errors
    /// The store refused; what was sealed before stands.
    pub async fn catch_up(&mut self) -> Result<u64> {
        loop {
            let sealed = self.step().await;
            match sealed {
                Ok(true) => {}
                Ok(false) => return Ok(self.edge.whole().size()),
                Err(error) => {
                    // Whether the tree has grown is not known.
                    let (edge, head) = load(&self.store, &self.key).await?;
                    self.edge = edge;
                    self.head.send_replace(head);
                    return Err(error);
                }
            }
        }
    }

    /// Seals the next leaves; false where there are none.
    async fn step(&mut self) -> Result<bool> {
        let (mut edge, mut tiles) = (self.edge.clone(), Vec::new());
        let sealed = edge.whole().size();
        let end = sealed + limits::LEAVES_PER_SEAL;
        while edge.whole().size() < end {
            let after = edge.whole().size();
            let most = usize::try_from(end - after).unwrap_or(usize::MAX);
            let most = most.min(limits::LEAVES_PER_READ);
            let leaves = aside(&self.store, move |rows| rows.entries(after, most)).await?;
            for (_, leaf) in &leaves {
                edge.push(leaf_hash(leaf), |full| tiles.push(full));
            }
            if leaves.len() < most {
                break;
            }
        }
        let whole = edge.whole();
        if whole.size() == sealed {
            return Ok(false);
        }
        let checkpoint = Checkpoint {
            origin: self.key.public().name().to_owned(),
            size: whole.size(),
            root: whole.root(),
        };
        let time = Instant::now().micros();
        let row = CheckpointRow {
            size: checkpoint.size,
            time,
            note: checkpoint.sign(&self.key),
        };
        tiles.extend(edge.partial());
        let seal = Seal {
            tiles,
            checkpoint: row.clone(),
            replaces_since: time - time.rem_euclid(MINUTE_MICROS),
        };
        if !self.store.seal(seal).in_time().await? {
            return Err(Error::Internal("the tree grew by another hand"));
        }
        self.edge = edge;
        self.head.send_replace(Some(row));
        Ok(true)
    }
}

async fn load(
    store: &Arc<dyn Store>,
    key: &Arc<SigningKey>,
) -> Result<(Edge, Option<CheckpointRow>)> {
    let key = Arc::clone(key);
    aside(store, move |rows| {
        let Some(row) = rows.checkpoint()? else {
            return Ok((Edge::default(), None));
        };
        let checkpoint = Checkpoint::open(&row.note, key.public()).map_err(|why| {
            Error::Setup(format!(
                "the audit log's newest checkpoint {why}; put the key back that [signing] log \
                 named when it was signed"
            ))
        })?;
        let leaves = rows.newest_entry()?;
        if leaves < checkpoint.size {
            return Err(Error::Setup(format!(
                "the audit log has {leaves} entries and a signed checkpoint over {}; entries were \
                 removed, or vault.db was put together from different backups; restore one whole",
                checkpoint.size
            )));
        }
        let edge = Edge::load(checkpoint.size, |level, index| rows.tile(level, index));
        match edge {
            Ok(edge) if edge.whole().root() == checkpoint.root => Ok((edge, Some(row))),
            _ => Err(Error::Setup(
                "the audit log's hash tiles do not make up its signed root; vault.db was changed \
                 outside the vault, or restored halfway; restore it whole"
                    .to_owned(),
            )),
        }
    })
    .await
}

/// The log's past, read a little at a time.
struct Stored(Arc<dyn Store>);

impl Past for Stored {
    fn root_at(&self, size: u64) -> Result<Hash> {
        aside_here(&self.0, move |rows| {
            root_of(&mut Tiled(|level, index| rows.tile(level, index)), size)
        })
    }

    fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>> {
        aside_here(&self.0, move |rows| {
            consistency(&mut Tiled(|level, index| rows.tile(level, index)), old, new)
        })
    }
}

/// Reads beside the reader threads, and outside the runtime.
pub(super) async fn aside<T: Send + 'static>(
    store: &Arc<dyn Store>,
    work: impl FnOnce(&mut dyn Rows) -> Result<T> + Send + 'static,
) -> Result<T> {
    let store = Arc::clone(store);
    let reading = tokio::task::spawn_blocking(move || aside_here(&store, work));
    reading.await.unwrap_or(Err(NO_ANSWER))
}

fn aside_here<T: Send + 'static>(
    store: &Arc<dyn Store>,
    work: impl FnOnce(&mut dyn Rows) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, mut done) = oneshot::channel();
    store.aside(Box::new(move |rows| {
        // The receiver is held right here.
        let _ = answer.send(work(rows));
    }));
    done.try_recv().unwrap_or(Err(NO_ANSWER))
}

const NO_ANSWER: Error = Error::Internal("a read behind the calls ended by itself");

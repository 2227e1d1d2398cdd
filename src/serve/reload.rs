//! Files that are read anew while serving: on SIGHUP at once, and when their
//! content has changed and then kept still for one more look, so that a file
//! half copied is not taken for a whole one.

use crate::access::{Access, Sources};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::vault::Vault;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Something that is read from files and can be read again.
pub trait Reload: Send + Sync {
    /// A word for the log and the metrics.
    fn name(&self) -> &'static str;
    /// The files, or folders of files, that it is read from.
    fn files(&self) -> Vec<PathBuf>;
    /// Reads all of it and then replaces the old at one stroke.
    ///
    /// # Errors
    /// [`Error::Setup`] when the new is not usable; the old is then still in
    /// force.
    fn reload(&self) -> Result<()>;
}

/// Catalog, policy and roles: they change together or not at all.
pub struct Rules {
    /// What is loaded anew.
    pub access: Arc<Access>,
    /// Where it was loaded from.
    pub sources: Sources,
    /// Where a new tenant is made ready.
    pub vault: Vault,
}

impl Reload for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn files(&self) -> Vec<PathBuf> {
        let Sources {
            catalog,
            roles,
            policy,
        } = self.sources.clone();
        vec![catalog, roles, policy]
    }

    fn reload(&self) -> Result<()> {
        self.access.reload()?;
        if self.vault.is_sealed() {
            // It makes sure of its tenants when it comes up.
            return Ok(());
        }
        self.vault.ensure_tenants(self.access.now().tenants())
    }
}

/// What the content of some files came to, or that they could not be read.
pub(super) type Fingerprint = [u8; 32];

/// One thing that is watched.
struct Watched {
    what: Arc<dyn Reload>,
    /// The content last loaded, or last refused: it is not tried twice.
    settled: Fingerprint,
    /// The content at the look before.
    before: Fingerprint,
}

/// Looks at files again and again, and at once on SIGHUP.
pub struct Watch {
    watched: Vec<Watched>,
    metrics: Arc<Metrics>,
    hangup: Signal,
    look: Interval,
}

impl Watch {
    /// Begins with the content that is there now, which must be what was
    /// loaded.
    ///
    /// # Errors
    /// [`Error::Internal`] when the signal cannot be caught.
    pub fn new(things: Vec<Arc<dyn Reload>>, metrics: Arc<Metrics>) -> Result<Self> {
        let hangup =
            signal(SignalKind::hangup()).map_err(|_| Error::Internal("SIGHUP cannot be caught"))?;
        let mut look = interval(crate::limits::RELOAD_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            watched: things.into_iter().map(Watched::new).collect(),
            metrics,
            hangup,
            look,
        })
    }

    /// Never ends; drop it to stop watching.
    pub async fn run(mut self) {
        loop {
            let all = tokio::select! {
                _ = self.look.tick() => false,
                _ = self.hangup.recv() => true,
            };
            let (mut watched, metrics) = (self.watched, self.metrics.clone());
            // Files block, and policies take a while to check.
            let looked = spawn_blocking(move || {
                if all {
                    load_all(&mut watched, &metrics);
                } else {
                    look_again(&mut watched, &metrics);
                }
                watched
            });
            match looked.await {
                Ok(watched) => self.watched = watched,
                Err(_) => {
                    return tracing::error!("files are no longer watched; restart the server");
                }
            }
        }
    }
}

/// Loads what has changed and then kept still since the look before.
fn look_again(watched: &mut [Watched], metrics: &Metrics) {
    for watched in watched {
        if watched.changed_and_still() {
            watched.load(metrics);
        }
    }
}

fn load_all(watched: &mut [Watched], metrics: &Metrics) {
    for watched in watched {
        watched.before = fingerprint(&watched.what.files());
        watched.load(metrics);
    }
}

impl Watched {
    fn new(what: Arc<dyn Reload>) -> Self {
        let now = fingerprint(&what.files());
        Self {
            what,
            settled: now,
            before: now,
        }
    }

    fn changed_and_still(&mut self) -> bool {
        let now = fingerprint(&self.what.files());
        let still = now == self.before;
        self.before = now;
        still && now != self.settled
    }

    fn load(&mut self, metrics: &Metrics) {
        self.settled = self.before;
        let name = self.what.name();
        let outcome = self.what.reload();
        metrics.reloaded(name, outcome.is_ok());
        match outcome {
            Ok(()) => tracing::info!(what = name, "loaded anew"),
            Err(why) => {
                tracing::error!(what = name, %why, "not loaded; the old one stays in force");
            }
        }
    }
}

/// The digest of some files' names and contents.
pub(super) fn fingerprint(paths: &[PathBuf]) -> Fingerprint {
    let mut hash = Sha256::new();
    for path in paths {
        add(&mut hash, path, 0);
    }
    hash.finalize().into()
}

/// Names and contents, folder by folder in order. What cannot be read counts
/// as such, so that its coming back is a change.
fn add(hash: &mut Sha256, path: &Path, depth: u32) {
    /// A folder, its `types/`, `purposes/` and `notices/`; deeper lies nothing of ours.
    const DEPTH: u32 = 2;
    hash.update(Sha256::digest(path.as_os_str().as_encoded_bytes()));
    if path.is_dir() && depth < DEPTH {
        let mut inside: Vec<PathBuf> = fs::read_dir(path)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        inside.sort();
        for entry in inside {
            add(hash, &entry, depth.saturating_add(1));
        }
    } else {
        match fs::read(path) {
            Ok(content) => hash.update(Sha256::digest(content)),
            Err(_) => hash.update([0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Thing {
        file: PathBuf,
        loads: AtomicUsize,
    }

    impl Reload for Thing {
        fn name(&self) -> &'static str {
            "thing"
        }
        fn files(&self) -> Vec<PathBuf> {
            vec![self.file.clone()]
        }
        fn reload(&self) -> Result<()> {
            self.loads.fetch_add(1, Ordering::SeqCst);
            match fs::read(&self.file) {
                Ok(content) if content == b"bad" => Err(Error::Setup("bad".to_owned())),
                _ => Ok(()),
            }
        }
    }

    #[test]
    fn a_change_is_loaded_once_and_only_when_it_keeps_still() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("thing");
        fs::write(&file, "one").unwrap();
        let thing = Arc::new(Thing {
            file: file.clone(),
            loads: AtomicUsize::new(0),
        });
        let metrics = Arc::new(Metrics::new());
        let mut watched = [Watched::new(thing.clone())];
        let loads = || thing.loads.load(Ordering::SeqCst);
        look_again(&mut watched, &metrics);
        assert_eq!(loads(), 0, "nothing has changed");
        fs::write(&file, "half").unwrap();
        look_again(&mut watched, &metrics);
        fs::write(&file, "half and half").unwrap();
        look_again(&mut watched, &metrics);
        assert_eq!(loads(), 0, "it changed between two looks");
        look_again(&mut watched, &metrics);
        assert_eq!(loads(), 1, "it kept still");
        fs::write(&file, "bad").unwrap();
        for _ in 0..4 {
            look_again(&mut watched, &metrics);
        }
        assert_eq!(loads(), 2, "what was refused is not tried again and again");
        let text = metrics.text();
        assert!(text.contains("oubliette_reloads_total{what=\"thing\",outcome=\"ok\"} 1"));
        assert!(text.contains("oubliette_reloads_total{what=\"thing\",outcome=\"refused\"} 1"));
        load_all(&mut watched, &metrics);
        assert_eq!(loads(), 3, "a hangup asks at once");
    }

    #[test]
    fn a_file_that_comes_goes_or_moves_within_a_folder_is_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [dir.path().to_owned()];
        fs::create_dir(dir.path().join("types")).unwrap();
        let empty = fingerprint(&paths);
        fs::write(dir.path().join("types/a.toml"), "x").unwrap();
        let one = fingerprint(&paths);
        fs::rename(
            dir.path().join("types/a.toml"),
            dir.path().join("types/b.toml"),
        )
        .unwrap();
        let moved = fingerprint(&paths);
        assert!(empty != one && one != moved);
        fs::remove_file(dir.path().join("types/b.toml")).unwrap();
        assert_eq!(fingerprint(&paths), empty);
    }
}

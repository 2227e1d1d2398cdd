//! Backups and restores put together: which files, which keys, in which order.
//! A restore takes the data directory for itself; a backup runs beside the
//! server.

use super::lock::DirectoryLock;
use super::providers::Built;
use super::run::unsealed;
use crate::audit::checkpoint::{self, Checkpoint};
use crate::backup::attack::{self, Found};
use crate::backup::{
    Evidence, Identity, KeyBackups, KeysBackup, Ledger, LedgerCopy, Manifest, Rebuilt,
    back_up_data, back_up_keys, newest, place_data, rebuild_keys,
};
use crate::catalog::read_text;
use crate::clock::Instant;
use crate::config::{Backup, Config};
use crate::crypto::Deployment;
use crate::error::{Error, Result};
use crate::keys::Providers;
use crate::keys::signing::{PublicKey, SigningKey};
use crate::store::CopyMark;
use crate::store::sqlite::{
    KEYS_FILE, Traces, VAULT_FILE, deployment, mark_of_data, mark_of_keys, traces,
};
use crate::vault::{KeyBackup, Restored, Unproven};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The key that signs ledgers and key backups.
///
/// # Errors
/// [`Error::Setup`] when it cannot be read.
pub fn vault_key(config: &Config) -> Result<SigningKey> {
    SigningKey::load(
        &config.signing.vault,
        format!("{}/vault", config.trust_domain),
    )
}

/// The copy of the ledger that a configuration names, if it names one.
pub(super) fn ledger_copy(
    backup: &Backup,
    key: SigningKey,
    deployment: [u8; 16],
) -> Result<Option<LedgerCopy>> {
    let Some(dir) = &backup.ledger_to else {
        return Ok(None);
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|why| {
        let (dir, kind) = (dir.display(), why.kind());
        Error::Setup(format!(
            "[backup] ledger_to: {dir} cannot be made: {kind}; mount it first"
        ))
    })?;
    LedgerCopy::open(dir, deployment, key).map(Some)
}

/// Where key backups go, if the configuration says so: for the close of an
/// epoch.
pub fn key_backups(config: &Config) -> Result<Option<KeyBackups>> {
    let (Some(dir), Some(recipient)) = (&config.backup.keys_to, &config.backup.recipient) else {
        return Ok(None);
    };
    Ok(Some(KeyBackups {
        data: config.data.clone(),
        dir: dir.clone(),
        recipient: recipient.clone(),
        key: vault_key(config)?,
    }))
}

impl KeyBackup for KeyBackups {
    fn take_and_test(&self, epoch: u32) -> Result<()> {
        KeyBackups::take_and_test(self, epoch)
    }
}

/// Backs up the data beside the server; `told` hears how many bytes are
/// written, and of how many.
///
/// # Errors
/// [`Error::Setup`] when `to` cannot be made.
pub fn backup_data(
    config: &Config,
    to: &Path,
    told: impl FnMut(u64, u64),
) -> Result<(PathBuf, CopyMark)> {
    back_up_data(&config.data, to, Instant::now().seconds(), told)
}

/// Backs up the keys beside the server.
///
/// # Errors
/// [`Error::Setup`] when the configuration does not say where and to whom.
pub fn backup_keys(
    config: &Config,
    is_full: bool,
    told: impl FnMut(usize, usize),
) -> Result<KeysBackup> {
    let (Some(dir), Some(recipient)) = (&config.backup.keys_to, &config.backup.recipient) else {
        return Err(Error::Setup(format!(
            "{} does not say where key backups go and to whom they are encrypted; add [backup] \
             with keys_to and recipient",
            config.file.display()
        )));
    };
    let (key, now) = (vault_key(config)?, Instant::now().seconds());
    back_up_keys(&config.data, dir, recipient, &key, now, is_full, told)
}

/// Attacks with the backups in `dirs`, the present files, and the provider's
/// present keys.
///
/// # Errors
/// [`Error::Setup`] when a file cannot be read, [`Error::Unavailable`] when a
/// provider cannot be asked.
pub fn attack(config: &Config, dirs: &[PathBuf], identity: Option<&Path>) -> Result<Found> {
    let identity = identity.map(Identity::load).transpose()?;
    let providers = Built::new(&config.providers)?.providers()?;
    let own = deployment(&config.data)?;
    attack::attack(dirs, &config.data, own, &providers, identity.as_ref())
}

/// What a restore of data came to.
pub struct DataRestore {
    /// When the backup was taken, in seconds since 1970.
    pub taken: i64,
    /// Where the file went that was in its place.
    pub aside: Option<PathBuf>,
    /// The rest.
    pub restored: Restored,
}

/// Restores a data backup under the present keys.
///
/// # Errors
/// [`Error::Setup`] when the server runs, the file is no backup of this vault,
/// or there are no keys.
pub fn restore_data(config: &Config, from: &Path) -> Result<DataRestore> {
    let _lock = DirectoryLock::take(&config.data)?;
    let of = mark_of_data(from)?;
    let own = deployment(&config.data)?;
    if of.is_some_and(|mark| mark.deployment != own) {
        return Err(Error::Setup(format!(
            "{} is a backup of another vault than the keys here; name one of this vault",
            from.display()
        )));
    }
    let (mark, aside) = place_data(&config.data, from, Instant::now().seconds())?;
    let (vault, _) = unsealed(config)?;
    let restored = vault.finish_restore(&config.data, &Unproven::default())?;
    Ok(DataRestore {
        taken: mark.time,
        aside,
        restored,
    })
}

/// What a restore of keys is given.
#[derive(Clone, Debug, Default)]
pub struct KeysSource {
    /// The directory of the key backups.
    pub from: PathBuf,
    /// The age identity that opens them.
    pub identity: PathBuf,
    /// The signed copy of the ledger.
    pub ledger: Option<PathBuf>,
    /// The newest checkpoint of the audit log that is known outside.
    pub checkpoint: Option<PathBuf>,
    /// Two people take it on that something cannot be proved.
    pub unproven: Option<Unproven>,
}

/// What a restore of keys came to.
pub struct KeysRestore {
    /// What was made of the backup and the ledger.
    pub rebuilt: Rebuilt,
    /// What cannot be proved, where anything cannot.
    pub doubts: Vec<String>,
    /// The rest; `None` where there is no `vault.db` yet.
    pub restored: Option<Restored>,
}

/// Makes `keys.db` of the newest key backup and the ledger.
///
/// # Errors
/// [`Error::Setup`] when the server runs, a file is not what the vault wrote,
/// or what cannot be proved was not approved by two.
pub fn restore_keys(config: &Config, source: &KeysSource) -> Result<KeysRestore> {
    let _lock = DirectoryLock::take(&config.data)?;
    let key = vault_key(config)?;
    let public = key.public();
    let (manifest, _) = newest(&source.from, public)?.ok_or_else(|| {
        Error::Setup(format!(
            "{} holds no key backup; name the directory that [backup] keys_to named",
            source.from.display()
        ))
    })?;
    let identity = Identity::load(&source.identity)?;
    let ledger = read_ledger(source, public, &manifest)?;
    let path = config.data.join(VAULT_FILE);
    let is_copy = path.exists() && mark_of_data(&path)?.is_some();
    let traces = match path.exists() && !is_copy {
        true => traces(&path)?,
        false => Traces::default(),
    };
    let own = manifest.deployment()?;
    let outside = source.checkpoint.as_deref();
    let outside = outside
        .map(|path| log_size(path, config, own))
        .transpose()?;
    let doubts = doubts(ledger.as_ref(), &manifest, &traces, outside);
    approved(&doubts, source)?;
    let providers = Built::new(&config.providers)?.providers()?;
    let newest_key = newest_key(&providers, own, &manifest)?;
    let evidence = Evidence {
        traces,
        newest_key,
        is_proven: doubts.is_empty(),
    };
    let now = Instant::now().seconds();
    let (data, from) = (&config.data, &source.from);
    let rebuilt = rebuild_keys(
        data,
        from,
        &manifest,
        &identity,
        ledger.as_ref(),
        &evidence,
        now,
    )?;
    let restored = match path.exists() {
        false => None,
        true => {
            let (vault, _) = unsealed(config)?;
            let why = source.unproven.clone().unwrap_or_default();
            Some(vault.finish_restore(data, &why)?)
        }
    };
    Ok(KeysRestore {
        rebuilt,
        doubts,
        restored,
    })
}

/// How many entries a checkpoint is for, which this vault's log must have
/// signed: another's, or an edited one, would prove too little.
fn log_size(path: &Path, config: &Config, own: Deployment) -> Result<u64> {
    let origin = checkpoint::origin(&config.trust_domain, own);
    let key = SigningKey::load(&config.signing.log, origin)?;
    match Checkpoint::open(&read_text(path)?, key.public()) {
        Ok(checkpoint) => Ok(checkpoint.size),
        Err(why) => Err(Error::Setup(format!(
            "{} {why}; name a checkpoint that this vault's audit log signed, as `oubliette \
             audit export` writes it",
            path.display()
        ))),
    }
}

fn read_ledger(
    source: &KeysSource,
    public: &PublicKey,
    manifest: &Manifest,
) -> Result<Option<Ledger>> {
    let Some(path) = &source.ledger else {
        return Ok(None);
    };
    let ledger = Ledger::read(path, public)?;
    if hex::encode(ledger.deployment) != manifest.vault {
        return Err(Error::Setup(format!(
            "{} is the ledger of another vault than the key backup; name this vault's",
            path.display()
        )));
    }
    Ok(Some(ledger))
}

/// What the restored table may be missing.
fn doubts(
    ledger: Option<&Ledger>,
    manifest: &Manifest,
    traces: &Traces,
    checkpoint: Option<u64>,
) -> Vec<String> {
    let mut doubts = Vec::new();
    let Some(ledger) = ledger else {
        doubts.push(
            "no copy of the ledger was given: whoever was erased after the backup would come back"
                .to_owned(),
        );
        return doubts;
    };
    let head = ledger.head;
    if head.entry < manifest.ledger {
        doubts.push(format!(
            "the ledger ends with entry {}, before the backup's {}: it is an old copy",
            head.entry, manifest.ledger
        ));
    }
    // What vault.db itself shows is in its own rows.
    let seen = head.leaves.max(traces.leaves);
    match checkpoint {
        Some(size) if size > seen => doubts.push(format!(
            "the newest checkpoint covers {size} entries of the audit log, the ledger {seen}: \
             whoever was erased between them would come back"
        )),
        None if traces.leaves == 0 => doubts.push(
            "nothing shows that this copy of the ledger is the newest: name the newest checkpoint \
             that is kept outside with --checkpoint"
                .to_owned(),
        ),
        _ => {}
    }
    doubts
}

fn approved(doubts: &[String], source: &KeysSource) -> Result<()> {
    let told = doubts.join("; ");
    let by = source
        .unproven
        .as_ref()
        .map(|unproven| &unproven.approved_by);
    let two = by.is_some_and(|by| matches!(by.as_slice(), [one, two] if one != two));
    if doubts.is_empty() || two {
        return Ok(());
    }
    Err(Error::Setup(format!(
        "refused, since it cannot be proved that nobody comes back: {told}. Give the newest copy \
         of the ledger with --ledger; or, if there is none, let two people take it on with \
         --unproven REASON --approved-by ONE --approved-by ANOTHER"
    )))
}

/// The newest epoch that a provider has a key of: one beyond those of the
/// backup where there is a stray.
fn newest_key(providers: &Providers, deployment: Deployment, manifest: &Manifest) -> Result<u32> {
    let newest = manifest.epochs.last().copied().unwrap_or_default();
    for provider in providers.iter() {
        if !provider.stray(deployment, newest)?.is_empty() {
            return Ok(newest + 1);
        }
    }
    Ok(newest)
}

/// Refuses a start that would be refused anyway, before a key is unwrapped.
pub(super) fn refuse_copies(data: &Path) -> Result<()> {
    let is_copy = |name: &str, mark: fn(&Path) -> Result<Option<CopyMark>>| {
        let path = data.join(name);
        Ok::<_, Error>(path.exists() && mark(&path)?.is_some())
    };
    if is_copy(KEYS_FILE, mark_of_keys)? || is_copy(VAULT_FILE, mark_of_data)? {
        return Err(Error::Setup(
            "a database here is a backup that was not restored yet, and served as it is it \
             could bring back who was erased; finish with `oubliette restore data` or \
             `oubliette restore keys`"
                .to_owned(),
        ));
    }
    Ok(())
}

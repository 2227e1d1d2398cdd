//! Keys of the service, as a provider. A key's description names the vault and
//! the epoch, and a tag the vault, so that a policy can tell its keys from
//! others; only the ARN says which key it is.

use super::client::{Kms, Refusal, UNAVAILABLE};
use super::{KIND, Place};
use crate::clock::Instant;
use crate::crypto::{Deployment, MasterKey, WrapContext};
use crate::error::{Error, Result};
use crate::keys::{Assurance, KeyProvider, KeyState, epoch_of, shared_name};
use crate::limits;
use crate::secret::SecretBytes;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::error::BuildError;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyMetadata, KeySpec, KeyUsageType, OriginType, Tag};
use tokio::task::JoinSet;

/// The name of the tag, and of the one entry of the encryption context.
const OURS: &str = "oubliette";

/// Keys in AWS KMS.
pub(super) struct AwsKms {
    place: Place,
    kms: Kms,
}

impl AwsKms {
    pub(super) fn new(place: Place) -> Result<Self> {
        let kms = Kms::new(&place)?;
        Ok(Self { place, kms })
    }

    /// An ARN of another region would not be found here, and taken for gone.
    fn check(&self, name: &str) -> Result<()> {
        let here = self.place.region.as_str();
        let mut parts = name.split(':').skip(2);
        if parts.next() == Some("kms") && parts.next() == Some(here) {
            return Ok(());
        }
        Err(Error::Setup(format!(
            "{name} is not the ARN of a key in {here}, the region that the configuration names; \
             name the region that has it"
        )))
    }

    fn none(&self, name: &str) -> Error {
        Error::Setup(format!(
            "the AWS KMS key {name} does not open this vault's master key, or is disabled, to be \
             destroyed, or gone; look at it with: aws kms describe-key --region {} --key-id {name}",
            self.place.region
        ))
    }

    /// The deployment's keys that work or could be made to: epoch and ARN.
    fn keys(&self, deployment: Deployment) -> Result<Vec<(u32, String)>> {
        self.kms.ask(move |kms| async move {
            let mut found = Vec::new();
            for some in all(&kms).await?.chunks(limits::KMS_AT_ONCE) {
                let mut described = JoinSet::new();
                for arn in some {
                    let (kms, arn) = (kms.clone(), arn.clone());
                    described.spawn(async move { describe(&kms, &arn).await });
                }
                for key in described.join_all().await {
                    match key {
                        Ok(Some(key)) => found.extend(ours(deployment, &key)),
                        // Somebody else's.
                        Ok(None) | Err(Refusal::Denied) => {}
                        Err(why) => return Err(why.told()),
                    }
                }
            }
            Ok(found)
        })
    }
}

fn ours(deployment: Deployment, key: &KeyMetadata) -> Option<(u32, String)> {
    let epoch = epoch_of(deployment, key.description()?)?;
    let is_to_be_destroyed = key.deletion_date().is_some();
    (!is_to_be_destroyed).then_some((epoch, key.arn()?.to_owned()))
}

/// The ARNs of every key of the account in the region.
async fn all(kms: &Client) -> Result<Vec<String>> {
    let (mut arns, mut marker) = (Vec::new(), None);
    loop {
        let page = kms.list_keys().set_marker(marker).send().await;
        let page = page.map_err(|why| Refusal::of(&why).told())?;
        let named = |key: &aws_sdk_kms::types::KeyListEntry| key.key_arn.clone();
        arns.extend(page.keys().iter().filter_map(named));
        if arns.len() > limits::KMS_KEYS {
            let hint = "give the vault an account of its own, or a region";
            tracing::error!(hint, "AWS KMS holds more keys than are looked through");
            return Err(UNAVAILABLE);
        }
        marker = page.next_marker;
        if marker.is_none() || !page.truncated {
            return Ok(arns);
        }
    }
}

/// What the service says of a key; `None`: it has none.
async fn describe(kms: &Client, arn: &str) -> std::result::Result<Option<KeyMetadata>, Refusal> {
    match kms.describe_key().key_id(arn).send().await {
        Ok(told) => {
            let key = told.key_metadata.filter(|key| key.arn() == Some(arn));
            key.map(Some).ok_or(Refusal::Down("another key's state"))
        }
        Err(why) => match Refusal::of(&why) {
            Refusal::Absent => Ok(None),
            why => Err(why),
        },
    }
}

fn state(key: Option<&KeyMetadata>) -> Result<KeyState> {
    use aws_sdk_kms::types::KeyState as Told;
    let Some(key) = key else {
        return Ok(KeyState::Gone);
    };
    match (key.key_state(), key.deletion_date()) {
        (Some(Told::Enabled), None) => Ok(KeyState::Usable),
        (Some(Told::PendingDeletion), Some(date)) => {
            let micros = date.secs().saturating_mul(1_000_000);
            Ok(KeyState::Scheduled(Instant::from_micros(micros).day()))
        }
        _ => {
            let (key, hint) = (key.key_id(), "enable it, or schedule its deletion");
            tracing::error!(key, hint, "a key is neither enabled nor to be destroyed");
            Err(UNAVAILABLE)
        }
    }
}

/// Asks for a new key, once: a second try after a lost answer would make a
/// second key.
async fn made(kms: &Client, deployment: Deployment, name: &str) -> Result<String> {
    let internal = |_: BuildError| Error::Internal("a tag cannot be made");
    let vault = hex::encode(deployment.0);
    let tag = Tag::builder().tag_key(OURS).tag_value(vault).build();
    let asked = kms
        .create_key()
        .description(name)
        .tags(tag.map_err(internal)?)
        .key_usage(KeyUsageType::EncryptDecrypt)
        .key_spec(KeySpec::SymmetricDefault)
        .origin(OriginType::AwsKms)
        .multi_region(false)
        .customize()
        .config_override(aws_sdk_kms::Config::builder().retry_config(RetryConfig::disabled()));
    let key = asked.send().await.map_err(|why| Refusal::of(&why).told())?;
    let arn = key.key_metadata.and_then(|key| key.arn);
    arn.ok_or_else(|| Refusal::Down("a key without a name").told())
}

/// Waits until a new key is seen by those who would use it: the service says
/// that it takes a moment.
async fn seen(kms: &Client, arn: &str) -> Result<()> {
    for _ in 0..limits::KMS_TRIES {
        let key = describe(kms, arn).await.map_err(Refusal::told)?;
        if key.is_some() && state(key.as_ref())? == KeyState::Usable {
            return Ok(());
        }
        tokio::time::sleep(limits::KMS_PAUSE).await;
    }
    Err(Refusal::Down("a new key that does not come").told())
}

async fn schedule(kms: &Client, arn: &str, days: u16) -> Result<()> {
    // moto knows keys by their id alone here. What came of it is asked by the
    // ARN, so that another account's key is never taken for it.
    let (_, id) = arn.rsplit_once('/').unwrap_or_default();
    let asked = kms
        .schedule_key_deletion()
        .key_id(id)
        .pending_window_in_days(days.into());
    match asked.send().await {
        Ok(_) => Ok(()),
        Err(why) => match Refusal::of(&why) {
            // It was scheduled before, or it is gone: asked anew, it says so.
            Refusal::Idle | Refusal::Absent => Ok(()),
            why => Err(why.told()),
        },
    }
}

impl KeyProvider for AwsKms {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn assurance(&self) -> Assurance {
        Assurance::Scheduled
    }

    fn create(&self, deployment: Deployment, epoch: u32) -> Result<String> {
        let name = shared_name(deployment, epoch);
        if let Some((_, arn)) = self.keys(deployment)?.into_iter().find(|k| k.0 == epoch) {
            return Err(Error::Setup(format!(
                "AWS KMS holds a key {name} already, {arn}; nothing was made"
            )));
        }
        let days = self.place.pending_days;
        let arn = self.kms.ask(move |kms| async move {
            let arn = made(&kms, deployment, &name).await?;
            if let Err(why) = seen(&kms, &arn).await {
                // Should this fail too, the next opening finds it as a stray.
                let _ = schedule(&kms, &arn, days).await;
                return Err(why);
            }
            Ok(arn)
        })?;
        self.check(&arn).map(|()| arn)
    }

    fn wrap(&self, name: &str, context: &WrapContext, master: &MasterKey) -> Result<Vec<u8>> {
        self.check(name)?;
        master.wrap_with(context, |bound, key| {
            let (bound, of) = (hex::encode(bound), name.to_owned());
            // The client wipes no copy of it: THREAT_MODEL.md says so.
            let plaintext = Blob::new(key.expose().as_slice());
            let sealed = self.kms.ask(move |kms| async move {
                let asked = kms.encrypt().key_id(of).encryption_context(OURS, bound);
                Ok(match asked.plaintext(plaintext).send().await {
                    Ok(told) => Ok(told.ciphertext_blob),
                    Err(why) => Err(Refusal::of(&why)),
                })
            })?;
            match sealed {
                Ok(Some(sealed)) => Ok(sealed.into_inner()),
                Ok(None) => Err(Refusal::Down("nothing sealed").told()),
                Err(Refusal::Absent | Refusal::Idle) => Err(self.none(name)),
                Err(why) => Err(why.told()),
            }
        })
    }

    fn unwrap(&self, name: &str, context: &WrapContext, wrapped: &[u8]) -> Result<MasterKey> {
        self.check(name)?;
        MasterKey::unwrap_with(context, |bound| {
            let (bound, of) = (hex::encode(bound), name.to_owned());
            let sealed = Blob::new(wrapped);
            let opened = self.kms.ask(move |kms| async move {
                let asked = kms.decrypt().key_id(of).encryption_context(OURS, bound);
                Ok(match asked.ciphertext_blob(sealed).send().await {
                    Ok(told) => Ok(told.plaintext.map(|key| SecretBytes::new(key.into_inner()))),
                    Err(why) => Err(Refusal::of(&why)),
                })
            })?;
            match opened {
                Ok(Some(key)) => Ok(key),
                Ok(None) => Err(Refusal::Down("nothing opened").told()),
                Err(Refusal::Absent | Refusal::Idle | Refusal::DoesNotOpen) => Err(self.none(name)),
                Err(why) => Err(why.told()),
            }
        })
    }

    fn destroy(&self, name: &str) -> Result<KeyState> {
        self.check(name)?;
        let (arn, days) = (name.to_owned(), self.place.pending_days);
        self.kms
            .ask(move |kms| async move { schedule(&kms, &arn, days).await })?;
        self.state(name)
    }

    fn state(&self, name: &str) -> Result<KeyState> {
        self.check(name)?;
        let arn = name.to_owned();
        let key = self.kms.ask(move |kms| async move {
            let key = describe(&kms, &arn).await;
            key.map_err(Refusal::told)
        })?;
        state(key.as_ref())
    }

    fn stray(&self, deployment: Deployment, newest: u32) -> Result<Vec<String>> {
        let mut keys = self.keys(deployment)?;
        keys.retain(|(epoch, _)| *epoch > newest);
        Ok(keys.into_iter().map(|(_, arn)| arn).collect())
    }
}

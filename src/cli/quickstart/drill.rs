//! The last word on forgetting: whoever has every backup, the databases and the
//! provider's keys attacks, before and after the epoch is closed.

use super::stage::Stage;
use super::story::Story;
use crate::backup::attack::Found;
use crate::backup::{Identity, Recipient};
use crate::cli::attack::summary;
use crate::cli::rules::config_file;
use crate::cli::stop::{Done, Stop};
use crate::config::Config;
use crate::pb;
use crate::serve;
use std::path::PathBuf;

fn backups(stage: &Stage) -> PathBuf {
    stage.dir().join("backups")
}

fn identity(stage: &Stage) -> PathBuf {
    stage.dir().join("identity.txt")
}

/// The nightly backups, while everybody is still there.
pub fn back_up(story: &mut Story, stage: &Stage) -> Done {
    story.chapter("The nightly backup");
    let dir = backups(stage);
    std::fs::create_dir(&dir).map_err(|error| Stop::file(&dir, "made", &error))?;
    let recipient = Identity::create(&identity(stage))?;
    let mut config = Config::load(&config_file(stage.dir()))?;
    config.backup.keys_to = Some(dir.join("keys"));
    config.backup.recipient = Recipient::parse(&recipient);
    let (data, _) = serve::backup_data(&config, &dir, |_, _| ())?;
    let keys = serve::backup_keys(&config, false, |_, _| {})?;
    story.say(&format!(
        "Beside the running server: {} and key backup {}, in {} packs\n\
         encrypted to {recipient}.",
        data.display(),
        keys.manifest.sequence,
        keys.manifest.packs.len()
    ));
    story.check(keys.written > 0, "data and keys are backed up");
    Ok(())
}

fn attack(stage: &Stage) -> Done<Found> {
    let config = Config::load(&config_file(stage.dir()))?;
    let identity = identity(stage);
    Ok(serve::attack(&config, &[backups(stage)], Some(&identity))?)
}

/// The attack, the close, and the attack again.
pub async fn drill(story: &mut Story, stage: &Stage) -> Done {
    story.chapter("An insider tries everything");
    story.say(
        "oubliette attack takes every backup, the databases and whatever the key provider\n\
         still holds, and opens what opens. Before the epoch is closed:",
    );
    let before = attack(stage)?;
    story.show(&summary(&before));
    story.check(
        before.erased_opened().count() > 0,
        "the live vault has forgotten; last night's backup has not yet",
    );
    story.say("acme/security closes the epoch (oubliette key epoch close), and after that:");
    close(stage).await?;
    let after = attack(stage)?;
    story.show(&summary(&after));
    story.check(
        after.erased_opened().next().is_none() && !after.erased.is_empty(),
        "nothing of the forgotten customer opens any more, in no backup",
    );
    let alive = before.customers.len() - before.erased_opened().count();
    story.check(
        after.customers.len() == alive,
        "all others are there as before",
    );
    Ok(())
}

async fn close(stage: &Stage) -> Done {
    let security = stage.caller("acme/security").await?;
    let begun = security
        .close_epoch(pb::CloseEpochRequest::default())
        .await?;
    let job = begun.job.unwrap_or_default().job;
    let mut steps = security.watch_job(pb::WatchJobRequest { job }).await?;
    let mut last = None;
    while let Some(step) = steps.next().await? {
        last = Some(step.state());
    }
    match last {
        Some(pb::JobState::Done) => Ok(()),
        _ => Err(Stop::Failed(
            "the epoch was not closed; see: oubliette key status".to_owned(),
        )),
    }
}

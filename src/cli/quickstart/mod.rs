//! `oubliette quickstart`: the whole story on a small CRM, over real gRPC, with
//! every claim checked as it is made.

mod consenting;
mod crm;
mod drill;
mod forgetting;
mod guarding;
mod reading;
mod search;
mod stage;
mod story;
mod writing;

use super::stop::{Done, Stop};
use super::until_interrupted;
use clap::Args;
use crm::{Crm, ID_COLUMN, cell};
use stage::Stage;
use std::path::PathBuf;
use std::time::Instant;
use story::Story;

/// Arguments of `quickstart`.
///
/// Makes keys and certificates, starts the server on loopback with mTLS,
/// imports the customers of the built-in example, reads them as different
/// services, is denied, forgets a customer, and checks each step. Exit code 0
/// only if every step held.
#[derive(Args, Debug)]
pub struct Quickstart {
    /// Keep everything in this directory, new or empty [default: a temporary
    /// one, removed at the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Leave the server running afterwards, until Ctrl-C
    #[arg(long)]
    serve: bool,
}

impl Quickstart {
    /// Tells the story.
    pub async fn run(self) -> Done {
        let began = Instant::now();
        let mut story = Story::new();
        story
            .say("Oubliette: a customer vault. This tells its story on a small CRM, step by step.");
        story.say("Everything happens for real, over gRPC with mTLS; ✓ marks what was checked.");
        let crm = Crm::load()?;
        let mut stage = Stage::set(&mut story, self.dir.as_deref())?;
        let told = until_interrupted(tell(&mut story, &mut stage, &crm)).await;
        if let Err(stop) = &told {
            story.broke(stop);
            story.say("  The server said last:");
            story.show(&stage.server.said());
        }
        let result = end(&mut story, &stage, began);
        if self.serve {
            serve(&mut story, &mut stage, &crm).await?;
        }
        result
    }
}

/// The chapters. Each builds on the one before, so that the first that breaks
/// off ends the story.
async fn tell(story: &mut Story, stage: &mut Stage, crm: &Crm) -> Done {
    writing::import(story, stage, crm).await?;
    reading::support(story, stage, crm).await?;
    reading::recommender(story, stage, crm).await?;
    guarding::denials(story, stage, crm).await?;
    consenting::consent(story, stage, crm).await?;
    guarding::tenants(story, stage, crm).await?;
    writing::changes(story, stage, crm).await?;
    drill::back_up(story, stage)?;
    forgetting::erase(story, stage, crm).await?;
    forgetting::restart(story, stage, crm).await?;
    forgetting::look_for_plaintext(story, stage, crm)?;
    drill::drill(story, stage).await
}

/// Says what it all came to.
fn end(story: &mut Story, stage: &Stage, began: Instant) -> Done {
    let seconds = began.elapsed().as_secs();
    let failed = story.failed().to_vec();
    story.say("");
    if failed.is_empty() {
        let held = story.held();
        story.say(&format!("All {held} checks held, in {seconds} seconds."));
    } else {
        story.say(&format!("{} checks did not hold:", failed.len()));
        for claim in &failed {
            story.say(&format!("  ✗ chapter {claim}"));
        }
    }
    if stage.is_temporary() {
        let program = program();
        story.say(&format!(
            "To keep the vault and play with it: {program} quickstart --dir crm --serve"
        ));
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Stop::Told),
    }
}

/// This program as it was called.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "oubliette".to_owned())
}

/// Leaves the server running and says what to type.
async fn serve(story: &mut Story, stage: &mut Stage, crm: &Crm) -> Done {
    let known = format!("{}/main", cell(&crm.known, ID_COLUMN));
    let (dir, program) = (stage.dir().display(), program());
    story.say(&format!(
        "\nThe server goes on running at {}. In another terminal:\n\n\
         export OUBLIETTE_DIR={dir}\n\
         {program} record get {known} --type contact --purpose support --as support-desk\n\
         {program} record get {known} --type contact --purpose personalization --as recommender\n\
         {program} key status --as security\n\
         {program} policy check\n\n\
         Your own service needs {dir}/pki/ca.pem, a certificate from {dir}/pki/clients\n\
         and proto/oubliette/v1. Ctrl-C ends the server.",
        stage.server.address,
    ));
    let ended = tokio::signal::ctrl_c().await;
    ended.map_err(|error| Stop::Failed(format!("Ctrl-C cannot be waited for: {error}")))?;
    stage.server.stop()
}

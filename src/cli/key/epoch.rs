//! `oubliette key epoch`.

use super::job;
use crate::cli::caller::Caller;
use crate::cli::stop::{Done, Stop};
use crate::client::Client;
use crate::pb;
use clap::{Args, Subcommand};
use serde_json::json;

/// What can be done with epochs.
#[derive(Subcommand, Debug)]
pub enum Epoch {
    /// Close the open epoch, behind the calls that are served
    Close(Close),
}

/// Arguments of `key epoch close`.
#[derive(Args, Debug)]
pub struct Close {
    #[command(flatten)]
    caller: Caller,
    /// Say what it would do, and do nothing
    #[arg(long, conflicts_with_all = ["pause", "resume", "throttle", "no_wait"])]
    dry_run: bool,
    /// Pause the closing that is under way
    #[arg(long, conflicts_with_all = ["resume", "throttle", "no_wait"])]
    pause: bool,
    /// Go on with a closing that was paused
    #[arg(long)]
    resume: bool,
    /// Pages a second at most; 0: as many as it can. Also for one under way
    #[arg(long, value_name = "PAGES")]
    throttle: Option<i32>,
    /// Do not wait until it is done
    #[arg(long)]
    no_wait: bool,
}

impl Epoch {
    /// The client options.
    pub fn caller(&self) -> &Caller {
        let Self::Close(close) = self;
        &close.caller
    }

    /// Makes the calls and shows the answers.
    pub async fn run(self) -> Done {
        let Self::Close(close) = self;
        let client = close.caller.connect().await?;
        if close.dry_run {
            return close.plan(&client).await;
        }
        let job = if close.pause {
            close.order(&client, pb::JobOrder::Pause).await?
        } else {
            close.begin(&client).await?
        };
        let job = if close.pause || close.no_wait {
            job
        } else {
            job::watched(&client, job).await?
        };
        job::ended(&mut close.caller.out(), &job)
    }
}

impl Close {
    async fn begin(&self, client: &Client) -> Result<pb::Job, Stop> {
        let under_way = closing(client).await?;
        match (under_way, self.throttle) {
            (Some(running), Some(_)) => {
                let paced = self.order_of(client, running.job, pb::JobOrder::Pace);
                let job = paced.await?;
                if !self.resume {
                    return Ok(job);
                }
                self.order_of(client, job.job, pb::JobOrder::Resume).await
            }
            (Some(job), None) if self.resume => {
                self.order_of(client, job.job, pb::JobOrder::Resume).await
            }
            (None, _) if self.resume => Err(none()),
            _ => {
                let request = pb::CloseEpochRequest {
                    pages_per_second: self.throttle.unwrap_or(0),
                };
                let reply = client.close_epoch(request).await?;
                reply.job.ok_or_else(empty)
            }
        }
    }

    async fn order(&self, client: &Client, order: pb::JobOrder) -> Result<pb::Job, Stop> {
        let job = closing(client).await?.ok_or_else(none)?;
        self.order_of(client, job.job, order).await
    }

    async fn order_of(
        &self,
        client: &Client,
        job: i64,
        order: pb::JobOrder,
    ) -> Result<pb::Job, Stop> {
        let request = pb::ControlJobRequest {
            job,
            order: order.into(),
            pages_per_second: self.throttle.unwrap_or(0),
        };
        client.control_job(request).await?.job.ok_or_else(empty)
    }

    async fn plan(&self, client: &Client) -> Done {
        let plan = client
            .plan_epoch_close(pb::PlanEpochCloseRequest {})
            .await?;
        let mut out = self.caller.out();
        out.document(&json!({
            "epoch": plan.epoch,
            "customer_pages": plan.customer_pages,
            "dirty_customer_pages": plan.dirty_customer_pages,
            "index_pages": plan.index_pages,
            "dirty_index_pages": plan.dirty_index_pages,
            "tenants": plan.tenants,
            "customer_keys": plan.customer_keys,
            "rewraps": plan.rewraps,
            "estimated_micros": plan.estimated_micros,
            "provider_calls": plan.provider_calls,
            "samples_opened": plan.samples_opened,
            "erasures": plan.erasures,
            "key_backup": plan.key_backup,
        }));
        let row = |what: &str, value: String| vec![what.to_owned(), value];
        let of = |dirty: i64, all: i64| format!("{all}, of which {dirty} lost a row");
        let millis = plan.estimated_micros / 1_000;
        out.table(
            &["dry run", ""],
            &[
                row("epoch to close", plan.epoch.to_string()),
                row("erasures that become final", plan.erasures.to_string()),
                row(
                    "pages of customer keys",
                    of(plan.dirty_customer_pages, plan.customer_pages),
                ),
                row(
                    "pages of the index",
                    of(plan.dirty_index_pages, plan.index_pages),
                ),
                row("keys to wrap anew", plan.rewraps.to_string()),
                row("estimated time", format!("{millis} ms, key provider apart")),
                row("calls to key providers", plan.provider_calls.to_string()),
                row("samples opened just now", plan.samples_opened.to_string()),
                row("key backup", plan.key_backup),
            ],
        );
        Ok(())
    }
}

/// The closing that is under way, paused or failed.
async fn closing(client: &Client) -> Result<Option<pb::Job>, Stop> {
    let status = client.get_key_status(pb::GetKeyStatusRequest {}).await?;
    let mut jobs = status.jobs.into_iter();
    Ok(jobs.find(|job| job.kind() == pb::JobKind::CloseEpoch && job.due_date.is_none()))
}

fn none() -> Stop {
    Stop::Failed("no closing is under way; `oubliette key epoch close` begins one".to_owned())
}

fn empty() -> Stop {
    Stop::Failed("the server answered without a job; compare the versions".to_owned())
}

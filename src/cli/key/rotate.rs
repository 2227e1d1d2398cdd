//! `oubliette key rotate` and `oubliette key compromise`.

use super::job;
use crate::cli::caller::Caller;
use crate::cli::customer::full_name;
use crate::cli::stop::{Done, Stop};
use crate::client::Client;
use crate::pb;
use clap::Args;

/// Arguments of `key rotate`.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("whose").required(true)))]
pub struct Rotate {
    #[command(flatten)]
    pub(super) caller: Caller,
    /// One customer
    #[arg(long, value_name = "CUSTOMER", group = "whose")]
    customer: Option<String>,
    /// Everybody who has a record of this type
    #[arg(long, value_name = "TYPE", group = "whose")]
    record_type: Option<String>,
    /// Everybody
    #[arg(long, group = "whose")]
    all: bool,
    /// Pause it
    #[arg(long, conflicts_with_all = ["throttle", "no_wait"])]
    pause: bool,
    /// Customers a second at most; 0: as many as it can
    #[arg(long, value_name = "CUSTOMERS", conflicts_with = "customer")]
    throttle: Option<i32>,
    /// Do not wait until it is done
    #[arg(long)]
    no_wait: bool,
}

/// Arguments of `key compromise`.
#[derive(Args, Debug)]
pub struct Compromise {
    #[command(flatten)]
    pub(super) caller: Caller,
    /// The customer
    #[arg(long, value_name = "CUSTOMER")]
    customer: String,
    /// Why, for whoever must approve it; no personal data
    #[arg(long, default_value = "")]
    reason: String,
    /// Do not wait until it is done
    #[arg(long)]
    no_wait: bool,
}

impl Rotate {
    /// Begins it or goes on with it, and shows how it goes.
    pub async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let request = pb::RotateKeysRequest {
            customer: self.customer.as_deref().map(full_name).unwrap_or_default(),
            record_type: self.record_type.clone().unwrap_or_default(),
            all: self.all,
        };
        if self.pause {
            let job = self.under_way(&client).await?;
            let job = order(&client, job.job, pb::JobOrder::Pause, 0).await?;
            return job::ended(&mut self.caller.out(), &job);
        }
        let mut begun = client.rotate_keys(request).await?.job;
        if let (Some(job), Some(throttle)) = (&begun, self.throttle) {
            begun = Some(order(&client, job.job, pb::JobOrder::Pace, throttle).await?);
        }
        shown(&self.caller, &client, begun, self.no_wait).await
    }

    /// The rotation of this kind that is not done.
    async fn under_way(&self, client: &Client) -> Result<pb::Job, Stop> {
        let kind = match (&self.customer, &self.record_type) {
            (Some(_), _) => pb::JobKind::RotateCustomer,
            (_, Some(_)) => pb::JobKind::RotateType,
            _ => pb::JobKind::RotateAll,
        };
        let status = client.get_key_status(pb::GetKeyStatusRequest {}).await?;
        let mut jobs = status.jobs.into_iter().filter(|job| job.kind() == kind);
        match (jobs.next(), jobs.next()) {
            (Some(job), None) => Ok(job),
            (None, _) => Err(Stop::Failed(
                "no such rotation is under way; `oubliette key status` lists the jobs".to_owned(),
            )),
            _ => Err(Stop::Failed(
                "several such rotations are under way, and which one is meant is not known"
                    .to_owned(),
            )),
        }
    }
}

impl Compromise {
    /// Says so, and shows how the re-encryption goes.
    pub async fn run(self) -> Done {
        let client = self.caller.connect().await?;
        let request = pb::CompromiseKeysRequest {
            customer: full_name(&self.customer),
            reason: self.reason.clone(),
        };
        let begun = client.compromise_keys(request).await?.job;
        shown(&self.caller, &client, begun, self.no_wait).await
    }
}

async fn order(
    client: &Client,
    job: i64,
    order: pb::JobOrder,
    pages_per_second: i32,
) -> Result<pb::Job, Stop> {
    let request = pb::ControlJobRequest {
        job,
        order: order.into(),
        pages_per_second,
    };
    let none = || Stop::Failed(EMPTY.to_owned());
    client.control_job(request).await?.job.ok_or_else(none)
}

const EMPTY: &str = "the server answered without a job; compare the versions";

async fn shown(caller: &Caller, client: &Client, job: Option<pb::Job>, no_wait: bool) -> Done {
    let job = job.ok_or_else(|| Stop::Failed(EMPTY.to_owned()))?;
    let job = if no_wait {
        job
    } else {
        job::watched(client, job).await?
    };
    job::ended(&mut caller.out(), &job)
}

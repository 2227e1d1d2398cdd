//! `bench consent`: the same read for a purpose that every customer said yes
//! to, against a purpose that needs no consent. Both in turns, so that what else
//! the machine does falls on both alike.

use super::load::{Load, Measured};
use super::{Options, fill, prepare, read, scene};
use crate::cli::out::{Out, note};
use crate::cli::progress::Progress;
use crate::cli::stop::Done;
use crate::cli::workplace::Workplace;
use crate::client::place;
use crate::client::request_id;
use crate::pb;
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often each is measured.
const TURNS: u64 = 4;

impl Options {
    /// Measures and reports.
    pub(super) async fn consent(self) -> Done {
        let workplace = Workplace::temporary("bench-consent")?;
        let dir = workplace.dir();
        prepare(dir)?;
        let identity = place::identity(dir, Some(scene::PRINCIPAL))?;
        let mut vault = workplace.serve()?;
        let mut load = self.load(vault.address, dir, &identity).await?;
        fill::customers(&load, self.customers, true).await?;
        ask(&load, self.customers).await?;
        load.time = Duration::from_secs(self.seconds.div_ceil(TURNS));

        let (mut with, mut without) = (Vec::new(), Vec::new());
        let customers = self.customers;
        for turn in 1..=TURNS {
            note(&format!("turn {turn} of {TURNS}"));
            for (purpose, found) in [(scene::PURPOSE, &mut without), (scene::ASKED, &mut with)] {
                let read = move |c, n| read(c, n, customers, purpose);
                found.push(load.run(&vault, read).await?);
            }
        }
        drop(load);
        vault.stop()?;
        tell(&self, &with, &without);
        Ok(())
    }
}

/// Every customer says yes.
async fn ask(load: &Load, customers: u64) -> Done {
    let mut progress = Progress::start("consents", customers);
    let mut under_way: JoinSet<Done> = JoinSet::new();
    let clients = load.clients();
    for (customer, client) in (0..customers).zip(clients.iter().cycle()) {
        if under_way.len() >= load.in_flight {
            fill::joined(under_way.join_next().await)?;
        }
        progress.set(customer, &format!("{customer} given"));
        let client = client.clone();
        under_way.spawn(async move {
            let request = pb::RecordConsentRequest {
                name: format!("customers/{}", scene::customer_id(customer)),
                purpose: scene::ASKED.to_owned(),
                decision: pb::ConsentDecision::Given.into(),
                method: pb::ConsentMethod::Form.into(),
                notice_version: 1,
                language: "en".to_owned(),
                request_id: request_id(),
                ..Default::default()
            };
            client.record_consent(request).await?;
            Ok(())
        });
    }
    while !under_way.is_empty() {
        fill::joined(under_way.join_next().await)?;
    }
    Ok(())
}

fn mean(turns: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let count = u32::try_from(turns.len().max(1)).unwrap_or(1);
    turns.iter().map(of).sum::<f64>() / f64::from(count)
}

fn tell(options: &Options, with: &[Measured], without: &[Measured]) {
    let rates = [without, with].map(|turns| mean(turns, Measured::rate));
    let cpu = [without, with].map(|turns| mean(turns, Measured::cpu));
    let [plain, asked] = rates;
    let share = 100.0 * asked / plain.max(f64::EPSILON);
    let mut out = Out::new(false);
    let row = |name: &str, [plain, asked]: [f64; 2], digits: usize| {
        vec![
            name.to_owned(),
            format!("{plain:.digits$}"),
            format!("{asked:.digits$}"),
        ]
    };
    out.table(
        &["", "needs no consent", "needs consent"],
        &[
            row("reads a second", rates, 0),
            row("server CPU each, µs", cpu, 1),
        ],
    );
    out.line(&format!(
        "With consent {share:.1} % of the reads without, in {TURNS} turns each."
    ));
    if options.json {
        Out::new(true).document(&json!({
            "without": plain,
            "with": asked,
            "percent": share,
            "turns": TURNS,
        }));
    }
}

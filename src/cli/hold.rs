//! `oubliette hold`: what is kept because somebody may demand it.

use super::caller::Caller;
use super::certificate;
use super::customer::{full_name, held_back};
use super::out::Out;
use super::stop::{Done, Stop};
use super::value::{date, date_text, seconds_text};
use crate::client::{Client, request_id};
use crate::pb;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

/// What can be done with holds.
#[derive(Subcommand, Debug)]
pub enum Hold {
    /// Hold all of a customer, or some of their record types and fields
    Place(Place),
    /// Release a hold; what was to be erased meanwhile is erased now
    Release(Release),
    /// List holds, by the day somebody looks at them again
    List(List),
}

/// Arguments of `hold place`.
#[derive(Args, Debug)]
pub struct Place {
    /// The customer's id
    id: String,
    /// Hold only this record type, or this field, as TYPE.FIELD; several times
    /// for several
    #[arg(long = "only", value_name = "TYPE[.FIELD]")]
    only: Vec<String>,
    /// Who demands it
    #[arg(long)]
    authority: String,
    /// Why
    #[arg(long)]
    reason: String,
    /// By which law: a DPV justification, such as eu-gdpr:A17-3-e
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Who looks at it again; several times for several
    #[arg(long, required = true)]
    reviewer: Vec<String>,
    /// By when, YYYY-MM-DD
    #[arg(long, value_name = "DAY")]
    review: String,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `hold release`.
#[derive(Args, Debug)]
pub struct Release {
    /// holds/{hold}
    name: String,
    #[command(flatten)]
    caller: Caller,
}

/// Arguments of `hold list`.
#[derive(Args, Debug)]
pub struct List {
    /// Only those of this customer
    #[arg(long, value_name = "ID")]
    customer: Option<String>,
    #[command(flatten)]
    caller: Caller,
}

impl Hold {
    /// The client options.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::Place(place) => &place.caller,
            Self::Release(release) => &release.caller,
            Self::List(list) => &list.caller,
        }
    }

    /// Makes the call and shows the answer.
    pub async fn run(self) -> Done {
        let client = self.caller().connect().await?;
        let mut out = self.caller().out();
        match self {
            Self::Place(place) => place.run(&client, &mut out).await,
            Self::Release(Release { name, .. }) => {
                let reply = client.release_hold(pb::ReleaseHoldRequest { name }).await?;
                let hold = reply.hold.unwrap_or_default();
                let made = reply.certificate.as_ref();
                out.document(&json!({
                    "hold": document(&hold),
                    "erased": reply.erased,
                    "erased_in_part": reply.erased_in_part,
                    "certificate": made.map(certificate::document),
                }));
                out.line(&format!("{} is released.", hold.name));
                if reply.erased {
                    out.line("The erasure that waited for it was carried out.");
                }
                if reply.erased_in_part {
                    out.line("What it alone had kept is erased; something else is still held.");
                    held_back(&mut out, made);
                }
                if let Some(made) = made {
                    out.line(&format!("Its certificate is {}", made.name));
                }
                Ok(())
            }
            Self::List(list) => {
                let customer = list.customer.as_deref().map(full_name);
                let holds = all(&client, customer.unwrap_or_default()).await?;
                listed(&mut out, &holds)
            }
        }
    }
}

impl Place {
    async fn run(self, client: &Client, out: &mut Out) -> Done {
        let review = date(&self.review)
            .ok_or_else(|| Stop::Usage("--review must be a date, YYYY-MM-DD".to_owned()))?;
        let only = match self.only.as_slice() {
            [] => vec![String::new()],
            some => some.to_vec(),
        };
        let mut placed = Vec::new();
        for what in only {
            let (record_type, field) = what.split_once('.').unwrap_or((&what, ""));
            let request = pb::PlaceHoldRequest {
                customer: full_name(&self.id),
                record_type: record_type.to_owned(),
                field: field.to_owned(),
                authority: self.authority.clone(),
                reason: self.reason.clone(),
                reviewers: self.reviewer.clone(),
                review_date: Some(review),
                request_id: request_id(),
                code: self.code.clone().unwrap_or_default(),
            };
            placed.extend(client.place_hold(request).await?.hold);
        }
        listed(out, &placed)
    }
}

/// Every page of the list.
async fn all(client: &Client, customer: String) -> Done<Vec<pb::Hold>> {
    let (mut page_token, mut all) = (String::new(), Vec::new());
    loop {
        let page = pb::ListHoldsRequest {
            customer: customer.clone(),
            page_size: 0,
            page_token,
        };
        let page = client.list_holds(page).await?;
        all.extend(page.holds);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

fn what(hold: &pb::Hold) -> String {
    match (hold.record_type.as_str(), hold.field.as_str()) {
        ("", _) => "everything".to_owned(),
        (of, "") => of.to_owned(),
        (of, field) => format!("{of}.{field}"),
    }
}

fn document(hold: &pb::Hold) -> Json {
    json!({
        "name": hold.name,
        "customer": hold.customer,
        "record_type": hold.record_type,
        "field": hold.field,
        "authority": hold.authority,
        "reason": hold.reason,
        "code": hold.code,
        "of_the_rest": hold.of_the_rest,
        "reviewers": hold.reviewers,
        "review_date": date_text(hold.review_date.as_ref()),
        "review_due": hold.review_due,
        "placed_by": hold.placed_by,
        "place_time_micros": hold.place_time_micros,
    })
}

fn listed(out: &mut Out, holds: &[pb::Hold]) -> Done {
    let documents: Vec<Json> = holds.iter().map(document).collect();
    out.document(&json!({ "holds": documents }));
    if holds.is_empty() {
        out.line("Nothing is held.");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = holds
        .iter()
        .map(|hold| {
            let day = date_text(hold.review_date.as_ref());
            let due = if hold.review_due { " DUE" } else { "" };
            vec![
                format!("{day}{due}"),
                hold.reviewers.join(", "),
                hold.customer.clone(),
                what(hold),
                hold.authority.clone(),
                hold.reason.clone(),
                seconds_text(hold.place_time_micros.div_euclid(1_000_000)),
                hold.name.clone(),
            ]
        })
        .collect();
    let header = [
        "review", "by", "customer", "held", "for", "why", "since", "hold",
    ];
    out.table(&header, &rows);
    if holds.iter().any(|hold| hold.of_the_rest) {
        out.line("An erasure has begun: only what it had left by then is held.");
    }
    Ok(())
}

//! Customers go in, and change.

use super::crm::{self, Crm, ID_COLUMN};
use super::stage::{Stage, read, refused};
use super::story::Story;
use crate::cli::import::{ImportIds, Journal, Layout, Rows, Sending};
use crate::cli::out::table;
use crate::cli::progress::Progress;
use crate::cli::schema::Schema;
use crate::cli::stop::Done;
use crate::client::{Client, Failure, request_id};
use crate::pb;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The customer's new address. Long enough to be searched for later.
pub const NEW_ADDRESS: &str = "Rue de l'Oubliette 17 ter";

/// The importer fills the vault.
pub async fn import(story: &mut Story, stage: &Stage, crm: &Crm) -> Done {
    story.chapter("The customers move in");
    story.say(
        "acme/importer imports examples/crm/customers.csv: each customer gets keys of their own,\n\
         each field is sealed by itself, and the audit entry is part of the same commit.",
    );
    let schema = Schema::load(stage.dir(), "contact")?;
    let renamed = BTreeMap::new();
    let layout = Layout {
        schema: &schema,
        id_column: ID_COLUMN,
        record: "main",
        record_column: None,
        renamed: &renamed,
        ignored: &[],
    };
    let rows = Rows::open(crm::CSV.as_bytes(), &layout)?;
    let sending = Sending {
        client: stage.caller("acme/importer").await?,
        ids: Arc::new(ImportIds::fresh()),
        record_type: "contact".into(),
        journal: Journal::none(),
        progress: Progress::start("import", crm::CSV.len() as u64),
    };
    let report = sending.run(rows).await?;
    let expected = crm.rows.len() as u64;
    story.check(
        report.imported == expected && report.failed == 0,
        &format!(
            "{} of {expected} rows imported, none refused",
            report.imported
        ),
    );
    story.say("acme/security looks at the key tree; it sees counts, never a key:");
    let security = stage.caller("acme/security").await?;
    let status = security.get_key_status(pb::GetKeyStatusRequest {}).await?;
    let row = |what: &str, count: i64| vec![what.to_owned(), count.to_string()];
    let counted = [
        row("customers with keys of their own", status.customers),
        row("pages that wrap them, 256 each", status.customer_pages),
        row("pages of the index of ids", status.index_pages),
    ];
    story.show(&table(&["", "count"], &counted));
    story.check(
        u64::try_from(status.customers) == Ok(expected),
        "as many customers with keys as rows in the file",
    );
    Ok(())
}

async fn move_house(
    checkout: &Client,
    name: &str,
    request_id: &str,
    expected_revision: i64,
) -> Result<i64, Failure> {
    let kind = Some(pb::value::Kind::StringValue(NEW_ADDRESS.to_owned()));
    let request = pb::UpdateRecordRequest {
        name: name.to_owned(),
        record_type: "contact".to_owned(),
        fields: HashMap::from([("address".to_owned(), pb::Value { kind })]),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["address".to_owned()],
        }),
        request_id: request_id.to_owned(),
        expected_revision: Some(expected_revision),
        source: String::new(),
        collect_time: None,
    };
    let reply = checkout.update_record(request).await?;
    Ok(reply.record.map_or(0, |record| record.revision))
}

/// A change, the same again, and one that comes too late.
pub async fn changes(story: &mut Story, stage: &Stage, crm: &Crm) -> Done {
    let name = crm::contact(&crm.known);
    story.chapter("The customer moves house");
    story.say("acme/checkout changes one field, if the record is still at revision 1:");
    let checkout = stage.caller("acme/checkout").await?;
    let id = request_id();
    let first = move_house(&checkout, &name, &id, 1).await?;
    story.check(first == 2, "the record is at revision 2");
    story.say("The reply got lost, so it sends the same request again, with the same request id:");
    let again = move_house(&checkout, &name, &id, 1).await?;
    let record = read(&checkout, &name, "service_delivery", &[]).await?;
    let revision = record.metadata.map_or(0, |metadata| metadata.revision);
    story.check(
        again == first && revision == first,
        "it gets the first answer, and nothing is changed twice",
    );
    story.say("Another instance of checkout still thinks that revision 1 is the last:");
    refused(
        story,
        move_house(&checkout, &name, &request_id(), 1).await,
        "REVISION_STALE",
        "a change of what was not read is refused",
    );
    Ok(())
}

//! Fills a vault with the bench's customers, over gRPC like everybody else.

use super::load::Load;
use super::scene;
use crate::cli::progress::Progress;
use crate::cli::stop::{Done, Stop};
use crate::client::{Client, request_id};
use crate::pb;
use tokio::task::JoinSet;

/// Creates the customers and, where asked, one record each.
pub async fn customers(load: &Load, customers: u64, with_records: bool) -> Done {
    let mut progress = Progress::start("customers", customers);
    let mut under_way: JoinSet<Done> = JoinSet::new();
    let connections = load.clients();
    for (customer, client) in (0..customers).zip(connections.iter().cycle()) {
        if under_way.len() >= load.in_flight {
            joined(under_way.join_next().await)?;
        }
        progress.set(customer, &format!("{customer} created"));
        under_way.spawn(one(client.clone(), customer, with_records));
    }
    while !under_way.is_empty() {
        joined(under_way.join_next().await)?;
    }
    Ok(())
}

/// What became of one that was under way.
pub fn joined(one: Option<Result<Done, tokio::task::JoinError>>) -> Done {
    match one {
        Some(Ok(done)) => done,
        Some(Err(_)) => Err(Stop::Failed("a worker was lost".to_owned())),
        None => Ok(()),
    }
}

async fn one(client: Client, customer: u64, with_record: bool) -> Done {
    let create = pb::CreateCustomerRequest {
        customer_id: scene::customer_id(customer),
        request_id: request_id(),
        recreate_erased: false,
    };
    client.create_customer(create).await?;
    if with_record {
        let put = pb::PutRecordRequest {
            name: scene::record_name(customer, 0),
            record_type: scene::RECORD_TYPE.to_owned(),
            fields: scene::fields(customer),
            request_id: request_id(),
            expected_revision: Some(0),
            source: String::new(),
            collect_time: None,
        };
        client.put_record(put).await?;
    }
    Ok(())
}

//! P3 and P11: whatever the disk does to the write of an audit entry, nothing
//! that the entry would tell of leaves the vault.

use crate::caller::{Caller, connect, named, record};
use crate::disk::Disk;
use crate::log::Log;
use crate::place::{Place, is_long, until};
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// What the disk does in one round: the shim's word, and whether the process
/// ends of it.
const FAULTS: [(&str, bool); 10] = [
    ("write", true),
    ("full", false),
    ("fsync", true),
    ("full", false),
    ("torn", true),
    ("full", false),
    ("hang", false),
    ("write", true),
    ("full", false),
    ("fsync", true),
];

/// Reads that meet each fault, of three kinds.
const READS: usize = 6;
const CUSTOMERS: usize = 4;

fn name(number: usize) -> String {
    record(&format!("c{}", number % CUSTOMERS), "r")
}

/// Reads in one of three ways; how many values came.
async fn read(caller: Caller, number: usize) -> usize {
    match number % 3 {
        0 => caller.get(&name(number)).await.map_or(0, |card| card.len()),
        1 => {
            let names: Vec<String> = (0..CUSTOMERS).map(name).collect();
            let read = caller.batch(&names).await.unwrap_or_default();
            read.into_iter().flatten().map(|card| card.len()).sum()
        }
        _ => {
            // Whatever came before the stream broke counts.
            let Ok(mut stream) = caller.stream("").await else {
                return 0;
            };
            let mut came = 0;
            while let Ok(Some(chunk)) = stream.message().await {
                came += chunk.records.iter().map(|r| r.fields.len()).sum::<usize>();
            }
            came
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_an_audit_write_lets_a_value_out() {
    let rounds = if is_long() { 1_000 } else { 20 };
    let (place, disk) = (Place::new(), Disk::new());
    let mut server = disk.server(&place);
    let mut caller = connect(&place, &server, "acme/w00").await;
    for number in 0..CUSTOMERS {
        caller.create(&format!("c{number}")).await.expect("created");
        caller
            .put(&name(number), named("a value"))
            .await
            .expect("written");
    }
    let (mut met, mut good, mut counts) = (0, 0, BTreeMap::<&str, usize>::new());
    for round in 0..rounds {
        let (fault, ends) = FAULTS[round % FAULTS.len()];
        disk.fail(fault);
        let mut reads = JoinSet::new();
        for number in 0..READS {
            reads.spawn(read(caller.clone(), number));
        }
        for came in reads.join_all().await {
            assert_eq!(came, 0, "round {round}: values came during {fault}");
            met += 1;
        }
        if ends {
            until("it ends", async || !server.lives()).await;
            assert!(!server.ended().success(), "round {round}: {fault}");
        } else {
            assert!(server.lives(), "round {round}: {fault}");
        }
        disk.mend(fault);
        if ends {
            server = disk.server(&place);
            caller = connect(&place, &server, "acme/w00").await;
        }
        let again = caller.clone();
        until("it serves again", async || {
            let read = again.get(&name(round)).await;
            good += usize::from(read.is_ok());
            read.is_ok()
        })
        .await;
        *counts.entry(fault).or_default() += 1;
        if round % 50 == 49 {
            println!(
                "{} faults {counts:?}: {met} reads met them, 0 values came",
                round + 1
            );
        }
    }
    server.stop();
    // Every value that came has its entry.
    let leaves = Log::of(&place).new_leaves();
    let told = leaves
        .iter()
        .filter(|l| l.method == "GetRecord" && l.verdict == "allowed");
    assert!(told.count() >= good, "{good} reads came through");
    println!("{rounds} faults {counts:?}: {met} reads met them, 0 values came; {good} since");
}

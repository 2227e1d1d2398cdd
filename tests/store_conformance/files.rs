//! The two files: their logs, their versions, and when one is not there.

use crate::backends;
use crate::house::{Backend, House};
use crate::made::{customer, first_customer, leaf, with_keys};
use crate::on_each;
use oubliette::error::Error;
use oubliette::store::{DataFile, Rows};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A job that has read from both files and holds on to what it saw.
struct Holder {
    let_go: Sender<()>,
    gone: Receiver<()>,
}

impl Holder {
    fn new(house: &House) -> Self {
        let (holds, held) = channel();
        let (let_go, may_go) = channel();
        let (went, gone) = channel();
        let hold = move |rows: &mut dyn Rows| {
            rows.leaf_count().unwrap();
            rows.epochs().unwrap();
            holds.send(()).unwrap();
            may_go.recv().unwrap();
            rows.refresh();
            went.send(()).unwrap();
        };
        house.share().read(Box::new(hold)).unwrap();
        held.recv().unwrap();
        Self { let_go, gone }
    }

    fn let_go(self) {
        self.let_go.send(()).unwrap();
        self.gone.recv().unwrap();
    }
}

#[test]
fn a_log_is_emptied_unless_a_reader_holds_it() {
    on_each(|house| {
        for file in [DataFile::Keys, DataFile::Vault] {
            let write = || match file {
                DataFile::Keys => drop(with_keys(&**house)),
                DataFile::Vault => drop(house.append(vec![leaf("one")]).wait().unwrap()),
            };
            write();
            assert!(house.backend.log_bytes(file) > 0);
            let holder = Holder::new(house);
            write();
            assert!(!house.truncate(file).wait().unwrap(), "{file:?} is held");
            // Meanwhile nobody else is kept from writing.
            write();
            holder.let_go();
            assert!(house.truncate(file).wait().unwrap(), "{file:?} is free");
            assert_eq!(house.backend.log_bytes(file), 0);
            assert!(
                house.truncate(file).wait().unwrap(),
                "{file:?} is empty already"
            );
            write();
        }
        assert_eq!(house.leaf_count(), 4);
        assert_eq!(house.read(|rows| rows.key_counts()).customers, 4);
    });
}

#[test]
fn a_job_that_ended_holds_no_log() {
    on_each(|house| {
        for turn in 0..20 {
            house.append(vec![leaf("one more")]).wait().unwrap();
            let (reached, at) = channel();
            let look = move |rows: &mut dyn Rows| {
                reached.send(rows.leaf_count().unwrap()).unwrap();
            };
            house.share().read(Box::new(look)).unwrap();
            assert_eq!(at.recv().unwrap(), turn + 1);
            // The reader lets go by itself, soon after the job.
            let emptied = (0..1_000_000).any(|_| house.truncate(DataFile::Vault).wait().unwrap());
            assert!(emptied);
            assert_eq!(house.backend.log_bytes(DataFile::Vault), 0);
        }
    });
}

#[test]
fn what_was_acknowledged_is_there_after_a_start() {
    on_each(|house| {
        let owner = first_customer(house);
        let other = customer(&**house);
        for _ in 0..3 {
            house.reopen();
            for customer in [owner, other] {
                assert!(house.read(move |rows| rows.customer(customer)).is_some());
                let keys = house.read(move |rows| rows.customer_keys(customer));
                assert!(keys.identity.is_some());
            }
            assert_eq!(house.leaf_count(), 2);
        }
    });
}

/// Why the vault does not open, to write and only to read.
fn refusals(backend: &dyn Backend) -> [String; 2] {
    let text = |refusal| match refusal {
        Some(Error::Setup(text)) => text,
        Some(other) => panic!("not said to the operator: {other:?}"),
        None => panic!("it was opened"),
    };
    [text(backend.open().err()), text(backend.open_rows().err())]
}

fn on_each_broken(break_it: impl Fn(&dyn Backend, DataFile), words: &[&str]) {
    for backend in backends() {
        for file in [DataFile::Keys, DataFile::Vault] {
            let mut house = House::new(backend());
            first_customer(&house);
            house.close();
            break_it(&*house.backend, file);
            for refusal in refusals(&*house.backend) {
                assert!(refusal.contains(house.backend.name(file)), "{refusal}");
                for word in words {
                    assert!(refusal.contains(word), "{refusal}");
                }
            }
        }
    }
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    on_each_broken(
        |backend, file| backend.make_newer(file),
        &["newer version", "run that version"],
    );
}

#[test]
fn a_missing_file_is_refused_and_not_made() {
    on_each_broken(
        |backend, file| backend.remove(file),
        &["cannot be opened", "oubliette init"],
    );
}

#[test]
fn an_emptied_file_is_no_new_vault() {
    on_each_broken(
        |backend, file| backend.make_empty(file),
        &["is empty", "backup"],
    );
}

#[test]
fn who_only_reads_sees_what_the_store_writes() {
    on_each(|house| {
        let mut rows = house.backend.open_rows().unwrap();
        assert_eq!(rows.leaf_count().unwrap(), 0);
        let owner = first_customer(house);
        assert_eq!(
            rows.leaf_count().unwrap(),
            0,
            "one state until it is refreshed"
        );
        rows.refresh();
        assert_eq!(rows.leaf_count().unwrap(), 1);
        assert!(rows.customer(owner).unwrap().is_some());
    });
}

//! What changes share a commit, and what reads share a state.

use crate::made::{INDEX_PAGE, first_customer, leaf, new_customer, put, unique, wide};
use crate::on_each;
use oubliette::store::{DataFile, PutOutcome};
use std::sync::mpsc::{self, channel};

#[test]
fn a_refused_change_spoils_no_other_of_its_commit() {
    on_each(|house| {
        let owner = first_customer(house);
        let before = house.activity(DataFile::Vault);
        let (mut good, mut bad, mut tags) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=60 {
            good.push(house.put_record(put(owner, number, 0)));
            // The index row comes first and is new; the customer is not.
            let mut refused = new_customer(owner, INDEX_PAGE);
            let tag = wide((1 << 50) + unique());
            refused.index_tag = tag;
            tags.push((tag, refused.request.key));
            bad.push(house.create_customer(refused));
        }
        for change in bad {
            assert!(change.wait().is_err(), "a customer was created twice");
        }
        for change in good {
            assert!(matches!(change.wait().unwrap(), PutOutcome::Done(..)));
        }
        let after = house.activity(DataFile::Vault);
        let (commits, changes) = (after.0 - before.0, after.1 - before.1);
        assert_eq!(changes, 120);
        assert!(commits < changes, "nothing shared a commit: {commits}");
        house.reopen();
        let row = house.read(move |rows| rows.customer(owner)).unwrap();
        assert_eq!(row.records, 60);
        // Nothing is left of those that were refused.
        for (tag, request) in tags {
            let today = crate::made::TODAY;
            assert!(
                house
                    .read(move |rows| rows.index_row(INDEX_PAGE, &tag))
                    .is_none()
            );
            assert!(
                house
                    .read(move |rows| rows.request(&request, today))
                    .is_none()
            );
        }
        let page = house
            .read(|rows| rows.index_ref(crate::made::TENANT, 0))
            .unwrap();
        assert_eq!(page.rows, 1);
        assert_eq!(house.leaf_count(), 1 + 60);
        assert!(!house.failed(), "a refusal is no failure of storage");
    });
}

#[test]
fn a_change_stands_though_nobody_waits_for_it() {
    on_each(|house| {
        let owner = first_customer(house);
        for number in 1..=10 {
            drop(house.put_record(put(owner, number, 0)));
        }
        house.reopen();
        let row = house.read(move |rows| rows.customer(owner)).unwrap();
        assert_eq!(
            row.records, 10,
            "what was queued is written before the store closes"
        );
    });
}

#[test]
fn all_reads_of_a_job_see_one_state() {
    on_each(|house| {
        let owner = first_customer(house);
        let (looked, first_look) = channel();
        let (go_on, may_go_on) = channel();
        let (answer, answered) = channel();
        house
            .share()
            .read(Box::new(move |rows| {
                let keys = rows.customer_keys(owner).unwrap();
                let before = rows.leaf_count().unwrap();
                looked.send(()).unwrap();
                may_go_on.recv().unwrap();
                let again = rows.customer_keys(owner).unwrap();
                let held = (before, rows.leaf_count().unwrap());
                let keys_held = keys.identity.is_some() && again.identity.is_some();
                rows.refresh();
                let newest = rows.leaf_count().unwrap();
                let shredded = rows.customer_keys(owner).unwrap().fence.is_some();
                answer.send((held, keys_held, newest, shredded)).unwrap();
            }))
            .unwrap();
        first_look.recv().unwrap();
        house.append(vec![leaf("later")]).wait().unwrap();
        let fence = house.shred(owner, INDEX_PAGE, crate::made::TODAY);
        fence.wait().unwrap();
        go_on.send(()).unwrap();
        let (held, keys_held, newest, shredded) = answered.recv().unwrap();
        assert_eq!(held, (1, 1));
        assert!(keys_held);
        assert_eq!(newest, 2);
        assert!(shredded);
    });
}

#[test]
fn a_job_sees_no_state_older_than_itself() {
    on_each(|house| {
        // Others look all the time, so that states are shared.
        let (stop, stopped) = channel::<()>();
        let store = house.share();
        let others = std::thread::spawn(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                let (done, all_done) = channel();
                for _ in 0..8 {
                    let done = done.clone();
                    let look = move |rows: &mut dyn oubliette::store::Rows| {
                        done.send(rows.leaf_count().unwrap()).unwrap();
                    };
                    store.read(Box::new(look)).unwrap();
                }
                assert_eq!(all_done.iter().take(8).count(), 8);
            }
        });
        for _ in 0..100 {
            let number = house.append(vec![leaf("one more")]).wait().unwrap();
            assert_eq!(house.leaf_count(), number);
        }
        stop.send(()).unwrap();
        others.join().unwrap();
    });
}

#[test]
fn a_job_behind_a_slow_one_sees_what_was_written_meanwhile() {
    on_each(|house| {
        let (started, has_started) = channel();
        let (go_on, may_go_on) = channel::<()>();
        let slow = move |rows: &mut dyn oubliette::store::Rows| {
            started.send(rows.leaf_count().unwrap()).unwrap();
            may_go_on.recv().unwrap();
        };
        house.share().read(Box::new(slow)).unwrap();
        assert_eq!(has_started.recv().unwrap(), 0);
        house.append(vec![leaf("meanwhile")]).wait().unwrap();
        let (answer, answered) = channel();
        let next = move |rows: &mut dyn oubliette::store::Rows| {
            answer.send(rows.leaf_count().unwrap()).unwrap();
        };
        house.share().read(Box::new(next)).unwrap();
        go_on.send(()).unwrap();
        assert_eq!(answered.recv().unwrap(), 1);
    });
}

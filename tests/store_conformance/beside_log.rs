//! Reads that do not look at the log keep their state while it grows: they see
//! every other change at once, and are in nobody's way.

use crate::house::House;
use crate::made::{first_customer, leaf, put};
use crate::on_each;
use oubliette::error::Result;
use oubliette::store::{DataFile, PutOutcome, Rows};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

fn read_beside<T: Send + 'static>(
    house: &House,
    work: impl FnOnce(&mut dyn Rows) -> Result<T> + Send + 'static,
) -> T {
    let (answer, answered) = mpsc::channel();
    let job = move |rows: &mut dyn Rows| answer.send(work(rows)).unwrap();
    house.read_beside_log(Box::new(job)).unwrap();
    answered.recv().unwrap().unwrap()
}

#[test]
fn a_change_that_is_answered_is_seen() {
    on_each(|house| {
        let owner = first_customer(house);
        for number in 1..=100 {
            house.append(vec![leaf("read")]).wait().unwrap();
            let records = move |rows: &mut dyn Rows| Ok(rows.customer(owner)?.unwrap().records);
            assert_eq!(read_beside(house, records), number - 1);
            house.append(vec![leaf("read")]).wait().unwrap();
            let put = house.put_record(put(owner, number, 0)).wait().unwrap();
            assert!(matches!(put, PutOutcome::Done(..)));
            assert_eq!(read_beside(house, records), number);
            // Who asks for everything gets the log as well.
            let leaves = house.leaf_count();
            assert_eq!(leaves, 1 + 3 * number);
        }
    });
}

#[test]
fn a_log_is_emptied_and_stays_short_under_readers_without_a_pause() {
    on_each(|house| {
        let owner = first_customer(house);
        let done = Arc::new(AtomicBool::new(false));
        let reading: Vec<_> = (0..2)
            .map(|_| {
                let (store, done) = (house.share(), Arc::clone(&done));
                std::thread::spawn(move || {
                    while !done.load(Ordering::Relaxed) {
                        let (answer, answered) = mpsc::channel();
                        let job = move |rows: &mut dyn Rows| {
                            answer
                                .send(rows.customer(owner).unwrap().is_some())
                                .unwrap();
                        };
                        store.read_beside_log(Box::new(job)).unwrap();
                        assert!(answered.recv().unwrap());
                    }
                })
            })
            .collect();
        let mut longest = 0;
        for turn in 0..96 {
            // Half a mebibyte a commit.
            let leaves = (0..512).map(|_| leaf(vec![b'x'; 1_000])).collect();
            house.append(leaves).wait().unwrap();
            longest = longest.max(house.backend.log_bytes(DataFile::Vault));
            if turn % 16 == 0 {
                assert!(house.truncate(DataFile::Vault).wait().unwrap());
                assert!(house.truncate(DataFile::Keys).wait().unwrap());
            }
            if turn == 16 {
                longest = 0;
            }
        }
        done.store(true, Ordering::Relaxed);
        for thread in reading {
            thread.join().unwrap();
        }
        assert!(longest < 48 << 20, "the log grew to {longest} bytes");
    });
}

//! Epochs are opened one by one, pages are swapped whole or not at all, and
//! nothing is destroyed that something is left under.

use crate::house::House;
use crate::made::{TODAY, first_customer, index_page, leaf, page, with_keys};
use crate::on_each;
use oubliette::id::{CustomerNumber, TenantName, TenantNumber};
use oubliette::store::{
    ClosedEpoch, EpochKey, EpochRow, EpochState, JobKind, JobState, KeySwap, Left, NewJob,
    PageKind, PageRow, PageSwap, Progress, TenantRow,
};

fn epoch(number: u32) -> EpochRow {
    EpochRow {
        epoch: number,
        opened: TODAY,
        state: EpochState::Active,
        keys: vec![EpochKey {
            provider: "file".to_owned(),
            name: format!("epoch-{number}"),
            wrapped: vec![0xe0 | u8::try_from(number).unwrap(); 48],
        }],
    }
}

fn job(kind: JobKind, target: u64) -> NewJob {
    NewJob {
        kind,
        target,
        throttle: 3,
        requester: "acme/security".to_owned(),
        today: TODAY,
    }
}

fn open(house: &House, number: u32) -> Option<u64> {
    let close = job(JobKind::CloseEpoch, u64::from(number) - 1);
    house.open_epoch(epoch(number), close).wait().unwrap()
}

/// The swap of a customers' page as it stands for one under `epoch`, with a
/// new key of its own where it is dirty.
fn swap(house: &House, number: u64, epoch: u32) -> PageSwap {
    let (old, keys) = house.read(move |rows| rows.page_with_keys(number)).unwrap();
    let new = PageRow {
        page: number,
        generation: old.row.generation + u32::from(old.dirty),
        epoch,
        wrapped: format!("page {number} under {epoch}").into_bytes(),
    };
    let is_dirty = old.dirty;
    let keys = keys.into_iter().filter(|_| is_dirty).map(|kept| KeySwap {
        customer: kept.customer,
        generation: kept.key.generation,
        new: [&b"new "[..], &kept.key.wrapped].concat(),
        old: kept.key.wrapped,
    });
    PageSwap {
        kind: PageKind::Customers,
        keys: keys.collect(),
        old,
        new,
    }
}

fn swapped(house: &House, swaps: Vec<PageSwap>, job: u64) -> (u64, u64) {
    let progress = Progress { job, cursor: 7 };
    let done = house.swap_pages(swaps, progress).wait().unwrap();
    (done.pages, done.keys)
}

fn state(house: &House, epoch: u32) -> EpochState {
    let epochs = house.read(|rows| rows.epochs());
    epochs.iter().find(|row| row.epoch == epoch).unwrap().state
}

#[test]
fn epochs_are_opened_in_order_and_close_the_one_before() {
    on_each(|house| {
        assert!(open(house, 3).is_none(), "2 is not there");
        let closing = open(house, 2).unwrap();
        assert!(open(house, 2).is_none(), "again");
        house.reopen();
        assert_eq!(state(house, 1), EpochState::Closing);
        assert_eq!(state(house, 2), EpochState::Active);
        let row = house.read(move |rows| rows.job(closing)).unwrap();
        assert_eq!((row.kind, row.target), (JobKind::CloseEpoch, 1));
        assert_eq!((row.state, row.throttle), (JobState::Running, 3));
        assert_eq!(row.requester, "acme/security");
    });
}

#[test]
fn a_clean_page_is_swapped_only_as_it_was_read() {
    on_each(|house| {
        let customer = with_keys(&**house);
        let number = customer.page();
        let closing = open(house, 2).unwrap();
        let late = swap(house, number, 2);
        assert_eq!(
            swapped(house, vec![swap(house, number, 2)], closing),
            (1, 0)
        );
        assert_eq!(swapped(house, vec![late], closing), (0, 0), "it changed");
        house.reopen();
        let row = house.read(move |rows| rows.page(PageKind::Customers, number));
        assert_eq!(row.unwrap().epoch, 2);
        let row = house.read(move |rows| rows.job(closing)).unwrap();
        assert_eq!((row.done, row.keys, row.cursor), (1, 0, 7));
    });
}

#[test]
fn a_page_that_lost_a_row_after_it_was_read_clean_is_not_swapped_as_clean() {
    on_each(|house| {
        let customer = first_customer(house);
        let closing = open(house, 2).unwrap();
        let clean = swap(house, customer.page(), 2);
        house.shred(customer, 1, TODAY).wait().unwrap();
        assert_eq!(swapped(house, vec![clean], closing), (0, 0));
    });
}

#[test]
fn a_dirty_page_is_swapped_with_every_key_and_never_puts_a_shredded_one_back() {
    on_each(|house| {
        let gone = first_customer(house);
        let [kept, forgotten] = [(); 2].map(|()| with_keys(&**house));
        house.shred(gone, 1, TODAY).wait().unwrap();
        let closing = open(house, 2).unwrap();
        let renewed = swap(house, kept.page(), 2);
        assert_eq!(renewed.keys.len(), 4);
        // Shredded between the look and the swap.
        let fence = house.shred(forgotten, 1, TODAY).wait().unwrap();
        assert_eq!(fence.epoch, 1, "the page still names the old epoch");
        assert_eq!(swapped(house, vec![renewed], closing).0, 1);
        house.reopen();
        let keys = house.read(move |rows| rows.customer_keys(kept));
        assert!(keys.identity.unwrap().wrapped.starts_with(b"new "));
        let back = house.read(move |rows| rows.customer_keys(forgotten));
        assert!(back.identity.is_none() && back.fields.is_empty());
        let left = house.read(|rows| rows.left_up_to(1));
        assert_eq!((left.customer_pages, left.dirty_pages), (0, 0));
        assert_eq!(house.read(|rows| rows.erased_in(1)).len(), 2);
        assert!(house.read(|rows| rows.erased_after(1)).is_empty());
    });
}

#[test]
fn a_key_that_was_added_after_the_look_makes_the_whole_page_wait() {
    on_each(|house| {
        let gone = first_customer(house);
        let kept = with_keys(&**house);
        house.shred(gone, 1, TODAY).wait().unwrap();
        let closing = open(house, 2).unwrap();
        let late = swap(house, kept.page(), 2);
        let added = with_keys(&**house);
        assert_eq!(swapped(house, vec![late], closing), (0, 0));
        let keys = house.read(move |rows| rows.customer_keys(kept));
        assert!(!keys.identity.unwrap().wrapped.starts_with(b"new "));
        assert_eq!(keys.page.unwrap().epoch, 1, "nothing of it was done");
        let again = swap(house, added.page(), 2);
        assert_eq!(swapped(house, vec![again], closing), (1, 4));
    });
}

#[test]
fn nothing_is_condemned_while_something_is_left_under_it() {
    on_each(|house| {
        let tenant = TenantRow {
            tenant: TenantNumber(1),
            name: TenantName::parse("acme").unwrap(),
            epoch: 1,
            wrapped: vec![1; 48],
        };
        house.add_tenant(tenant.clone()).wait().unwrap();
        let customer = with_keys(&**house);
        let number = house.allocate_index_pages(1).wait().unwrap();
        let pages = vec![index_page(number, 1)];
        house.add_index_pages(pages).wait().unwrap();
        let condemned = |house: &House| house.condemn_epoch(1).wait().unwrap();
        assert!(!condemned(house), "it is active");
        let closing = open(house, 2).unwrap();
        let all = Left {
            customer_pages: 1,
            index_pages: 1,
            tenants: 1,
            ..Left::default()
        };
        assert_eq!(house.read(|rows| rows.left_up_to(1)), all);
        assert!(!condemned(house));
        swapped(house, vec![swap(house, customer.page(), 2)], closing);
        assert!(!condemned(house));
        house.drop_index_page(number).wait().unwrap();
        assert!(!condemned(house));
        let moved = house.swap_tenant(tenant.clone(), 2, vec![2; 48]);
        assert!(moved.wait().unwrap());
        let late = house.swap_tenant(tenant, 2, vec![3; 48]);
        assert!(!late.wait().unwrap(), "it changed");
        assert!(condemned(house));
        assert!(condemned(house), "again");
        // From here on nothing comes to be under it.
        assert!(house.add_page(page(9, 1)).wait().is_err());
        let late = vec![index_page(number + 1, 1)];
        assert!(house.add_index_pages(late).wait().is_err());
    });
}

#[test]
fn an_ended_epoch_leaves_no_wrapped_key_and_is_certified_once() {
    on_each(|house| {
        open(house, 2).unwrap();
        house.end_epoch(1).wait().unwrap();
        assert_eq!(state(house, 1), EpochState::Closing, "not condemned");
        assert!(house.condemn_epoch(1).wait().unwrap());
        let master = epoch(1).keys.remove(0).wrapped;
        house.blank_epoch(1).wait().unwrap();
        let epochs = house.read(|rows| rows.epochs());
        assert_eq!(epochs[0].keys[0].name, "epoch-1");
        assert!(epochs[0].keys[0].wrapped.is_empty());
        let before = house.leaf_count();
        for first in [true, false] {
            let certified = house.certify_epoch(1, closed(), leaf("closed"));
            assert_eq!(certified.wait().unwrap(), first);
        }
        assert_eq!(house.leaf_count(), before + 1);
        assert_eq!(house.read(|rows| rows.closed_epoch(1)), Some(closed()));
        house.end_epoch(1).wait().unwrap();
        house.reopen();
        assert_eq!(state(house, 1), EpochState::Destroyed);
        assert!(house.read(|rows| rows.epochs())[0].keys.is_empty());
        house
            .truncate(oubliette::store::DataFile::Keys)
            .wait()
            .unwrap();
        assert!(!house.backend.is_on_disk(&master));
    });
}

#[test]
fn a_job_is_one_of_its_kind_and_target_until_it_is_done() {
    on_each(|house| {
        let start = |house: &House, target| house.start_job(job(JobKind::RotateType, target));
        let first = start(house, 4).wait().unwrap().unwrap();
        assert_eq!(start(house, 4).wait().unwrap(), None);
        let other = start(house, 5).wait().unwrap().unwrap();
        house.begin_step(first, 1, 40).wait().unwrap();
        let progress = Progress {
            job: first,
            cursor: 12,
        };
        house.advance_job(progress, 5, 9).wait().unwrap();
        assert!(house.throttle_job(first, 11).wait().unwrap());
        assert!(house.set_job(first, JobState::Paused, "").wait().unwrap());
        let progress = Progress {
            job: first,
            cursor: 3,
        };
        let orders = house.advance_job(progress, 1, 0).wait().unwrap();
        assert_eq!((orders.state, orders.throttle), (JobState::Paused, 11));
        house.reopen();
        let row = house.read(move |rows| rows.job(first)).unwrap();
        assert_eq!((row.step, row.cursor, row.total), (1, 12, 40));
        assert_eq!((row.done, row.keys), (6, 9));
        assert!(house.set_job(first, JobState::Done, "").wait().unwrap());
        let undone = house.set_job(first, JobState::Running, "");
        assert!(!undone.wait().unwrap(), "what is done stays done");
        assert!(!house.throttle_job(first, 0).wait().unwrap());
        let open: Vec<u64> = house
            .read(|rows| rows.open_jobs())
            .iter()
            .map(|j| j.job)
            .collect();
        assert_eq!(open, [other]);
        let newest: Vec<u64> = house
            .read(|rows| rows.newest_jobs(9))
            .iter()
            .map(|j| j.job)
            .collect();
        assert_eq!(newest, [other, first]);
        assert!(start(house, 4).wait().unwrap().is_some());
    });
}

#[test]
fn pages_are_looked_at_in_order_from_a_number_on() {
    on_each(|house| {
        for number in [3, 1, 2] {
            house.add_page(page(number, 1)).wait().unwrap();
        }
        house.add_page(page(4, 2)).wait().unwrap();
        let seen = |from, most| {
            let views =
                house.read(move |rows| rows.pages_up_to(PageKind::Customers, 1, from, most));
            views.iter().map(|view| view.row.page).collect::<Vec<_>>()
        };
        assert_eq!(seen(0, 9), [1, 2, 3]);
        assert_eq!(seen(2, 1), [2]);
        assert!(seen(4, 9).is_empty(), "a later epoch's");
    });
}

#[test]
fn what_a_closing_looks_for_in_the_data_is_found() {
    on_each(|house| {
        let customer = first_customer(house);
        crate::made::record(&**house, customer, 1);
        let other = crate::made::customer(&**house);
        let records = house.read(move |rows| rows.whole_records(customer, 0, 9));
        assert_eq!(records.len(), 1);
        assert!(!records[0].body.is_empty());
        assert_eq!(
            house
                .read(move |rows| rows.whole_records(customer, 1, 9))
                .len(),
            0
        );
        let from = |number| house.read(move |rows| rows.customer_from(number));
        assert_eq!(from(0), Some(customer));
        assert_eq!(from(customer.0 + 1), Some(other));
        assert_eq!(from(other.0 + 1), None);
        let (tenant, place) = house.read(|rows| rows.index_place(1)).unwrap();
        assert_eq!(
            (tenant, place.page, place.rows),
            (crate::made::TENANT, 1, 2)
        );
        assert!(house.read(|rows| rows.index_place(77)).is_none());
        assert_eq!(house.read(|rows| rows.index_page_keys()), [1]);
        assert!(house.read(|rows| rows.next_customer()) > other.0);
        let intended = house.intend_erasure(crate::made::intent(other));
        assert!(intended.wait().unwrap());
        let purges: Vec<CustomerNumber> = house.read(|rows| rows.purges_on(1));
        assert_eq!(purges, [other]);
        assert_eq!(house.read(|rows| rows.dirty_keys_up_to(1)), 0);
        house.shred(other, 1, TODAY).wait().unwrap();
        assert_eq!(house.read(|rows| rows.dirty_keys_up_to(1)), 2);
    });
}

fn closed() -> ClosedEpoch {
    ClosedEpoch {
        day: TODAY,
        assurance: "hsm".to_owned(),
    }
}

#[test]
fn keys_may_be_left_of_an_epoch_that_was_about_to_be_opened_and_of_no_other() {
    on_each(|house| {
        assert!(!house.read(|rows| rows.may_be_left(2)));
        assert!(house.note_opening(2).wait().is_ok());
        assert!(house.read(|rows| rows.may_be_left(2)));
        assert!(!house.read(|rows| rows.may_be_left(3)));
    });
}

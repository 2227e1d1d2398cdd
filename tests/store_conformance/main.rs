//! What every store must do, whatever keeps its rows. A second backend joins
//! by one line in `backends`.

mod erasures;
mod index;
mod keys;
mod races;
mod records;
mod scene;

use oubliette::store::Store;
use oubliette::store::sqlite::{self, Sqlite};
use scene::EPOCH;
use std::sync::Arc;
use tempfile::TempDir;

/// A backend with a place of its own.
pub trait Backend {
    /// Over an empty vault that was just founded.
    fn founded() -> Self;
    /// The store. What was opened before is closed.
    fn open(&self) -> Arc<dyn Store>;
}

/// The embedded store.
struct Embedded(TempDir);

impl Backend for Embedded {
    fn founded() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        sqlite::found(dir.path(), [7; 16], &EPOCH.row()).expect("founded");
        Self(dir)
    }

    fn open(&self) -> Arc<dyn Store> {
        Arc::new(Sqlite::open(self.0.path()).expect("a store"))
    }
}

macro_rules! conformance {
    ($backend:ident, $name:ident: $($room:ident::{$($check:ident),* $(,)?}),* $(,)?) => {
        mod $name {
            $($(
                #[test]
                fn $check() {
                    super::$room::$check(&<super::$backend as super::Backend>::founded());
                }
            )*)*
        }
    };
}

macro_rules! backends {
    ($($backend:ident: $name:ident),* $(,)?) => {$(
        conformance!($backend, $name:
            keys::{
                a_new_store_is_what_was_founded,
                numbers_are_given_once,
                the_first_key_of_a_page_stays,
                keys_are_stored_only_under_the_page_as_it_is,
                a_creation_is_known_until_it_settles,
                a_tenant_is_added_once,
                everything_is_there_after_a_restart,
            },
            records::{
                leaves_are_numbered_without_a_hole,
                a_customer_is_created_once,
                a_record_is_written_at_its_revision_and_no_other,
                a_record_is_deleted_with_its_way_to_it,
                records_are_found_by_type_in_order,
                a_request_is_known_for_its_days,
                a_change_that_fails_half_way_leaves_nothing,
                a_change_that_fails_spoils_none_beside_it,
            },
            erasures::{
                a_shred_leaves_a_fence_and_no_key,
                levels_only_rise_and_each_has_one_leaf,
                a_purge_takes_all_of_one_customer_and_nothing_else,
                a_tombstone_replaces_only_the_row_that_was_read,
            },
            index::{
                a_prefix_belongs_to_one_page,
                a_split_moves_every_row_or_none,
                a_page_with_an_erasure_under_way_is_not_split,
            },
            races::{
                of_many_writers_at_one_revision_one_wins,
                of_many_changes_with_one_request_id_one_is_made,
                of_many_customers_at_one_place_one_is_created,
                numbers_are_given_once_to_many,
                readers_see_whole_changes,
            },
        );
    )*};
}

backends! {
    Embedded: embedded,
}

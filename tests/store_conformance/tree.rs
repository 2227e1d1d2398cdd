//! The log's tree behind its leaves: it only grows.

use crate::made::{first_customer, leaf};
use crate::on_each;
use oubliette::clock::Day;
use oubliette::store::{CheckpointRow, Seal, TileRow};

fn tile(level: u8, index: u64, byte: u8, hashes: usize) -> TileRow {
    TileRow {
        level,
        index,
        hashes: vec![byte; hashes * 32],
    }
}

fn seal(size: u64, time: i64, tiles: Vec<TileRow>) -> Seal {
    Seal {
        tiles,
        checkpoint: checkpoint(size, time),
        replaces_since: time - time.rem_euclid(60),
    }
}

fn checkpoint(size: u64, time: i64) -> CheckpointRow {
    CheckpointRow {
        size,
        time,
        note: format!("note {size}"),
    }
}

#[test]
fn a_tree_grows_with_its_checkpoint_and_never_shrinks() {
    on_each(|house| {
        assert_eq!(house.read(|rows| rows.checkpoint()), None);
        assert_eq!(house.read(|rows| rows.tile(0, 0)), None);
        let first = seal(2, 10, vec![tile(0, 0, 1, 2)]);
        assert!(house.seal(first).wait().unwrap());
        let more = vec![tile(0, 0, 2, 256), tile(1, 0, 3, 1)];
        assert!(house.seal(seal(256, 20, more)).wait().unwrap());
        for smaller in [255, 256] {
            let other = seal(smaller, 30, vec![tile(0, 0, 9, 1)]);
            assert!(!house.seal(other).wait().unwrap(), "{smaller}");
        }
        house.reopen();
        let newest = Some(checkpoint(256, 20));
        assert_eq!(house.read(|rows| rows.checkpoint()), newest);
        let bytes = |byte, hashes: usize| Some(vec![byte; hashes * 32]);
        assert_eq!(house.read(|rows| rows.tile(0, 0)), bytes(2, 256));
        assert_eq!(house.read(|rows| rows.tile(1, 0)), bytes(3, 1));
        assert_eq!(house.read(|rows| rows.tile(0, 1)), None);
    });
}

#[test]
fn entries_are_leaves_alone_in_their_order() {
    on_each(|house| {
        assert_eq!(house.read(|rows| rows.newest_entry()), 0);
        let leaves = vec![leaf("a"), leaf("b"), leaf("c")];
        house.append(leaves).wait().unwrap();
        let text = |text: &str| text.as_bytes().to_vec();
        let entries = house.read(|rows| rows.entries(0, 2));
        assert_eq!(entries, [(1, text("a")), (2, text("b"))]);
        assert_eq!(house.read(|rows| rows.entries(2, 9)), [(3, text("c"))]);
        assert!(house.read(|rows| rows.entries(3, 9)).is_empty());
        assert_eq!(house.read(|rows| rows.newest_entry()), 3);
        let (told, heard) = std::sync::mpsc::channel();
        house.aside(Box::new(move |rows| {
            told.send(rows.newest_entry()).unwrap()
        }));
        assert_eq!(heard.recv().unwrap(), Ok(3), "and beside the readers");
    });
}

#[test]
fn every_fence_is_told() {
    on_each(|house| {
        assert!(house.read(|rows| rows.fences()).is_empty());
        let customer = first_customer(house);
        let fence = house.shred(customer, 1, Day(3)).wait().unwrap();
        assert_eq!(house.read(|rows| rows.fences()), [(customer, fence)]);
    });
}

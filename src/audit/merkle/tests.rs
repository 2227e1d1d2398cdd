use super::*;
use proptest::prelude::*;
use tlog_tiles::tlog as theirs;

/// The hashes of a small tree, level by level.
struct Small(Vec<Vec<Hash>>);

impl Small {
    fn of(entries: &[Vec<u8>]) -> Self {
        let mut levels = vec![entries.iter().map(|e| leaf_hash(e)).collect::<Vec<_>>()];
        while levels.last().unwrap().len() > 1 {
            let below = levels.last().unwrap().chunks_exact(2);
            levels.push(below.map(|two| node_hash(&two[0], &two[1])).collect());
        }
        Self(levels)
    }
}

impl Nodes for Small {
    fn node(&mut self, level: u32, index: u64) -> Result<Hash> {
        let level = self.0.get(level as usize);
        let node = level.and_then(|l| l.get(usize::try_from(index).unwrap()));
        node.copied().ok_or(Error::Internal("no node"))
    }
}

/// A tree of the other implementation over the same entries.
struct Theirs(std::cell::RefCell<Vec<theirs::Hash>>);

impl theirs::HashReader for Theirs {
    fn read_hashes(
        &self,
        indexes: &[u64],
    ) -> std::result::Result<Vec<theirs::Hash>, theirs::Error> {
        let kept = self.0.borrow();
        Ok(indexes
            .iter()
            .map(|i| kept[usize::try_from(*i).unwrap()])
            .collect())
    }
}

impl Theirs {
    fn of(entries: &[Vec<u8>]) -> Self {
        let tree = Self(Default::default());
        for (n, entry) in entries.iter().enumerate() {
            let more = theirs::stored_hashes(n as u64, entry, &tree).unwrap();
            tree.0.borrow_mut().extend(more);
        }
        tree
    }
}

fn plain(proof: &[theirs::Hash]) -> Vec<Hash> {
    proof.iter().map(|hash| hash.0).collect()
}

/// Neighbours that are equal would prove each other's place, and rightly.
fn distinct_entries() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let entry = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::hash_set(entry, 1..150).prop_map(|set| set.into_iter().collect())
}

proptest! {
    /// Roots and proofs are, byte for byte, those of another implementation,
    /// and each accepts the other's.
    #[test]
    fn the_tree_is_that_of_another_implementation(
        entries in distinct_entries(),
        pick in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut ours, other) = (Small::of(&entries), Theirs::of(&entries));
        let size = entries.len() as u64;
        let (index, old) = (pick.index(entries.len()) as u64, cut.index(entries.len()) as u64 + 1);
        let whole = root(&entries);
        prop_assert_eq!(whole, theirs::tree_hash(size, &other).unwrap().0);
        prop_assert_eq!(whole, root_of(&mut ours, size).unwrap());

        let path = inclusion(&mut ours, index, size).unwrap();
        prop_assert_eq!(&path, &plain(&theirs::prove_record(size, index, &other).unwrap()));
        let leaf = leaf_hash(&entries[usize::try_from(index).unwrap()]);
        prop_assert!(includes(&leaf, index, size, &path, &whole));
        for at in 0..path.len() {
            let mut bent = path.clone();
            bent[at][31] ^= 1;
            prop_assert!(!includes(&leaf, index, size, &bent, &whole));
            prop_assert!(!includes(&leaf, index, size, &path[..at], &whole));
        }
        prop_assert!(!includes(&leaf, index + 1, size, &path, &whole));

        let before = root(&entries[..usize::try_from(old).unwrap()]);
        let path = consistency(&mut ours, old, size).unwrap();
        prop_assert_eq!(&path, &plain(&theirs::prove_tree(size, old, &other).unwrap()));
        prop_assert!(continues((old, &before), (size, &whole), &path));
        for at in 0..path.len() {
            let mut bent = path.clone();
            bent[at][0] ^= 1;
            prop_assert!(!continues((old, &before), (size, &whole), &bent));
        }
        let mut other_root = before;
        other_root[3] ^= 4;
        prop_assert!(!continues((old, &other_root), (size, &whole), &path));
    }
}

/// RFC 6962, 2.1: the empty tree and a single empty entry.
#[test]
fn the_smallest_trees_are_those_of_the_rfc() {
    let none: [&[u8]; 0] = [];
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(hex::encode(root(none)), empty);
    let one = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    assert_eq!(hex::encode(root([b""])), one);
    assert!(continues((0, &root(none)), (1, &root([b""])), &[]));
    assert!(!continues((0, &root([b"x"])), (1, &root([b""])), &[]));
    assert!(!continues((2, &root(none)), (1, &root([b""])), &[]));
    let mut no_nodes = Small(Vec::new());
    assert!(inclusion(&mut no_nodes, 0, 0).is_err());
    assert!(consistency(&mut no_nodes, 3, 2).is_err());
}

//! The Merkle tree of RFC 6962, section 2.1: hashes, roots, and the two proofs
//! that a stranger checks: that an entry is in a tree, and that one tree
//! continues another. Pure: whoever asks brings the hashes.

use crate::error::{Error, Result};
use sha2::{Digest, Sha256};

/// A node of the tree.
pub type Hash = [u8; 32];

/// The hash of an entry (RFC 6962, 2.1).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    hash.finalize().into()
}

/// The hash over two nodes (RFC 6962, 2.1).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// The root over entries; over none it is SHA-256 of nothing.
pub fn root<E: AsRef<[u8]>>(entries: impl IntoIterator<Item = E>) -> Hash {
    let mut tree = Frontier::default();
    for entry in entries {
        tree.push(leaf_hash(entry.as_ref()));
    }
    tree.root()
}

/// A tree that grows, as the roots of its complete subtrees, largest first:
/// one for each bit that is set in the size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The tree of that size whose complete subtrees have these roots, largest
    /// first. `None` where their number is not that of the set bits.
    pub fn new(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (u64::from(size.count_ones()) == peaks.len() as u64).then_some(Self { size, peaks })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf's hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Each subtree that the new leaf completes takes in its left sibling.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else {
            return Sha256::digest([]).into();
        };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Where the hashes of complete subtrees are found.
pub trait Nodes {
    /// The root over the leaves from `index << level` on, `1 << level` of them.
    ///
    /// # Errors
    /// It is not there.
    fn node(&mut self, level: u32, index: u64) -> Result<Hash>;
}

/// The root over leaves `start..end` of a tree (MTH of RFC 6962). `start` is a
/// multiple of the smallest power of two that is no less than the width, as all
/// are that the proofs ask for.
fn range_root(tree: &mut impl Nodes, start: u64, end: u64) -> Result<Hash> {
    let width = end.saturating_sub(start);
    if width == 0 {
        return Err(Error::Internal("a subtree of nothing"));
    }
    let (mut left, mut peaks) = (start, Vec::new());
    for level in (0..u64::BITS).rev() {
        if width >> level & 1 == 1 {
            peaks.push(tree.node(level, left >> level)?);
            left += 1 << level;
        }
    }
    Ok(Frontier { size: width, peaks }.root())
}

/// The root of the first `size` leaves.
///
/// # Errors
/// A hash is not there.
pub fn root_of(tree: &mut impl Nodes, size: u64) -> Result<Hash> {
    if size == 0 {
        return Ok(Frontier::default().root());
    }
    range_root(tree, 0, size)
}

/// The largest power of two below `width`, which is at least 2.
fn split(width: u64) -> u64 {
    1 << (u64::BITS - 1 - (width - 1).leading_zeros())
}

/// That leaf `index` is in the tree of the first `size` leaves: the path from
/// the leaf's sibling up (RFC 6962, 2.1.1).
///
/// # Errors
/// There is no such leaf, or a hash is not there.
pub fn inclusion(tree: &mut impl Nodes, index: u64, size: u64) -> Result<Vec<Hash>> {
    if index >= size {
        return Err(Error::Internal("a proof of a leaf outside the tree"));
    }
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range_root(tree, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(tree, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// That the tree of the first `new` leaves continues that of the first `old`
/// (RFC 6962, 2.1.2). Nothing needs to be shown from 0, or to itself.
///
/// # Errors
/// `old` is larger than `new`, or a hash is not there.
pub fn consistency(tree: &mut impl Nodes, old: u64, new: u64) -> Result<Vec<Hash>> {
    if old > new {
        return Err(Error::Internal("a proof from a larger tree to a smaller"));
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let (mut start, mut end, mut whole, mut path) = (0, new, true, Vec::new());
    while end != old {
        let middle = start + split(end - start);
        if old <= middle {
            path.push(range_root(tree, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(tree, start, middle)?);
            start = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(range_root(tree, start, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` shows that a leaf of that hash is number `index` of the tree
/// (RFC 9162, 2.1.3.2).
pub fn includes(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut node) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            node = node_hash(sibling, &node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && node == *root
}

/// Whether `path` shows that a tree of size and root `new` continues one of size
/// and root `old` (RFC 9162, 2.1.4.2).
pub fn continues(old: (u64, &Hash), new: (u64, &Hash), path: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (old, new);
    if old == 0 || old >= new {
        let same = old == new && old_root == new_root;
        let begins = old == 0 && *old_root == Frontier::default().root() && new > 0;
        return path.is_empty() && (same || begins);
    }
    // A complete subtree is a node of the new tree, and so not said again.
    let mut path = path.iter();
    let first = if old.is_power_of_two() {
        Some(old_root)
    } else {
        path.next()
    };
    let Some(first) = first else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let (mut olds, mut news) = (*first, *first);
    for node in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            olds = node_hash(node, &olds);
            news = node_hash(node, &news);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            news = node_hash(&news, node);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && olds == *old_root && news == *new_root
}

#[cfg(test)]
mod tests;

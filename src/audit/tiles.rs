//! The tree as C2SP tlog-tiles cuts it (c2sp.org/tlog-tiles): each tile holds
//! up to 256 neighbouring hashes of one level, and a full tile is one hash of
//! the level above.

use super::merkle::{Frontier, Hash, Nodes, node_hash};
use crate::error::{Error, Lost, Result};
use crate::store::TileRow;

/// Levels of the tree that one tile spans.
const HEIGHT: u32 = 8;
/// Hashes of a full tile, and entries of a full bundle.
pub const WIDTH: usize = 1 << HEIGHT;

/// The path of a tile (`kind` is its level) or of a bundle of entries (`kind`
/// is "entries"), with `width` hashes or entries in it.
pub fn path(kind: &str, index: u64, width: usize) -> String {
    let mut number = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1_000);
        rest /= 1_000;
    }
    if width < WIDTH {
        return format!("tile/{kind}/{number}.p/{width}");
    }
    format!("tile/{kind}/{number}")
}

/// The tiles of a tree of that size, with the width of each: level, number,
/// width.
pub fn tiles_of(size: u64) -> impl Iterator<Item = (u8, u64, usize)> {
    let levels = (0_u8..8).map(move |level| (level, size >> (HEIGHT * u32::from(level))));
    let levels = levels.take_while(|(_, hashes)| *hashes > 0);
    levels
        .flat_map(|(level, hashes)| widths(hashes).map(move |(index, width)| (level, index, width)))
}

/// So many hashes or entries in tiles or bundles: number and width.
pub fn widths(count: u64) -> impl Iterator<Item = (u64, usize)> {
    let width = WIDTH as u64;
    (0..count.div_ceil(width)).map(move |index| {
        let left = count - index * width;
        (index, usize::try_from(left).unwrap_or(WIDTH).min(WIDTH))
    })
}

/// The right edge of a growing tree: of each level the tile that is not full.
#[derive(Clone, Default)]
pub struct Edge {
    whole: Frontier,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of that size, whose tiles `tile` knows.
    ///
    /// # Errors
    /// A tile is not there, or too short.
    pub fn load(
        size: u64,
        mut tile: impl FnMut(u8, u64) -> Result<Option<Vec<u8>>>,
    ) -> Result<Self> {
        let (mut levels, mut peaks) = (Vec::new(), Vec::new());
        for level in 0_u8..8 {
            let hashes = size >> (HEIGHT * u32::from(level));
            if hashes == 0 {
                break;
            }
            let width = usize::try_from(hashes % WIDTH as u64).unwrap_or(0);
            let mut kept = Vec::new();
            if width > 0 {
                let bytes = tile(level, hashes / WIDTH as u64)?.unwrap_or_default();
                kept = split(&bytes);
                kept.truncate(width);
            }
            if kept.len() < width {
                return Err(Error::DataLoss(Lost::Row));
            }
            levels.push(kept);
        }
        for hashes in levels.iter().rev() {
            let mut rest = hashes.as_slice();
            while let Some(last) = rest.len().checked_ilog2() {
                let (whole, after) = rest.split_at(1 << last);
                peaks.push(subtree(whole));
                rest = after;
            }
        }
        let whole = Frontier::new(size, peaks).ok_or(Error::Internal("the edge of a tree"))?;
        Ok(Self { whole, levels })
    }

    /// The tree as it is.
    pub fn whole(&self) -> &Frontier {
        &self.whole
    }

    /// Adds a leaf; gives every tile that it fills to `full`.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(TileRow)) {
        self.whole.push(leaf);
        let (mut node, mut index) = (leaf, self.whole.size() - 1);
        for level in 0_u8..8 {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Vec::with_capacity(WIDTH));
            }
            let Some(hashes) = self.levels.get_mut(at) else {
                return;
            };
            hashes.push(node);
            if hashes.len() < WIDTH {
                return;
            }
            node = subtree(hashes);
            index >>= HEIGHT;
            full(row(level, index, hashes));
            hashes.clear();
        }
    }

    /// The tiles that are not full.
    pub fn partial(&self) -> impl Iterator<Item = TileRow> {
        let levels = (0_u8..).zip(&self.levels);
        let begun = levels.filter(|(_, hashes)| !hashes.is_empty());
        begun.map(|(level, hashes)| {
            let index = self.whole.size() >> (HEIGHT * (u32::from(level) + 1));
            row(level, index, hashes)
        })
    }
}

fn row(level: u8, index: u64, hashes: &[Hash]) -> TileRow {
    TileRow {
        level,
        index,
        hashes: hashes.concat(),
    }
}

fn split(bytes: &[u8]) -> Vec<Hash> {
    bytes.as_chunks().0.to_vec()
}

/// The root over hashes, whose number is a power of two.
fn subtree(hashes: &[Hash]) -> Hash {
    let mut level = hashes.to_vec();
    while level.len() > 1 {
        let (pairs, _) = level.as_chunks::<2>();
        level = pairs.iter().map(|[l, r]| node_hash(l, r)).collect();
    }
    level.first().copied().unwrap_or_default()
}

/// A tree whose nodes are found in tiles.
pub struct Tiled<F>(pub F);

impl<F: FnMut(u8, u64) -> Result<Option<Vec<u8>>>> Nodes for Tiled<F> {
    fn node(&mut self, level: u32, index: u64) -> Result<Hash> {
        let (tile_level, within) = (level / HEIGHT, level % HEIGHT);
        let first = index << within;
        let tile_level = u8::try_from(tile_level).unwrap_or(u8::MAX);
        let bytes = (self.0)(tile_level, first / WIDTH as u64)?.unwrap_or_default();
        let hashes = split(&bytes);
        let start = usize::try_from(first % WIDTH as u64).unwrap_or(WIDTH);
        let found = hashes.get(start..start + (1 << within));
        found.map(subtree).ok_or(Error::DataLoss(Lost::Row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::merkle::{consistency, continues, includes, inclusion, leaf_hash, root};
    use std::collections::BTreeMap;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(path("0", 1_234_067, WIDTH), "tile/0/x001/x234/067");
        assert_eq!(path("entries", 0, 9), "tile/entries/000.p/9");
        assert_eq!(path("1", 1_000, 255), "tile/1/x001/000.p/255");
        // "A tree of size 70,000 will be represented by ..."
        let tiles: Vec<_> = tiles_of(70_000).collect();
        let full = |level| {
            tiles
                .iter()
                .filter(|t| t.0 == level && t.2 == WIDTH)
                .count()
        };
        assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
        for partial in [(0, 273, 112), (1, 1, 17), (2, 0, 1)] {
            assert!(tiles.contains(&partial), "{partial:?}");
        }
        let tiles: Vec<_> = tiles_of(256).collect();
        assert_eq!(tiles, [(0, 0, 256), (1, 0, 1)]);
        assert_eq!(tiles_of(0).count(), 0);
        let theirs = tlog_tiles::Tile::new(8, 1, 1_000, 255, false).path();
        assert_eq!(theirs, "tile/8/1/x001/000.p/255");
    }

    /// A tree that grows over stops and starts is the tree of all its entries,
    /// and its tiles prove whatever is asked.
    #[test]
    fn a_tree_that_grows_by_tiles_is_the_tree_of_its_entries() {
        let entries: Vec<Vec<u8>> = (0..70_000_u32).map(|n| n.to_be_bytes().to_vec()).collect();
        let mut kept: BTreeMap<(u8, u64), Vec<u8>> = BTreeMap::new();
        let mut edge = Edge::default();
        let stops = [1, 2, 255, 256, 257, 511, 65_535, 65_536, 65_537, 70_000];
        for (at, entry) in (1_u64..).zip(&entries) {
            edge.push(leaf_hash(entry), |full| {
                kept.insert((full.level, full.index), full.hashes);
            });
            if !stops.contains(&at) {
                continue;
            }
            for tile in edge.partial() {
                kept.insert((tile.level, tile.index), tile.hashes);
            }
            let whole = root(&entries[..usize::try_from(at).unwrap()]);
            assert_eq!(edge.whole().root(), whole, "{at}");
            edge = Edge::load(at, |l, i| Ok(kept.get(&(l, i)).cloned())).unwrap();
            assert_eq!(edge.whole().root(), whole, "{at}, loaded");
            let mut tree = Tiled(|l, i| Ok(kept.get(&(l, i)).cloned()));
            for index in [0, at / 2, at - 1] {
                let path = inclusion(&mut tree, index, at).unwrap();
                let leaf = leaf_hash(&entries[usize::try_from(index).unwrap()]);
                assert!(includes(&leaf, index, at, &path, &whole), "{index} of {at}");
            }
            for old in stops.iter().copied().filter(|old| *old <= at) {
                let before = root(&entries[..usize::try_from(old).unwrap()]);
                let path = consistency(&mut tree, old, at).unwrap();
                assert!(
                    continues((old, &before), (at, &whole), &path),
                    "{old} to {at}"
                );
            }
        }
        for (level, index, width) in tiles_of(70_000) {
            assert_eq!(kept[&(level, index)].len(), width * 32);
        }
        assert!(Edge::load(70_001, |l, i| Ok(kept.get(&(l, i)).cloned())).is_err());
    }
}

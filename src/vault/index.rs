//! Finding a customer by the caller's id, in two stages: the blinded id's first
//! bits choose an index page; under that page's own key the rest becomes a tag,
//! and the row behind it says the number. Belonging to a page says nothing, and
//! a page's tags die with its key.

use super::keyring::{Keyring, Tenant};
use crate::crypto::index::{blind, tag};
use crate::crypto::{IndexPageKeys, Label, MessageContext, message};
use crate::error::{Error, Lost, Result};
use crate::id::{CustomerId, CustomerNumber, TenantNumber};
use crate::limits;
use crate::store::{
    ErasureRow, IndexRef, NewPage, PageKind, PageRow, Rows, SplitIndex, SplitPart, Tombstone,
};
use std::collections::HashSet;
use std::sync::Arc;

/// What an index row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A customer.
    Customer(CustomerNumber),
    /// A customer was here and was erased in the epoch that is still open.
    Tombstone(CustomerNumber),
}

/// Where an id stands in the index, or would stand.
pub struct Place {
    /// The blinded id.
    blind: [u8; 32],
    /// The page; `None` where the tenant has no index yet.
    pub page: Option<IndexRef>,
    /// The row's tag under that page's key.
    pub tag: [u8; 16],
    /// What stands there.
    pub entry: Option<Entry>,
    /// The row's body as it was read.
    pub body: Vec<u8>,
    keys: Option<Arc<IndexPageKeys>>,
}

/// The rows of an index page, and which tombstones among them stay.
pub struct IndexRows {
    /// Tags and sealed bodies.
    pub rows: Vec<([u8; 16], Vec<u8>)>,
    /// Customers whose erasure a later epoch makes final.
    pub later: HashSet<CustomerNumber>,
}

/// Version of the row body: blinded id, number, tombstone flag.
const ROW_BYTES: usize = 32 + 8 + 1;

impl Place {
    /// The bits that choose the index page.
    pub fn prefix(&self) -> u32 {
        prefix(&self.blind)
    }
}

impl Keyring {
    /// Looks an id up.
    pub fn find(&self, rows: &mut dyn Rows, tenant: &Tenant, id: &CustomerId) -> Result<Place> {
        let blind = blind(&tenant.keys.index, id);
        for _ in 0..limits::INDEX_TRIES {
            let Some(page) = rows.index_ref(tenant.number, prefix(&blind))? else {
                return Ok(Place {
                    blind,
                    page: None,
                    tag: [0; 16],
                    entry: None,
                    body: Vec::new(),
                    keys: None,
                });
            };
            // A page whose key is gone was split since; look again.
            let Some(row) = rows.page(PageKind::Index, page.page)? else {
                rows.refresh();
                continue;
            };
            let keys = self.index_page(tenant.number, &row)?;
            let tag = tag(&keys.tag, &blind);
            let body = rows.index_row(page.page, &tag)?;
            let entry = match &body {
                None => None,
                Some(body) => Some(
                    self.open_row(&keys, tenant.number, page.page, &tag, body)?
                        .1,
                ),
            };
            return Ok(Place {
                blind,
                page: Some(page),
                tag,
                entry,
                body: body.unwrap_or_default(),
                keys: Some(keys),
            });
        }
        Err(Error::Contended)
    }

    fn row_context(&self, tenant: TenantNumber, page: u64, tag: &[u8; 16]) -> Vec<u8> {
        MessageContext {
            deployment: self.deployment(),
            label: Label::IndexRow,
            tenant: tenant.0,
            customer: 0,
            number: page,
            extra: u64::from_be_bytes(*tag.first_chunk().unwrap_or(&[0; 8])),
        }
        .bytes()
    }

    fn open_row(
        &self,
        keys: &IndexPageKeys,
        tenant: TenantNumber,
        page: u64,
        tag: &[u8; 16],
        body: &[u8],
    ) -> Result<([u8; 32], Entry)> {
        let lost = || Error::DataLoss(Lost::Index);
        let context = self.row_context(tenant, page, tag);
        let opened = message::open(&keys.body, &context, body).map_err(|_| lost())?;
        let (blind, rest) = opened.expose().split_first_chunk().ok_or_else(lost)?;
        let (number, flag) = rest.split_first_chunk().ok_or_else(lost)?;
        let number = CustomerNumber(u64::from_be_bytes(*number));
        match flag {
            [0] => Ok((*blind, Entry::Customer(number))),
            [1] => Ok((*blind, Entry::Tombstone(number))),
            _ => Err(lost()),
        }
    }

    pub fn seal_row(
        &self,
        keys: &IndexPageKeys,
        tenant: TenantNumber,
        page: u64,
        blind: &[u8; 32],
        entry: Entry,
    ) -> Result<([u8; 16], Vec<u8>)> {
        let tag = tag(&keys.tag, blind);
        let (number, flag) = match entry {
            Entry::Customer(number) => (number, 0),
            Entry::Tombstone(number) => (number, 1),
        };
        let mut body = Vec::with_capacity(ROW_BYTES);
        body.extend(blind);
        body.extend(number.0.to_be_bytes());
        body.push(flag);
        let context = self.row_context(tenant, page, &tag);
        Ok((tag, message::seal(&keys.body, &context, &body)?))
    }

    /// The row that shall stand at a place: its page, tag and body.
    pub fn row_at(
        &self,
        tenant: TenantNumber,
        place: &Place,
        entry: Entry,
    ) -> Result<(u64, [u8; 16], Vec<u8>)> {
        let (Some(page), Some(keys)) = (&place.page, &place.keys) else {
            return Err(Error::Internal("an index place without a page"));
        };
        let (tag, body) = self.seal_row(keys, tenant, page.page, &place.blind, entry)?;
        Ok((page.page, tag, body))
    }

    /// The place of an id on a tenant's first index page, just made.
    pub fn first_place(&self, tenant: &Tenant, id: &CustomerId, page: &PageRow) -> Result<Place> {
        let blind = blind(&tenant.keys.index, id);
        let keys = self.index_page(tenant.number, page)?;
        Ok(Place {
            page: Some(IndexRef {
                page: page.page,
                start: 0,
                depth: 0,
                rows: 0,
                changes: 0,
            }),
            tag: tag(&keys.tag, &blind),
            entry: None,
            body: Vec::new(),
            keys: Some(keys),
            blind,
        })
    }

    /// The tombstone of an erased customer, for the row that stands there.
    /// `None` where the row is gone, is one already, or is by now that of the
    /// customer who was created anew.
    pub fn tombstone(&self, rows: &mut dyn Rows, erased: &ErasureRow) -> Result<Option<Tombstone>> {
        let (tenant, page, tag) = (erased.tenant, erased.index_page, &erased.index_tag);
        let (Some(row), Some(old)) = (
            rows.page(PageKind::Index, page)?,
            rows.index_row(page, tag)?,
        ) else {
            return Ok(None);
        };
        let keys = self.index_page(tenant, &row)?;
        match self.open_row(&keys, tenant, page, tag, &old)? {
            (blind, Entry::Customer(number)) if number == erased.customer => self
                .seal_row(&keys, tenant, page, &blind, Entry::Tombstone(number))
                .map(|(_, body)| Some(Tombstone { old, body })),
            _ => Ok(None),
        }
    }

    /// An index page under a new number and a new key, with all its rows but
    /// the tombstones that the epoch being closed makes final: after it their
    /// ids are as never seen. Crypto alone; `rows` are what was just read.
    pub fn moved(
        &self,
        tenant: TenantNumber,
        page: &IndexRef,
        key: &PageRow,
        rows: IndexRows,
        number: u64,
    ) -> Result<(NewPage, SplitIndex)> {
        let old = self.index_page(tenant, key)?;
        let (mut kept, mut has_tombstone) = (Vec::with_capacity(rows.rows.len()), false);
        for (tag, body) in rows.rows {
            let (blind, entry) = self.open_row(&old, tenant, page.page, &tag, &body)?;
            if let Entry::Tombstone(customer) = entry {
                if !rows.later.contains(&customer) {
                    continue;
                }
                has_tombstone = true;
            }
            kept.push((blind, entry));
        }
        let new = self.new_index_page(tenant, number, has_tombstone)?;
        let keys = self.index_page(tenant, &new.row)?;
        let rows = kept
            .iter()
            .map(|(blind, entry)| self.seal_row(&keys, tenant, number, blind, *entry))
            .collect::<Result<_>>()?;
        let part = SplitPart {
            page: number,
            start: page.start,
            depth: page.depth,
            rows,
        };
        let split = SplitIndex {
            tenant,
            old: page.page,
            changes: page.changes,
            new: vec![part],
        };
        Ok((new, split))
    }

    /// Splits an index page in two: `first` and the number after it are the
    /// new pages. Tombstones that a closing under way makes final stay behind,
    /// as they do in [`Self::moved`]: the new pages are the new epoch's. `None`
    /// where it need not or can no longer be split.
    pub fn split(
        &self,
        rows: &mut dyn Rows,
        tenant: TenantNumber,
        page: &IndexRef,
        first: u64,
    ) -> Result<Option<(Vec<NewPage>, SplitIndex)>> {
        let Some(row) = rows.page(PageKind::Index, page.page)? else {
            return Ok(None);
        };
        if page.rows <= limits::INDEX_ROWS_PER_PAGE || page.depth >= 32 {
            return Ok(None);
        }
        let old = self.index_page(tenant, &row)?;
        let bit = 1_u32 << (31 - page.depth);
        let (newest, _) = self.newest()?;
        let of_page = rows.index_rows(page.page)?;
        // Read after the tombstones, so that none of them lacks its fence.
        rows.refresh();
        let later: HashSet<_> = rows
            .erased_after(newest.saturating_sub(1))?
            .into_iter()
            .collect();
        let mut halves = [Vec::new(), Vec::new()];
        for (tag, body) in of_page {
            let opened = self.open_row(&old, tenant, page.page, &tag, &body)?;
            if let Entry::Tombstone(customer) = opened.1
                && !later.contains(&customer)
            {
                continue;
            }
            let [low, high] = &mut halves;
            if prefix(&opened.0) & bit == 0 {
                low.push(opened);
            } else {
                high.push(opened);
            }
        }
        let (mut pages, mut parts) = (Vec::new(), Vec::new());
        for ((half, number), start) in halves
            .into_iter()
            .zip(first..)
            .zip([page.start, page.start | bit])
        {
            let (new, part) = self.filled_page(tenant, number, start, page.depth + 1, &half)?;
            // A closing that began meanwhile makes other tombstones final.
            if new.row.epoch != newest {
                return Ok(None);
            }
            pages.push(new);
            parts.push(part);
        }
        let split = SplitIndex {
            tenant,
            old: page.page,
            changes: page.changes,
            new: parts,
        };
        Ok(Some((pages, split)))
    }

    /// A new index page with these entries: its key and its rows. One that
    /// holds a tombstone is dirty: at the next close it goes.
    pub fn filled_page(
        &self,
        tenant: TenantNumber,
        number: u64,
        start: u32,
        depth: u8,
        entries: &[([u8; 32], Entry)],
    ) -> Result<(NewPage, SplitPart)> {
        let is_tombstone = |(_, entry): &([u8; 32], Entry)| matches!(entry, Entry::Tombstone(_));
        let dirty = entries.iter().any(is_tombstone);
        let new = self.new_index_page(tenant, number, dirty)?;
        let keys = self.index_page(tenant, &new.row)?;
        let rows = entries
            .iter()
            .map(|(blind, entry)| self.seal_row(&keys, tenant, number, blind, *entry))
            .collect::<Result<_>>()?;
        let page = number;
        Ok((
            new,
            SplitPart {
                page,
                start,
                depth,
                rows,
            },
        ))
    }

    /// What an index page's rows say; nothing where its key is not there or is
    /// not the one that they were sealed under.
    pub fn entries(
        &self,
        rows: &mut dyn Rows,
        tenant: TenantNumber,
        page: u64,
    ) -> Result<Vec<([u8; 32], Entry)>> {
        let Some(row) = rows.page(PageKind::Index, page)? else {
            return Ok(Vec::new());
        };
        let keys = self.index_page(tenant, &row)?;
        let sealed = rows.index_rows(page)?.into_iter();
        let opened = sealed.map(|(tag, body)| self.open_row(&keys, tenant, page, &tag, &body));
        Ok(opened.flatten().collect())
    }
}

/// The blinded form of an id, as index rows hold it.
pub fn blinded(tenant: &Tenant, id: &CustomerId) -> [u8; 32] {
    blind(&tenant.keys.index, id)
}

/// Entries, sorted by their blinded ids, shared out to pages: where each begins,
/// how deep it is, and how many of the entries are its own.
pub fn pages_for(entries: &[([u8; 32], Entry)]) -> Vec<(u32, u8, usize)> {
    let mut pages = Vec::new();
    let mut waiting = vec![(0_u32, 0_u8, entries)];
    while let Some((start, depth, part)) = waiting.pop() {
        if part.len() as u64 <= limits::INDEX_ROWS_PER_PAGE || depth >= 32 {
            pages.push((start, depth, part.len()));
            continue;
        }
        let bit = 1_u32 << (31 - depth);
        let middle = part.partition_point(|(blind, _)| prefix(blind) & bit == 0);
        let (low, high) = part.split_at(middle);
        // The lower half is taken next, so that pages come in order.
        waiting.push((start | bit, depth + 1, high));
        waiting.push((start, depth + 1, low));
    }
    pages
}

/// The bits of a blinded id that choose its page.
fn prefix(blind: &[u8; 32]) -> u32 {
    u32::from_be_bytes(*blind.first_chunk().unwrap_or(&[0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_shared_out_to_pages_that_cover_every_prefix() {
        let entry = |n: u64| {
            let mut blind = [0; 32];
            blind[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            (blind, Entry::Customer(CustomerNumber(n)))
        };
        let mut entries: Vec<_> = (1..2_000).map(entry).collect();
        entries.sort_unstable_by_key(|(blind, _)| *blind);
        let pages = pages_for(&entries);
        let (mut next, mut left) = (0_u64, entries.as_slice());
        for (start, depth, many) in pages {
            assert_eq!(u64::from(start), next, "no gap");
            next += 1 << (32 - depth);
            let (own, rest) = left.split_at(many);
            assert!(own.len() as u64 <= limits::INDEX_ROWS_PER_PAGE);
            assert!(own.iter().all(|(blind, _)| {
                (u64::from(start)..next).contains(&u64::from(prefix(blind)))
            }));
            left = rest;
        }
        assert_eq!((next, left.len()), (1 << 32, 0));
        assert_eq!(pages_for(&[]), [(0, 0, 0)]);
    }
}

//! Wrapping anew: the same keys under the newest epoch, or under a page key
//! that did not exist before.

use super::keyring::Keyring;
use crate::crypto::{
    FieldKey, IdentityKey, IndexPageKey, MasterKey, PageKey, TenantKey, WrapContext,
};
use crate::error::{Error, Lost, Result};
use crate::store::{KeptKey, KeySwap, PageKind, PageRow, PageSwap, PageView, TenantRow};

fn lost<E>(_: E) -> Error {
    Error::DataLoss(Lost::Key)
}

impl Keyring {
    /// The page's own key under the newest epoch: for a page that lost nothing.
    pub fn rewrapped(&self, kind: PageKind, view: PageView) -> Result<PageSwap> {
        let (epoch, newest) = self.newest()?;
        let unsealed = self.unsealed()?;
        let (tenant, row) = (view.tenant.map_or(0, |tenant| tenant.0), &view.row);
        let of = |epoch| self.page_place(tenant, row.page, row.generation, epoch);
        let old = unsealed.master(row.epoch)?;
        let wrapped = match kind {
            PageKind::Customers => PageKey::unwrap_from(old, &of(row.epoch), &row.wrapped)
                .map_err(lost)?
                .wrap_under(&newest, &of(epoch)),
            PageKind::Index => IndexPageKey::unwrap_from(old, &of(row.epoch), &row.wrapped)
                .map_err(lost)?
                .wrap_under(&newest, &of(epoch)),
        }?;
        let new = PageRow {
            epoch,
            wrapped,
            ..view.row.clone()
        };
        Ok(PageSwap {
            kind,
            old: view,
            new,
            keys: Vec::new(),
        })
    }

    /// A page of customers' keys under a new key, with all that is on it: for
    /// a page that lost a row, so that the lost one stays behind.
    pub fn renewed(&self, view: PageView, keys: Vec<KeptKey>) -> Result<PageSwap> {
        let (epoch, newest) = self.newest()?;
        let unsealed = self.unsealed()?;
        let row = &view.row;
        let place = self.page_place(0, row.page, row.generation, row.epoch);
        let master: &MasterKey = unsealed.master(row.epoch)?;
        let old = PageKey::unwrap_from(master, &place, &row.wrapped).map_err(lost)?;
        let generation = row.generation.checked_add(1).ok_or(Error::TooMuch(
            "generations of a page key; found a new vault and move there",
        ))?;
        let fresh = PageKey::generate()?;
        let new = PageRow {
            page: row.page,
            generation,
            epoch,
            wrapped: fresh.wrap_under(&newest, &self.page_place(0, row.page, generation, epoch))?,
        };
        let swaps = keys.into_iter().map(|kept| {
            let from = self.customer_place(kept.tenant, kept.customer, row);
            let to = self.customer_place(kept.tenant, kept.customer, &new);
            let generation = kept.key.generation;
            Ok(KeySwap {
                customer: kept.customer,
                generation,
                new: moved(&old, &from, &fresh, &to, &kept.key.wrapped, generation)?,
                old: kept.key.wrapped,
            })
        });
        let keys = swaps.collect::<Result<_>>()?;
        Ok(PageSwap {
            kind: PageKind::Customers,
            old: view,
            new,
            keys,
        })
    }

    /// A tenant's key under the newest epoch.
    pub fn rewrapped_tenant(&self, row: &TenantRow) -> Result<(u32, Vec<u8>)> {
        let (epoch, newest) = self.newest()?;
        let unsealed = self.unsealed()?;
        let of = |epoch| self.tenant_place(row.tenant, &row.name, epoch);
        let old = unsealed.master(row.epoch)?;
        let key = TenantKey::unwrap_from(old, &of(row.epoch), &row.wrapped).map_err(lost)?;
        Ok((epoch, key.wrap_under(&newest, &of(epoch))?))
    }
}

/// A customer's key from under one page key to under another.
fn moved(
    old: &PageKey,
    from: &WrapContext,
    new: &PageKey,
    to: &WrapContext,
    wrapped: &[u8],
    generation: u32,
) -> Result<Vec<u8>> {
    if generation == 0 {
        let key = IdentityKey::unwrap_from(old, from, wrapped).map_err(lost)?;
        return key.wrap_under(new, to);
    }
    let (from, to) = (
        WrapContext {
            generation,
            ..*from
        },
        WrapContext { generation, ..*to },
    );
    let key = FieldKey::unwrap_from(old, &from, wrapped).map_err(lost)?;
    key.wrap_under(new, &to)
}

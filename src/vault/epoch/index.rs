//! Index pages that lost a row move to a new number and a new key, and leave
//! the tombstones behind that this closing makes final.

use crate::error::{Error, Result};
use crate::id::TenantNumber;
use crate::limits;
use crate::store::{IndexRef, PageKind, PageRow, PageView, Progress, Rows};
use crate::vault::Vault;
use crate::vault::index::IndexRows;
use std::sync::Arc;

impl Vault {
    /// Moves a dirty index page. Where it changes again and again it stays for
    /// the next pass.
    pub(super) async fn move_index_page(
        &self,
        progress: Progress,
        epoch: u32,
        view: &PageView,
    ) -> Result<()> {
        let page = view.row.page;
        for _ in 0..limits::REVISION_RETRIES {
            let erasing = self.on_rows(move |rows, _| rows.purges_on(page)).await?;
            for customer in erasing {
                self.purge(customer).await?;
            }
            let alone = self.0.index_moves.write().await;
            let found = self.on_rows(move |rows, _| look(rows, page, epoch)).await?;
            let Some((tenant, place, key, rows)) = found else {
                drop(alone);
                return self.drop_orphan(progress, page).await;
            };
            let number = self.0.store.allocate_index_pages(1).in_time().await?;
            let keyring = Arc::clone(&self.0.keyring);
            let moved = self.beside(move || keyring.moved(tenant, &place, &key, rows, number));
            let (new, split) = moved.await?;
            self.0.store.add_index_pages(vec![new]).in_time().await?;
            let is_moved = self.0.store.split_index(split).in_time().await?;
            let gone = if is_moved { page } else { number };
            self.0.store.drop_index_page(gone).in_time().await?;
            if is_moved {
                let advanced = self.0.store.advance_job(progress, 1, 0);
                return advanced.in_time().await.map(|_| ());
            }
        }
        Ok(())
    }

    /// Drops an index page's key that no rows hang on: a crash came between a
    /// split and its end. Whoever makes pages is waited for, and what they sent
    /// to the store with them, so that no page is taken for an orphan that is
    /// about to get its rows.
    async fn drop_orphan(&self, progress: Progress, page: u64) -> Result<()> {
        let _alone = self.0.index_moves.write().await;
        self.0.store.append(Vec::new()).in_time().await?;
        let place = self
            .on_rows(move |rows, _| {
                rows.refresh();
                rows.index_place(page)
            })
            .await?;
        if place.is_none() {
            self.0.store.drop_index_page(page).in_time().await?;
            let advanced = self.0.store.advance_job(progress, 1, 0);
            advanced.in_time().await?;
        }
        Ok(())
    }
}

type Found = (TenantNumber, IndexRef, PageRow, IndexRows);

/// An index page with its rows. `None` where it has no place in the index.
fn look(rows: &mut dyn Rows, page: u64, epoch: u32) -> Result<Option<Found>> {
    let Some((tenant, place)) = rows.index_place(page)? else {
        return Ok(None);
    };
    let of_page = rows.index_rows(page)?;
    // Erasures first leave their fence, then their tombstone: read in the
    // other order, no tombstone lacks its fence.
    rows.refresh();
    let later = rows.erased_after(epoch)?.into_iter().collect();
    let Some(key) = rows.page(PageKind::Index, page)? else {
        return Err(Error::Contended);
    };
    Ok(Some((
        tenant,
        place,
        key,
        IndexRows {
            rows: of_page,
            later,
        },
    )))
}

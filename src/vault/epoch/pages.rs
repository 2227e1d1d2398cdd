//! Wrapping everything anew. Reads and crypto go on beside the writer, some
//! pages at a time; a page that changed meanwhile waits for the next pass.

use super::step;
use crate::error::{Error, Result};
use crate::limits;
use crate::store::{JobRow, PageKind, PageSwap, PageView, Progress, TenantRow};
use crate::vault::Vault;
use crate::vault::job::Orders;
use std::sync::Arc;
use tokio::task::{JoinSet, spawn_blocking};

impl Vault {
    /// Passes over everything that `epoch` wraps until nothing is left. False
    /// where somebody paused the job.
    pub(super) async fn rewrap_all(
        &self,
        job: &JobRow,
        epoch: u32,
        orders: &Orders,
    ) -> Result<bool> {
        let mut from = if job.step == step::PAGES {
            job.cursor
        } else {
            let left = self.on_rows(move |rows, _| rows.left_up_to(epoch)).await?;
            let begun = self.0.store.begin_step(job.job, step::PAGES, left.rows());
            begun.in_time().await?;
            0
        };
        for _ in 0..limits::CLOSE_PASSES {
            let left = self.on_rows(move |rows, _| rows.left_up_to(epoch)).await?;
            if left.rows() == 0 {
                return Ok(true);
            }
            self.rewrap_tenants(job, epoch).await?;
            let pass = Pass {
                vault: self,
                job: job.job,
                epoch,
                orders,
            };
            let go_on = pass.over(PageKind::Customers, from).await?
                && pass.over(PageKind::Index, 0).await?;
            if !go_on {
                return Ok(false);
            }
            from = 0;
        }
        Err(Error::Contended)
    }

    async fn rewrap_tenants(&self, job: &JobRow, epoch: u32) -> Result<()> {
        let rows = self.on_rows(|rows, _| rows.tenants()).await?;
        let old = |row: &TenantRow| row.epoch <= epoch;
        for row in rows.into_iter().filter(old) {
            let (newest, wrapped) = self.0.keyring.rewrapped_tenant(&row)?;
            let swapped = self.0.store.swap_tenant(row, newest, wrapped);
            if swapped.in_time().await? {
                let progress = Progress {
                    job: job.job,
                    cursor: 0,
                };
                self.0.store.advance_job(progress, 1, 0).in_time().await?;
            }
        }
        Ok(())
    }
}

/// One pass over the pages of a kind.
struct Pass<'a> {
    vault: &'a Vault,
    job: u64,
    epoch: u32,
    orders: &'a Orders,
}

impl Pass<'_> {
    async fn over(&self, kind: PageKind, from: u64) -> Result<bool> {
        let (mut from, mut is_over) = (from, false);
        let mut under_way = JoinSet::new();
        loop {
            while !is_over && under_way.len() < limits::CLOSE_UNDER_WAY {
                if self.orders.is_stopped() {
                    is_over = true;
                    break;
                }
                let views = self.next(kind, from).await?;
                let Some(last) = views.last() else {
                    is_over = true;
                    break;
                };
                from = last.row.page + 1;
                for work in divided(views) {
                    self.orders.pace(work.len()).await;
                    under_way.spawn(
                        self.vault
                            .clone()
                            .rewrap_some(self.job, self.epoch, kind, work),
                    );
                }
            }
            match under_way.join_next().await {
                None => return Ok(!self.orders.is_stopped()),
                Some(done) => {
                    let heard = done.map_err(|_| Error::Internal("a rewrap ended by itself"))?;
                    if let Some(orders) = heard? {
                        self.orders.hear(orders);
                    }
                }
            }
        }
    }

    async fn next(&self, kind: PageKind, from: u64) -> Result<Vec<PageView>> {
        let epoch = self.epoch;
        let most = limits::CLOSE_PAGES_READ;
        self.vault
            .on_rows(move |rows, _| rows.pages_up_to(kind, epoch, from, most))
            .await
    }
}

/// Clean pages together, since each is one row; dirty ones a few at a time.
fn divided(views: Vec<PageView>) -> Vec<Vec<PageView>> {
    let (mut parts, mut clean, mut dirty) = (Vec::new(), Vec::new(), Vec::new());
    for view in views {
        if !view.dirty {
            clean.push(view);
            continue;
        }
        dirty.push(view);
        if dirty.len() >= limits::CLOSE_PAGES_TOGETHER {
            parts.push(std::mem::take(&mut dirty));
        }
    }
    parts.extend([clean, dirty].into_iter().filter(|part| !part.is_empty()));
    parts
}

impl Vault {
    /// Wraps some pages anew; answers the job's orders where any was.
    async fn rewrap_some(
        self,
        job: u64,
        epoch: u32,
        kind: PageKind,
        views: Vec<PageView>,
    ) -> Result<Option<crate::store::JobOrders>> {
        let cursor = match kind {
            PageKind::Customers => views.last().map_or(0, |view| view.row.page),
            PageKind::Index => 0,
        };
        let progress = Progress { job, cursor };
        let (dirty, clean): (Vec<_>, Vec<_>) = views.into_iter().partition(|view| view.dirty);
        let mut swaps = self.rewrapped(kind, clean).await?;
        for view in dirty {
            match kind {
                PageKind::Customers => swaps.extend(self.renewed(view.row.page, epoch).await?),
                PageKind::Index => self.move_index_page(progress, epoch, &view).await?,
            }
        }
        if swaps.is_empty() {
            return Ok(None);
        }
        let swapped = self.0.store.swap_pages(swaps, progress).in_time().await?;
        Ok(Some(swapped.orders))
    }

    /// Clean pages under the newest epoch.
    async fn rewrapped(&self, kind: PageKind, views: Vec<PageView>) -> Result<Vec<PageSwap>> {
        let keyring = Arc::clone(&self.0.keyring);
        self.beside(move || {
            let views = views.into_iter();
            views.map(|view| keyring.rewrapped(kind, view)).collect()
        })
        .await
    }

    /// A dirty page with a new key. `None` where it needs none any more.
    async fn renewed(&self, page: u64, epoch: u32) -> Result<Option<PageSwap>> {
        let found = self
            .on_rows(move |rows, _| rows.page_with_keys(page))
            .await?;
        let Some((view, keys)) = found.filter(|(view, _)| view.row.epoch <= epoch) else {
            return Ok(None);
        };
        let keyring = Arc::clone(&self.0.keyring);
        self.beside(move || keyring.renewed(view, keys).map(Some))
            .await
    }

    /// Crypto, off the runtime's threads, and on no more of them than a
    /// closing may take from those who are served meanwhile.
    pub(in crate::vault) async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _room = self.0.crypto_room.acquire().await;
        let done = spawn_blocking(work).await;
        done.map_err(|_| Error::Internal("a rewrap ended by itself"))?
    }
}

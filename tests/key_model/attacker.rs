//! Whoever holds everything but the keys that were destroyed.

use crate::model::{Data, Erasure, Keys, Node, World, page_of};
use std::collections::{BTreeMap, BTreeSet};

/// What was looked at.
#[derive(Clone, Copy, Default)]
pub struct Found {
    pub closed: u64,
    pub pending: u64,
    pub pending_reachable: u64,
    pub living: u64,
    pub closes: u64,
    pub restores: u64,
}

impl Found {
    pub fn and(self, other: Self) -> Self {
        Self {
            closed: self.closed + other.closed,
            pending: self.pending + other.pending,
            pending_reachable: self.pending_reachable + other.pending_reachable,
            living: self.living + other.living,
            closes: self.closes + other.closes,
            restores: self.restores + other.restores,
        }
    }
}

/// What wraps what in a copy of `keys.db`: master keys under provider keys,
/// page keys under master keys, customers' keys under page keys.
fn wraps(keys: &Keys) -> impl Iterator<Item = (Node, Node)> {
    let masters = keys.epochs.values().filter_map(|epoch| epoch.keys);
    let masters =
        masters.map(|(provider, master)| (Node::Provider(provider), Node::Master(master)));
    let pages = keys.pages.values();
    let pages = pages.map(|page| (Node::Master(page.master), Node::Page(page.key)));
    let customers = keys.customer_keys.iter();
    let customers =
        customers.map(|(customer, page)| (Node::Page(*page), Node::Customer(*customer)));
    masters.chain(pages).chain(customers)
}

/// What seals what in a copy of `vault.db`: an index row, which says that an id
/// is a customer's, under an index page key; records under the customer's own.
fn seals(data: &Data) -> impl Iterator<Item = (Node, Node)> {
    let rows = data.index_rows.iter();
    let rows = rows.map(|(customer, page)| (Node::Page(*page), Node::IndexRow(*customer)));
    let records = data.records.iter();
    rows.chain(records.map(|customer| (Node::Customer(*customer), Node::Record(*customer))))
}

/// Everything that opens from the provider's live keys, step by step until
/// nothing more does.
fn reachable(live: &BTreeSet<u32>, edges: impl Iterator<Item = (Node, Node)>) -> BTreeSet<Node> {
    let mut under: BTreeMap<Node, Vec<Node>> = BTreeMap::new();
    for (parent, child) in edges {
        under.entry(parent).or_default().push(child);
    }
    let mut open = BTreeSet::new();
    let mut next: Vec<Node> = live.iter().map(|key| Node::Provider(*key)).collect();
    while let Some(node) = next.pop() {
        if open.insert(node) {
            next.extend(under.get(&node).into_iter().flatten());
        }
    }
    open
}

/// Looks with the eyes of the attacker, and with those of the vault itself.
pub fn look(world: &World) -> Result<Found, String> {
    let copies = world.key_backups.iter().chain([&world.keys]);
    let files = world.data_backups.iter().chain([&world.data]);
    let theirs = reachable(
        &world.live,
        copies.flat_map(wraps).chain(files.flat_map(seals)),
    );
    let own = reachable(&world.live, wraps(&world.keys).chain(seals(&world.data)));
    let mut found = Found {
        closes: u64::from(world.just_closed),
        restores: u64::from(world.just_restored),
        ..Found::default()
    };
    for (customer, Erasure { stamp, keys_epoch }) in &world.erased {
        let of = [
            Node::Customer(*customer),
            Node::IndexRow(*customer),
            Node::Record(*customer),
        ];
        if world.keys.customer_keys.contains_key(customer) {
            return Err(format!("the erased customer {customer} has keys again"));
        }
        if *stamp <= world.closed {
            found.closed += 1;
            if let Some(open) = of.iter().find(|node| theirs.contains(node)) {
                return Err(format!("{open:?} opens though epoch {stamp} is closed"));
            }
            continue;
        }
        found.pending += 1;
        let held = |keys: &Keys| {
            let page = keys.pages.get(&page_of(*customer));
            let is_of_then = page.is_some_and(|page| page.epoch == *keys_epoch);
            is_of_then && keys.customer_keys.contains_key(customer)
        };
        let is_held = world.key_backups.iter().any(held);
        let is_open = theirs.contains(&Node::Customer(*customer));
        found.pending_reachable += u64::from(is_open);
        // The keys may have died before the index row; and restored keys may be
        // of an epoch before the one that wraps the backup.
        let must_open = is_held && world.is_live(*keys_epoch) && !world.went_back;
        if must_open && !is_open {
            return Err(format!(
                "the attacker missed customer {customer}: it has no teeth"
            ));
        }
    }
    for customer in &world.alive {
        found.living += 1;
        for node in [Node::IndexRow(*customer), Node::Record(*customer)] {
            if !own.contains(&node) {
                return Err(format!("{node:?} of a living customer is lost"));
            }
        }
    }
    Ok(found)
}

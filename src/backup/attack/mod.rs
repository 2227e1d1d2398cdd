//! The attack: whoever has every backup, the databases as they are and every
//! key that the provider still holds, and knows this source. Keys are opened
//! from the provider downwards, all copies together and every generation of
//! each page, until nothing more opens; then whatever they open is opened.
//!
//! It counts and gives numbers, and never shows a value. What it cannot try is
//! said in docs/ATTACK.md.

mod closure;
mod open;

use super::age_file::Identity;
use super::failed;
use crate::crypto::Deployment;
use crate::error::Result;
use crate::keys::Providers;
use crate::store::DataFile;
use crate::store::sqlite::{Image, KEYS_FILE, Loot, VAULT_FILE};
use closure::Closure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What was opened of one customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Keys of theirs, and from which copies.
    pub keys: BTreeSet<usize>,
    /// Their id, and from which copies.
    pub ids: BTreeSet<usize>,
    /// Index rows that say that their number is a customer's.
    pub index_rows: BTreeSet<usize>,
    /// By copy, how many of their records.
    pub records: BTreeMap<usize, u64>,
    /// How many fields in all copies that nothing was erased of.
    pub fields: u64,
    /// By copy, how many fields that were erased in part.
    pub erased_fields: BTreeMap<usize, u64>,
}

/// What the attack came to.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The copies, by name; others count from 0 in this list.
    pub copies: Vec<String>,
    /// Packs and files that did not open.
    pub closed_copies: Vec<String>,
    /// Epochs whose master key the provider still opens.
    pub epochs: BTreeSet<u32>,
    /// Page keys, and keys of index pages.
    pub pages: (usize, usize),
    /// By number, every customer of whom anything opened.
    pub customers: BTreeMap<u64, Opened>,
    /// Everybody whom some copy knows as erased.
    pub erased: BTreeSet<u64>,
    /// Everybody whom some copy knows as erased in part, and the newest
    /// generation of field keys that was destroyed with that.
    pub in_part: BTreeMap<u64, u32>,
}

impl Found {
    /// Those who are erased and of whom something opened.
    pub fn erased_opened(&self) -> impl Iterator<Item = (&u64, &Opened)> {
        let opened = self.customers.iter();
        opened.filter(|(customer, _)| self.erased.contains(customer))
    }

    /// Those who are erased in part and not whole, and what was opened of them.
    pub fn in_part_opened(&self) -> impl Iterator<Item = (&u64, &Opened)> {
        let opened = self.customers.iter();
        opened.filter(|(customer, _)| {
            self.in_part.contains_key(customer) && !self.erased.contains(customer)
        })
    }

    /// How many records were opened.
    pub fn records(&self) -> u64 {
        let customers = self.customers.values();
        customers
            .map(|opened| opened.records.values().sum::<u64>())
            .sum()
    }
}

/// Attacks with the backups under `dirs`, the present files in `data`, what
/// `providers` still hold, and the identity that opens key backups.
pub fn attack(
    dirs: &[PathBuf],
    data: &Path,
    deployment: [u8; 16],
    providers: &Providers,
    identity: Option<&Identity>,
) -> Result<Found> {
    let mut found = Found::default();
    let mut loot = Vec::new();
    for name in [KEYS_FILE, VAULT_FILE] {
        let path = data.join(name);
        if path.exists() {
            take(&path, identity, &mut loot, &mut found)?;
        }
    }
    for dir in dirs {
        for path in files(dir)? {
            take(&path, identity, &mut loot, &mut found)?;
        }
    }
    let mut closure = Closure::new(Deployment(deployment));
    let keys = || {
        loot.iter()
            .enumerate()
            .filter(|(_, copy)| copy.file() == DataFile::Keys)
    };
    for (_, copy) in keys() {
        closure.masters(copy, providers)?;
        found.erased.extend(copy.fences()?.keys());
        for (customer, destroyed) in copy.partial_shreds()? {
            let newest = found.in_part.entry(customer).or_default();
            *newest = destroyed.max(*newest);
        }
    }
    for (_, copy) in keys() {
        closure.pages(copy)?;
    }
    for (at, copy) in keys() {
        closure.customers(at, copy, &mut found)?;
    }
    found.epochs = closure.epochs();
    found.pages = closure.page_counts();
    for (at, copy) in loot.iter().enumerate() {
        if copy.file() == DataFile::Vault {
            open::data(at, copy, &closure, &mut found)?;
        }
    }
    Ok(found)
}

/// Every file under a directory, or the file itself.
fn files(under: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut waiting) = (Vec::new(), vec![under.to_owned()]);
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).map_err(|why| failed(&path, &why))?;
            waiting.extend(entries.flatten().map(|entry| entry.path()));
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Takes a file for what it is: a database, or a pack of a key backup.
fn take(
    path: &Path,
    identity: Option<&Identity>,
    loot: &mut Vec<Loot>,
    found: &mut Found,
) -> Result<()> {
    let name = path.display().to_string();
    let copy = if path.extension().is_some_and(|ending| ending == "age") {
        match identity.map(|identity| identity.read(path)) {
            Some(Ok(bytes)) => Some(Loot::of_image(Image::open(&bytes)?)?),
            _ => {
                found.closed_copies.push(name);
                return Ok(());
            }
        }
    } else {
        Loot::open(path)?
    };
    if let Some(copy) = copy {
        loot.push(copy);
        found.copies.push(name);
    }
    Ok(())
}

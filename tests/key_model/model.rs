//! A vault of symbols. Every key is a number that is drawn once, so that a key
//! that is made anew is another key, also where it has the old one's place.

use std::collections::{BTreeMap, BTreeSet};

/// Customers whose keys one page wraps (256 in the vault).
const PER_PAGE: u32 = 4;
/// Index pages: an id's blinded form chooses one, and says nothing of the
/// customer's number.
const INDEX_PAGES: u32 = 3;

/// What a wrap leads from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// In the provider, never in a database.
    Provider(u32),
    /// One an epoch.
    Master(u32),
    /// Of either kind.
    Page(u32),
    /// Both keys of a customer: they come and go together.
    Customer(u32),
    /// That an id is, or was, this customer's.
    IndexRow(u32),
    /// What is known of a customer.
    Record(u32),
}

/// The mistakes that this test must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A close wraps a dirty page's key anew instead of replacing it.
    PageKeyKept,
    /// A close certifies without destroying the provider's key.
    DestroySkipped,
    /// An erasure leaves neither fence nor ledger entry.
    FenceOmitted,
    /// An erasure is stamped with the epoch that the vault as a whole is in,
    /// not with the one that its pages are wrapped under.
    GlobalStamp,
    /// An old key table is taken for the present one, without the ledger.
    OldTableAccepted,
}

impl Mistake {
    pub const ALL: [Self; 5] = [
        Self::PageKeyKept,
        Self::DestroySkipped,
        Self::FenceOmitted,
        Self::GlobalStamp,
        Self::OldTableAccepted,
    ];
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Customers,
    Index,
}

/// A row of `epochs` with its row of `epoch_keys`.
#[derive(Clone)]
pub struct Epoch {
    /// Provider key and master key; none once it is destroyed.
    pub keys: Option<(u32, u32)>,
    pub is_closing: bool,
}

/// A row of `pages`.
#[derive(Clone)]
pub struct Page {
    pub key: u32,
    pub epoch: u32,
    /// The master key of that epoch.
    pub master: u32,
    pub dirty: bool,
}

/// `keys.db`.
#[derive(Clone, Default)]
pub struct Keys {
    pub epochs: BTreeMap<u32, Epoch>,
    pub pages: BTreeMap<(Kind, u32), Page>,
    /// By customer, the page key that wraps theirs.
    pub customer_keys: BTreeMap<u32, u32>,
    /// By customer, the epoch whose destruction makes the erasure final.
    pub fences: BTreeMap<u32, u32>,
    /// No erasure is stamped with an earlier epoch than this: after a restore
    /// the newest that the provider has a key of, for a newer backup than the
    /// restored one may hold a page under it already.
    pub floor: u32,
}

/// `vault.db`.
#[derive(Clone, Default)]
pub struct Data {
    /// Which index page serves a part of the ids.
    pub index_pages: BTreeMap<u32, u32>,
    /// By customer, the index page key that seals their row.
    pub index_rows: BTreeMap<u32, u32>,
    pub records: BTreeSet<u32>,
}

/// An erasure that was acknowledged.
pub struct Erasure {
    /// The epoch whose destruction makes it final.
    pub stamp: u32,
    /// The epoch of the page that wrapped the customer's keys.
    pub keys_epoch: u32,
}

pub struct World {
    /// Keys that the provider holds.
    pub live: BTreeSet<u32>,
    pub keys: Keys,
    pub data: Data,
    pub key_backups: Vec<Keys>,
    pub data_backups: Vec<Data>,
    /// The copy of the ledger in a second place: erasures and their stamps.
    ledger: BTreeMap<u32, u32>,
    // What was promised to callers, whatever the databases say.
    pub alive: BTreeSet<u32>,
    pub erased: BTreeMap<u32, Erasure>,
    /// The highest epoch that is certified closed.
    pub closed: u32,
    pub just_closed: bool,
    pub just_restored: bool,
    /// Keys were restored at some time.
    pub went_back: bool,
    drawn: u32,
    customers: u32,
    random: u64,
    mistake: Option<Mistake>,
}

/// Where a customer's keys are wrapped.
pub fn page_of(customer: u32) -> (Kind, u32) {
    (Kind::Customers, customer / PER_PAGE)
}

fn index_page_of(customer: u32) -> u32 {
    customer * 7 % INDEX_PAGES
}

impl World {
    pub fn new(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut world = Self {
            live: BTreeSet::new(),
            keys: Keys::default(),
            data: Data::default(),
            key_backups: Vec::new(),
            data_backups: Vec::new(),
            ledger: BTreeMap::new(),
            alive: BTreeSet::new(),
            erased: BTreeMap::new(),
            closed: 0,
            just_closed: false,
            just_restored: false,
            went_back: false,
            drawn: 0,
            customers: 0,
            random: seed,
            mistake,
        };
        world.open_epoch(1);
        world
    }

    /// One step of the schedule, at most one transaction of each file; what it
    /// was.
    pub fn step(&mut self) -> &'static str {
        (self.just_closed, self.just_restored) = (false, false);
        match self.roll(100) {
            0..24 => self.create(),
            24..36 => self.shred(),
            36..44 => {
                self.key_backups.push(self.keys.clone());
                "backup of the keys"
            }
            44..52 => {
                self.data_backups.push(self.data.clone());
                "backup of the data"
            }
            52..96 => self.close_step(),
            96..98 => self.restore_data(),
            _ => self.restore_keys(),
        }
    }

    /// Whether the provider still holds an epoch's key.
    pub fn is_live(&self, epoch: u32) -> bool {
        let keys = self.keys.epochs.get(&epoch).and_then(|epoch| epoch.keys);
        keys.is_some_and(|(provider, _)| self.live.contains(&provider))
    }

    // Steps of a customer.

    /// Number and keys in `keys.db`, then the rows in `vault.db`.
    fn create(&mut self) -> &'static str {
        let customer = self.customers;
        self.customers += 1;
        let place = page_of(customer);
        let page = self.page(place);
        self.keys.customer_keys.insert(customer, page);
        if self.crashes() {
            // Start-up finds keys without a customer and takes them back.
            self.keys.customer_keys.remove(&customer);
            self.mark_dirty(place);
            return "creation that a crash cut off";
        }
        let page = self.index_page(index_page_of(customer));
        self.data.index_rows.insert(customer, page);
        self.data.records.insert(customer);
        self.alive.insert(customer);
        "creation"
    }

    /// Intent in `vault.db`; then fence, ledger, keys gone and pages dirty in
    /// one transaction of `keys.db`. A crash between makes start-up go on, so
    /// that there is nothing between to see.
    fn shred(&mut self) -> &'static str {
        let nth = self.roll(self.alive.len().max(1));
        let Some(customer) = self.alive.iter().nth(nth).copied() else {
            return "nobody to erase";
        };
        let places = [
            page_of(customer),
            (Kind::Index, self.data.index_pages[&index_page_of(customer)]),
        ];
        // Both pages must die for the erasure to be final: the later counts.
        let [keys_epoch, index_epoch] = places.map(|place| self.keys.pages[&place].epoch);
        let mut stamp = keys_epoch.max(index_epoch).max(self.keys.floor);
        if self.mistake == Some(Mistake::GlobalStamp) {
            let open = |epoch: &&Epoch| epoch.keys.is_some();
            stamp = *self
                .keys
                .epochs
                .iter()
                .find(|(_, epoch)| open(epoch))
                .unwrap()
                .0;
        }
        self.keys.customer_keys.remove(&customer);
        for place in places {
            self.mark_dirty(place);
        }
        if self.mistake != Some(Mistake::FenceOmitted) {
            self.keys.fences.insert(customer, stamp);
            self.ledger.insert(customer, stamp);
        }
        // The purge; the index row stays, as a tombstone.
        self.data.records.remove(&customer);
        self.alive.remove(&customer);
        self.erased.insert(customer, Erasure { stamp, keys_epoch });
        "erasure"
    }

    // Closing an epoch. What is left to do is read from the rows, so that a
    // crash at any point only means that the next step begins there.

    fn close_step(&mut self) -> &'static str {
        let closing = self.keys.epochs.iter().find(|(_, epoch)| epoch.is_closing);
        let Some(old) = closing.map(|(number, _)| *number) else {
            return self.begin_close();
        };
        let left: Vec<(Kind, u32)> = self
            .keys
            .pages
            .iter()
            .filter(|(_, page)| page.epoch <= old)
            .map(|(place, _)| *place)
            .collect();
        if left.is_empty() {
            return self.destroy(old);
        }
        let place = left[self.roll(left.len())];
        match (place.0, self.keys.pages[&place].dirty) {
            (Kind::Index, true) => self.replace_index_page(place.1, old),
            (Kind::Customers, true) => self.replace_page(place),
            (_, false) => self.rewrap(place),
        }
    }

    /// A new provider key, then a new master key under it.
    fn begin_close(&mut self) -> &'static str {
        let old = self.newest();
        self.open_epoch(old + 1);
        if self.keys.epochs.contains_key(&(old + 1)) {
            self.keys.epochs.get_mut(&old).unwrap().is_closing = true;
            return "begin of a close";
        }
        "begin of a close that a crash cut off"
    }

    fn open_epoch(&mut self, number: u32) {
        // What a crash left in the provider, or what the databases do not know
        // any more after a restore, goes first: nothing may hang on it.
        let known = self.provider_keys();
        self.live.retain(|key| known.contains(key));
        let provider = self.draw();
        self.live.insert(provider);
        if number > 1 && self.crashes() {
            return;
        }
        let master = self.draw();
        let keys = Some((provider, master));
        let is_closing = false;
        self.keys.epochs.insert(number, Epoch { keys, is_closing });
    }

    /// A page that lost nothing: its key goes under the new master key.
    fn rewrap(&mut self, place: (Kind, u32)) -> &'static str {
        let (epoch, master) = (self.newest(), self.newest_master());
        let page = self.keys.pages.get_mut(&place).unwrap();
        (page.epoch, page.master, page.dirty) = (epoch, master, false);
        "clean page"
    }

    /// A page that lost a row: a new key, and the survivors under it.
    fn replace_page(&mut self, place: (Kind, u32)) -> &'static str {
        if self.mistake == Some(Mistake::PageKeyKept) {
            return self.rewrap(place);
        }
        let (key, old) = (self.draw(), self.keys.pages[&place].key);
        self.rewrap(place);
        self.keys.pages.get_mut(&place).unwrap().key = key;
        for page in self
            .keys
            .customer_keys
            .values_mut()
            .filter(|page| **page == old)
        {
            *page = key;
        }
        "dirty page"
    }

    /// An index page that lost a row. Key and rows are in two files: a new page
    /// beside the old one, the rows moved, the old one dropped.
    fn replace_index_page(&mut self, number: u32, old: u32) -> &'static str {
        if self.mistake == Some(Mistake::PageKeyKept) {
            return self.rewrap((Kind::Index, number));
        }
        let part = self
            .data
            .index_pages
            .iter()
            .find(|(_, page)| **page == number);
        if let Some(part) = part.map(|(part, _)| *part) {
            let new = self.new_index_page();
            if self.crashes() {
                return "dirty index page: its successor was made";
            }
            self.move_rows(part, number, new, old);
            if self.crashes() {
                return "dirty index page: its rows were moved";
            }
        }
        self.keys.pages.remove(&(Kind::Index, number));
        "dirty index page"
    }

    /// Tombstones of the epoch that is being closed stay behind; later ones
    /// make the new page dirty in its turn.
    fn move_rows(&mut self, part: u32, from: u32, to: u32, closing: u32) {
        let key = |of: u32, keys: &Keys| keys.pages[&(Kind::Index, of)].key;
        let (old, new) = (key(from, &self.keys), key(to, &self.keys));
        let of_page = |row: &(&u32, &u32)| *row.1 == old;
        let rows: Vec<u32> = self
            .data
            .index_rows
            .iter()
            .filter(of_page)
            .map(|row| *row.0)
            .collect();
        for customer in rows {
            match self.keys.fences.get(&customer) {
                Some(stamp) if *stamp <= closing => {
                    self.data.index_rows.remove(&customer);
                }
                fence => {
                    if fence.is_some() {
                        self.mark_dirty((Kind::Index, to));
                    }
                    self.data.index_rows.insert(customer, new);
                }
            }
        }
        self.data.index_pages.insert(part, to);
    }

    /// Nothing is left under the old epoch: a key backup under the new one, the
    /// provider's key destroyed, and the epoch's row says so.
    fn destroy(&mut self, old: u32) -> &'static str {
        self.key_backups.push(self.keys.clone());
        let (provider, _) = self.keys.epochs[&old].keys.unwrap();
        if self.mistake != Some(Mistake::DestroySkipped) {
            self.live.remove(&provider);
        }
        if self.crashes() {
            return "destruction that a crash cut off";
        }
        let keys = None;
        let is_closing = false;
        self.keys.epochs.insert(old, Epoch { keys, is_closing });
        self.closed = self.closed.max(old);
        self.just_closed = true;
        "end of a close"
    }

    // Restores.

    /// Old data under present keys: whoever has no keys is purged, and the
    /// index is made anew. Who is not in the old data is reported as lost.
    fn restore_data(&mut self) -> &'static str {
        let nth = self.roll(self.data_backups.len().max(1));
        let Some(backup) = self.data_backups.get(nth) else {
            return "no data to restore";
        };
        self.data = backup.clone();
        self.after_restore();
        "restore of the data"
    }

    /// A key backup that every live page still opens from, and the ledger:
    /// whoever it lists is shredded again before anything else.
    fn restore_keys(&mut self) -> &'static str {
        let nth = self.roll(self.key_backups.len().max(1));
        let Some(backup) = self.key_backups.get(nth) else {
            return "no keys to restore";
        };
        let opens = |page: &Page| {
            let epoch = backup.epochs[&page.epoch].keys;
            epoch.is_some_and(|(provider, _)| self.live.contains(&provider))
        };
        let mut keeps_active = backup.epochs.values().filter_map(|epoch| epoch.keys);
        let newest = keeps_active
            .next_back()
            .is_some_and(|(key, _)| self.live.contains(&key));
        if !newest || !backup.pages.values().all(opens) {
            return "a key backup that is too old";
        }
        self.keys = backup.clone();
        self.went_back = true;
        if self.mistake != Some(Mistake::OldTableAccepted) {
            // A newer backup may hold, under a page's key as it is now, somebody
            // who came after this backup and was erased since. So the next
            // close replaces every page's key.
            for page in self.keys.pages.values_mut() {
                page.dirty = true;
            }
            // The restored table may not know the epoch that was being opened.
            let known = self.provider_keys();
            let is_stray = self.live.iter().any(|key| !known.contains(key));
            self.keys.floor = self.newest() + u32::from(is_stray);
            for (customer, stamp) in &self.ledger {
                self.keys.customer_keys.remove(customer);
                self.keys.fences.insert(*customer, *stamp);
            }
        }
        self.after_restore();
        "restore of the keys"
    }

    fn after_restore(&mut self) {
        let Self {
            keys, data, alive, ..
        } = self;
        data.records
            .retain(|customer| keys.customer_keys.contains_key(customer));
        alive.retain(|customer| data.records.contains(customer));
        let living = data.records.clone();
        data.index_rows.clear();
        data.index_pages.clear();
        keys.pages.retain(|(kind, _), _| *kind != Kind::Index);
        for customer in living {
            let page = self.index_page(index_page_of(customer));
            self.data.index_rows.insert(customer, page);
        }
        self.just_restored = true;
    }

    // Keys and dice.

    fn newest(&self) -> u32 {
        *self.keys.epochs.last_key_value().unwrap().0
    }

    /// The provider keys that the databases know.
    fn provider_keys(&self) -> Vec<u32> {
        let epochs = self.keys.epochs.values();
        epochs.filter_map(|epoch| Some(epoch.keys?.0)).collect()
    }

    fn newest_master(&self) -> u32 {
        self.keys.epochs[&self.newest()].keys.unwrap().1
    }

    fn new_page(&mut self) -> Page {
        Page {
            key: self.draw(),
            epoch: self.newest(),
            master: self.newest_master(),
            dirty: false,
        }
    }

    /// The key of a page, which is made where it is not there.
    fn page(&mut self, place: (Kind, u32)) -> u32 {
        let new = self.new_page();
        self.keys.pages.entry(place).or_insert(new).key
    }

    /// The key of the index page that serves a part of the ids.
    fn index_page(&mut self, part: u32) -> u32 {
        let number = match self.data.index_pages.get(&part) {
            Some(number) => *number,
            None => self.new_index_page(),
        };
        self.data.index_pages.insert(part, number);
        self.page((Kind::Index, number))
    }

    fn new_index_page(&mut self) -> u32 {
        let number = self.draw();
        self.page((Kind::Index, number));
        number
    }

    fn mark_dirty(&mut self, place: (Kind, u32)) {
        if let Some(page) = self.keys.pages.get_mut(&place) {
            page.dirty = true;
        }
    }

    fn draw(&mut self) -> u32 {
        self.drawn += 1;
        self.drawn
    }

    fn crashes(&mut self) -> bool {
        self.roll(6) == 0
    }

    /// Below `sides`, by SplitMix64.
    fn roll(&mut self, sides: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }
}

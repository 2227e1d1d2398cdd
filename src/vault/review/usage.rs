//! What callers did, counted from the audit log.

use crate::clock::{Day, Instant};
use crate::id::TenantName;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

/// Calls that read values, counted.
pub struct Usage {
    tenant: TenantName,
    /// From when on; later than asked for where there were too many entries.
    pub from: Instant,
    /// Entries that were looked at.
    pub entries: u64,
    /// Calls that read values.
    pub reads: u64,
    /// The same by service (`tenant/service`) and purpose.
    pub services: BTreeMap<(String, String), u64>,
    /// The same by purpose, record type and field number.
    pub fields: BTreeMap<(String, String, u16), u64>,
    /// The same by service, for each type and field.
    pub field_services: BTreeMap<(String, u16, String), u64>,
    /// How often yes and no were said of a purpose, by day.
    pub said: BTreeMap<(String, Day), (u64, u64)>,
    /// The same of what signals said, by the purpose's number.
    pub signalled: BTreeMap<(u16, Day), (u64, u64)>,
    calls: HashSet<(u64, u64)>,
    is_first: bool,
}

/// What is looked at of an entry.
#[derive(Deserialize)]
struct Line<'a> {
    time: i64,
    boot: u64,
    call: u64,
    #[serde(borrow)]
    principal: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    verdict: Cow<'a, str>,
    #[serde(borrow)]
    purpose: Cow<'a, str>,
    #[serde(borrow)]
    record_type: Cow<'a, str>,
    fields: Vec<u16>,
    count: u64,
    #[serde(borrow)]
    fact: Option<Told<'a>>,
}

/// What an entry tells of consent; of anything else it is empty.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    consent: Option<Said<'a>>,
    imported: Option<Signalled>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Signalled {
    yes: Vec<u16>,
    no: Vec<u16>,
}

const READS: [&str; 4] = [
    "GetRecord",
    "BatchGetRecords",
    "StreamRecords",
    "ExportCustomer",
];

impl Usage {
    /// Nothing yet, of a tenant, from an instant on.
    pub fn new(tenant: TenantName, from: Instant) -> Self {
        Self {
            tenant,
            from,
            entries: 0,
            reads: 0,
            services: BTreeMap::new(),
            fields: BTreeMap::new(),
            field_services: BTreeMap::new(),
            said: BTreeMap::new(),
            signalled: BTreeMap::new(),
            calls: HashSet::new(),
            is_first: true,
        }
    }

    /// Counts an entry. A call has several where it was about several
    /// customers; it is counted once.
    pub fn take(&mut self, leaf: &[u8]) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(leaf) else {
            return;
        };
        if line.time < self.from.micros() {
            // Calls of before may be written down late.
            if !self.is_first {
                return;
            }
        } else if self.is_first {
            self.is_first = false;
            self.from = Instant::from_micros(line.time);
        }
        self.entries += 1;
        let is_own = line
            .principal
            .split_once('/')
            .is_some_and(|(tenant, _)| tenant == self.tenant.as_str());
        if let (true, Some(told)) = (is_own, &line.fact) {
            self.hear(told, &line.purpose, Instant::from_micros(line.time).day());
        }
        let is_read = line.verdict == "allowed" && READS.contains(&&*line.method);
        if !is_own || !is_read || line.count == 0 || !self.calls.insert((line.boot, line.call)) {
            return;
        }
        self.reads += 1;
        let (purpose, of_type) = (line.purpose.into_owned(), line.record_type.into_owned());
        let service = line.principal.into_owned();
        for field in line.fields {
            let key = (purpose.clone(), of_type.clone(), field);
            *self.fields.entry(key).or_insert(0) += 1;
            let key = (of_type.clone(), field, service.clone());
            *self.field_services.entry(key).or_insert(0) += 1;
        }
        *self.services.entry((service, purpose)).or_insert(0) += 1;
    }

    fn hear(&mut self, told: &Told<'_>, purpose: &str, day: Day) {
        if let Some(Said { status }) = &told.consent {
            let sums = self.said.entry((purpose.to_owned(), day)).or_default();
            match status.as_ref() {
                "given" | "renewed" => sums.0 += 1,
                "refused" | "withdrawn" | "objected" => sums.1 += 1,
                _ => {}
            }
        }
        if let Some(Signalled { yes, no }) = &told.imported {
            for purpose in yes {
                self.signalled.entry((*purpose, day)).or_default().0 += 1;
            }
            for purpose in no {
                self.signalled.entry((*purpose, day)).or_default().1 += 1;
            }
        }
    }

    /// Reads by purpose.
    pub fn purposes(&self) -> BTreeMap<&str, u64> {
        let mut purposes = BTreeMap::new();
        for ((_, purpose), calls) in &self.services {
            *purposes.entry(purpose.as_str()).or_insert(0) += calls;
        }
        purposes
    }

    /// Reads that opened a field, by purpose.
    pub fn of_field(&self, record_type: &str, field: u16) -> BTreeMap<&str, u64> {
        let fields = self.fields.iter();
        fields
            .filter(|((_, of_type, number), _)| of_type == record_type && *number == field)
            .map(|((purpose, _, _), calls)| (purpose.as_str(), *calls))
            .collect()
    }

    /// Reads that opened a field, by service.
    pub fn services_of_field(&self, record_type: &str, field: u16) -> BTreeMap<&str, u64> {
        let fields = self.field_services.iter();
        fields
            .filter(|((of_type, number, _), _)| of_type == record_type && *number == field)
            .map(|((_, _, service), calls)| (service.as_str(), *calls))
            .collect()
    }
}

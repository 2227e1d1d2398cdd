//! That no call is missing: a server numbers its calls from 1, and each number
//! has an entry. One that has none is explained by a later entry (its entry
//! could not be written, and nothing left the vault), or was cut off together
//! with its server.

use crate::audit::Numbered;
use crate::limits;
use serde_json::Value;
use std::collections::BTreeMap;

/// Calls of one start that may be under way when it is cut off.
const UNDER_WAY: usize = limits::CALLS_IN_FLIGHT + limits::STREAMS_IN_FLIGHT;

/// The calls of every start that left an entry, by node and start.
#[derive(Default)]
pub struct Calls(BTreeMap<(String, u64), Start>);

/// One start of a server.
#[derive(Default)]
struct Start {
    highest: u64,
    newest: i64,
    /// Numbers without an entry so far, as ranges (first to last), with the
    /// time of the first call that came after them.
    missing: BTreeMap<u64, (u64, i64)>,
    unwritten: u64,
}

impl Calls {
    /// An entry of a call: node, start, number.
    ///
    /// # Errors
    /// The numbers cannot be those of a server.
    pub fn see(
        &mut self,
        (node, boot, call): (&str, u64, u64),
        time: i64,
        fact: Option<&Value>,
    ) -> Result<(), &'static str> {
        if boot == 0 || call == 0 {
            return Err("starts and calls are numbered from 1");
        }
        let start = self.0.entry((node.to_owned(), boot)).or_default();
        start.newest = start.newest.max(time);
        if call > start.highest {
            if call > start.highest + 1 {
                let range = (call - 1, time);
                start.missing.insert(start.highest + 1, range);
            }
            start.highest = call;
        } else {
            start.explain(call, call);
        }
        let told = fact.and_then(|fact| fact.get("unwritten")?.get("calls")?.as_array());
        for range in told.into_iter().flatten() {
            let number = |at| range.get(at).and_then(Value::as_u64);
            let (Some(first), Some(last)) = (number(0), number(1)) else {
                return Err("what it says of unwritten calls cannot be read");
            };
            start.unwritten += start.explain(first, last);
        }
        Ok(())
    }

    /// How far the newest start of each node has come: what stands for it once
    /// its entries are pruned.
    pub fn numbered(&self) -> Vec<Numbered> {
        let mut newest = BTreeMap::new();
        // By rising start.
        for ((node, boot), start) in &self.0 {
            newest.insert(node, (*boot, start));
        }
        let newest = newest.into_iter();
        let told = newest.map(|(node, (boot, start))| Numbered {
            node: node.clone(),
            boot,
            highest: start.highest,
            missing: start.missing.iter().map(|(f, (l, _))| (*f, *l)).collect(),
        });
        told.collect()
    }

    /// Takes the entries as seen that were pruned when a node's newest start had
    /// come so far.
    pub fn pruned(&mut self, of: &Numbered) {
        // Of an older start no entry is left to count.
        let Some(start) = self.0.get_mut(&(of.node.clone(), of.boot)) else {
            return;
        };
        let mut next = 1;
        let end = (of.highest.saturating_add(1), 0);
        for (first, last) in of.missing.iter().chain([&end]) {
            if next < *first {
                start.explain(next, first - 1);
            }
            next = last.saturating_add(1);
        }
    }

    /// How many starts left an entry.
    pub fn starts(&self) -> u64 {
        self.0.len() as u64
    }

    /// Calls without an entry of their own that a later one explains.
    pub fn unwritten(&self) -> u64 {
        self.0.values().map(|start| start.unwritten).sum()
    }

    /// How many calls were cut off with their server, and what nothing explains.
    pub fn gaps(&self) -> (u64, Vec<String>) {
        let (mut cut_off, mut gaps) = (0, Vec::new());
        // A call that was under way then had begun not long before.
        let span = limits::STREAM_STALL_TIME + limits::CALL_TIME + limits::COMMIT_TIME;
        let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        for ((node, boot), start) in &self.0 {
            let mut under_way = 0;
            for (first, (last, time)) in &start.missing {
                let many = last - first + 1;
                under_way += many;
                let is_late = *time >= start.newest.saturating_sub(span);
                if is_late && under_way <= UNDER_WAY as u64 {
                    cut_off += many;
                } else {
                    gaps.push(format!(
                        "calls {first} to {last} of node {node}, start {boot}, have no entry"
                    ));
                }
            }
        }
        (cut_off, gaps)
    }
}

impl Start {
    /// Takes numbers out of what is missing; answers how many they were.
    fn explain(&mut self, first: u64, last: u64) -> u64 {
        let overlapping = self.missing.range(..=last).rev();
        let overlapping = overlapping.take_while(|(_, (end, _))| *end >= first);
        let ranges: Vec<_> = overlapping.map(|(begin, end)| (*begin, *end)).collect();
        let mut explained = 0;
        for (begin, (end, time)) in ranges {
            self.missing.remove(&begin);
            if begin < first {
                self.missing.insert(begin, (first - 1, time));
            }
            if end > last {
                self.missing.insert(last + 1, (end, time));
            }
            explained += end.min(last) - begin.max(first) + 1;
        }
        explained
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn calls_may_end_in_any_order_and_each_has_its_entry() {
        let mut calls = Calls::default();
        for call in [3, 1, 2, 2, 7, 5, 6, 4] {
            calls.see(("1", 1, call), 0, None).unwrap();
        }
        calls.see(("1", 3, 1), 0, None).unwrap();
        assert_eq!((calls.gaps(), calls.starts()), ((0, Vec::new()), 2));
        assert!(calls.see(("1", 1, 0), 0, None).is_err());
    }

    #[test]
    fn what_was_pruned_is_not_missing_and_what_was_missing_then_still_is() {
        let mut whole = Calls::default();
        whole.see(("1", 1, 9), 0, None).unwrap();
        for call in [1, 2, 4, 7, 8] {
            whole.see(("1", 2, call), 0, None).unwrap();
        }
        let told = whole.numbered();
        assert_eq!((told.len(), told[0].boot, told[0].highest), (1, 2, 8));
        assert_eq!(told[0].missing, [(3, 3), (5, 6)]);
        let mut left = Calls::default();
        for (call, time) in [(5, 0), (10, 0), (9, 0), (11, 400 * SECOND)] {
            left.see(("1", 2, call), time, None).unwrap();
        }
        left.pruned(&told[0]);
        let (cut_off, gaps) = left.gaps();
        let first = "calls 3 to 3 of node 1, start 2, have no entry";
        let second = "calls 6 to 6 of node 1, start 2, have no entry";
        assert_eq!(
            (cut_off, gaps),
            (0, vec![first.to_owned(), second.to_owned()])
        );
        assert_eq!(left.starts(), 1);
    }

    #[test]
    fn a_gap_is_explained_by_an_entry_or_by_the_end_or_is_found() {
        let mut calls = Calls::default();
        calls.see(("1", 1, 1), 0, None).unwrap();
        calls.see(("1", 1, 20), SECOND, None).unwrap();
        let fact = json!({"unwritten": {"calls": [[2, 9], [11, 19]]}});
        calls.see(("1", 1, 21), 300 * SECOND, Some(&fact)).unwrap();
        assert_eq!(calls.unwritten(), 17);
        let (cut_off, gaps) = calls.gaps();
        assert_eq!((cut_off, gaps.len()), (0, 1));
        assert!(gaps[0].starts_with("calls 10 to 10 of node 1"), "{gaps:?}");
        // Near the end of a start they were cut off.
        calls.see(("1", 2, 5), 400 * SECOND, None).unwrap();
        assert_eq!(calls.gaps().0, 4);
        calls.see(("1", 2, 5_000), 401 * SECOND, None).unwrap();
        assert_eq!(calls.gaps().1.len(), 2, "more than can be under way");
        let bad = json!({"unwritten": {"calls": [[2]]}});
        assert!(calls.see(("1", 2, 5_001), 0, Some(&bad)).is_err());
    }
}

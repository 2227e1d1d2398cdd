//! Calls that ended without a durable entry: storage failed, and so nothing
//! left the vault for them. Their numbers are kept until an entry can say so:
//! then no gap in the call numbers goes without a reason.

use crate::limits;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Numbers of calls, as ranges: first and last.
#[derive(Default)]
pub struct Unwritten(Mutex<Vec<(u64, u64)>>);

impl Unwritten {
    /// Adds calls.
    pub fn add(&self, calls: (u64, u64)) {
        let mut ranges = self.ranges();
        let at = ranges.partition_point(|(first, _)| *first < calls.0);
        ranges.insert(at, calls);
        ranges.dedup_by(|next, before| {
            let touches = next.0 <= before.1.saturating_add(1);
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
        if ranges.len() > limits::UNWRITTEN_RANGES
            && let Some((_, last)) = ranges.pop()
            && let Some(before) = ranges.last_mut()
        {
            before.1 = last;
        }
    }

    /// Takes all of them.
    pub fn take(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut *self.ranges())
    }

    fn ranges(&self) -> MutexGuard<'_, Vec<(u64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_range_and_there_are_not_endlessly_many() {
        let unwritten = Unwritten::default();
        for call in [5, 3, 9, 4, 10, 20] {
            unwritten.add((call, call));
        }
        assert_eq!(unwritten.take(), [(3, 5), (9, 10), (20, 20)]);
        assert!(unwritten.take().is_empty());
        for call in 0..5_000 {
            unwritten.add((call * 2, call * 2));
        }
        let ranges = unwritten.take();
        assert_eq!(
            (ranges.len(), ranges[limits::UNWRITTEN_RANGES - 1].1),
            (limits::UNWRITTEN_RANGES, 9_998)
        );
    }
}

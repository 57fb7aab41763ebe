//! How many queries a domain was asked and how long they took, waiting and retries included. Counters only ever grow, and outlive
//! the domain's actors; a rate is the difference of two readings.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Classes of each doubling of the time: a quantile is off by a tenth at most.
const FINENESS: u32 = 4;
/// Classes, from a microsecond to above half a minute.
const CLASSES: usize = 104;

/// The counters.
#[derive(Debug)]
pub struct Tally {
    asked: AtomicU64,
    failed: AtomicU64,
    /// By class of time: the queries that were answered within it.
    took: [AtomicU64; CLASSES],
}

/// What the counters say at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// The queries that were asked, those included that nobody waited for to the end.
    pub asked: u64,
    /// The queries that gave no answer.
    pub failed: u64,
    took: Vec<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            asked: AtomicU64::default(),
            failed: AtomicU64::default(),
            took: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl Tally {
    /// A query is asked.
    pub fn begin(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// A query ended.
    pub fn end(&self, took: Duration, answered: bool) {
        // A database that is down refuses within microseconds: such times do not measure its speed.
        let counter = if answered { self.took.get(class(took)) } else { Some(&self.failed) };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted so far.
    pub fn totals(&self) -> Totals {
        let took = self.took.iter().map(|counter| counter.load(Ordering::Relaxed)).collect();
        Totals { asked: self.asked.load(Ordering::Relaxed), failed: self.failed.load(Ordering::Relaxed), took }
    }
}

impl Totals {
    /// The queries that were answered.
    pub fn answered(&self) -> u64 {
        self.took.iter().sum()
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let took = self.took.iter().zip(&before.took).map(|(now, then)| now.saturating_sub(*then)).collect();
        let (asked, failed) = (self.asked.saturating_sub(before.asked), self.failed.saturating_sub(before.failed));
        Self { asked, failed, took }
    }

    /// The time within which `share` of 100 answers came; `None` where there were none.
    pub fn quantile(&self, share: u64) -> Option<Duration> {
        let wanted = (self.answered() * share).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.took.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map(middle)
    }
}

/// The class of a time: by the power of two in its microseconds, and by what follows its highest bit.
fn class(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if micros < u64::from(FINENESS) {
        return usize::try_from(micros).unwrap_or(0);
    }
    let (power, bits) = (micros.ilog2(), FINENESS.ilog2());
    let within = (micros >> (power - bits)) & u64::from(FINENESS - 1);
    let class = u64::from((power - bits + 1) * FINENESS) + within;
    usize::try_from(class).unwrap_or(usize::MAX).min(CLASSES - 1)
}

/// The time in the middle of a class.
fn middle(class: usize) -> Duration {
    let class = u64::try_from(class).unwrap_or(0);
    let fineness = u64::from(FINENESS);
    if class < fineness {
        return Duration::from_micros(class);
    }
    let shift = class / fineness - 1;
    let low = (fineness + class % fineness) << shift;
    Duration::from_micros(low + (1 << shift) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_off_by_an_eighth_at_most() {
        for micros in [1_u64, 3, 4, 7, 90, 512, 1_000, 4_999, 250_000, 9_000_000] {
            let tally = Tally::default();
            tally.end(Duration::from_micros(micros), true);
            let found = tally.totals().quantile(50).expect("there was one query").as_micros();
            let found = u64::try_from(found).expect("a short time");
            assert!(found.abs_diff(micros) <= micros / 8, "{micros} became {found}");
        }
    }

    #[test]
    fn quantiles_count_what_is_below_them() {
        let tally = Tally::default();
        for micros in [100, 100, 100, 100, 100, 100, 100, 100, 100, 10_000] {
            tally.begin();
            tally.end(Duration::from_micros(micros), true);
        }
        tally.begin();
        tally.end(Duration::from_micros(1), false);
        tally.begin();
        let totals = tally.totals();
        assert_eq!((totals.asked, totals.answered(), totals.failed), (12, 10, 1));
        assert!(totals.quantile(90) < Some(Duration::from_micros(120)), "{totals:?}");
        assert!(totals.quantile(95) > Some(Duration::from_millis(8)), "{totals:?}");
        let later = tally.totals().since(&totals);
        assert_eq!((later.asked, later.answered(), later.quantile(50)), (0, 0, None));
    }

    #[test]
    fn a_time_beyond_all_classes_is_in_the_last() {
        let tally = Tally::default();
        tally.end(Duration::from_secs(86_400), true);
        assert!(tally.totals().quantile(50) > Some(Duration::from_secs(20)));
    }
}

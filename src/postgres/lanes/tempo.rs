//! How long statements take of late, and what follows from it: who may share a lane, and how long a lane may be silent.
//! Pure arithmetic over what it is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A statement that takes so long on average never shares a lane.
const SLOW_ALWAYS: Duration = Duration::from_millis(100);
/// Nor does one that takes so long where the domain's statements take a fraction of that.
const SLOW_AMONG_QUICK: Duration = Duration::from_millis(20);
const FRACTION: u32 = 4;
/// A lane whose oldest statement has run for so many times the usual is held up.
const HELD_UP: u32 = 8;
/// For so many times that, a lane is waited for while no other answers either.
pub(super) const STANDSTILL: u32 = 4;
/// Queries that go together at most, and how long they may take one after the other.
pub(super) const MOST_TOGETHER: usize = 256;
const LONGEST_TOGETHER: Duration = Duration::from_millis(20);
const LEAST_PATIENCE: Duration = Duration::from_millis(30);
const MOST_PATIENCE: Duration = Duration::from_millis(150);

/// An exponentially weighted mean of how long statements take. It follows a rise slowly (one hiccup is no trend) and a fall
/// quickly (the first run of a statement pays for its preparation).
#[derive(Debug, Default)]
pub(in crate::postgres) struct Tempo(AtomicU64);

impl Tempo {
    /// The mean; `None` before the first observation.
    pub(in crate::postgres) fn mean(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }

    /// Takes note of one statement. Two at the same moment may count as one.
    pub(super) fn observe(&self, took: Duration) {
        let sample = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mean = self.0.load(Ordering::Relaxed);
        let next = match mean {
            0 => sample,
            _ if sample > mean => mean + (sample - mean) / 8,
            _ => mean - (mean - sample) / 4,
        };
        self.0.store(next.max(1), Ordering::Relaxed);
    }
}

/// Whether a statement of this mean may share a lane in a domain whose statements usually take `usual`. One that has never
/// run may not: nobody knows what it does.
pub(super) fn may_share(mean: Option<Duration>, usual: Option<Duration>) -> bool {
    let usual = usual.unwrap_or_default();
    mean.is_some_and(|mean| mean < SLOW_ALWAYS && (mean < SLOW_AMONG_QUICK || mean < usual * FRACTION))
}

/// How long a lane may be silent before it counts as held up.
pub(super) fn patience(usual: Option<Duration>) -> Duration {
    (usual.unwrap_or_default() * HELD_UP).clamp(LEAST_PATIENCE, MOST_PATIENCE)
}

/// How many queries that each usually take so long may go together.
pub(super) fn most_together(each: Duration) -> usize {
    let fit = LONGEST_TOGETHER.as_nanos().checked_div(each.as_nanos()).unwrap_or(u128::MAX);
    usize::try_from(fit).unwrap_or(MOST_TOGETHER).clamp(1, MOST_TOGETHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn only_what_is_known_to_be_quick_shares_a_lane() {
        for (mean, usual, shares) in [
            (None, Some(ms(1)), false),
            (Some(ms(1)), None, true),
            (Some(ms(1)), Some(ms(1)), true),
            (Some(ms(30)), Some(ms(1)), false),
            // A busy machine makes everything slower: that is no reason to stop sharing.
            (Some(ms(30)), Some(ms(25)), true),
            (Some(ms(120)), Some(ms(120)), false),
        ] {
            assert_eq!(may_share(mean, usual), shares, "{mean:?} among {usual:?}");
        }
    }

    #[test]
    fn a_mean_rises_slowly_and_falls_quickly() {
        let tempo = Tempo::default();
        assert_eq!(tempo.mean(), None);
        tempo.observe(ms(8));
        tempo.observe(ms(16));
        assert_eq!(tempo.mean(), Some(ms(9)));
        tempo.observe(ms(1));
        assert_eq!(tempo.mean(), Some(ms(7)));
    }

    #[test]
    fn patience_is_never_nothing_and_never_for_ever() {
        assert_eq!(patience(None), LEAST_PATIENCE);
        assert_eq!(patience(Some(ms(10))), ms(80));
        assert_eq!(patience(Some(ms(1_000))), MOST_PATIENCE);
    }

    #[test]
    fn the_longer_queries_take_the_fewer_go_together() {
        for (each, most) in
            [(Duration::ZERO, 256), (Duration::from_micros(100), 200), (ms(1), 20), (ms(15), 1), (ms(50), 1)]
        {
            assert_eq!(most_together(each), most, "{each:?}");
        }
    }
}

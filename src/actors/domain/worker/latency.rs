//! How long statements take, and what follows: which share a connection, how many go together, when a connection is stalled.

use std::time::Duration;

/// A statement that takes so long on average never shares a connection.
const SLOW: Duration = Duration::from_millis(100);
/// Nor does one that takes so long where the domain's statements take a fraction of that.
const SLOW_AMONG_QUICK: Duration = Duration::from_millis(20);
const FRACTION: u32 = 4;
/// A connection whose oldest statement has run for so many times the usual is stalled.
const STALLED: u32 = 8;
const LEAST_STALL: Duration = Duration::from_millis(60);
const MOST_STALL: Duration = Duration::from_millis(150);
/// Queries that go together at most, and how long they may take one after the other.
const MOST_TOGETHER: usize = 256;
const LONGEST_TOGETHER: Duration = Duration::from_millis(20);

/// An exponentially weighted moving average. It follows a rise slowly (one hiccup is no trend) and a fall quickly (the first
/// run of a statement pays for its preparation).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Latency(Option<Duration>);

impl Latency {
    /// The average; `None` before the first observation.
    pub(super) fn mean(&self) -> Option<Duration> {
        self.0
    }

    pub(super) fn observe(&mut self, took: Duration) {
        self.0 = Some(match self.0 {
            None => took,
            Some(mean) => (mean + took.saturating_sub(mean) / 8).saturating_sub(mean.saturating_sub(took) / 4),
        });
    }
}

/// Whether a statement of this mean may share a connection in a domain whose statements usually take `usual`.
pub(super) fn is_quick(mean: Duration, usual: Option<Duration>) -> bool {
    mean < SLOW && (mean < SLOW_AMONG_QUICK || mean < usual.unwrap_or_default() * FRACTION)
}

/// How long the oldest statement of a connection may run before the connection counts as stalled. Where many servers share
/// few processors, a statement waits for tens of milliseconds for one of them, and is not stalled.
pub(super) fn stall_limit(usual: Option<Duration>) -> Duration {
    usual.map_or(MOST_STALL, |usual| (usual * STALLED).clamp(LEAST_STALL, MOST_STALL))
}

/// How many queries that each take so long may go together.
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
    fn a_statement_is_quick_by_itself_or_beside_the_others_of_its_domain() {
        for (mean, usual, quick) in [
            (ms(1), None, true),
            (ms(30), Some(ms(1)), false),
            // A busy machine makes everything slower: that is no reason to stop sharing.
            (ms(30), Some(ms(25)), true),
            (ms(120), Some(ms(120)), false),
        ] {
            assert_eq!(is_quick(mean, usual), quick, "{mean:?} among {usual:?}");
        }
    }

    #[test]
    fn a_mean_rises_slowly_and_falls_quickly() {
        let mut latency = Latency::default();
        assert_eq!(latency.mean(), None);
        for (took, mean) in [(8, 8), (16, 9), (1, 7)] {
            latency.observe(ms(took));
            assert_eq!(latency.mean(), Some(ms(mean)));
        }
    }

    #[test]
    fn limits_follow_the_usual_latency_within_bounds() {
        assert_eq!([None, Some(ms(10)), Some(ms(1_000))].map(stall_limit), [MOST_STALL, ms(80), MOST_STALL]);
        assert_eq!([Duration::ZERO, Duration::from_micros(100), ms(1), ms(50)].map(most_together), [256, 200, 20, 1]);
    }
}

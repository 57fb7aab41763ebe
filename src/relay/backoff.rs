//! Pauses after failures: each twice as long as the one before, up to a limit.

use std::time::Duration;

/// The pause after a first failure.
const SHORTEST: Duration = Duration::from_millis(100);
/// The longest pause.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// The pauses after failures in a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after another failure.
    pub(super) fn next(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        SHORTEST.saturating_mul(factor).min(LONGEST)
    }

    /// Whether the last attempt failed.
    pub(super) fn has_failed(self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_stay_there() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..12).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]);
        let last = (0..100).map(|_| backoff.next()).last();
        assert_eq!(last, Some(LONGEST));
    }
}

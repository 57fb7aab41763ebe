//! Exponential backoff with jitter, so that retries of many callers do not coincide.

use std::time::Duration;

/// A sequence of pauses.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    taken: u32,
}

impl Backoff {
    /// Pauses from about `first`, doubling, up to about `max`.
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, taken: 0 }
    }

    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.nth(self.taken);
        self.taken = self.taken.saturating_add(1);
        pause
    }

    /// The pause after `taken` others.
    pub(super) fn nth(&self, taken: u32) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(taken)).min(self.max);
        doubled.mul_f64(rand::random_range(0.75..1.25))
    }

    /// Starts again with the first pause.
    pub(super) fn reset(&mut self) {
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_maximum_with_a_jitter_of_a_quarter() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(500));
        for expected in [100, 200, 400, 500, 500] {
            let pause = backoff.next().as_secs_f64() * 1000.0;
            let expected = f64::from(expected);
            assert!((0.75 * expected..=1.25 * expected).contains(&pause), "{pause} is not about {expected}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(125));
        assert!(backoff.nth(u32::MAX) <= Duration::from_millis(625));
    }
}

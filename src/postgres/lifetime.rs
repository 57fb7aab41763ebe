//! How old a connection may become. What PostgreSQL fixes when a session begins (settings of roles and databases, the
//! address behind a host name) reaches every connection within that time.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// The part of the lifetime by which connections that were made at one moment differ: they do not all end at one moment.
const JITTER_PART: u32 = 10;
const STEPS: u32 = 1_000;

/// The maximum age of connections.
#[derive(Debug, Clone)]
pub(super) struct Lifetime {
    max: Duration,
    jitter: RandomState,
}

impl Lifetime {
    /// At most `max`, and at least nine tenths of it.
    pub(super) fn new(max: Duration) -> Self {
        Self { max, jitter: RandomState::new() }
    }

    /// Whether a connection that was made at `made` is too old.
    pub(super) fn is_over(&self, made: Instant) -> bool {
        Instant::now() >= self.end(made)
    }

    /// When a connection that was made at `made` is too old.
    pub(super) fn end(&self, made: Instant) -> Instant {
        made + self.of(made)
    }

    fn of(&self, made: Instant) -> Duration {
        let step = u32::try_from(self.jitter.hash_one(made) % u64::from(STEPS)).unwrap_or(0);
        self.max.saturating_sub(self.max / (JITTER_PART * STEPS) * step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_moment_end_at_different_moments_within_a_tenth_of_the_lifetime() {
        let lifetime = Lifetime::new(Duration::from_secs(1_000));
        let now = Instant::now();
        let ages: Vec<Duration> = (0..100).map(|n| lifetime.of(now + Duration::from_nanos(n))).collect();
        assert!(ages.iter().all(|age| (900..=1_000).contains(&age.as_secs())), "{ages:?}");
        let (first, last) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
        assert!(last.saturating_sub(*first) > Duration::from_secs(50), "{ages:?}");
        assert!(!lifetime.is_over(now));
    }
}

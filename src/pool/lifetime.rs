//! The maximum age of connections. Settings that PostgreSQL fixes when a session begins (those of roles and databases, and the
//! address of the host) reach every connection within that time.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// Connections live up to a tenth shorter than the maximum, so that those made at the same time do not all end at the same time.
const JITTER_PART: u32 = 10;
const JITTER_STEPS: u32 = 1_000;

/// The maximum age of connections.
#[derive(Debug, Clone)]
pub struct Lifetime {
    max: Duration,
    jitter: RandomState,
}

impl Lifetime {
    /// At most `max`, and at least nine tenths of it.
    pub(super) fn new(max: Duration) -> Self {
        Self { max, jitter: RandomState::new() }
    }

    /// Whether a connection that was made at `created` is too old.
    pub fn is_expired(&self, created: Instant) -> bool {
        Instant::now() >= self.expiry(created)
    }

    /// When a connection that was made at `created` becomes too old.
    pub fn expiry(&self, created: Instant) -> Instant {
        created + self.jittered(created)
    }

    fn jittered(&self, created: Instant) -> Duration {
        let step = u32::try_from(self.jitter.hash_one(created) % u64::from(JITTER_STEPS)).unwrap_or(0);
        self.max.saturating_sub(self.max / (JITTER_PART * JITTER_STEPS) * step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_made_at_the_same_time_expire_at_different_times_within_a_tenth_of_the_lifetime() {
        let lifetime = Lifetime::new(Duration::from_secs(1_000));
        let now = Instant::now();
        let ages: Vec<Duration> = (0..100).map(|n| lifetime.jittered(now + Duration::from_nanos(n))).collect();
        assert!(ages.iter().all(|age| (900..=1_000).contains(&age.as_secs())), "{ages:?}");
        let (first, last) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
        assert!(last.saturating_sub(*first) > Duration::from_secs(50), "{ages:?}");
        assert!(!lifetime.is_expired(now));
    }
}

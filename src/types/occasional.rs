//! Events that are logged once a minute at most, with their number.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two log lines.
const PAUSE: Duration = Duration::from_secs(60);

/// Counts events of one kind between log lines.
#[derive(Debug, Default)]
pub struct Occasional(Mutex<(Option<Instant>, u64)>);

impl Occasional {
    /// Counts an event at `now`. Returns how many there were since the last log line, this one included, if one is due: at the first
    /// event, and at the first one after a minute.
    pub fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (logged, count) = &mut *state;
        *count = count.saturating_add(1);
        if logged.is_some_and(|logged| now.saturating_duration_since(logged) < PAUSE) {
            return None;
        }
        *logged = Some(now);
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_within_a_minute_are_counted_for_the_next_line() {
        let (events, start) = (Occasional::default(), Instant::now());
        let after = |seconds| events.count(start + Duration::from_secs(seconds));
        assert_eq!([0, 1, 59, 60, 61, 200].map(after), [Some(1), None, None, Some(3), None, Some(2)]);
    }
}

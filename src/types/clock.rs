//! The time of one decision: read once when the request arrives, so that every rule of a decision sees the same day.

use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// The time of a decision, in the zone that determines its day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    now: Zoned,
}

impl Clock {
    /// The current time of the machine, in `zone`.
    pub fn system(zone: TimeZone) -> Self {
        Self { now: Timestamp::now().to_zoned(zone) }
    }

    /// A fixed time, for replays and tests.
    pub fn fixed(now: Timestamp, zone: TimeZone) -> Self {
        Self { now: now.to_zoned(zone) }
    }

    /// The moment.
    pub fn now(&self) -> Timestamp {
        self.now.timestamp()
    }

    /// The calendar day of that moment in the clock's zone.
    pub fn today(&self) -> Date {
        self.now.date()
    }

    /// The zone that determines the day.
    pub fn time_zone(&self) -> &TimeZone {
        self.now.time_zone()
    }
}

/// The instant by which an answer is due. Monotonic: not affected by changes of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    instant: Instant,
}

impl Deadline {
    /// A deadline `after` from now.
    pub fn after(after: Duration) -> Self {
        let now = Instant::now();
        Self { instant: now.checked_add(after).unwrap_or(now) }
    }

    /// The deadline at `instant`.
    pub fn at(instant: Instant) -> Self {
        Self { instant }
    }

    /// A deadline a year from now, for work whose parts have deadlines of their own.
    pub fn never() -> Self {
        Self::after(Duration::from_secs(365 * 24 * 60 * 60))
    }

    /// The earlier of this deadline and `limit` from now.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        Self { instant: self.instant.min(Self::after(limit).instant) }
    }

    /// The time left; zero once it has passed.
    pub fn remaining(self) -> Duration {
        self.instant.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The instant itself, for timers.
    pub fn instant(self) -> Instant {
        self.instant
    }
}

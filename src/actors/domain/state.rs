//! The states of a domain: a pure state machine, without clock, timers or I/O.
//!
//! `starting -> ready <-> degraded -> down -> starting`, then `draining -> stopped`. Only probes move a domain between
//! these: a failed query requests a probe at once, and no SQL error, timeout or full queue makes a database down. After one failed
//! probe a domain that serves is `degraded`, and after two consecutive ones `down`. A database that has never answered is `down` after
//! the first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// The state of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its connections are being made.
    Starting,
    /// It answers.
    Ready,
    /// It answers, but something is wrong: a probe failed, or connections cannot be made.
    Degraded {
        /// What is wrong, redacted.
        why: Arc<str>,
    },
    /// It does not answer. Queries fail at once.
    Down {
        /// Why, redacted.
        why: Arc<str>,
        /// When it is probed again.
        next: Instant,
    },
    /// It finishes queries in flight and accepts no new ones.
    Draining,
    /// Its actor has ended. Another may have replaced it.
    Stopped,
}

impl State {
    /// Its name, as the health endpoints show it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded { .. } => "degraded",
            Self::Down { .. } => "down",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }

    /// Whether queries are accepted.
    pub(in crate::actors) fn serves(&self) -> bool {
        matches!(self, Self::Ready | Self::Degraded { .. })
    }

    /// Whether it drains or has stopped.
    pub(in crate::actors) fn is_leaving(&self) -> bool {
        matches!(self, Self::Draining | Self::Stopped)
    }
}

/// An event of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::actors) enum Event {
    /// A probe was answered.
    Answered {
        /// How long the answer took.
        latency: Duration,
    },
    /// The pool was maintained after an answered probe: whether missing connections could be made.
    Maintained(Result<(), Arc<str>>),
    /// A probe was not possible, because every connection that the server allows is in use.
    Busy,
    /// A probe was not answered.
    Unanswered {
        /// Why, redacted.
        why: Arc<str>,
        /// The time until the next probe, if the domain is down now.
        pause: Duration,
    },
    /// New queries are no longer accepted.
    Drain,
    /// The actor has ended.
    Stop,
}

/// The time of an event, by the monotonic clock and by the wall clock.
#[derive(Debug, Clone, Copy)]
pub(in crate::actors) struct Moment {
    /// Monotonic, for intervals.
    pub instant: Instant,
    /// Wall clock, for display.
    pub wall: Timestamp,
}

impl Moment {
    /// Now.
    pub(in crate::actors) fn now() -> Self {
        Self { instant: Instant::now(), wall: Timestamp::now() }
    }
}

/// The state of a domain with its history.
#[derive(Debug, Clone)]
pub(in crate::actors) struct DomainStatus {
    /// The state.
    pub state: State,
    /// When the state was entered.
    pub since: Timestamp,
    /// Consecutive failed probes.
    pub failures: u32,
    /// The last error.
    pub last_error: Option<LastError>,
    /// The last probe that was answered.
    pub last_probe: Option<LastProbe>,
    /// The number of probes so far, answered or not.
    pub probes: u64,
}

impl DomainStatus {
    /// A domain that starts at `now`.
    pub(in crate::actors) fn starting(now: Moment) -> Self {
        Self { state: State::Starting, since: now.wall, failures: 0, last_error: None, last_probe: None, probes: 0 }
    }

    /// Applies `event`.
    pub(in crate::actors) fn apply(&mut self, event: Event, now: Moment) {
        match event {
            Event::Answered { latency } => {
                self.probes += 1;
                self.failures = 0;
                self.last_probe = Some(LastProbe { at: now.wall, latency });
                if matches!(self.state, State::Down { .. }) {
                    self.enter(State::Starting, now);
                }
            }
            Event::Busy => self.probes += 1,
            Event::Maintained(Ok(())) => self.enter(State::Ready, now),
            Event::Maintained(Err(why)) => {
                self.last_error = Some(LastError { at: now.wall, message: Arc::clone(&why) });
                self.enter(State::Degraded { why }, now);
            }
            Event::Unanswered { why, pause } => {
                self.probes += 1;
                self.failures = self.failures.saturating_add(1);
                self.last_error = Some(LastError { at: now.wall, message: Arc::clone(&why) });
                let is_first = self.state.serves() && self.failures < 2;
                let next = now.instant + pause;
                self.enter(if is_first { State::Degraded { why } } else { State::Down { why, next } }, now);
            }
            Event::Drain => self.enter(State::Draining, now),
            Event::Stop => self.enter(State::Stopped, now),
        }
    }

    fn enter(&mut self, state: State, now: Moment) {
        let leaves = matches!(self.state, State::Stopped) || (self.state.is_leaving() && state != State::Stopped);
        if leaves {
            return;
        }
        if state.name() != self.state.name() {
            self.since = now.wall;
        }
        self.state = state;
    }
}

/// The last error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct LastError {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// The message. It contains no SQL and no secret.
    pub message: Arc<str>,
}

/// The last probe that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct LastProbe {
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// How long the answer took, serialized in microseconds.
    #[serde(rename = "latency_us", serialize_with = "microseconds")]
    #[schemars(with = "u64")]
    pub latency: Duration,
}

fn microseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    fn answered() -> Event {
        Event::Answered { latency: Duration::from_millis(1) }
    }

    fn failed(why: &str) -> Event {
        Event::Unanswered { why: why.into(), pause: PAUSE }
    }

    fn pool_failed() -> Event {
        Event::Maintained(Err("the server has no free connection slots".into()))
    }

    /// Applies each event and checks the state it leads to.
    fn walk(steps: impl IntoIterator<Item = (Event, &'static str)>) -> DomainStatus {
        let mut status = DomainStatus::starting(Moment::now());
        for (event, expected) in steps {
            status.apply(event.clone(), Moment::now());
            assert_eq!(status.state.name(), expected, "after {event:?}");
        }
        status
    }

    #[test]
    fn a_domain_is_ready_once_its_connections_are_made() {
        walk([(answered(), "starting"), (Event::Maintained(Ok(())), "ready"), (answered(), "ready")]);
    }

    #[test]
    fn a_domain_that_never_answered_is_down_after_the_first_failure() {
        walk([(failed("connection refused"), "down")]);
    }

    #[test]
    fn a_domain_is_degraded_after_one_failed_probe_and_down_after_two() {
        walk([
            (answered(), "starting"),
            (Event::Maintained(Ok(())), "ready"),
            (failed("no answer"), "degraded"),
            (answered(), "degraded"),
            (Event::Maintained(Ok(())), "ready"),
            (failed("no answer"), "degraded"),
            (failed("no answer"), "down"),
            (failed("no answer"), "down"),
            (answered(), "starting"),
            (Event::Maintained(Ok(())), "ready"),
        ]);
    }

    #[test]
    fn a_pool_that_cannot_grow_degrades_and_does_not_count_as_a_failed_probe() {
        walk([
            (answered(), "starting"),
            (pool_failed(), "degraded"),
            (answered(), "degraded"),
            (pool_failed(), "degraded"),
            (failed("no answer"), "degraded"),
            (failed("no answer"), "down"),
        ]);
    }

    #[test]
    fn a_probe_that_finds_every_connection_in_use_changes_nothing() {
        let status = walk([
            (answered(), "starting"),
            (Event::Maintained(Ok(())), "ready"),
            (Event::Busy, "ready"),
            (failed("no answer"), "degraded"),
            (Event::Busy, "degraded"),
        ]);
        assert_eq!((status.probes, status.failures), (4, 1));
    }

    #[test]
    fn a_draining_domain_never_serves_again() {
        walk([
            (answered(), "starting"),
            (Event::Maintained(Ok(())), "ready"),
            (Event::Drain, "draining"),
            (failed("no answer"), "draining"),
            (Event::Maintained(Ok(())), "draining"),
            (Event::Stop, "stopped"),
            (Event::Drain, "stopped"),
        ]);
    }

    #[test]
    fn since_is_when_the_state_was_entered_and_why_is_the_latest_reason() {
        let mut status = DomainStatus::starting(Moment::now());
        let first = Moment { instant: Instant::now(), wall: "2024-01-01T00:00:00Z".parse().unwrap() };
        let second = Moment { instant: first.instant + PAUSE, wall: "2024-01-01T00:00:01Z".parse().unwrap() };
        status.apply(failed("connection refused"), first);
        status.apply(failed("no answer"), second);
        assert_eq!(status.since, first.wall);
        assert_eq!(status.state, State::Down { why: "no answer".into(), next: second.instant + PAUSE });
    }
}

//! A connection as the scheduler sees it, and the queries in flight on it.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Identifies a query for as long as its state is kept.
pub(super) type Key = usize;
/// Identifies a connection or a statement of one scheduler.
pub(super) type Id = u64;

/// A map by numbers that the service gives itself, which need no protection against chosen keys.
pub(super) type NumberMap<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// What the scheduler asks a request.
pub(super) trait Request {
    /// Whether the caller no longer waits for the answer.
    fn is_abandoned(&self) -> bool;
}

/// How a query may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dispatch {
    /// Together with others of its kind.
    Together,
    /// As a statement of its own.
    Singly,
    /// Over a connection of its own.
    Exclusively,
}

/// A query that waits or is in flight.
#[derive(Debug)]
pub(super) struct Pending<R> {
    pub(super) request: R,
    pub(super) dispatch: Dispatch,
    /// Until when it waits for a connection.
    pub(super) latest: Instant,
    /// By when it is answered in any case.
    pub(super) deadline: Instant,
    /// How long it may take once it is sent.
    pub(super) work: Duration,
    /// Whether it belongs to a batch, which gives way to single requests.
    pub(super) in_bulk: bool,
    /// Its place among the queries that its statement was sent for. It does not change when others leave.
    pub(super) place: usize,
}

impl<R> Pending<R> {
    /// By when it is sent.
    pub(super) fn latest(&self) -> Instant {
        self.latest.min(self.deadline)
    }

    /// By when it is answered, where it was `sent` at that time.
    pub(super) fn due(&self, sent: Instant) -> Instant {
        self.deadline.min(sent.checked_add(self.work).unwrap_or(self.deadline))
    }
}

/// Queries that were sent as one statement.
#[derive(Debug)]
pub(super) struct Statement<R> {
    pub(super) id: Id,
    pub(super) key: Key,
    /// Those that wait for the answer. Some may have left since the statement was sent: see [`Pending::place`].
    pub(super) members: Vec<Pending<R>>,
    pub(super) sent: Instant,
    /// Whether it takes one of the places of slow statements.
    pub(super) is_slow: bool,
    /// How long it is expected to take.
    pub(super) cost: Duration,
    /// How many queries it was sent for.
    pub(super) size: usize,
    pub(super) is_exclusive: bool,
}

/// A connection and its statements.
#[derive(Debug)]
pub(super) struct Connection<R> {
    pub(super) id: Id,
    pub(super) opened: Instant,
    pub(super) last_answer: Instant,
    /// In the order in which PostgreSQL answers them.
    pub(super) in_flight: VecDeque<Statement<R>>,
    pub(super) is_retired: bool,
}

impl<R> Connection<R> {
    pub(super) fn is_exclusive(&self) -> bool {
        self.in_flight.iter().any(|statement| statement.is_exclusive)
    }

    /// How long its oldest statement has been running.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        let since = self.in_flight.front().map(|oldest| oldest.sent.max(self.last_answer));
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    pub(super) fn backlog(&self) -> Duration {
        self.in_flight.iter().map(|statement| statement.cost).sum()
    }

    pub(super) fn carried(&self, key: Key) -> usize {
        self.in_flight.iter().filter(|statement| statement.key == key).count()
    }
}

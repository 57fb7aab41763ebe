//! One session that several queries share, and their seats on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Inner;
use crate::postgres::query::Query;
use crate::postgres::session::Session;

/// A statement that has been sent and not answered.
#[derive(Debug)]
struct Passenger {
    number: u64,
    query: u64,
    cost: Duration,
    since: Instant,
}

/// A lane and who is on it, in the order PostgreSQL answers them.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) session: Arc<Session>,
    opened: Instant,
    passengers: VecDeque<Passenger>,
    last_answer: Instant,
    last_number: u64,
    retired: bool,
}

impl Lane {
    pub(super) fn new(session: Arc<Session>, now: Instant) -> Self {
        let passengers = VecDeque::new();
        Self { session, opened: now, passengers, last_answer: now, last_number: 0, retired: false }
    }

    /// How long a statement that boards now has to wait, going by what the statements before it usually cost.
    pub(super) fn wait(&self) -> Duration {
        self.passengers.iter().map(|passenger| passenger.cost).sum()
    }

    /// How many statements are on it.
    pub(super) fn load(&self) -> usize {
        self.passengers.len()
    }

    /// Since when it has been a lane.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened)
    }

    /// Whether it is in order: neither retired nor broken, and its oldest statement within `patience`.
    pub(super) fn flows(&self, now: Instant, patience: Duration) -> bool {
        let held_up = self.passengers.front().is_some_and(|first| {
            // It runs since it was sent or since the one before it was answered.
            now.saturating_duration_since(first.since.max(self.last_answer)) >= patience
        });
        !self.retired && !held_up && self.session.is_usable()
    }

    /// Whether a statement of the query `id` is on it.
    pub(super) fn carries(&self, id: u64) -> bool {
        self.passengers.iter().any(|passenger| passenger.query == id)
    }

    /// Takes no more statements.
    pub(super) fn retire(&mut self) {
        self.retired = true;
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired
    }

    /// A place for a statement of `query`.
    pub(super) fn board(&mut self, inner: &Arc<Inner>, query: &Query, now: Instant) -> Seat {
        self.last_number += 1;
        let number = self.last_number;
        self.passengers.push_back(Passenger { number, query: query.id(), cost: query.usual(), since: now });
        Seat { inner: Arc::clone(inner), session: Arc::clone(&self.session), number, answered: false }
    }

    /// Whether PostgreSQL is at the statement `number`, and not at one before it.
    pub(super) fn is_first(&self, number: u64) -> bool {
        self.passengers.front().is_some_and(|first| first.number == number)
    }

    /// The statement `number` has just been answered: when it was sent, and for how long PostgreSQL was at it.
    pub(super) fn answered(&mut self, number: u64, now: Instant) -> (Instant, Duration) {
        let since =
            self.passengers.iter().find(|passenger| passenger.number == number).map(|passenger| passenger.since);
        let since = since.unwrap_or(now);
        let took = now.saturating_duration_since(since.max(self.last_answer));
        self.last_answer = now;
        (since, took)
    }

    /// The statement `number` is no longer waited for.
    pub(super) fn leave(&mut self, number: u64) {
        self.passengers.retain(|passenger| passenger.number != number);
    }
}

/// The right to send one statement over a lane. A seat that is dropped before its statement was answered retires the lane:
/// others finish on it, nobody else boards.
#[derive(Debug)]
pub(super) struct Seat {
    inner: Arc<Inner>,
    pub(super) session: Arc<Session>,
    pub(super) number: u64,
    answered: bool,
}

impl Seat {
    /// The statement was answered; says how long PostgreSQL was at it.
    pub(super) fn answered(&mut self) -> Duration {
        self.answered = true;
        self.inner.answered(self)
    }

    /// The statement was answered with more rows than are read: what is sent after it would wait for the rest.
    pub(super) fn leave_unread(&mut self) {
        self.answered = false;
    }

    /// Whether PostgreSQL is at this seat's statement, and not at one before it.
    pub(super) fn is_first(&self) -> bool {
        self.inner.is_first(self)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.answered {
            self.session.leave_unanswered();
        }
        self.inner.leave(self, !self.answered);
    }
}

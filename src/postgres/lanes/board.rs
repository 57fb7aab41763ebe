//! Which lane takes which query: the lanes there are, and the queries that wait. No I/O and no clock of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::joint::{Ask, Manner, Told};
use super::lane::{Lane, Seat};
use super::{Inner, Opening, Rows, answer, tempo};
use crate::postgres::error::QueryErrorKind;
use crate::postgres::query::Query;
use crate::types::{Deadline, Value};

/// Statements that may be on one lane at once.
pub(super) const DEPTH: usize = 16;
/// Where a statement would wait for longer than this behind others, another lane is opened for it.
const PIPELINED: Duration = Duration::from_millis(2);
/// A lane that has been open for so long goes back to the pool where others wait for a connection.
const FAIR_SHARE: Duration = Duration::from_millis(10);

/// How a query reaches PostgreSQL.
#[derive(Debug)]
pub(super) enum Boarding {
    /// Over a lane.
    Seat(Seat),
    /// Over a lane that it opens.
    Open(Opening),
}

/// What a query that waited is told.
#[derive(Debug)]
pub(super) enum Turn {
    /// Go.
    Go(Boarding),
    /// Another has asked for you.
    Answered(Result<Rows, QueryErrorKind>),
    /// Ask by yourself.
    Plain,
    /// Ask by yourself, over a connection of your own.
    Alone,
}

/// A query that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    number: u64,
    pub(super) params: Arc<[Value]>,
    pub(super) deadline: Deadline,
    reply: Reply,
}

/// Where it waits.
#[derive(Debug)]
enum Reply {
    /// With whoever can go over a lane as well.
    Here(oneshot::Sender<Turn>),
    /// On another thread, for an answer alone: since when, until when for a lane.
    There { asked: Instant, latest: Instant, told: oneshot::Sender<Told> },
}

impl Waiting {
    /// Whether it waits on another thread: it has to be carried.
    fn is_carried(&self) -> bool {
        matches!(self.reply, Reply::There { .. })
    }

    pub(super) fn is_gone(&self) -> bool {
        match &self.reply {
            Reply::Here(turn) => turn.is_closed(),
            Reply::There { told, .. } => told.is_closed(),
        }
    }

    /// Until when it waits for a lane, where it does not see to that itself.
    fn latest(&self) -> Option<Instant> {
        match self.reply {
            Reply::Here(_) => None,
            Reply::There { latest, .. } => Some(latest),
        }
    }

    /// Whoever no longer waits need not be told, and gives a seat back by dropping it.
    pub(super) fn tell(self, turn: Turn) {
        match self.reply {
            Reply::Here(reply) => drop(reply.send(turn)),
            Reply::There { asked, told, .. } => drop(told.send(match turn {
                Turn::Answered(rows) => Told::Answered(rows.map(|rows| answer(rows, asked))),
                Turn::Plain | Turn::Go(_) => Told::Again(Manner::Singly),
                Turn::Alone => Told::Again(Manner::Alone),
            })),
        }
    }
}

/// Queries of one node that wait, to be sent together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) query: Arc<Query>,
    pub(super) members: Vec<Waiting>,
    joins: bool,
}

impl Group {
    /// Who goes over a lane itself: one that waits here, with nobody. Otherwise the group as it was.
    pub(super) fn alone(mut self) -> Result<Waiting, Self> {
        match self.members.pop() {
            Some(only) if self.members.is_empty() && !only.is_carried() => Ok(only),
            last => {
                self.members.extend(last);
                Err(self)
            }
        }
    }
}

/// The lanes, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Board {
    lanes: Vec<Lane>,
    /// Somebody looks after those who wait elsewhere.
    is_looked_after: bool,
    opening: usize,
    queue: VecDeque<Group>,
    last_number: u64,
    /// When the statement that was sent last among those that have been answered was sent.
    answered: Option<Instant>,
}

/// What the pool has at the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Supply {
    /// A connection is free, or can be made.
    pub(super) room: bool,
    /// Somebody waits for one.
    pub(super) wanted: bool,
}

/// The circumstances of a choice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) patience: Duration,
    pub(super) supply: Supply,
}

impl Board {
    /// How many queries wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.iter().map(|group| group.members.len()).sum()
    }

    /// A way for a statement of `query`, unless it has to wait: those that already wait come first, and a statement that
    /// can be joined to others waits for its like to come back.
    pub(super) fn enter(&mut self, inner: &Arc<Inner>, query: &Query, joins: bool, at: Moment) -> Option<Boarding> {
        if !self.queue.is_empty() {
            return None;
        }
        self.boarding(inner, query, joins, at)
    }

    /// Lets a query wait, with its like where it `joins` them. Says its number in the queue, and where its turn comes.
    pub(super) fn queue(
        &mut self,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
        joins: bool,
    ) -> (u64, oneshot::Receiver<Turn>) {
        let (reply, turn) = oneshot::channel();
        self.last_number += 1;
        let (number, params, reply) = (self.last_number, Arc::clone(params), Reply::Here(reply));
        self.add_waiting(query, Waiting { number, params, deadline, reply }, joins);
        (number, turn)
    }

    /// Lets a query wait for which somebody on another thread wants an answer, for a lane until `latest`.
    pub(super) fn queue_ask(&mut self, query: &Arc<Query>, ask: Ask, latest: Instant) {
        let Ask { params, deadline, asked, reply: told } = ask;
        self.last_number += 1;
        let (number, reply) = (self.last_number, Reply::There { asked, latest, told });
        self.add_waiting(query, Waiting { number, params, deadline, reply }, true);
    }

    fn add_waiting(&mut self, query: &Arc<Query>, waiting: Waiting, joins: bool) {
        let most = if joins { tempo::most_together(query.usual()) } else { 1 };
        let like = |group: &&mut Group| group.joins && group.query.id() == query.id() && group.members.len() < most;
        match self.queue.iter_mut().rev().find(like) {
            Some(group) => group.members.push(waiting),
            None => self.queue.push_back(Group { query: Arc::clone(query), members: vec![waiting], joins }),
        }
    }

    /// Whether those who wait elsewhere have to be looked after from now on.
    pub(super) fn begins_looking(&mut self) -> bool {
        !std::mem::replace(&mut self.is_looked_after, true)
    }

    /// Whether nobody waits elsewhere any more, and so nobody has to be looked after.
    pub(super) fn ends_looking(&mut self) -> bool {
        self.is_looked_after = self.queue.iter().flat_map(|group| &group.members).any(Waiting::is_carried);
        !self.is_looked_after
    }

    /// When the first of those who wait elsewhere has waited for long enough.
    pub(super) fn first_latest(&self) -> Option<Instant> {
        self.queue.iter().flat_map(|group| &group.members).filter_map(Waiting::latest).min()
    }

    /// Takes out those who wait elsewhere and have waited for long enough: all of them without a `now`.
    pub(super) fn take_carried(&mut self, now: Option<Instant>) -> Vec<Waiting> {
        let due = |waiting: &mut Waiting| waiting.latest().is_some_and(|latest| now.is_none_or(|now| latest <= now));
        self.queue.iter_mut().flat_map(|group| group.members.extract_if(.., due)).collect()
    }

    /// Whether the query of this number still waits.
    pub(super) fn is_waiting(&self, number: u64) -> bool {
        self.queue.iter().any(|group| group.members.iter().any(|member| member.number == number))
    }

    /// The next group that can go, and how.
    pub(super) fn next(&mut self, inner: &Arc<Inner>, at: Moment) -> Option<(Group, Boarding)> {
        self.queue.retain_mut(|group| {
            group.members.retain(|member| !member.is_gone());
            !group.members.is_empty()
        });
        for index in 0..self.queue.len() {
            let Group { query, joins, .. } = self.queue.get(index)?;
            let (query, joins) = (Arc::clone(query), *joins);
            if let Some(boarding) = self.boarding(inner, &query, joins, at) {
                return self.queue.remove(index).map(|group| (group, boarding));
            }
        }
        None
    }

    fn boarding(&mut self, inner: &Arc<Inner>, query: &Query, joins: bool, at: Moment) -> Option<Boarding> {
        for lane in &mut self.lanes {
            if at.supply.wanted && lane.age(at.now) > FAIR_SHARE {
                lane.retire();
            }
        }
        let flows = |lane: &&mut Lane| lane.flows(at.now, at.patience);
        let (flowing, usual) = (self.lanes.iter_mut().filter(flows).count(), query.usual());
        let none = flowing + self.opening == 0;
        // Opening costs others a connection: only where waiting would cost more.
        let may_open = |wait: Duration| none || (wait > PIPELINED && at.supply.room);
        let free = self.lanes.iter_mut().filter(flows).filter(|lane| lane.load() < DEPTH);
        let free =
            free.filter(|lane| !joins || !lane.carries(query.id())).min_by_key(|lane| (lane.wait(), lane.load()));
        match free {
            Some(lane) if !may_open(lane.wait()) => Some(Boarding::Seat(lane.board(inner, query, at.now))),
            // Its like is on every lane: it comes back soon, or this one goes elsewhere.
            None if !may_open(usual) => None,
            _ => {
                self.opening += 1;
                Some(Boarding::Open(Opening::new(inner)))
            }
        }
    }

    /// A lane has been opened, or could not be.
    pub(super) fn opened(&mut self) {
        self.opening = self.opening.saturating_sub(1);
    }

    /// Adds a lane, with one statement of `query` on it.
    pub(super) fn add(&mut self, inner: &Arc<Inner>, mut lane: Lane, query: &Query, now: Instant) -> Seat {
        let seat = lane.board(inner, query, now);
        self.lanes.push(lane);
        seat
    }

    /// The lane of `seat`.
    pub(super) fn lane(&mut self, seat: &Seat) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| Arc::ptr_eq(&lane.session, &seat.session))
    }

    /// The statement of `seat` has been answered; says for how long PostgreSQL was at it.
    pub(super) fn answered(&mut self, seat: &Seat, now: Instant) -> Duration {
        let Some((since, took)) = self.lane(seat).map(|lane| lane.answered(seat.number, now)) else {
            return Duration::ZERO;
        };
        self.note_answered(since);
        took
    }

    /// A statement that was sent at `since` has been answered.
    pub(super) fn note_answered(&mut self, since: Instant) {
        self.answered = self.answered.max(Some(since));
    }

    /// Whether one that was sent after `since` has been answered: then it is not the server that is slow, or this machine.
    pub(super) fn has_overtaken(&self, since: Instant) -> bool {
        self.answered.is_some_and(|answered| answered > since)
    }

    /// Takes away the lanes on which nothing more is to be done.
    pub(super) fn sweep(&mut self) -> Vec<Lane> {
        let quiet = self.queue.is_empty();
        let done = |lane: &mut Lane| lane.load() == 0 && (quiet || lane.is_retired() || !lane.session.is_usable());
        self.lanes.extract_if(.., done).collect()
    }
}

//! Which waiting query goes over which connection, and when: a pure state machine without I/O and without a clock of its own.
//!
//! PostgreSQL answers the statements of one connection in order, so quick statements are pipelined and nothing may queue behind
//! a slow one. Waiting queries of one node go as one statement. The rules:
//! - A query that is known to be quick goes over the connection with the least work in flight. Where a node can be coalesced,
//!   at most [`IN_FLIGHT`] of its statements are in flight on a connection; what waits meanwhile goes together.
//! - A statement that is slow on average, that has not been timed yet, or that may take longer than the session allows has a
//!   connection for itself. Slow statements never take all connections of a domain.
//! - Another connection is opened where quick statements would wait for longer than [`PIPELINED`].
//! - A connection whose oldest statement takes a multiple of what is usual is stalled and takes no more. Queries behind that
//!   statement are sent again over a connection of their own (sessions are read only), unless no other connection answers
//!   either: then the server or this machine is slow.
//! - A connection with an abandoned statement is retired: its other statements finish, then it is closed.
//!
//! Every query is handed back exactly once: with the statement that was answered ([`Scheduler::answered`]), as expired
//! ([`Scheduler::tick`]), or by [`Scheduler::clear`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::connection::{Connection, Dispatch, Id, Key, NumberMap, Pending, Request, Statement};
use super::latency::{Latency, is_quick, most_together, stall_limit};

/// Statements of one coalescible query in flight on one connection.
pub(super) const IN_FLIGHT: usize = 3;
/// Where a statement would wait for longer than this behind others, another connection is opened.
const PIPELINED: Duration = Duration::from_millis(2);
/// Connections that are opened at once: each costs the server a process, and more work than it saves if the server is busy.
const OPENING: usize = 2;
/// A connection that has been held for so long is given up where others wait for one.
const FAIR_SHARE: Duration = Duration::from_millis(10);
/// A stalled connection is waited for so many times the stall limit while no other connection answers either.
const STANDSTILL: u32 = 4;

/// The waiting queries of one node that are sent in the same way, so that the queue is no longer than there are nodes.
#[derive(Debug)]
struct Group<R> {
    key: Key,
    dispatch: Dispatch,
    in_bulk: bool,
    members: Vec<Pending<R>>,
    /// When it came to this place in the queue.
    since: Instant,
}

impl<R: Request> Group<R> {
    /// Takes out up to `most` queries, the oldest first, without those that are abandoned.
    fn take(&mut self, most: usize) -> Vec<Pending<R>> {
        self.members.retain(|member| !member.request.is_abandoned());
        self.members.drain(..most.min(self.members.len())).collect()
    }
}

/// What the pool and the domain can give at the moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Supply {
    /// A connection is free, or can be made.
    pub(super) has_room: bool,
    /// Another worker waits for a connection.
    pub(super) is_contended: bool,
    /// A place for a slow statement is free.
    pub(super) has_slow_place: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Send the statement over the connection.
    Send { statement: Id, connection: Id },
    /// Open another connection, and report [`Scheduler::opened`] or [`Scheduler::not_opened`].
    Open,
    /// Close the connection, or give it back to the pool.
    Close(Id),
}

/// Where a group goes.
#[derive(Debug, Clone, Copy)]
enum Way {
    Over(usize),
    Open,
    Wait,
}

/// What one dispatch knows about connections for queries that do not share one.
#[derive(Debug)]
struct Alone {
    /// A connection without a statement in flight: its place and its id.
    idle: Option<(usize, Id)>,
    /// Connections that quick statements may share.
    shared: usize,
    /// How many connections the queries considered so far want.
    wanted: usize,
    /// The connection that takes no other statement until the oldest of these queries has used it.
    reserved: Option<Id>,
}

impl Alone {
    fn of<R>(connections: &[Connection<R>]) -> Self {
        let usable = || connections.iter().enumerate().filter(|(_, connection)| !connection.is_retired);
        let idle = usable().find(|(_, connection)| connection.in_flight.is_empty());
        Self {
            idle: idle.map(|(index, connection)| (index, connection.id)),
            shared: usable().filter(|(_, connection)| !connection.is_exclusive()).count(),
            wanted: 0,
            reserved: None,
        }
    }
}

/// What [`Scheduler::tick`] found.
#[derive(Debug)]
pub(super) struct Overdue<R> {
    /// Queries that have waited for a connection for as long as they may.
    pub(super) unsent: Vec<R>,
    /// Queries that were sent and not answered in time, and how long they had.
    pub(super) unanswered: Vec<(R, Duration)>,
    /// Statements whose callers no longer wait.
    pub(super) abandoned: Vec<Id>,
}

/// The queries and connections of one worker for one domain.
#[derive(Debug)]
pub(super) struct Scheduler<R> {
    /// A statement that may take longer than this needs a connection of its own.
    session_limit: Duration,
    /// Statements in flight on one connection.
    depth: usize,
    queue: VecDeque<Group<R>>,
    connections: Vec<Connection<R>>,
    opening: usize,
    /// By query: how long its statements take for each query that they answer.
    latencies: NumberMap<Key, Latency>,
    /// How long the statements of the domain take.
    usual: Latency,
    /// The latest time of sending among the statements that have been answered.
    answered_up_to: Option<Instant>,
    last_id: Id,
    /// Whether the next statement is chosen by age only, so that batches are not starved.
    by_age: bool,
    alarm: Option<Instant>,
}

impl<R: Request> Scheduler<R> {
    pub(super) fn new(session_limit: Duration, depth: usize) -> Self {
        Self {
            session_limit,
            depth,
            queue: VecDeque::new(),
            connections: Vec::new(),
            opening: 0,
            latencies: NumberMap::default(),
            usual: Latency::default(),
            answered_up_to: None,
            last_id: 0,
            by_age: false,
            alarm: None,
        }
    }

    /// Queries that wait for a connection.
    pub(super) fn waiting(&self) -> usize {
        self.queue.iter().map(|group| group.members.len()).sum()
    }

    /// Whether no query waits or is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.connections.iter().all(|connection| connection.in_flight.is_empty())
    }

    /// When [`Self::tick`] is due.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.alarm
    }

    /// Connections that are open or being opened.
    pub(super) fn connections(&self) -> usize {
        self.connections.len() + self.opening
    }

    /// A query is to be sent.
    pub(super) fn push(&mut self, key: Key, pending: Pending<R>, now: Instant) {
        self.ring_at(pending.latest());
        let in_bulk = pending.in_bulk;
        let dispatch = if pending.work > self.session_limit { Dispatch::Exclusively } else { pending.dispatch };
        let like = |group: &&mut Group<R>| (group.key, group.dispatch, group.in_bulk) == (key, dispatch, in_bulk);
        match self.queue.iter_mut().rev().find(like) {
            Some(group) => group.members.push(pending),
            None => self.queue.push_back(Group { key, dispatch, in_bulk, members: vec![pending], since: now }),
        }
    }

    /// How many queries of one node may go as one statement.
    fn most(&self, key: Key, dispatch: Dispatch) -> usize {
        if dispatch == Dispatch::Together { self.mean(key).map_or(1, most_together) } else { 1 }
    }

    /// The next step. Call it until it returns `None`.
    pub(super) fn next(&mut self, now: Instant, supply: Supply) -> Option<Step> {
        for connection in &mut self.connections {
            let is_needed = !connection.in_flight.is_empty() || !self.queue.is_empty();
            let has_had_its_share = now.saturating_duration_since(connection.opened) > FAIR_SHARE;
            connection.is_retired |= supply.is_contended && (has_had_its_share || !is_needed);
        }
        let is_done = |connection: &Connection<R>| connection.is_retired && connection.in_flight.is_empty();
        if let Some(done) = self.connections.iter().position(is_done) {
            return Some(Step::Close(self.connections.swap_remove(done).id));
        }
        loop {
            match self.choose(now, supply)? {
                (_, Way::Open) => {
                    self.opening += 1;
                    return Some(Step::Open);
                }
                (group, Way::Over(connection)) => {
                    // All callers of the group may have left.
                    if let Some(step) = self.send(group, connection, now) {
                        return Some(step);
                    }
                }
                (_, Way::Wait) => return None,
            }
        }
    }

    /// The first group that can go. At every other statement those of single requests come before those of batches.
    fn choose(&self, now: Instant, supply: Supply) -> Option<(usize, Way)> {
        let quick = self.quick_way(supply, now);
        let mut alone = Alone::of(&self.connections);
        let passes: &[Option<bool>] = if self.by_age { &[None] } else { &[Some(false), Some(true)] };
        for pass in passes {
            for (index, group) in self.queue.iter().enumerate() {
                if pass.is_some_and(|in_bulk| in_bulk != group.in_bulk) {
                    continue;
                }
                let way = if self.is_exclusive(group) {
                    self.way_alone(group, &mut alone, supply, now)
                } else {
                    quick.unwrap_or_else(|| self.way(group, supply, now, alone.reserved))
                };
                if !matches!(way, Way::Wait) {
                    return Some((index, way));
                }
            }
        }
        None
    }

    fn mean(&self, key: Key) -> Option<Duration> {
        self.latencies.get(&key).and_then(Latency::mean)
    }

    fn cost(&self, key: Key) -> Duration {
        self.mean(key).unwrap_or_default()
    }

    /// Whether the mean of the query is known, and too long to share a connection.
    fn is_slow(&self, key: Key) -> bool {
        self.mean(key).is_some_and(|mean| !is_quick(mean, self.usual.mean()))
    }

    fn is_exclusive(&self, group: &Group<R>) -> bool {
        let is_quick = |mean| is_quick(mean, self.usual.mean());
        group.dispatch == Dispatch::Exclusively || !self.mean(group.key).is_some_and(is_quick)
    }

    fn is_flowing(&self, connection: &Connection<R>, now: Instant) -> bool {
        !connection.is_retired && !connection.is_exclusive() && connection.silence(now) < stall_limit(self.usual.mean())
    }

    /// The way of every quick query where no connection takes another statement; `None` where one does.
    fn quick_way(&self, supply: Supply, now: Instant) -> Option<Way> {
        let mut backlog = None;
        for connection in self.connections.iter().filter(|connection| self.is_flowing(connection, now)) {
            if connection.in_flight.len() < self.depth {
                return None;
            }
            backlog = backlog.max(Some(connection.backlog()));
        }
        let opens = match backlog {
            None => true,
            Some(backlog) => supply.has_room && backlog > PIPELINED,
        };
        Some(if opens && self.opening == 0 { Way::Open } else { Way::Wait })
    }

    /// The way of a quick query.
    fn way(&self, group: &Group<R>, supply: Supply, now: Instant, reserved: Option<Id>) -> Way {
        let has_room = |connection: &Connection<R>| {
            Some(connection.id) != reserved
                && connection.in_flight.len() < self.depth
                && (group.dispatch != Dispatch::Together || connection.carried(group.key) < IN_FLIGHT)
        };
        let best = self
            .connections
            .iter()
            .enumerate()
            .filter(|(_, connection)| self.is_flowing(connection, now) && has_room(connection))
            .map(|(index, connection)| (connection.backlog(), connection.in_flight.len(), index))
            .min();
        let may_open = supply.has_room && self.opening == 0;
        match best {
            Some((backlog, _, _)) if backlog > PIPELINED && may_open => Way::Open,
            Some((_, _, index)) => Way::Over(index),
            None if may_open && self.cost(group.key) > PIPELINED => Way::Open,
            None => Way::Wait,
        }
    }

    /// The way of a query that needs a connection for itself.
    fn way_alone(&self, group: &Group<R>, alone: &mut Alone, supply: Supply, now: Instant) -> Way {
        let is_untimed = self.mean(group.key).is_none() && group.dispatch != Dispatch::Exclusively;
        let usable = || self.connections.iter().filter(|connection| !connection.is_retired);
        // One query is timed, and the others like it wait for that, unless it stalls.
        let timing = || usable().filter(|connection| is_untimed && connection.carried(group.key) > 0);
        if timing().any(|connection| connection.silence(now) < stall_limit(self.usual.mean())) {
            return Way::Wait;
        }
        let is_first = is_untimed && timing().next().is_none();
        alone.wanted += if is_first { 1 } else { group.members.len() };
        if self.is_slow(group.key) && !supply.has_slow_place {
            return Way::Wait;
        }
        match alone.idle.filter(|(_, id)| Some(*id) != alone.reserved) {
            Some((index, _)) if is_untimed || alone.shared > 1 || !supply.has_room => Way::Over(index),
            _ if supply.has_room && self.opening < alone.wanted.min(OPENING) => Way::Open,
            _ if self.connections() == 0 => Way::Open,
            _ => {
                // One connection takes no more until this query has had it.
                if alone.reserved.is_none() && now.saturating_duration_since(group.since) >= FAIR_SHARE {
                    let fewest = usable().filter(|connection| !connection.is_exclusive());
                    alone.reserved = fewest.min_by_key(|c| (c.in_flight.len(), c.id)).map(|connection| connection.id);
                }
                Way::Wait
            }
        }
    }

    fn send(&mut self, group: usize, connection: usize, now: Instant) -> Option<Step> {
        let mut group = self.queue.remove(group)?;
        let (key, dispatch) = (group.key, group.dispatch);
        let (is_slow, is_exclusive) = (self.is_slow(key), self.is_exclusive(&group));
        let most = self.most(key, dispatch);
        let mut members = group.take(most);
        if !group.members.is_empty() {
            self.queue.push_back(Group { since: now, ..group });
        } else if members.len() < most
            && let Some(like) = self.queue.iter().position(|other| (other.key, other.dispatch) == (key, dispatch))
            && let Some(other) = self.queue.get_mut(like)
        {
            // Queries of batches fill up the statement of single requests, and the other way round.
            members.extend(other.take(most - members.len()));
            if other.members.is_empty() {
                self.queue.remove(like);
            }
        }
        for (place, member) in members.iter_mut().enumerate() {
            member.place = place;
        }
        let due = members.iter().map(|member| member.due(now)).min()?;
        self.by_age = !self.by_age;
        self.last_id += 1;
        let (id, size) = (self.last_id, members.len());
        self.ring_at(due.min(now + stall_limit(self.usual.mean())));
        let cost = self.cost(key).saturating_mul(u32::try_from(size).unwrap_or(u32::MAX));
        let connection = self.connections.get_mut(connection)?;
        connection.in_flight.push_back(Statement { id, key, members, sent: now, is_slow, cost, size, is_exclusive });
        Some(Step::Send { statement: id, connection: connection.id })
    }

    /// So many connections are being opened that no query asked for.
    pub(super) fn opens(&mut self, count: usize) {
        self.opening += count;
    }

    /// A connection was opened. Returns its id.
    pub(super) fn opened(&mut self, now: Instant) -> Id {
        self.opening = self.opening.saturating_sub(1);
        self.last_id += 1;
        let id = self.last_id;
        let in_flight = VecDeque::new();
        self.connections.push(Connection { id, opened: now, last_answer: now, in_flight, is_retired: false });
        id
    }

    /// A connection could not be opened. Returns the queries that have no other to wait for, unless one `may_come_free`.
    pub(super) fn not_opened(&mut self, may_come_free: bool) -> Vec<R> {
        self.opening = self.opening.saturating_sub(1);
        if may_come_free || self.connections() > 0 {
            return Vec::new();
        }
        self.take_queue()
    }

    fn take_queue(&mut self) -> Vec<R> {
        self.queue.drain(..).flat_map(|group| group.members).map(|member| member.request).collect()
    }

    fn connection(&mut self, id: Id) -> Option<&mut Connection<R>> {
        self.connections.iter_mut().find(|connection| connection.id == id)
    }

    /// The connection takes no more statements and is closed after those that it has.
    pub(super) fn retire(&mut self, connection: Id) {
        if let Some(connection) = self.connection(connection) {
            connection.is_retired = true;
        }
    }

    /// The connections without a statement in flight, and when they were used last.
    pub(super) fn idle(&self) -> impl Iterator<Item = (Id, Instant)> {
        let idle = self.connections.iter().filter(|connection| connection.in_flight.is_empty());
        idle.map(|connection| (connection.id, connection.last_answer))
    }

    /// The connection has answered something other than a statement.
    pub(super) fn used(&mut self, connection: Id, now: Instant) {
        if let Some(connection) = self.connection(connection) {
            connection.last_answer = now;
        }
    }

    /// The statement, while it is in flight.
    pub(super) fn statement(&self, statement: Id) -> Option<&Statement<R>> {
        self.connections.iter().flat_map(|connection| &connection.in_flight).find(|sent| sent.id == statement)
    }

    /// The statement ended; `is_timed` where its time says how long the query takes. `None` where its callers no longer wait.
    pub(super) fn answered(&mut self, statement: Id, is_timed: bool, now: Instant) -> Option<Statement<R>> {
        let mut found = None;
        for connection in &mut self.connections {
            if let Some(place) = connection.in_flight.iter().position(|sent| sent.id == statement) {
                let took = connection.in_flight.get(place)?.sent.max(connection.last_answer);
                connection.last_answer = now;
                found = connection.in_flight.remove(place).map(|sent| (sent, now.saturating_duration_since(took)));
                break;
            }
        }
        let (statement, took) = found?;
        if is_timed {
            let each = took / u32::try_from(statement.size).unwrap_or(u32::MAX).max(1);
            self.latencies.entry(statement.key).or_default().observe(each);
            self.usual.observe(took);
            self.answered_up_to = self.answered_up_to.max(Some(statement.sent));
        }
        Some(statement)
    }

    /// Queries are to be sent again, in another way.
    pub(super) fn again(&mut self, key: Key, members: Vec<Pending<R>>, dispatch: Dispatch, now: Instant) {
        for member in members {
            self.push(key, Pending { dispatch, latest: member.deadline, ..member }, now);
        }
    }

    /// Takes out what is overdue, and leaves connections that are stalled.
    pub(super) fn tick(&mut self, now: Instant) -> Overdue<R> {
        let mut overdue = Overdue { unsent: Vec::new(), unanswered: Vec::new(), abandoned: Vec::new() };
        self.queue.retain_mut(|group| {
            group.members.retain(|member| !member.request.is_abandoned());
            let late = group.members.extract_if(.., |member| member.latest() <= now);
            overdue.unsent.extend(late.map(|member| member.request));
            !group.members.is_empty()
        });
        let mut stalled = Vec::new();
        let limit = stall_limit(self.usual.mean());
        for connection in &mut self.connections {
            let silence = connection.silence(now);
            let mut kept = VecDeque::new();
            for (place, mut sent) in std::mem::take(&mut connection.in_flight).into_iter().enumerate() {
                sent.members.retain(|member| !member.request.is_abandoned());
                let since = sent.sent;
                let late = sent.members.extract_if(.., |member| member.due(since) <= now);
                overdue.unanswered.extend(late.map(|late| (late.request, now.saturating_duration_since(since))));
                // Several queries in one statement are held up by one of them, others by the statement before them.
                let is_behind = place > 0 || sent.size > 1;
                let is_overtaken = self.answered_up_to.is_some_and(|answered| answered > since);
                let has_waited = now.saturating_duration_since(since) > limit * STANDSTILL;
                let leaves = silence >= limit && is_behind && !sent.is_exclusive && (is_overtaken || has_waited);
                if !leaves && !sent.members.is_empty() {
                    kept.push_back(sent);
                    continue;
                }
                connection.is_retired = true;
                overdue.abandoned.push(sent.id);
                stalled.extend(sent.members.into_iter().map(|member| (sent.key, member)));
            }
            connection.in_flight = kept;
        }
        for (key, member) in stalled {
            self.again(key, vec![member], Dispatch::Exclusively, now);
        }
        self.ring(now);
        overdue
    }

    /// Gives every query back and retires every connection.
    pub(super) fn clear(&mut self) -> (Vec<R>, Vec<Id>) {
        let mut requests = self.take_queue();
        let mut abandoned = Vec::new();
        for connection in &mut self.connections {
            connection.is_retired = true;
            for sent in connection.in_flight.drain(..) {
                abandoned.push(sent.id);
                requests.extend(sent.members.into_iter().map(|member| member.request));
            }
        }
        self.alarm = None;
        (requests, abandoned)
    }

    /// Forgets queries that are no longer asked.
    pub(super) fn forget(&mut self, is_known: impl Fn(Key) -> bool) {
        self.latencies.retain(|key, _| is_known(*key));
    }

    fn ring_at(&mut self, at: Instant) {
        self.alarm = Some(self.alarm.map_or(at, |alarm| alarm.min(at)));
    }

    /// Sets the alarm again after a tick.
    fn ring(&mut self, now: Instant) {
        self.alarm = None;
        let waiting = self.queue.iter().flat_map(|group| &group.members);
        let unsent = waiting.map(|member| member.latest()).min();
        let sent = self.connections.iter().flat_map(|connection| &connection.in_flight);
        let due = sent.flat_map(|sent| sent.members.iter().map(|member| member.due(sent.sent))).min();
        let look = (!self.is_idle()).then(|| now + stall_limit(self.usual.mean()));
        for at in [unsent, due, look].into_iter().flatten() {
            self.ring_at(at);
        }
    }
}

#[cfg(test)]
mod tests;

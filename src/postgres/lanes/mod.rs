//! How queries share the connections of a pool, so that quick ones pipeline and slow ones hold up nobody.
//!
//! A query that is known to be quick goes over a *lane*: a connection on which several statements are under way at once.
//! The least loaded lane takes it. Statements that travel together cost less, so another lane is opened only where waiting
//! for those before it would take longer than a moment, and as many as that takes, up to the pool's maximum. A lane is taken from the pool when it is needed and goes back when nothing is
//! left to do, so the pool's own care (verification, shrinking, recycling) reaches every connection. Lanes that are
//! held up do not count: others are opened in their place.
//!
//! PostgreSQL answers one connection's statements in turn, so nothing may queue behind a slow one. Three things see to it:
//! - Statements that take long on average, those that nobody has timed yet, and those of nodes with more time than the
//!   session allows get a connection of their own, as does a `Describe`. Slow ones never get all connections: some
//!   are left for lanes.
//! - A lane whose oldest statement takes a multiple of what is usual takes no more (`tempo`).
//! - Whoever sits behind such a statement leaves, and asks again over a connection of its own: sessions are read only.
//!
//! A cancel stops whatever its session runs, and on a lane that may be somebody else's. So a lane on which an answer is no
//! longer waited for is retired: nobody boards it, the others finish, and only when nobody is left is the session given a
//! moment to come to rest, then cancelled and closed. `statement_timeout` bounds each statement on it meanwhile.
//!
//! Nothing here retries: a connection that breaks fails what is on it.

mod board;
mod lane;
mod tempo;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant as TokioInstant, timeout, timeout_at};

pub(super) use tempo::Tempo;

use self::board::{Board, Boarding, Group, Moment, Supply, Turn, Waiting};
use self::lane::{Lane, Seat};
use super::coalesce::Together;
use super::error::QueryErrorKind;
use super::failure::OVERLOAD_PAUSE;
use super::pool::{Pool, PoolStatus};
use super::query::{Answer, Query};
use crate::types::{Deadline, Value};

/// Connections that slow statements leave to lanes.
const RESERVED: usize = 2;

/// The lanes of one pool. Cheap to clone; all clones are the same lanes.
#[derive(Debug, Clone)]
pub struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    board: Mutex<Board>,
    /// How long the domain's statements usually take.
    usual: Tempo,
    /// Connections that slow statements may have at once.
    slow: Semaphore,
    slow_waiting: AtomicUsize,
}

/// A lane that is being opened.
#[derive(Debug)]
struct Opening(Arc<Inner>);

impl Opening {
    fn new(inner: &Arc<Inner>) -> Self {
        Self(Arc::clone(inner))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.board().opened();
        self.0.dispatch();
    }
}

/// The rows of a query, and since when the database has been at it.
type Rows = (Vec<Value>, Instant);

impl Lanes {
    /// Lanes over the connections of `pool`.
    pub fn new(pool: Pool) -> Self {
        let max = pool.status().max;
        Self(Arc::new(Inner {
            pool,
            board: Mutex::default(),
            usual: Tempo::default(),
            slow: Semaphore::new(max.saturating_sub(RESERVED).max(1)),
            slow_waiting: AtomicUsize::new(0),
        }))
    }

    /// The connections.
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// What the pool is doing; whoever waits for a lane waits for a connection too.
    pub fn status(&self) -> PoolStatus {
        let mut status = self.0.pool.status();
        status.waiting += self.0.board().waiting() + self.0.slow_waiting.load(Ordering::Relaxed);
        status
    }

    /// Runs `query` with `params` and reads all its rows, each a map from column to value.
    ///
    /// # Errors
    /// [`QueryErrorKind`]: `Overloaded` where it had to wait for longer than the acquire timeout, `Timeout` once the
    /// deadline has passed.
    pub async fn query(
        &self,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
    ) -> Result<Answer, QueryErrorKind> {
        let begun = Instant::now();
        let shares = deadline.remaining() <= self.0.pool.limits().query && self.0.may_share(query);
        let (rows, since) = if shares {
            self.0.share(query, params, deadline).await?
        } else {
            self.0.alone(query, params, deadline).await?
        };
        let waited = since.saturating_duration_since(begun);
        Ok(Answer { rows, waited, took: begun.elapsed().saturating_sub(waited) })
    }
}

impl Inner {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self) -> Moment {
        let status = self.pool.status();
        Moment {
            now: Instant::now(),
            patience: tempo::patience(self.usual.mean()),
            supply: Supply { room: status.idle > 0 || status.size < status.max, wanted: status.waiting > 0 },
        }
    }

    fn may_share(&self, query: &Query) -> bool {
        tempo::may_share(query.tempo().mean(), self.usual.mean())
    }

    /// Asks over a connection of its own.
    async fn alone(&self, query: &Query, params: &[Value], deadline: Deadline) -> Result<Rows, QueryErrorKind> {
        let slow = query.tempo().mean().is_some() && !self.may_share(query);
        let _place = if slow { Some(self.place_among_slow(deadline).await?) } else { None };
        let mut session = self.pool.acquire(deadline).await?;
        let since = Instant::now();
        let outcome = session.query(query, params, deadline).await;
        if matches!(outcome, Ok(_) | Err(QueryErrorKind::Timeout { .. })) {
            self.observe(query, since.elapsed(), 1);
        }
        outcome.map(|rows| (rows, since))
    }

    async fn place_among_slow(&self, deadline: Deadline) -> Result<tokio::sync::SemaphorePermit<'_>, QueryErrorKind> {
        let _waiting = Counted::one(&self.slow_waiting);
        let limit = self.pool.limits().acquire.min(deadline.remaining());
        match timeout(limit, self.slow.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(overloaded()),
        }
    }

    /// Takes note of a statement that answered `count` queries.
    fn observe(&self, query: &Query, took: Duration, count: usize) {
        query.tempo().observe(took / u32::try_from(count).unwrap_or(u32::MAX).max(1));
        self.usual.observe(took);
    }

    /// Asks over a lane.
    async fn share(
        self: &Arc<Self>,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
    ) -> Result<Rows, QueryErrorKind> {
        match self.turn(query, params, deadline, self.joins(query)).await? {
            Turn::Go(boarding) => self.plainly(boarding, query, params, deadline).await,
            Turn::Answered(answer) => answer,
            Turn::Alone => self.alone(query, params, deadline).await,
            Turn::Plain => match self.turn(query, params, deadline, false).await? {
                Turn::Go(boarding) => self.plainly(boarding, query, params, deadline).await,
                _ => self.alone(query, params, deadline).await,
            },
        }
    }

    /// A turn on a lane: at once where there is room, with those like it where it `joins` them.
    async fn turn(
        self: &Arc<Self>,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
        joins: bool,
    ) -> Result<Turn, QueryErrorKind> {
        let moment = self.moment();
        let boarding = self.board().enter(self, query, joins, moment);
        match boarding {
            Some(boarding) => Ok(Turn::Go(boarding)),
            None => self.wait(query, params, deadline, joins).await,
        }
    }

    /// Asks over a lane, as one statement of its own.
    async fn plainly(
        self: &Arc<Self>,
        boarding: Boarding,
        query: &Query,
        params: &[Value],
        deadline: Deadline,
    ) -> Result<Rows, QueryErrorKind> {
        let mut seat = self.seat(boarding, query, deadline).await?;
        let (since, limit) = (Instant::now(), deadline.remaining());
        let session = Arc::clone(&seat.session);
        let work = session.query_beside_others(query, params, limit);
        match self.ride(&mut seat, work, deadline, || true).await {
            Ride::Done(outcome, took) => {
                if matches!(outcome, Ok(_) | Err(QueryErrorKind::Timeout { .. })) {
                    self.observe(query, took, 1);
                }
                outcome.map(|rows| (rows, since))
            }
            Ride::Late => Err(QueryErrorKind::Timeout { after: limit }),
            Ride::HeldUp => {
                drop(seat);
                self.alone(query, params, deadline).await
            }
        }
    }

    /// Waits for a lane, or for what somebody else got for this query too.
    async fn wait(
        self: &Arc<Self>,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
        joins: bool,
    ) -> Result<Turn, QueryErrorKind> {
        let limit = deadline.remaining();
        let mut latest = Instant::now() + self.pool.limits().acquire.min(limit);
        let (number, mut turn) = self.board().queue(query, params, deadline, joins);
        self.dispatch();
        loop {
            // Nobody tells of a lane that has come to be held up: whoever waits looks.
            let look = Instant::now() + tempo::patience(self.usual.mean());
            match timeout_at(TokioInstant::from_std(look.min(latest)), &mut turn).await {
                Ok(Ok(turn)) => return Ok(turn),
                // Whoever was to answer has gone without a word.
                Ok(Err(_)) => return Ok(Turn::Alone),
                Err(_) if Instant::now() < latest => self.dispatch(),
                Err(_) if self.board().is_waiting(number) => return Err(overloaded()),
                Err(_) if deadline.remaining().is_zero() => return Err(QueryErrorKind::Timeout { after: limit }),
                // It is on its way, with others.
                Err(_) => latest = deadline.instant(),
            }
        }
    }

    /// Asks for all of `members`, and tells each of them what came of it.
    async fn together(self: Arc<Self>, query: Arc<Query>, members: Vec<Waiting>, boarding: Boarding) {
        let Some(deadline) = members.iter().map(|member| member.deadline).max_by_key(|deadline| deadline.instant())
        else {
            return;
        };
        let mut seat = match self.seat(boarding, &query, deadline).await {
            Ok(seat) => seat,
            Err(kind) => return tell_all(members, || Turn::Answered(Err(kind.clone()))),
        };
        let since = Instant::now();
        let asks: Vec<Arc<[Value]>> = members.iter().map(|member| Arc::clone(&member.params)).collect();
        let session = Arc::clone(&seat.session);
        let work = session.batch_beside_others(&query, &asks, deadline.remaining());
        let wanted = || members.iter().any(|member| !member.reply.is_closed());
        match self.ride(&mut seat, work, deadline, wanted).await {
            Ride::Done(Ok(Together::Answered(answers)), took) => {
                drop(seat);
                self.observe(&query, took, answers.len());
                for (member, answer) in members.into_iter().zip(answers) {
                    // Whoever no longer waits needs no answer.
                    drop(member.reply.send(Turn::Answered(answer.map(|rows| (rows, since)))));
                }
            }
            Ride::Done(Err(kind @ QueryErrorKind::ConnectionLost { .. }), _) => {
                tell_all(members, || Turn::Answered(Err(kind.clone())));
            }
            Ride::Done(Err(QueryErrorKind::Timeout { .. }), _) | Ride::Late | Ride::HeldUp => {
                drop(seat);
                tell_all(members, || Turn::Alone);
            }
            Ride::Done(Ok(Together::Singly) | Err(_), _) => {
                drop(seat);
                tell_all(members, || Turn::Plain);
            }
        }
    }

    /// A seat on a lane, which is opened if need be.
    async fn seat(
        self: &Arc<Self>,
        boarding: Boarding,
        query: &Query,
        deadline: Deadline,
    ) -> Result<Seat, QueryErrorKind> {
        let opening = match boarding {
            Boarding::Seat(seat) => return Ok(seat),
            Boarding::Open(opening) => opening,
        };
        let session = Arc::new(self.pool.acquire(deadline).await?.into_shared());
        let now = Instant::now();
        let seat = self.board().add(self, Lane::new(session, now), query, now);
        // There is one lane more for those who wait.
        drop(opening);
        Ok(seat)
    }

    /// Does `work` on the lane of `seat` for as long as it is `wanted`, unless something else holds up the lane.
    async fn ride<T>(
        &self,
        seat: &mut Seat,
        work: impl Future<Output = T>,
        deadline: Deadline,
        wanted: impl Fn() -> bool,
    ) -> Ride<T> {
        let mut work = std::pin::pin!(work);
        let patience = tempo::patience(self.usual.mean());
        loop {
            let look = deadline.instant().min(Instant::now() + patience);
            match timeout_at(TokioInstant::from_std(look), &mut work).await {
                Ok(outcome) => return Ride::Done(outcome, seat.answered()),
                Err(_) if deadline.remaining().is_zero() || !wanted() => return Ride::Late,
                Err(_) if !seat.is_first() => return Ride::HeldUp,
                Err(_) => {}
            }
        }
    }

    /// Whether `query` may go together with its like.
    fn joins(&self, query: &Query) -> bool {
        self.pool.coalesces() && query.joining().is_possible()
    }

    /// Lets those go that wait, as far as there are lanes.
    fn dispatch(self: &Arc<Self>) {
        loop {
            let moment = self.moment();
            let next = self.board().next(self, moment);
            let Some((group, boarding)) = next else { break };
            self.send(group, boarding);
        }
        let done = self.board().sweep();
        drop(done);
    }

    fn send(self: &Arc<Self>, group: Group, boarding: Boarding) {
        let Group { query, mut members, .. } = group;
        match members.pop() {
            // Whoever has gone in this moment gives the seat back by dropping it.
            Some(only) if members.is_empty() => drop(only.reply.send(Turn::Go(boarding))),
            Some(last) => {
                members.push(last);
                // Without a runtime the members find that nobody answers them, and see to themselves.
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(Arc::clone(self).together(query, members, boarding));
                }
            }
            None => {}
        }
    }

    fn answered(&self, seat: &Seat) -> Duration {
        let now = Instant::now();
        self.board().lane(seat).map_or(Duration::ZERO, |lane| lane.answered(seat.number, now))
    }

    fn is_first(&self, seat: &Seat) -> bool {
        self.board().lane(seat).is_some_and(|lane| lane.is_first(seat.number))
    }

    fn leave(self: &Arc<Self>, seat: &Seat, retire: bool) {
        if let Some(lane) = self.board().lane(seat) {
            lane.leave(seat.number);
            if retire {
                lane.retire();
            }
        }
        self.dispatch();
    }
}

/// What became of a statement on a lane.
enum Ride<T> {
    /// It was answered; PostgreSQL was at it for so long.
    Done(T, Duration),
    /// Nobody waits for it any more, or the deadline has passed.
    Late,
    /// Another statement holds up the lane.
    HeldUp,
}

fn tell_all(members: Vec<Waiting>, turn: impl Fn() -> Turn) {
    for member in members {
        // Whoever no longer waits need not be told.
        drop(member.reply.send(turn()));
    }
}

fn overloaded() -> QueryErrorKind {
    QueryErrorKind::Overloaded { retry_after: OVERLOAD_PAUSE }
}

/// Counts one for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn one(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

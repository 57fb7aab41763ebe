//! How queries share the connections of a pool, so that quick ones pipeline and slow ones hold up nobody.
//!
//! A query that is known to be quick goes over a *lane*: a connection on which several statements are under way at once.
//! The least loaded lane takes it; a second lane is opened while the first is busy, and no more than that, since
//! statements that travel together cost less. A lane is taken from the pool when it is needed and goes back when nothing is
//! left to do, so the pool's own care (verification, shrinking, recycling) reaches every connection. Lanes that are
//! held up do not count: others are opened in their place, as many as the pool has.
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

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant as TokioInstant, timeout, timeout_at};

pub(super) use tempo::Tempo;

use self::board::{Board, Boarding, Group, Moment, Supply, Turn, Waiting};
use self::lane::{Lane, Seat};
use super::error::QueryErrorKind;
use super::failure::OVERLOAD_PAUSE;
use super::pool::{Pool, PoolStatus};
use super::query::{Answer, Query};
use crate::types::{Deadline, Value};

/// Lanes that are open at once while none is held up.
const MOST_LANES: usize = 2;

/// The lanes of one pool. Cheap to clone; all clones are the same lanes.
#[derive(Debug, Clone)]
pub struct Lanes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    board: Mutex<Board>,
    most_lanes: usize,
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
        let most_lanes = MOST_LANES.min(max.saturating_sub(1)).max(1);
        Self(Arc::new(Inner {
            pool,
            board: Mutex::default(),
            most_lanes,
            usual: Tempo::default(),
            slow: Semaphore::new(max.saturating_sub(most_lanes).max(1)),
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
            most_lanes: self.most_lanes,
            supply: Supply { idle: status.idle > 0, wanted: status.waiting > 0 },
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
            self.observe(query, since.elapsed());
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

    fn observe(&self, query: &Query, took: Duration) {
        query.tempo().observe(took);
        self.usual.observe(took);
    }

    /// Asks over a lane.
    async fn share(
        self: &Arc<Self>,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
    ) -> Result<Rows, QueryErrorKind> {
        let moment = self.moment();
        let boarding = self.board().enter(self, query, false, moment);
        let turn = match boarding {
            Some(boarding) => Turn::Go(boarding),
            None => self.wait(query, params, deadline).await?,
        };
        match turn {
            Turn::Go(boarding) => {
                let mut seat = self.seat(boarding, query, deadline).await?;
                let since = Instant::now();
                match self.ride(&mut seat, query, params, deadline).await {
                    Some(outcome) => outcome.map(|rows| (rows, since)),
                    None => {
                        drop(seat);
                        self.alone(query, params, deadline).await
                    }
                }
            }
            Turn::Answered(answer) => answer,
            Turn::Alone => self.alone(query, params, deadline).await,
        }
    }

    /// Waits for a lane, or for what somebody else got for this query too.
    async fn wait(
        self: &Arc<Self>,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
    ) -> Result<Turn, QueryErrorKind> {
        let (reply, mut turn) = oneshot::channel();
        let latest = Instant::now() + self.pool.limits().acquire.min(deadline.remaining());
        let waiting = Waiting { params: Arc::clone(params), deadline, reply };
        self.board().queue(query, waiting, 1);
        self.dispatch();
        loop {
            // Nobody tells of a lane that has come to be held up: whoever waits looks.
            let look = Instant::now() + tempo::patience(self.usual.mean());
            match timeout_at(TokioInstant::from_std(look.min(latest)), &mut turn).await {
                Ok(Ok(turn)) => return Ok(turn),
                // Whoever was to answer has gone without a word.
                Ok(Err(_)) => return Ok(Turn::Alone),
                Err(_) if Instant::now() >= latest => return Err(overloaded()),
                Err(_) => self.dispatch(),
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

    /// Sends a statement over a lane. `None` where something else holds up the lane: then it is to be asked elsewhere.
    async fn ride(
        &self,
        seat: &mut Seat,
        query: &Query,
        params: &[Value],
        deadline: Deadline,
    ) -> Option<Result<Vec<Value>, QueryErrorKind>> {
        let limit = deadline.remaining();
        let session = Arc::clone(&seat.session);
        let mut work = std::pin::pin!(session.query_beside_others(query, params, limit));
        let last = deadline.instant();
        let mut look = last.min(Instant::now() + tempo::patience(self.usual.mean()));
        loop {
            match timeout_at(TokioInstant::from_std(look), &mut work).await {
                Ok(outcome) => {
                    let took = seat.answered();
                    if matches!(outcome, Ok(_) | Err(QueryErrorKind::Timeout { .. })) {
                        self.observe(query, took);
                    }
                    return Some(outcome);
                }
                Err(_) if Instant::now() >= last => return Some(Err(QueryErrorKind::Timeout { after: limit })),
                Err(_) if seat.is_first() => look = last,
                Err(_) => return None,
            }
        }
    }

    /// Lets those go that wait, as far as there are lanes.
    fn dispatch(self: &Arc<Self>) {
        loop {
            let moment = self.moment();
            let next = self.board().next(self, |_| false, moment);
            let Some((group, boarding)) = next else { break };
            send(group, boarding);
        }
        let done = self.board().sweep();
        drop(done);
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

fn send(group: Group, boarding: Boarding) {
    for member in group.members {
        // A member that has gone in this moment gives its seat back by dropping it.
        drop(member.reply.send(Turn::Go(boarding)));
        break;
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

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
//! - Whoever sits behind such a statement leaves, and asks again over a connection of its own: sessions are read only. But
//!   not while nobody is answered at all: then it is no statement that is slow but the server or the machine.
//!
//! A cancel stops whatever its session runs, and on a lane that may be somebody else's. So a lane on which an answer is no
//! longer waited for is retired: nobody boards it, the others finish, and only when nobody is left is the session given a
//! moment to come to rest, then cancelled and closed. `statement_timeout` bounds each statement on it meanwhile.
//!
//! Nothing here retries: a connection that breaks fails what is on it.

mod batches;
mod board;
mod joint;
mod lane;
mod ride;
mod tempo;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

pub use batches::BatchCounts;
pub use joint::{Ask, Manner, Told};
pub(super) use tempo::Tempo;

use self::batches::Batches;
use self::board::{Board, Boarding, Group, Moment, Supply, Turn};
use self::lane::Seat;
use super::error::QueryErrorKind;
use super::pool::{Pool, PoolStatus};
use super::query::{Answer, Query};
use crate::types::{Deadline, Value};

/// Connections that slow statements leave to lanes at least.
const RESERVED: usize = 2;
/// Slow statements leave at least this part of the connections.
const RESERVED_PART: usize = 4;

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
    batches: Batches,
    /// Told when the domain is down: whoever is carried is given back.
    outage: Notify,
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

/// The rows of a query, since when the database has been at it, and for how many queries at once.
type Rows = (Vec<Value>, Instant, usize);

impl Lanes {
    /// Lanes over the connections of `pool`.
    pub fn new(pool: Pool) -> Self {
        let max = pool.capacity();
        Self(Arc::new(Inner {
            pool,
            board: Mutex::default(),
            usual: Tempo::default(),
            slow: Semaphore::new(slow_places(max)),
            slow_waiting: AtomicUsize::new(0),
            batches: Batches::default(),
            outage: Notify::new(),
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

    /// How many queries its statements stood for.
    pub fn batches(&self) -> BatchCounts {
        self.0.batches.counts()
    }

    /// How many queries like this one, each of which may take `limit`, can run at once and leave room for others.
    pub fn room_for(&self, query: &Query, limit: Duration) -> usize {
        let max = self.0.pool.status().max;
        if limit > self.0.pool.limits().query || !self.0.may_share(query) {
            slow_places(max)
        } else if self.0.joins(query) {
            usize::MAX
        } else {
            max.saturating_mul(board::DEPTH / 2)
        }
    }

    /// Runs `query` with `params` in this manner and reads all its rows, each a map from column to value.
    ///
    /// # Errors
    /// [`QueryErrorKind`]: `Overloaded` where it had to wait for longer than the acquire timeout, `Timeout` once the
    /// deadline has passed.
    pub async fn query(
        &self,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
        manner: Manner,
    ) -> Result<Answer, QueryErrorKind> {
        let begun = Instant::now();
        let shares = deadline.work() <= self.0.pool.limits().query && self.0.may_share(query);
        let rows = match manner {
            Manner::Any if shares => self.0.share(query, params, deadline).await?,
            Manner::Singly if shares => Box::pin(self.0.singly(query, params, deadline)).await?,
            _ => Box::pin(self.0.alone(query, params, deadline)).await?,
        };
        Ok(answer(rows, begun))
    }
}

/// Connections of a pool of `max` that slow statements may have at once.
fn slow_places(max: usize) -> usize {
    max.saturating_sub(RESERVED.max(max / RESERVED_PART)).max(1)
}

/// The answer to a query that was asked at `asked`.
fn answer((rows, since, together): Rows, asked: Instant) -> Answer {
    let waited = since.saturating_duration_since(asked);
    Answer { rows, waited, took: asked.elapsed().saturating_sub(waited), together }
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
            supply: Supply { room: status.idle > 0 || status.size < self.pool.capacity(), wanted: status.waiting > 0 },
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
        let outcome = session.query(query, params, deadline.begun()).await;
        if matches!(outcome, Ok(_) | Err(QueryErrorKind::Timeout { .. })) {
            self.observe(query, since.elapsed(), 1);
            self.board().note_answered(since);
        }
        outcome.map(|rows| (rows, since, 1))
    }

    async fn place_among_slow(&self, deadline: Deadline) -> Result<tokio::sync::SemaphorePermit<'_>, QueryErrorKind> {
        let _waiting = Counted::one(&self.slow_waiting);
        let limit = self.pool.limits().acquire.min(deadline.remaining());
        match timeout(limit, self.slow.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.pool.waited_in_vain()),
        }
    }

    /// Takes note of a statement that answered `count` queries.
    fn observe(&self, query: &Query, took: Duration, count: usize) {
        query.tempo().observe(took / u32::try_from(count).unwrap_or(u32::MAX).max(1));
        self.usual.observe(took);
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
        match group.alone() {
            Ok(only) => only.tell(Turn::Go(boarding)),
            Err(Group { query, members, .. }) => {
                // Without a runtime the members find that nobody answers them, and see to themselves.
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(Arc::clone(self).together(query, members, boarding));
                }
            }
        }
    }

    fn answered(&self, seat: &Seat) -> Duration {
        self.board().answered(seat, Instant::now())
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

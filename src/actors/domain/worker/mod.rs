//! The part of a domain that lives on one thread: its connections, the queries that wait for one, and what is known of each query.
//!
//! A worker is an actor without locks, the child of a [`super::actor::Domain`]. A query comes as one message ([`Ask`]) with the
//! sender of its reply; the [`Scheduler`] decides when it goes and over which connection, and this file carries that out. A
//! query that has to be sent again (singly, or over a connection of its own) goes back to the scheduler. A worker that panics
//! drops its replies: the handles ask again, and the next question starts another worker.

mod connection;
mod latency;
mod scheduler;

use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorContext, ActorFuture, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseActFuture,
    SpawnHandle, WrapFuture,
};
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep_until};

use self::connection::{Dispatch, Id, Key, NumberMap, Pending, Request, Statement};
use self::scheduler::{Scheduler, Step, Supply};
use super::access::{QueryState, Session};
use super::core::{Core, InFlight, Notice, SlowPlace, unavailable};
use super::state::State;
use crate::flow::{QueryAnswer, QueryErrorKind};
use crate::graph::Query;
use crate::pool::{ConnectError, IDLE_TIMEOUT};
use crate::postgres::{BatchOutcome, Rows};
use crate::types::Value;

/// The state of a query that was not asked for this long is dropped when a new query comes.
const REMEMBERED: Duration = Duration::from_secs(60);

/// What is asked of a domain's worker.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) query: Arc<Query>,
    pub(super) params: Arc<[Value]>,
    /// How long it may wait for a connection.
    pub(super) wait: Duration,
    /// By when it is answered in any case.
    pub(super) deadline: Instant,
    /// How long it may take once it is sent.
    pub(super) work: Duration,
    /// Whether it belongs to a batch.
    pub(super) in_bulk: bool,
    /// The trace that it belongs to.
    pub(super) traceparent: Option<Arc<str>>,
}

/// Run a query. Where nothing is replied, the worker has ended, or does not serve any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Ask {
    pub(super) question: Question,
    pub(super) asked: Instant,
    pub(super) reply: oneshot::Sender<Result<QueryAnswer, QueryErrorKind>>,
    pub(super) _in_flight: InFlight,
}

impl Ask {
    /// Replies. The answer is dropped if the caller no longer waits.
    fn answer(self, outcome: Result<QueryAnswer, QueryErrorKind>) {
        drop(self.reply.send(outcome));
    }
}

/// A query that waits or is in flight, with what is known of it.
#[derive(Debug)]
struct Waiting {
    ask: Ask,
    state: Rc<QueryState>,
}

impl Request for Waiting {
    fn is_abandoned(&self) -> bool {
        self.ask.reply.is_closed()
    }
}

/// Close or verify idle connections, and open new ones until there are `to`.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), ConnectError>")]
pub(super) struct Fill {
    pub(super) to: usize,
}

/// What came of a statement.
enum Outcome {
    /// The rows of the connection may be too old, or its server gave no answer: nothing was asked.
    TooOld(QueryErrorKind),
    Single(Rows),
    Several(Result<BatchOutcome, QueryErrorKind>),
}

/// The connections and queries of one domain on one thread.
#[derive(Debug)]
pub(super) struct DomainWorker {
    core: Arc<Core>,
    number: usize,
    scheduler: Scheduler<Waiting>,
    sessions: NumberMap<Id, Rc<Session>>,
    /// What is known of each query, and when it was asked last.
    queries: NumberMap<Key, (Rc<QueryState>, Instant)>,
    running: NumberMap<Id, (SpawnHandle, Option<SlowPlace>)>,
    /// Whether queries have come since the last dispatch.
    has_news: bool,
    is_leaving: bool,
}

impl Actor for DomainWorker {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.spawn(Turn { alarm: None, sleep: Box::pin(sleep_until(Instant::now().into())) });
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.core.report(self.number, 0, 0);
    }
}

impl DomainWorker {
    /// Starts the worker `number` of `core` on this thread, which must be one of an actix system.
    pub(super) fn start_here(core: &Arc<Core>, number: usize) -> Addr<Self> {
        let scheduler = Scheduler::new(core.config().timeouts.query, core.pool().depth());
        let (sessions, queries, running) = (NumberMap::default(), NumberMap::default(), NumberMap::default());
        let core = Arc::clone(core);
        Self { core, number, scheduler, sessions, queries, running, has_news: false, is_leaving: false }.start()
    }

    /// What is known of `query`, which is asked at `now`.
    fn state(&mut self, query: &Arc<Query>, now: Instant) -> Rc<QueryState> {
        let key = Arc::as_ptr(query).addr();
        if let Some((known, asked)) = self.queries.get_mut(&key) {
            *asked = now;
            return Rc::clone(known);
        }
        // A reload brings new queries. The old ones are forgotten, unless one of them still waits or is in flight.
        self.queries.retain(|_, (known, asked)| {
            Rc::strong_count(known) > 1 || now.saturating_duration_since(*asked) < REMEMBERED
        });
        self.scheduler.forget(|key| self.queries.contains_key(&key));
        let state = Rc::new(self.core.pool().state(Arc::clone(query)));
        self.queries.insert(key, (Rc::clone(&state), now));
        state
    }

    /// Carries out the steps of the scheduler.
    fn dispatch(&mut self, context: &mut Context<Self>) {
        let now = Instant::now();
        self.has_news = false;
        for (id, session) in &self.sessions {
            if !session.is_usable(now) {
                self.scheduler.retire(*id);
            }
        }
        let pool = self.core.pool();
        let mut supply = Supply { has_room: pool.has_room(), is_contended: pool.is_contended(), has_slow_place: true };
        loop {
            supply.has_slow_place = self.core.has_slow_place();
            match self.scheduler.next(now, supply) {
                Some(Step::Send { statement, connection }) => self.send(statement, connection, context),
                Some(Step::Open) => {
                    supply.has_room = false;
                    self.open(context);
                }
                Some(Step::Close(connection)) => drop(self.sessions.remove(&connection)),
                None => break,
            }
        }
        self.core.report(self.number, self.scheduler.waiting(), self.scheduler.idle().count());
        if self.is_leaving && self.scheduler.is_idle() {
            context.stop();
        }
    }

    fn open(&self, context: &mut Context<Self>) {
        context.spawn(Arc::clone(&self.core).lease().into_actor(self).map(|opened, worker, context| {
            match opened {
                Ok(session) => worker.hold(session),
                // The next tick finds the queries that have waited too long.
                Err(QueryErrorKind::Overloaded { .. }) => drop(worker.scheduler.not_opened(true)),
                Err(kind) => {
                    let refused = worker.scheduler.not_opened(false);
                    refused.into_iter().for_each(|refused| refused.ask.answer(Err(kind.clone())));
                }
            }
            worker.dispatch(context);
        }));
    }

    fn hold(&mut self, session: Session) {
        let id = self.scheduler.opened(Instant::now());
        self.sessions.insert(id, Rc::new(session));
    }

    fn send(&mut self, statement: Id, connection: Id, context: &mut Context<Self>) {
        let Some(sent) = self.scheduler.statement(statement) else { return };
        let (Some(session), Some(first)) = (self.sessions.get(&connection), sent.members.first()) else { return };
        let place = sent.is_slow.then(|| SlowPlace::take(&self.core));
        let (session, state) = (Rc::clone(session), Rc::clone(&first.request.state));
        let limit = sent.members.iter().map(|member| member.work).max().unwrap_or_default();
        let asks: Vec<Arc<[Value]>> =
            sent.members.iter().map(|member| Arc::clone(&member.request.ask.question.params)).collect();
        let traceparent = first.request.ask.question.traceparent.clone();
        let known = Rc::clone(&state);
        let asked = async move {
            let staleness = match session.staleness().await {
                Ok(staleness) => staleness,
                Err(kind) => return (Outcome::TooOld(kind), None),
            };
            let outcome = match asks.as_slice() {
                [params] => Outcome::Single(session.query(&state, params, limit, traceparent).await),
                several => Outcome::Several(session.query_batch(&state, several, limit, traceparent).await),
            };
            (outcome, staleness)
        };
        let ended = asked.into_actor(self).map(move |(outcome, staleness), worker, context| {
            worker.ended(statement, &known, outcome, staleness);
            worker.dispatch(context);
        });
        self.running.insert(statement, (context.spawn(ended), place));
    }

    /// The statement ended: its queries are answered, or sent again.
    fn ended(&mut self, statement: Id, state: &QueryState, outcome: Outcome, staleness: Option<Duration>) {
        self.running.remove(&statement);
        let now = Instant::now();
        let is_timed = match &outcome {
            Outcome::Single(rows) => matches!(rows, Ok(_) | Err(QueryErrorKind::Timeout { .. })),
            Outcome::TooOld(_) => false,
            Outcome::Several(together) => matches!(together, Ok(BatchOutcome::Answered(_))),
        };
        let Some(sent) = self.scheduler.answered(statement, is_timed, now) else { return };
        let size = sent.size;
        let dispatch = match outcome {
            Outcome::TooOld(kind) => {
                // The other connections have probably the same server.
                self.core.recycle();
                return answer(sent, vec![Err(kind); size], now, None);
            }
            Outcome::Single(rows) => return answer(sent, vec![rows], now, staleness),
            Outcome::Several(Ok(BatchOutcome::Answered(rows))) => {
                self.core.batches.add(size);
                state.succeeded();
                return answer(sent, rows, now, staleness);
            }
            // A server that refused several queries together would refuse each of them, too.
            Outcome::Several(Err(
                kind @ (QueryErrorKind::ConnectionLost { .. }
                | QueryErrorKind::Unavailable { .. }
                | QueryErrorKind::Overloaded { .. }),
            )) => {
                return answer(sent, vec![Err(kind); size], now, None);
            }
            Outcome::Several(Ok(BatchOutcome::Unsuitable)) => Dispatch::Singly,
            Outcome::Several(Ok(BatchOutcome::Refused)) => {
                self.core.batches.add_uncoalesced(size);
                Dispatch::Singly
            }
            Outcome::Several(Err(kind)) => {
                state.failed(kind.code());
                self.core.batches.add_uncoalesced(size);
                Dispatch::Singly
            }
        };
        self.scheduler.again(sent.key, sent.members, dispatch, now);
    }

    /// Answers overdue queries, and drops statements whose callers no longer wait.
    fn tick(&mut self, context: &mut Context<Self>) {
        let overdue = self.scheduler.tick(Instant::now());
        for late in overdue.unsent {
            late.ask.answer(Err(self.core.pool().acquire_timeout()));
        }
        for (late, after) in overdue.unanswered {
            late.ask.answer(Err(QueryErrorKind::Timeout { after }));
        }
        self.abandon(overdue.abandoned, context);
        self.dispatch(context);
    }

    fn abandon(&mut self, statements: Vec<Id>, context: &mut Context<Self>) {
        for statement in statements {
            // The session notices that its answer was not read, and is closed after its other statements.
            if let Some((running, _)) = self.running.remove(&statement) {
                context.cancel_future(running);
            }
        }
    }

    /// Retires idle connections that are not needed, verifies those that have long been unused.
    fn maintain_idle(&mut self, minimum: usize, context: &mut Context<Self>) {
        let now = Instant::now();
        let mut excess = self.scheduler.connections().saturating_sub(minimum);
        // The probe must be able to use the only connection.
        let is_shared_with_probe = self.core.config().pool.max == 1;
        let idle: Vec<(Id, Instant)> = self.scheduler.idle().collect();
        for (id, unused) in idle {
            let unused = now.saturating_duration_since(unused);
            if is_shared_with_probe || (unused >= IDLE_TIMEOUT && excess > 0) {
                excess = excess.saturating_sub(1);
                self.scheduler.retire(id);
            } else if unused > self.core.pool().verified_after()
                && let Some(session) = self.sessions.get(&id).map(Rc::clone)
            {
                let verified = async move { session.verify().await };
                context.spawn(verified.into_actor(self).map(move |verified, worker, context| {
                    worker.verified(id, &verified, context);
                }));
            }
        }
        self.dispatch(context);
    }

    fn verified(&mut self, connection: Id, verified: &Result<(), QueryErrorKind>, context: &mut Context<Self>) {
        match verified {
            Ok(()) => self.scheduler.used(connection, Instant::now()),
            // The other connections have probably failed too, and each would take as long to verify.
            Err(QueryErrorKind::Timeout { .. }) => self.core.recycle(),
            Err(_) => self.scheduler.retire(connection),
        }
        self.dispatch(context);
    }
}

/// Answers each waiting query with the rows of its own place. A query without rows is dropped, and asked again.
fn answer(sent: Statement<Waiting>, rows: Vec<Rows>, now: Instant, staleness: Option<Duration>) {
    let (together, took) = (sent.size, now.saturating_duration_since(sent.sent));
    let mut rows: Vec<Option<Rows>> = rows.into_iter().map(Some).collect();
    for member in sent.members {
        let Some(rows) = rows.get_mut(member.place).and_then(Option::take) else { continue };
        let ask = member.request.ask;
        let waited = sent.sent.saturating_duration_since(ask.asked);
        ask.answer(rows.map(|rows| QueryAnswer { rows, waited, took, together, staleness }));
    }
}

impl Handler<Ask> for DomainWorker {
    type Result = ();

    fn handle(&mut self, ask: Ask, _: &mut Context<Self>) {
        if self.is_leaving || !self.core.serves() {
            if let state @ State::Down { .. } = self.core.state() {
                ask.answer(Err(unavailable(&state)));
            }
            return;
        }
        let now = ask.asked;
        let state = self.state(&ask.question.query, now);
        let coalesces = self.core.pool().coalesces();
        let dispatch = if coalesces && state.is_coalescible(now) {
            Dispatch::Together
        } else {
            if coalesces && state.is_paused(now) {
                self.core.batches.add_uncoalesced(1);
            }
            Dispatch::Singly
        };
        let Question { wait, deadline, work, in_bulk, .. } = ask.question;
        let (key, latest) = (state.key(), deadline.min(now + wait));
        let pending = Pending { request: Waiting { ask, state }, dispatch, latest, deadline, work, in_bulk, place: 0 };
        // Every task that is ready on this thread asks before statements are made: see `Turn`.
        self.has_news = true;
        self.scheduler.push(key, pending, now);
    }
}

impl Handler<Notice> for DomainWorker {
    type Result = ();

    fn handle(&mut self, notice: Notice, context: &mut Context<Self>) {
        match notice {
            Notice::Dispatch => {}
            Notice::Outage => {
                let (waiting, statements) = self.scheduler.clear();
                let state = self.core.state();
                waiting.into_iter().for_each(|waiting| waiting.ask.answer(Err(unavailable(&state))));
                self.abandon(statements, context);
            }
            Notice::Leave => self.is_leaving = true,
            Notice::End => context.stop(),
            Notice::Panic => resume_unwind(Box::new("injected into a worker")),
        }
        self.dispatch(context);
    }
}

impl Handler<Fill> for DomainWorker {
    type Result = ResponseActFuture<Self, Result<(), ConnectError>>;

    fn handle(&mut self, Fill { to }: Fill, context: &mut Context<Self>) -> Self::Result {
        self.maintain_idle(to, context);
        let missing = to.saturating_sub(self.scheduler.connections());
        self.scheduler.opens(missing);
        let pool = self.core.pool().clone();
        let filled = async move { join_all((0..missing).map(|_| pool.fill())).await };
        Box::pin(filled.into_actor(self).map(|filled, worker, context| {
            let mut outcome = Ok(());
            for made in filled {
                match made {
                    Ok(Some(lease)) => worker.hold(lease),
                    Ok(None) => drop(worker.scheduler.not_opened(true)),
                    Err(error) => {
                        drop(worker.scheduler.not_opened(true));
                        outcome = Err(error);
                    }
                }
            }
            worker.dispatch(context);
            outcome
        }))
    }
}

/// Ends each turn of the worker: dispatches the queries that arrived in messages, and runs the timer.
struct Turn {
    alarm: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl ActorFuture<DomainWorker> for Turn {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        worker: &mut DomainWorker,
        context: &mut Context<DomainWorker>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        if worker.has_news {
            worker.dispatch(context);
        }
        while let Some(alarm) = worker.scheduler.alarm() {
            // A later alarm is noticed when the earlier one rings.
            if self.alarm.is_none_or(|set| alarm < set) {
                self.alarm = Some(alarm);
                self.sleep.as_mut().reset(alarm.into());
            }
            ready!(self.sleep.as_mut().poll(task));
            self.alarm = None;
            if alarm <= Instant::now() {
                worker.tick(context);
            }
        }
        Poll::Pending
    }
}

//! One query's way over a lane: its turn, its seat, its ride; or the ride of a batch and an answer for each who is in it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{Instant as TokioInstant, timeout_at};

use super::board::{Boarding, Turn, Waiting};
use super::joint::tell_all;
use super::lane::{Lane, Seat};
use super::{Inner, Rows, tempo};
use crate::postgres::coalesce::Together;
use crate::postgres::error::QueryErrorKind;
use crate::postgres::query::Query;
use crate::types::{Deadline, Value};

/// How often a statement looks whether anybody waits for it still.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

impl Inner {
    /// Asks over a lane.
    pub(super) async fn share(
        self: &Arc<Self>,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
    ) -> Result<Rows, QueryErrorKind> {
        // A way lies in memory only while it is gone: most queries of a busy domain are answered with others.
        let joins = self.joins(query);
        if !joins && self.pool.coalesces() && query.joining().rests() {
            self.batches.add_uncoalesced(1);
        }
        match self.turn(query, params, deadline, joins).await? {
            Turn::Go(boarding) => Box::pin(self.plainly(boarding, query, params, deadline)).await,
            Turn::Answered(answer) => answer,
            Turn::Alone => Box::pin(self.alone(query, params, deadline)).await,
            Turn::Plain => Box::pin(self.singly(query, params, deadline)).await,
        }
    }

    /// Asks over a lane, with nobody.
    pub(super) async fn singly(
        self: &Arc<Self>,
        query: &Arc<Query>,
        params: &Arc<[Value]>,
        deadline: Deadline,
    ) -> Result<Rows, QueryErrorKind> {
        match self.turn(query, params, deadline, false).await? {
            Turn::Go(boarding) => self.plainly(boarding, query, params, deadline).await,
            _ => self.alone(query, params, deadline).await,
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
        let due = deadline.begun();
        let (since, limit) = (Instant::now(), due.remaining());
        let ride = {
            // Both end here: `alone` may need the connection of this very lane.
            let session = Arc::clone(&seat.session);
            let work = pin!(session.query_beside_others(query, params));
            self.ride(&mut seat, work, due, Leaves::BehindAnother).await
        };
        match ride {
            Ride::Done(outcome, took) => {
                if matches!(outcome, Ok(_) | Err(QueryErrorKind::Timeout { .. })) {
                    self.observe(query, took, 1);
                }
                if seat.session.has_unread() {
                    seat.leave_unread();
                }
                outcome.map(|rows| (rows, since, 1))
            }
            Ride::Late => Err(QueryErrorKind::Timeout { after: limit }),
            Ride::HeldUp => {
                drop(seat);
                Box::pin(self.alone(query, params, deadline)).await
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
        let limit = deadline.work();
        let mut latest = Instant::now() + self.pool.limits().acquire.min(deadline.remaining());
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
                Err(_) if self.board().is_waiting(number) => return Err(self.pool.waited_in_vain()),
                Err(_) if deadline.remaining().is_zero() => return Err(QueryErrorKind::Timeout { after: limit }),
                // It is on its way, with others.
                Err(_) => latest = deadline.instant(),
            }
        }
    }

    /// Asks for all of `members`, and tells each of them what came of it.
    pub(super) async fn together(self: Arc<Self>, query: Arc<Query>, members: Vec<Waiting>, boarding: Boarding) {
        let carried = tokio::select! {
            biased;
            carried = self.carry(&query, &members, boarding) => carried,
            // Whoever asks again is told at once that the domain is down.
            () = self.outage.notified() => Carried::Alone,
            // The statement is cancelled with what waits for it.
            () = all_gone(&members) => return,
        };
        match carried {
            Carried::Answered(answers, since) => {
                let together = answers.len();
                for (member, answer) in members.into_iter().zip(answers) {
                    member.tell(Turn::Answered(answer.map(|rows| (rows, since, together))));
                }
            }
            Carried::Refused(kind) => tell_all(members, || Turn::Answered(Err(kind.clone()))),
            Carried::Plain => tell_all(members, || Turn::Plain),
            Carried::Alone => tell_all(members, || Turn::Alone),
        }
    }

    /// Asks for all of `members`: one by itself, several as one statement.
    async fn carry(self: &Arc<Self>, query: &Arc<Query>, members: &[Waiting], boarding: Boarding) -> Carried {
        let deadline = members.iter().map(|member| member.deadline).max_by_key(|deadline| deadline.instant());
        let Some(deadline) = deadline else { return Carried::Plain };
        if let [only] = members {
            let Waiting { params, deadline, .. } = only;
            return match Box::pin(self.plainly(boarding, query, params, *deadline)).await {
                Ok((rows, since, _)) => Carried::Answered(vec![Ok(rows)], since),
                Err(kind) => Carried::Refused(kind),
            };
        }
        let mut seat = match self.seat(boarding, query, deadline).await {
            Ok(seat) => seat,
            Err(kind) => return Carried::Refused(kind),
        };
        let (since, due) = (Instant::now(), deadline.begun());
        let asks: Vec<Arc<[Value]>> = members.iter().map(|member| Arc::clone(&member.params)).collect();
        let session = Arc::clone(&seat.session);
        let work = pin!(session.batch_beside_others(query, &asks));
        // One slow key must not hold up the others.
        match self.ride(&mut seat, work, due, Leaves::Anyway).await {
            Ride::Done(Ok(Together::Answered(answers)), took) => {
                query.joining().succeeded();
                self.batches.add(answers.len());
                self.observe(query, took, answers.len());
                Carried::Answered(answers, since)
            }
            Ride::Done(Err(kind @ QueryErrorKind::ConnectionLost { .. }), _) => Carried::Refused(kind),
            Ride::Late | Ride::HeldUp => Carried::Alone,
            Ride::Done(Ok(Together::Singly), _) => Carried::Plain,
            Ride::Done(Ok(Together::Refused), _) => {
                if session.has_unread() {
                    seat.leave_unread();
                }
                self.batches.add_uncoalesced(members.len());
                Carried::Plain
            }
            Ride::Done(Err(kind), _) => {
                query.joining().failed(query, kind.code());
                self.batches.add_uncoalesced(members.len());
                Carried::Plain
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
        let session = Arc::new(Box::pin(self.pool.acquire(deadline)).await?.into_shared());
        let now = Instant::now();
        let seat = self.board().add(self, Lane::new(session, now), query, now);
        // There is one lane more for those who wait.
        drop(opening);
        Ok(seat)
    }

    /// Does `work` on the lane of `seat` until the deadline, unless the lane is held up. It is when patience has ended and
    /// others that were sent later have been answered. Where nobody is answered the server or this machine is slow, and to ask
    /// again over other connections would make it slower; but that is waited for only so long.
    async fn ride<T>(
        &self,
        seat: &mut Seat,
        mut work: Pin<&mut impl Future<Output = T>>,
        deadline: Deadline,
        leaves: Leaves,
    ) -> Ride<T> {
        let (begun, patience) = (Instant::now(), tempo::patience(self.usual.mean()));
        loop {
            let look = deadline.instant().min(Instant::now() + patience);
            if let Ok(outcome) = timeout_at(TokioInstant::from_std(look), &mut work).await {
                return Ride::Done(outcome, seat.answered());
            }
            let may_leave = leaves == Leaves::Anyway || !seat.is_first();
            if deadline.remaining().is_zero() {
                return Ride::Late;
            }
            if may_leave && (self.board().has_overtaken(begun) || begun.elapsed() > patience * tempo::STANDSTILL) {
                return Ride::HeldUp;
            }
        }
    }
}

/// When a lane that is held up is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// Where it is another's statement that holds it up.
    BehindAnother,
    /// Always: the statement is several queries, of which one holds up the others.
    Anyway,
}

/// Returns once none of `members` waits any more.
async fn all_gone(members: &[Waiting]) {
    while !members.iter().all(Waiting::is_gone) {
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// What became of a statement on a lane.
enum Ride<T> {
    /// It was answered; PostgreSQL was at it for so long.
    Done(T, Duration),
    /// The deadline has passed.
    Late,
    /// Another statement holds up the lane.
    HeldUp,
}

/// What became of several queries that went together.
enum Carried {
    /// Each was answered, or refused; the statement was sent at this moment.
    Answered(Vec<Result<Vec<Value>, QueryErrorKind>>, Instant),
    /// None was answered, for this reason.
    Refused(QueryErrorKind),
    /// Each has to be asked as a statement of its own.
    Plain,
    /// Each has to be asked over a connection of its own.
    Alone,
}

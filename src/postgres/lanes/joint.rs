//! Queries that somebody on another thread asks at the same moment: they come in one message, wait with their like, and each
//! is told what came of it. To be asked so costs a query a fraction of what a message, a future and a timer of its own do.
//!
//! Nobody waits here for such a query: it is carried, together with others or by itself, and whatever cannot be done so (it has
//! to be asked singly, or over a connection of its own) is given back, to be asked again in that manner. Since nobody waits, one
//! task looks after all of them: after lanes that have come to be held up, and after those who have waited for long enough.
//! When the domain is down all are given back at once.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::board::{Turn, Waiting};
use super::{Inner, Lanes, tempo};
use crate::postgres::error::QueryErrorKind;
use crate::postgres::query::{Answer, Query};
use crate::types::{Deadline, Value};

/// One of several queries that are asked at once.
#[derive(Debug)]
pub struct Ask {
    /// `$1`, `$2`, ...
    pub params: Arc<[Value]>,
    /// By when it has to be answered; whoever asks sees to that.
    pub deadline: Deadline,
    /// Since when it waits.
    pub asked: Instant,
    /// Where to say what came of it. Where nothing is said, it is to be asked again.
    pub reply: oneshot::Sender<Told>,
}

/// What came of an [`Ask`].
#[derive(Debug)]
pub enum Told {
    /// The database has answered, or why it did not.
    Answered(Result<Answer, QueryErrorKind>),
    /// It has to be asked again in this manner.
    Again(Manner),
}

/// How a query may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// As suits best.
    #[default]
    Any,
    /// As a statement of its own.
    Singly,
    /// Over a connection of its own.
    Alone,
}

impl Lanes {
    /// Whether `query` may be asked by [`Self::join`].
    pub fn takes(&self, query: &Query, deadline: Deadline) -> bool {
        deadline.work() <= self.0.pool.limits().query && self.0.may_share(query) && self.0.joins(query)
    }

    /// Asks `query` for each of `asks`. Must be called inside a runtime.
    pub fn join(&self, query: &Arc<Query>, asks: Vec<Ask>) {
        let latest = Instant::now() + self.0.pool.limits().acquire;
        let looks = {
            let mut board = self.0.board();
            for ask in asks {
                let latest = latest.min(ask.deadline.instant());
                board.queue_ask(query, ask, latest);
            }
            board.begins_looking()
        };
        self.0.dispatch();
        if looks && let Ok(runtime) = Handle::try_current() {
            runtime.spawn(Arc::clone(&self.0).look_after());
        }
    }

    /// Gives back whatever [`Self::join`] was asked and has not been answered.
    pub fn give_back(&self) {
        // Those that are on their way, and those that wait.
        self.0.outage.notify_waiters();
        let waiting = self.0.board().take_carried(None);
        tell_all(waiting, || Turn::Alone);
    }
}

impl Inner {
    async fn look_after(self: Arc<Self>) {
        loop {
            let patience = Instant::now() + tempo::patience(self.usual.mean());
            let until = self.board().first_latest().map_or(patience, |latest| latest.min(patience));
            tokio::time::sleep_until(until.into()).await;
            let overdue = self.board().take_carried(Some(Instant::now()));
            tell_all(overdue, || Turn::Answered(Err(self.pool.waited_in_vain())));
            self.dispatch();
            if self.board().ends_looking() {
                return;
            }
        }
    }
}

pub(super) fn tell_all(members: Vec<Waiting>, turn: impl Fn() -> Turn) {
    for member in members {
        member.tell(turn());
    }
}

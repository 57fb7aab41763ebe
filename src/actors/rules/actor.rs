//! The actors that evaluate: one on each worker's own thread for what is quickly done, and threads of their own for the
//! rest.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, SyncContext};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use crate::flow::{Detail, RulesError};
use crate::grl::{Engines, Evaluation, Limits, Lookup, RuleError, Ruleset};
use crate::types::{Clock, Deadline};

/// What one evaluation is given.
pub(super) struct Task {
    pub(super) ruleset: Arc<Ruleset>,
    pub(super) reads: Vec<Lookup>,
    pub(super) clock: Clock,
    pub(super) deadline: Deadline,
    pub(super) detail: Detail,
    pub(super) limits: Arc<Limits>,
    /// Spans do not cross mailboxes by themselves.
    pub(super) span: Span,
}

/// Evaluate on a thread made for it.
#[derive(Message)]
#[rtype(result = "Result<Evaluation, RulesError>")]
pub(super) struct Evaluate {
    pub(super) task: Task,
    /// Given back when the evaluation ends: what bounds the queue.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Evaluate at once, if that is quickly done.
#[derive(Message)]
#[rtype(result = "Quick")]
pub(super) struct EvaluateQuickly {
    pub(super) task: Task,
    pub(super) within: Duration,
}

/// Evaluations that may be in the mailbox before a sender waits for its place, which costs it another turn.
const MAILBOX: usize = 1_024;

/// What came of trying.
pub(super) enum Quick {
    Done(Result<Evaluation, RulesError>),
    /// It was not done in time, and nothing has happened: here it is again.
    Unfinished(Task),
}

/// One thread's engines.
#[derive(Default)]
pub(super) struct RulesActor {
    engines: Engines,
}

impl RulesActor {
    /// A panic costs the engines, not the thread.
    fn evaluate(&mut self, task: &Task, deadline: Deadline) -> Result<Evaluation, RulesError> {
        let _entered = task.span.enter();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let engine = self.engines.of(&task.ruleset, &task.limits)?;
            let evaluation = match task.detail {
                Detail::Reasons => engine.explain(&task.reads, &task.clock, deadline),
                Detail::Decision | Detail::Answers => engine.evaluate(&task.reads, &task.clock, deadline),
            };
            evaluation.map_err(RulesError::Rule)
        }));
        result.unwrap_or_else(|_| {
            tracing::error!(ruleset.hash = task.ruleset.hash(), "a rule engine panicked and was thrown away");
            self.engines.clear();
            Err(RulesError::Broken)
        })
    }
}

impl Actor for RulesActor {
    type Context = SyncContext<Self>;
}

impl Handler<Evaluate> for RulesActor {
    type Result = Result<Evaluation, RulesError>;

    fn handle(&mut self, message: Evaluate, _: &mut Self::Context) -> Self::Result {
        let Evaluate { task, permit } = message;
        let result = self.evaluate(&task, task.deadline);
        drop(permit);
        result
    }
}

/// The actor on a worker's thread.
#[derive(Default)]
pub(super) struct QuickRulesActor(RulesActor);

impl Actor for QuickRulesActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<EvaluateQuickly> for QuickRulesActor {
    type Result = actix::MessageResult<EvaluateQuickly>;

    fn handle(&mut self, message: EvaluateQuickly, _: &mut Self::Context) -> Self::Result {
        let EvaluateQuickly { task, within } = message;
        let deadline = task.deadline.at_most(within);
        let result = self.0.evaluate(&task, deadline);
        let out_of_time = matches!(result, Err(RulesError::Rule(RuleError::Timeout { .. })));
        actix::MessageResult(if out_of_time && deadline < task.deadline {
            Quick::Unfinished(task)
        } else {
            Quick::Done(result)
        })
    }
}

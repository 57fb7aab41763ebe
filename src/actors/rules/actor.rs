//! The rule actors: one on the thread of each worker for quick evaluations, and others with their own threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, SyncContext};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use crate::flow::{Detail, RulesError};
use crate::grl::{Engines, Evaluation, Limits, Lookup, RuleError, Ruleset};
use crate::types::{Clock, Deadline};

/// An evaluation.
pub(super) struct Task {
    pub(super) ruleset: Arc<Ruleset>,
    pub(super) reads: Vec<Lookup>,
    pub(super) clock: Clock,
    pub(super) deadline: Deadline,
    pub(super) detail: Detail,
    pub(super) limits: Arc<Limits>,
    /// The span of the caller, which a mailbox does not pass on.
    pub(super) span: Span,
}

/// Evaluate on a thread for rules.
#[derive(Message)]
#[rtype(result = "Result<Evaluation, RulesError>")]
pub(super) struct Evaluate {
    pub(super) task: Task,
    /// Bounds the queue. Released when the evaluation ends.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Evaluate on the thread of the worker, within a short time limit.
#[derive(Message)]
#[rtype(result = "QuickOutcome")]
pub(super) struct EvaluateQuickly {
    pub(super) task: Task,
    pub(super) within: Duration,
}

/// The capacity of the mailbox, above which a sender has to wait.
const MAILBOX: usize = 1_024;

/// The outcome of a quick evaluation.
pub(super) enum QuickOutcome {
    Done(Result<Evaluation, RulesError>),
    /// The time limit passed. The evaluation had no effect and is returned.
    Unfinished(Task),
}

/// The engines of one thread.
#[derive(Default)]
pub(super) struct RulesActor {
    engines: Engines,
}

impl RulesActor {
    /// Evaluates, and discards the engines of this thread after a panic.
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

/// The rule actor on the thread of a worker.
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
        let timed_out = matches!(result, Err(RulesError::Rule(RuleError::Timeout { .. })));
        actix::MessageResult(if timed_out && deadline < task.deadline {
            QuickOutcome::Unfinished(task)
        } else {
            QuickOutcome::Done(result)
        })
    }
}

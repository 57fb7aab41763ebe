//! The only way to reach the rule actors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, SyncArbiter};
use tokio::sync::Semaphore;
use tracing::Span;

use super::actor::{Evaluate, EvaluateQuickly, Quick, QuickRulesActor, RulesActor, Task};
use crate::flow::{RulesError, Run};
use crate::grl::{Evaluation, Limits, Lookup, Ruleset};

/// An evaluation may keep a worker's thread from its connections for so long.
const QUICK: Duration = Duration::from_millis(2);
/// After one that took longer, so many go to the other threads at once.
const SLOW_FOR: u32 = 1_000;

/// The rule actors with threads of their own, shared by all workers.
#[derive(Clone)]
pub struct RulesHandle {
    address: Addr<RulesActor>,
    waiting: Arc<Semaphore>,
    limits: Arc<Limits>,
}

/// What is known of how long the rules of one node take.
#[derive(Debug, Default)]
pub struct Pace {
    /// How many evaluations are still to go to the other threads without being tried on the worker's.
    slow: AtomicU32,
}

/// The rule actor of one worker.
#[derive(Clone)]
pub struct QuickRulesHandle(Addr<QuickRulesActor>);

impl QuickRulesHandle {
    /// Starts a rule actor on the current thread, which must run an actix runtime.
    pub fn start() -> Self {
        Self(QuickRulesActor::default().start())
    }
}

impl RulesHandle {
    /// Starts `threads` rule actors. At most `max_waiting` evaluations wait or run at once; more are refused.
    ///
    /// Must be called inside an actix system.
    pub fn start(threads: usize, max_waiting: usize, limits: &Limits) -> Self {
        let address = SyncArbiter::start(threads.max(1), RulesActor::default);
        let waiting = Arc::new(Semaphore::new(max_waiting.max(1)));
        Self { address, waiting, limits: Arc::new(limits.clone()) }
    }

    /// Evaluates `ruleset` over the facts it reads, in the order of [`Ruleset::reads`], as `run` asks: on the worker's own
    /// thread by `quick`, and where that takes too long, on another.
    ///
    /// # Errors
    /// [`RulesError`].
    pub async fn evaluate(
        &self,
        (quick, pace): (&QuickRulesHandle, &Pace),
        ruleset: &Arc<Ruleset>,
        reads: Vec<Lookup>,
        run: &Run,
    ) -> Result<Evaluation, RulesError> {
        let task = Task {
            ruleset: Arc::clone(ruleset),
            reads: reads.into(),
            clock: run.clock.clone(),
            deadline: run.deadline,
            detail: run.detail,
            limits: Arc::clone(&self.limits),
            span: Span::current(),
        };
        if pace.slow.load(Ordering::Relaxed) == 0 {
            let asked = EvaluateQuickly { task: task.clone(), within: QUICK };
            match quick.0.send(asked).await {
                Ok(Quick::Done(result)) => return result,
                Ok(Quick::Unfinished) => pace.slow.store(SLOW_FOR, Ordering::Relaxed),
                Err(_) => return Err(RulesError::Broken),
            }
        } else {
            // Two at once may both take the last one; the next is tried here a little early then.
            pace.slow
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(1)))
                .unwrap_or_default();
        }
        self.elsewhere(task).await
    }

    async fn elsewhere(&self, task: Task) -> Result<Evaluation, RulesError> {
        let permit = Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(|_| RulesError::Overloaded { retry_after: Duration::from_secs(1) })?;
        let message = Evaluate { task, permit };
        self.address.send(message).await.unwrap_or(Err(RulesError::Broken))
    }
}

//! The handles of the rule actors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, SyncArbiter};
use tokio::sync::Semaphore;
use tracing::Span;

use super::actor::{Evaluate, EvaluateQuickly, QuickOutcome, QuickRulesActor, RulesActor, Task};
use crate::flow::{RulesError, RunOptions};
use crate::grl::{Evaluation, Limits, Lookup, Ruleset};

/// The time limit of an evaluation on the thread of a worker, which serves no connections meanwhile.
const QUICK_LIMIT: Duration = Duration::from_millis(2);
/// The most evaluations that go directly to the threads for rules after a slow one.
const MAX_PENALTY: u32 = 1_024;

/// The rule actors with their own threads, which all workers share.
#[derive(Clone)]
pub struct RulesHandle {
    address: Addr<RulesActor>,
    waiting: Arc<Semaphore>,
    limits: Arc<Limits>,
}

/// Whether the evaluations of one ruleset are quick.
///
/// A thread that was preempted looks slow, too. A single slow evaluation therefore sends only the next one to the threads for rules,
/// and each further slow one doubles that number.
#[derive(Debug, Default)]
pub struct QuickPolicy {
    /// The number of evaluations that still go directly to the threads for rules.
    remaining: AtomicU32,
    /// The number that the last slow evaluation sent there. 0 after a quick one.
    penalty: AtomicU32,
}

impl QuickPolicy {
    /// Whether to try the next evaluation on the thread of the worker. Without synchronisation between two workers, a try may come
    /// one evaluation early.
    fn tries_quick(&self) -> bool {
        let left = self.remaining.load(Ordering::Relaxed);
        if left > 0 {
            self.remaining.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    fn record_quick(&self) {
        if self.penalty.load(Ordering::Relaxed) > 0 {
            self.penalty.store(0, Ordering::Relaxed);
        }
    }

    fn record_slow(&self) {
        let penalty = self.penalty.load(Ordering::Relaxed).saturating_mul(2).clamp(1, MAX_PENALTY);
        self.penalty.store(penalty, Ordering::Relaxed);
        self.remaining.store(penalty, Ordering::Relaxed);
    }
}

/// The handle of the rule actor of one worker.
#[derive(Clone)]
pub struct QuickRulesHandle(Addr<QuickRulesActor>);

impl QuickRulesHandle {
    /// Starts a rule actor on the current thread, which must run an actix runtime.
    pub fn start() -> Self {
        Self(QuickRulesActor::default().start())
    }
}

impl RulesHandle {
    /// Starts `threads` rule actors. At most `max_waiting` evaluations wait or run at once; further ones are rejected.
    ///
    /// Must be called inside an actix system.
    pub fn start(threads: usize, max_waiting: usize, limits: &Limits) -> Self {
        let address = SyncArbiter::start(threads.max(1), RulesActor::default);
        let waiting = Arc::new(Semaphore::new(max_waiting.max(1)));
        Self { address, waiting, limits: Arc::new(limits.clone()) }
    }

    /// Evaluates `ruleset` over the facts that it reads, in the order of [`Ruleset::reads`]: on the thread of the worker by `quick`,
    /// and where that takes too long, on a thread for rules.
    ///
    /// # Errors
    /// [`RulesError`].
    pub async fn evaluate(
        &self,
        (quick, policy): (&QuickRulesHandle, &QuickPolicy),
        ruleset: &Arc<Ruleset>,
        reads: Vec<Lookup>,
        run: &RunOptions,
    ) -> Result<Evaluation, RulesError> {
        let mut task = Task {
            ruleset: Arc::clone(ruleset),
            reads,
            clock: run.clock.clone(),
            deadline: run.deadline,
            detail: run.detail,
            limits: Arc::clone(&self.limits),
            span: Span::current(),
        };
        if policy.tries_quick() {
            match quick.0.send(EvaluateQuickly { task, within: QUICK_LIMIT }).await {
                Ok(QuickOutcome::Done(result)) => {
                    policy.record_quick();
                    return result;
                }
                Ok(QuickOutcome::Unfinished(unfinished)) => {
                    policy.record_slow();
                    task = unfinished;
                }
                Err(_) => return Err(RulesError::Broken),
            }
        }
        let permit = Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(|_| RulesError::Overloaded { retry_after: Duration::from_secs(1) })?;
        let message = Evaluate { task, permit };
        self.address.send(message).await.unwrap_or(Err(RulesError::Broken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_consecutive_slow_evaluation_doubles_the_penalty_and_a_quick_one_resets_it() {
        let policy = QuickPolicy::default();
        let skipped = |policy: &QuickPolicy| (0..10_000).take_while(|_| !policy.tries_quick()).count();
        assert_eq!(skipped(&policy), 0);
        let after_slow = |policy: &QuickPolicy| {
            policy.record_slow();
            skipped(policy)
        };
        let sent: Vec<usize> = (0..13).map(|_| after_slow(&policy)).collect();
        assert_eq!(sent, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_024, 1_024]);
        policy.record_quick();
        assert_eq!(after_slow(&policy), 1);
    }
}

//! The only way to reach the rule actors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, SyncArbiter};
use tokio::sync::Semaphore;
use tracing::Span;

use super::actor::{Evaluate, EvaluateQuickly, Quick, QuickRulesActor, RulesActor, Task};
use crate::flow::{RulesError, RunOptions};
use crate::grl::{Evaluation, Limits, Lookup, Ruleset};

/// An evaluation may keep a worker's thread from its connections for so long.
const QUICK: Duration = Duration::from_millis(2);
/// The most evaluations that go to the other threads, without being tried on the worker's, after one that took longer.
const MOST_ELSEWHERE: u32 = 1_024;

/// The rule actors with threads of their own, shared by all workers.
#[derive(Clone)]
pub struct RulesHandle {
    address: Addr<RulesActor>,
    waiting: Arc<Semaphore>,
    limits: Arc<Limits>,
}

/// What is known of how long the rules of one node take.
///
/// A thread that loses its processor for a moment looks slow as well, so one slow evaluation sends only the next one elsewhere,
/// and each further one twice as many.
#[derive(Debug, Default)]
pub struct Pace {
    /// How many evaluations are still to go to the other threads without being tried on the worker's.
    elsewhere: AtomicU32,
    /// How many the last slow one sent there; nothing after a quick one.
    penalty: AtomicU32,
}

impl Pace {
    /// Whether the next one is to be tried on the worker's thread. Two at once may both take the last place elsewhere; the next
    /// is tried a little early then.
    fn is_tried(&self) -> bool {
        let left = self.elsewhere.load(Ordering::Relaxed);
        if left > 0 {
            self.elsewhere.store(left - 1, Ordering::Relaxed);
        }
        left == 0
    }

    fn was_quick(&self) {
        if self.penalty.load(Ordering::Relaxed) > 0 {
            self.penalty.store(0, Ordering::Relaxed);
        }
    }

    fn was_slow(&self) {
        let penalty = self.penalty.load(Ordering::Relaxed).saturating_mul(2).clamp(1, MOST_ELSEWHERE);
        self.penalty.store(penalty, Ordering::Relaxed);
        self.elsewhere.store(penalty, Ordering::Relaxed);
    }
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
        if pace.is_tried() {
            let asked = EvaluateQuickly { task, within: QUICK };
            match quick.0.send(asked).await {
                Ok(Quick::Done(result)) => {
                    pace.was_quick();
                    return result;
                }
                Ok(Quick::Unfinished(unfinished)) => {
                    pace.was_slow();
                    task = unfinished;
                }
                Err(_) => return Err(RulesError::Broken),
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slow_evaluation_in_a_row_sends_twice_as_many_elsewhere_and_a_quick_one_ends_the_row() {
        let pace = Pace::default();
        let elsewhere = |pace: &Pace| (0..10_000).take_while(|_| !pace.is_tried()).count();
        assert_eq!(elsewhere(&pace), 0);
        let after_slow_ones = |pace: &Pace| {
            pace.was_slow();
            elsewhere(pace)
        };
        let sent: Vec<usize> = (0..13).map(|_| after_slow_ones(&pace)).collect();
        assert_eq!(sent, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_024, 1_024]);
        pace.was_quick();
        assert_eq!(after_slow_ones(&pace), 1);
    }
}

//! The only way to reach the rule actors.

use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, SyncArbiter};
use tokio::sync::Semaphore;
use tracing::Span;

use super::actor::{Evaluate, RulesActor};
use crate::flow::{RulesError, Run};
use crate::grl::{Evaluation, Limits, Lookup, Ruleset};

/// The rule actors.
#[derive(Clone)]
pub struct RulesHandle {
    address: Addr<RulesActor>,
    waiting: Arc<Semaphore>,
}

impl RulesHandle {
    /// Starts `threads` rule actors. At most `max_waiting` evaluations wait or run at once; more are refused.
    ///
    /// Must be called inside an actix system.
    pub fn start(threads: usize, max_waiting: usize, limits: &Limits) -> Self {
        let limits = limits.clone();
        let address = SyncArbiter::start(threads.max(1), move || RulesActor::new(limits.clone()));
        Self { address, waiting: Arc::new(Semaphore::new(max_waiting.max(1))) }
    }

    /// Evaluates `ruleset` over the facts it reads, in the order of [`Ruleset::reads`], as `run` asks.
    ///
    /// # Errors
    /// [`RulesError`].
    pub async fn evaluate(
        &self,
        ruleset: &Arc<Ruleset>,
        reads: Vec<Lookup>,
        run: &Run,
    ) -> Result<Evaluation, RulesError> {
        let permit = Arc::clone(&self.waiting)
            .try_acquire_owned()
            .map_err(|_| RulesError::Overloaded { retry_after: Duration::from_secs(1) })?;
        let message = Evaluate {
            ruleset: Arc::clone(ruleset),
            reads,
            clock: run.clock.clone(),
            deadline: run.deadline,
            detail: run.detail,
            span: Span::current(),
            permit,
        };
        self.address.send(message).await.unwrap_or(Err(RulesError::Broken))
    }
}

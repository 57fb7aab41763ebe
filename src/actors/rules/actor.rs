//! The thread that evaluates.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use actix::{Actor, Handler, Message, SyncContext};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use crate::flow::{Detail, RulesError};
use crate::grl::{Engine, Evaluation, Limits, Lookup, Ruleset};
use crate::types::{Clock, Deadline};

/// Evaluate a ruleset over these facts.
#[derive(Message)]
#[rtype(result = "Result<Evaluation, RulesError>")]
pub(super) struct Evaluate {
    pub(super) ruleset: Arc<Ruleset>,
    pub(super) reads: Vec<Lookup>,
    pub(super) clock: Clock,
    pub(super) deadline: Deadline,
    pub(super) detail: Detail,
    pub(super) span: Span,
    /// Given back when the evaluation ends: what bounds the queue.
    pub(super) permit: OwnedSemaphorePermit,
}

/// One thread's engines.
pub(super) struct RulesActor {
    limits: Limits,
    /// By the address of the ruleset, which the weak pointer keeps from being reused while the entry is here.
    engines: HashMap<*const Ruleset, (Weak<Ruleset>, Engine)>,
}

impl RulesActor {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, engines: HashMap::new() }
    }

    fn engine(&mut self, ruleset: &Arc<Ruleset>) -> Result<&mut Engine, RulesError> {
        let key = Arc::as_ptr(ruleset);
        if !self.engines.contains_key(&key) {
            self.engines.retain(|_, (ruleset, _)| ruleset.strong_count() > 0);
        }
        match self.engines.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(&mut entry.into_mut().1),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let engine = Engine::new(Arc::clone(ruleset), &self.limits)?;
                Ok(&mut entry.insert((Arc::downgrade(ruleset), engine)).1)
            }
        }
    }
}

impl Actor for RulesActor {
    type Context = SyncContext<Self>;
}

impl Handler<Evaluate> for RulesActor {
    type Result = Result<Evaluation, RulesError>;

    fn handle(&mut self, message: Evaluate, _: &mut Self::Context) -> Self::Result {
        let Evaluate { ruleset, reads, clock, deadline, detail, span, permit } = message;
        let _entered = span.entered();
        let result = catch_unwind(AssertUnwindSafe(|| {
            let engine = self.engine(&ruleset)?;
            let evaluation = match detail {
                Detail::Reasons => engine.explain(&reads, &clock, deadline),
                Detail::Decision | Detail::Answers => engine.evaluate(&reads, &clock, deadline),
            };
            evaluation.map_err(RulesError::Rule)
        }));
        drop(permit);
        result.unwrap_or_else(|_| {
            tracing::error!(ruleset.hash = ruleset.hash(), "a rule engine panicked and was thrown away");
            self.engines.clear();
            Err(RulesError::Broken)
        })
    }
}

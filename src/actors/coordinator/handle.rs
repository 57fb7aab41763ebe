//! The only way to reach a coordinator.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Span;

use super::actor::{Coordinator, Decide};
use super::bound::BoundFlow;
use crate::actors::domain::Gatherer;
use crate::actors::rules::QuickRulesHandle;
use crate::flow::{FlowError, Report, Run};
use crate::types::Value;

/// How long a client that was refused should wait before it asks again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A coordinator.
#[derive(Clone)]
pub struct CoordinatorHandle {
    address: Addr<Coordinator>,
    under_way: Arc<Semaphore>,
}

/// One decision to make.
pub struct Request {
    /// The flow that decides.
    pub flow: Arc<BoundFlow>,
    /// Its checked inputs.
    pub inputs: Value,
    /// The clock and the deadline.
    pub run: Run,
}

impl CoordinatorHandle {
    /// Starts a coordinator on the current thread, which must run an actix runtime. `under_way` bounds the decisions of
    /// all coordinators that share it.
    pub fn start(under_way: Arc<Semaphore>) -> Self {
        let coordinator = Coordinator { quick: QuickRulesHandle::start(), gatherer: Gatherer::default() };
        Self { address: coordinator.start(), under_way }
    }

    /// How many more decisions may be under way at the moment.
    pub fn room(&self) -> usize {
        self.under_way.available_permits()
    }

    /// Decides, by the deadline; refuses with [`FlowError::Overloaded`] at once where too many decisions are under way.
    pub async fn decide(&self, request: Request) -> Report {
        match Arc::clone(&self.under_way).try_acquire_owned() {
            Ok(permit) => self.with(permit, request).await,
            Err(_) => without(FlowError::Overloaded { retry_after: RETRY_AFTER }),
        }
    }

    /// As [`Self::decide`], but waits for its turn where too many decisions are under way: for work that comes in bulk and
    /// is held back by being read no further.
    pub async fn decide_in_turn(&self, request: Request) -> Report {
        if let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() {
            return self.with(permit, request).await;
        }
        let latest = tokio::time::Instant::from_std(request.run.deadline.instant());
        match tokio::time::timeout_at(latest, Arc::clone(&self.under_way).acquire_owned()).await {
            Ok(Ok(permit)) => self.with(permit, request).await,
            Ok(Err(_)) | Err(_) => without(FlowError::Overloaded { retry_after: RETRY_AFTER }),
        }
    }

    async fn with(&self, permit: OwnedSemaphorePermit, request: Request) -> Report {
        let Request { flow, inputs, run } = request;
        let message = Decide { flow, inputs, run, span: Span::current(), permit };
        self.address.send(message).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a decision broke off");
            without(FlowError::Broken)
        })
    }
}

fn without(error: FlowError) -> Report {
    Report { result: Err(error), trace: None }
}

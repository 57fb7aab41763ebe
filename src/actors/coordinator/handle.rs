//! The only way to reach a coordinator.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Span;

use super::actor::{Coordinator, Decide};
use super::bound::BoundFlow;
use super::crew::Crew;
use crate::actors::domain::Gatherer;
use crate::actors::rules::QuickRulesHandle;
use crate::flow::{FlowError, Report, Run};
use crate::types::{Deadline, Value};

/// How long a client that was refused should wait before it asks again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A coordinator.
#[derive(Clone)]
pub struct CoordinatorHandle {
    address: Addr<Coordinator>,
    crew: Crew,
    under_way: Arc<Semaphore>,
}

/// One decision to make.
#[derive(Clone)]
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
    /// all coordinators that share it; those of one `crew` share the work of batches.
    pub fn start(under_way: Arc<Semaphore>, crew: Crew) -> Self {
        let coordinator = Coordinator { quick: QuickRulesHandle::start(), gatherer: Gatherer::default() };
        let address = coordinator.start();
        crew.join(&address);
        Self { address, crew, under_way }
    }

    /// How many more decisions may be under way at the moment.
    pub fn room(&self) -> usize {
        self.under_way.available_permits()
    }

    /// Decides, by the deadline; refuses with [`FlowError::Overloaded`] at once where too many decisions are under way.
    pub async fn decide(&self, request: Request) -> Report {
        match Arc::clone(&self.under_way).try_acquire_owned() {
            Ok(permit) => self.by_itself(permit, request).await,
            Err(_) => overloaded(),
        }
    }

    /// As [`Self::decide`], but waits for its turn where too many decisions are under way, and lets the worker decide whose turn
    /// it is: for work that comes in bulk and is held back by being read no further. `index` is its place in that.
    pub async fn decide_in_turn(&self, request: Request, index: usize) -> Report {
        if let Some(member) = self.crew.member(index).filter(|member| *member != self.address) {
            let Some(permit) = self.turn(request.run.deadline).await else { return overloaded() };
            if let Ok(report) = member.send(decide(permit, request.clone())).await {
                return report;
            }
            // A worker that has nothing left to do ends when the service stops, and what it was asked meanwhile with it. (A decision
            // that broke breaks again below, and is told of there.)
        }
        match self.turn(request.run.deadline).await {
            Some(permit) => self.by_itself(permit, request).await,
            None => overloaded(),
        }
    }

    /// The right to be under way, once there is room within the deadline.
    async fn turn(&self, deadline: Deadline) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() {
            return Some(permit);
        }
        let latest = tokio::time::Instant::from_std(deadline.instant());
        tokio::time::timeout_at(latest, Arc::clone(&self.under_way).acquire_owned()).await.ok()?.ok()
    }

    async fn by_itself(&self, permit: OwnedSemaphorePermit, request: Request) -> Report {
        self.address.send(decide(permit, request)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a decision broke off");
            without(FlowError::Broken)
        })
    }
}

fn decide(permit: OwnedSemaphorePermit, request: Request) -> Decide {
    let Request { flow, inputs, run } = request;
    Decide { flow, inputs, run, span: Span::current(), permit }
}

fn overloaded() -> Report {
    without(FlowError::Overloaded { retry_after: RETRY_AFTER })
}

fn without(error: FlowError) -> Report {
    Report { result: Err(error), trace: None }
}

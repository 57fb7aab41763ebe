//! The only way to reach a coordinator.

use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr};
use tokio::sync::Semaphore;
use tracing::Span;

use super::actor::{Coordinator, Decide};
use super::bound::BoundFlow;
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
        Self { address: Coordinator.start(), under_way }
    }

    /// Decides, by the deadline; refuses with [`FlowError::Overloaded`] at once where too many decisions are under way.
    pub async fn decide(&self, request: Request) -> Report {
        let without = |error| Report { result: Err(error), trace: None };
        let Request { flow, inputs, run } = request;
        let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
            return without(FlowError::Overloaded { retry_after: RETRY_AFTER });
        };
        let message = Decide { flow, inputs, run, span: Span::current(), permit };
        self.address.send(message).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a decision broke off");
            without(FlowError::Broken)
        })
    }
}

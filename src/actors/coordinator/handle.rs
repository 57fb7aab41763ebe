//! The handle of a coordinator.

use std::time::Duration;

use actix::{Actor, Addr, MailboxError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

use super::actor::{Coordinator, Decide, Request};
use super::admission::{Admission, Permit};
use super::bound::BatchPlace;
use super::pool::CoordinatorPool;
use crate::actors::rules::QuickRulesHandle;
use crate::flow::{FlowError, Report};

/// How long a rejected client should wait before it retries.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The handle of a coordinator.
#[derive(Clone)]
pub struct CoordinatorHandle {
    address: Addr<Coordinator>,
    pool: CoordinatorPool,
    admission: Admission,
}

impl CoordinatorHandle {
    /// Starts a coordinator on the current thread, which must run an actix runtime. `admission` bounds the decisions of all
    /// coordinators that share it. The coordinators of `pool` share the decisions of batches.
    pub fn start(admission: Admission, pool: CoordinatorPool) -> Self {
        let coordinator = Coordinator { quick: QuickRulesHandle::start() };
        let address = coordinator.start();
        pool.join(&address);
        Self { address, pool, admission }
    }

    /// The number of decisions that can start now.
    pub fn room(&self) -> usize {
        self.admission.room()
    }

    /// Decides within the deadline. Fails with [`FlowError::Overloaded`] at once where too many decisions are in progress.
    pub async fn decide(&self, request: Request) -> Report {
        match self.admission.single() {
            Some(permit) => self.decide_here(permit, request, None).await,
            None => overloaded(),
        }
    }

    /// As [`Self::decide`], but waits where too many decisions are in progress, and for connections. This is for decisions of batches,
    /// whose readers apply backpressure.
    pub async fn decide_of_batch(&self, request: Request, place: BatchPlace) -> Report {
        if let Some(permit) = self.admission.of_batch() {
            return self.decide_on_pool(permit, request, place).await;
        }
        // A separate task, because nothing polls this future while the client does not read its answers. A permit that it got
        // meanwhile would be unavailable to other batches.
        let handle = self.clone();
        let waits = async move {
            match handle.admission.wait_of_batch().await {
                Some(permit) => handle.decide_on_pool(permit, request, place).await,
                None => overloaded(),
            }
        };
        let mut task = AbortOnDrop(actix::spawn(waits.in_current_span()));
        (&mut task.0).await.unwrap_or_else(|_| FlowError::Broken.into())
    }

    async fn decide_on_pool(&self, permit: Permit, request: Request, place: BatchPlace) -> Report {
        let Some(member) = self.pool.get(place.index).filter(|member| *member != self.address) else {
            return self.decide_here(permit, request, Some(place)).await;
        };
        if let Ok(report) = decide(&member, permit, request.clone(), Some(place)).await {
            return report;
        }
        // When the service stops, idle workers end, and with them the messages in their mailboxes. (A decision that panicked
        // panics again below, and is reported there.)
        match self.admission.wait_of_batch().await {
            Some(permit) => self.decide_here(permit, request, Some(place)).await,
            None => overloaded(),
        }
    }

    async fn decide_here(&self, permit: Permit, request: Request, place: Option<BatchPlace>) -> Report {
        decide(&self.address, permit, request, place).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a decision broke off");
            FlowError::Broken.into()
        })
    }
}

/// Aborts a task when it is dropped.
struct AbortOnDrop(JoinHandle<Report>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Has `coordinator` decide. Dropping the future abandons the decision.
async fn decide(
    coordinator: &Addr<Coordinator>,
    permit: Permit,
    request: Request,
    place: Option<BatchPlace>,
) -> Result<Report, MailboxError> {
    let (_until_dropped, caller) = oneshot::channel();
    coordinator.send(Decide { request, place, span: Span::current(), caller, permit }).await
}

fn overloaded() -> Report {
    FlowError::Overloaded { retry_after: RETRY_AFTER }.into()
}

//! The only way to reach a coordinator.

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

/// How long a client that was refused should wait before it asks again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A coordinator.
#[derive(Clone)]
pub struct CoordinatorHandle {
    address: Addr<Coordinator>,
    pool: CoordinatorPool,
    admission: Admission,
}

impl CoordinatorHandle {
    /// Starts a coordinator on the current thread, which must run an actix runtime. `admission` bounds the decisions of
    /// all coordinators that share it; those of one `pool` share the work of batches.
    pub fn start(admission: Admission, pool: CoordinatorPool) -> Self {
        let coordinator = Coordinator { quick: QuickRulesHandle::start() };
        let address = coordinator.start();
        pool.join(&address);
        Self { address, pool, admission }
    }

    /// How many more decisions may begin now.
    pub fn room(&self) -> usize {
        self.admission.room()
    }

    /// Decides, by the deadline; refuses with [`FlowError::Overloaded`] at once where too many decisions are under way.
    pub async fn decide(&self, request: Request) -> Report {
        match self.admission.single() {
            Some(permit) => self.by_itself(permit, request, None).await,
            None => overloaded(),
        }
    }

    /// As [`Self::decide`], but waits for its turn where too many decisions are under way or connections are busy, and lets the
    /// worker decide whose turn it is: for work that comes in bulk and is held back by being read no further.
    pub async fn decide_in_turn(&self, request: Request, place: BatchPlace) -> Report {
        if let Some(permit) = self.admission.of_batch() {
            return self.shared_out(permit, request, place).await;
        }
        // A task of its own: where nobody reads the answers nobody polls this future, and the permit that it is given
        // meanwhile would be lost to the other batches.
        let handle = self.clone();
        let waits = async move {
            match handle.admission.of_batch_in_turn().await {
                Some(permit) => handle.shared_out(permit, request, place).await,
                None => overloaded(),
            }
        };
        let mut task = AbortOnDrop(actix::spawn(waits.in_current_span()));
        (&mut task.0).await.unwrap_or_else(|_| without(FlowError::Broken))
    }

    async fn shared_out(&self, permit: Permit, request: Request, place: BatchPlace) -> Report {
        let Some(member) = self.pool.get(place.index).filter(|member| *member != self.address) else {
            return self.by_itself(permit, request, Some(place)).await;
        };
        if let Ok(report) = decide(&member, permit, request.clone(), Some(place)).await {
            return report;
        }
        // A worker that has nothing left to do ends when the service stops, and what it was asked meanwhile with it. (A decision
        // that broke breaks again below, and is reported there.)
        match self.admission.of_batch_in_turn().await {
            Some(permit) => self.by_itself(permit, request, Some(place)).await,
            None => overloaded(),
        }
    }

    async fn by_itself(&self, permit: Permit, request: Request, place: Option<BatchPlace>) -> Report {
        decide(&self.address, permit, request, place).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a decision broke off");
            without(FlowError::Broken)
        })
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop(JoinHandle<Report>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Has `coordinator` decide, for as long as this is waited for.
async fn decide(
    coordinator: &Addr<Coordinator>,
    permit: Permit,
    request: Request,
    place: Option<BatchPlace>,
) -> Result<Report, MailboxError> {
    let (_until_dropped, asker) = oneshot::channel();
    coordinator.send(Decide { request, place, span: Span::current(), asker, permit }).await
}

fn overloaded() -> Report {
    without(FlowError::Overloaded { retry_after: RETRY_AFTER })
}

fn without(error: FlowError) -> Report {
    Report { result: Err(error), trace: None }
}

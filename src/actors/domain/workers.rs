//! The workers of one generation of a domain's actor: one for each thread that queries the domain.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use actix::Addr;
use arc_swap::ArcSwapOption;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::core::{Core, InFlight, Notice};
use super::worker::{Ask, DomainWorker, Fill, Question};
use crate::flow::{QueryAnswer, QueryErrorKind};
use crate::pool::ConnectError;

type Slot = ArcSwapOption<Addr<DomainWorker>>;

/// The workers. Threads share a worker where there are more threads than connections.
#[derive(Debug)]
pub(in crate::actors) struct Workers {
    core: Arc<Core>,
    addresses: Box<[Slot]>,
    /// Held while a worker is started.
    starting: Mutex<()>,
    restarts: Arc<AtomicU64>,
}

thread_local! {
    /// The number of this thread among those that query databases.
    static THREAD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

impl Workers {
    /// Starts no worker yet. `restarts` counts workers that are replaced.
    pub(super) fn new(core: Arc<Core>, restarts: Arc<AtomicU64>) -> Self {
        let addresses = (0..core.pool().capacity()).map(|_| Slot::empty()).collect();
        Self { core, addresses, starting: Mutex::default(), restarts }
    }

    /// What they share.
    pub(in crate::actors) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Asks the worker of this thread. `None` where the worker ended before it answered. The caller then has to ask again.
    pub(super) async fn ask(&self, question: Question, asked: Instant) -> Option<Result<QueryAnswer, QueryErrorKind>> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask { question, asked, reply, _in_flight: InFlight::begin(&self.core) };
        self.send_to_worker(ask);
        let outcome = answer.await.ok()?;
        if let Err(kind) = &outcome {
            self.core.probe_after(kind);
        }
        Some(outcome)
    }

    fn send_to_worker(&self, ask: Ask) {
        let Some((index, slot)) = self.slot() else { return };
        if let Some(address) = &*slot.load()
            && address.connected()
        {
            address.do_send(ask);
            return;
        }
        self.start_worker(index, slot).do_send(ask);
    }

    /// The slot of this thread's worker.
    fn slot(&self) -> Option<(usize, &Slot)> {
        let index = THREAD.with(|number| *number).checked_rem(self.addresses.len())?;
        Some((index, self.addresses.get(index)?))
    }

    /// Starts the worker of `slot` on this thread, unless another thread has done so.
    fn start_worker(&self, index: usize, slot: &Slot) -> Addr<DomainWorker> {
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = slot.load_full();
        if let Some(address) = before.as_ref().filter(|address| address.connected()) {
            return Addr::clone(address);
        }
        if before.is_some() {
            let restarts = self.restarts.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(domain = %self.core.config().name, actor.restarts = restarts, "domain.worker.replaced");
        }
        let address = DomainWorker::start_here(&self.core, index);
        slot.store(Some(Arc::new(address.clone())));
        self.core.register(index, address.clone().recipient());
        if self.core.state().is_leaving() {
            address.do_send(Notice::Leave);
        }
        address
    }

    /// Starts the worker of this thread, so that its connections are made before the first query.
    pub(super) fn join(&self) {
        if let Some((index, slot)) = self.slot()
            && slot.load().is_none()
        {
            self.start_worker(index, slot);
            self.core.request_probe();
        }
    }

    /// Has the workers verify or close idle connections, and make those that are missing from the minimum.
    ///
    /// # Errors
    /// [`ConnectError`] of a missing connection.
    pub(super) async fn maintain(&self) -> Result<(), ConnectError> {
        let pool = self.core.pool();
        self.core.shrink();
        let addresses: Vec<_> = self.addresses.iter().filter_map(Slot::load_full).collect();
        let addresses: Vec<_> = addresses.iter().filter(|address| address.connected()).collect();
        let minimum = pool.minimum();
        let count = addresses.len();
        let share = |rank: usize| (minimum + count - 1 - rank) / count;
        let kept = addresses.iter().enumerate().map(|(rank, worker)| worker.send(Fill { to: share(rank) }));
        // A worker that has ended is replaced at the next query.
        join_all(kept).await.into_iter().filter_map(Result::ok).collect()
    }
}

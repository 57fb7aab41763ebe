//! The domain actor.

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, ResponseActFuture,
    ResponseFuture, WrapFuture,
};
use tokio::sync::mpsc;

use super::core::Core;
use super::monitor;
use super::state::Event;
use super::workers::Workers;
use crate::types::DomainName;

/// Owns the pool, the probe and the state of one database. Its workers hold the connections.
///
/// Handlers return futures over the shared [`Core`], which do not block other messages and survive the actor.
#[derive(Debug)]
pub(in crate::actors) struct Domain {
    workers: Arc<Workers>,
    _death_watch: DeathWatch,
}

impl Domain {
    /// Starts the actor on this thread.
    pub(super) fn start_with(workers: Arc<Workers>, death_watch: DeathWatch) -> Addr<Self> {
        Self { workers, _death_watch: death_watch }.start()
    }
}

impl Actor for Domain {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.spawn(monitor::run(Arc::clone(&self.workers)).into_actor(self));
    }
}

/// Probe now. Answered when a later probe has ended. While the domain is down, that is the next one due.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Probe;

impl Handler<Probe> for Domain {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Probe, _: &mut Context<Self>) -> Self::Result {
        let core = Arc::clone(self.workers.core());
        Box::pin(async move {
            let mut status = core.status();
            let before = status.borrow().probes;
            core.request_probe();
            // The sender is in `core`, so waiting cannot fail.
            drop(status.wait_for(|now| now.probes > before || now.state.is_leaving()).await);
        })
    }
}

/// Drain and stop. Answered when every connection is closed, or when `limit` and the time to close have passed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(in crate::actors) struct Drain {
    /// How long queries in flight may take.
    pub(in crate::actors) limit: Duration,
}

impl Handler<Drain> for Domain {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, message: Drain, _: &mut Context<Self>) -> Self::Result {
        let core = Arc::clone(self.workers.core());
        let drained = async move { core.drain(message.limit).await };
        Box::pin(drained.into_actor(self).map(|(), _, context| context.stop()))
    }
}

/// Panic. Only tests send this, to show that a domain's actor is replaced.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct Panic;

impl Handler<Panic> for Domain {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        std::panic::resume_unwind(Box::new("injected into the actor"));
    }
}

/// The report that an actor has ended, by request or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::actors) struct Died {
    /// The domain of the actor.
    pub(in crate::actors) domain: DomainName,
    /// The number of the actor among those of the domain.
    pub(in crate::actors) generation: u64,
    /// Whether it panicked.
    pub(in crate::actors) panicked: bool,
}

/// Reports the end of the actor to the supervisor when it is dropped with it. actix does not report a panic.
#[derive(Debug)]
pub(super) struct DeathWatch {
    core: Arc<Core>,
    generation: u64,
    deaths: mpsc::UnboundedSender<Died>,
}

impl DeathWatch {
    pub(super) fn new(core: Arc<Core>, generation: u64, deaths: mpsc::UnboundedSender<Died>) -> Self {
        Self { core, generation, deaths }
    }
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        self.core.record(Event::Stop);
        let domain = self.core.config().name.clone();
        let died = Died { domain, generation: self.generation, panicked: std::thread::panicking() };
        // Sending fails only when the process is ending.
        drop(self.deaths.send(died));
    }
}

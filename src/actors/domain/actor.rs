//! The actor of one domain.

use std::sync::Arc;

use actix::{Actor, Addr, ArbiterHandle, AsyncContext, Context, WrapFuture};
use tokio::sync::mpsc;

use super::core::Core;
use super::monitor;
use super::state::Event;
use crate::types::DomainName;

/// Owns the connections, the probe and the state of one database.
///
/// Its handlers return futures over the shared [`Core`], so a query neither waits for another message nor dies with the
/// actor.
#[derive(Debug)]
pub(in crate::actors) struct Domain {
    pub(super) core: Arc<Core>,
    _death_watch: DeathWatch,
}

impl Domain {
    /// Starts the actor of `core` on the thread of `arbiter`.
    pub(super) fn start_on(arbiter: &ArbiterHandle, core: Arc<Core>, death_watch: DeathWatch) -> Addr<Self> {
        Self::start_in_arbiter(arbiter, move |_| Self { core, _death_watch: death_watch })
    }
}

impl Actor for Domain {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.spawn(monitor::watch_over(Arc::clone(&self.core)).into_actor(self));
    }
}

/// An actor has gone, whether it was asked to or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::actors) struct Died {
    /// Whose actor it was.
    pub(in crate::actors) domain: DomainName,
    /// Which of the domain's actors, one after the other.
    pub(in crate::actors) generation: u64,
    /// Whether it panicked.
    pub(in crate::actors) panicked: bool,
}

/// A part of the actor whose end, however it comes, is told to the supervisor. actix tells nobody of a panic.
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
        // Without a supervisor the process is ending.
        drop(self.deaths.send(died));
    }
}

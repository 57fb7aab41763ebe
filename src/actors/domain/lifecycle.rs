//! Start, respawn, replacement and retirement of the actors of one domain.
//!
//! A change of the actor holds the lock `generations`, so a respawn and a restart never overlap. Queries do not wait for the lock:
//! they use the published address.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix::ArbiterHandle;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::actor::{DeathWatch, Died, Domain, Drain};
use super::core::Core;
use super::handle::{DomainHandle, Instance, Publication};
use super::state::State;
use super::workers::Workers;
use crate::actors::backoff::Backoff;
use crate::config::DomainConfig;
use crate::flow::QueryError;
use crate::pool::PoolSetupError;
use crate::types::DomainName;

/// Deaths within this time delay the next respawn.
const DEATH_WINDOW: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Why a domain's actor could not be started or replaced.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// Its pool could not be created.
    #[error("domain `{domain}`: {source}")]
    Pool {
        /// The domain.
        domain: DomainName,
        /// Why.
        #[source]
        source: PoolSetupError,
    },
    /// The new actor did not become ready, so the old one stays in service.
    #[error("the replacement did not become ready and was not put in service: {source}")]
    NotReady {
        /// Why.
        #[source]
        source: QueryError,
    },
}

/// The threads on which domains have workers, shared by all domains.
pub(in crate::actors) type Threads = Arc<std::sync::Mutex<Vec<ArbiterHandle>>>;

/// A domain, independent of the actor that serves it.
#[derive(Debug)]
pub(in crate::actors) struct Lifecycle {
    handle: DomainHandle,
    publication: watch::Sender<Publication>,
    restarts: Arc<AtomicU64>,
    deaths: mpsc::UnboundedSender<Died>,
    threads: Threads,
    generations: Mutex<Generations>,
}

#[derive(Debug)]
struct Generations {
    /// Never reused, so that the death of an actor that was never in service is not attributed to another one.
    last: u64,
    recent_deaths: VecDeque<Instant>,
}

impl Lifecycle {
    /// Starts the first actor of the domain of `config`. It connects in the background.
    pub(in crate::actors) fn start(
        config: DomainConfig,
        deaths: mpsc::UnboundedSender<Died>,
        threads: Threads,
    ) -> Result<Self, LifecycleError> {
        let (name, restarts) = (config.name.clone(), Arc::default());
        let instance = spawn(config, 0, &restarts, (&deaths, &threads))?;
        let publication = watch::Sender::new(Publication { instance, retired: false });
        Ok(Self {
            handle: DomainHandle::new(name, publication.subscribe(), Arc::clone(&restarts)),
            publication,
            restarts,
            deaths,
            threads,
            generations: Mutex::new(Generations { last: 0, recent_deaths: VecDeque::new() }),
        })
    }

    /// A handle of the domain.
    pub(in crate::actors) fn handle(&self) -> DomainHandle {
        self.handle.clone()
    }

    /// Replaces an actor that died, unless it has been replaced or the domain is retired.
    pub(in crate::actors) async fn respawn(&self, died: &Died) {
        let mut generations = self.generations.lock().await;
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let Publication { instance, retired } = self.publication.borrow().clone();
            if retired || instance.generation != died.generation {
                return;
            }
            sleep(generations.pause_after_death()).await;
            let config = instance.workers.core().config().clone();
            match spawn(config, generations.next(), &self.restarts, (&self.deaths, &self.threads)) {
                Ok(instance) => {
                    let restarts = self.restarts.fetch_add(1, Ordering::Relaxed) + 1;
                    let panicked = died.panicked;
                    tracing::warn!(domain = %self.handle.name(), actor.restarts = restarts, panicked, "domain.actor.replaced");
                    self.publication.send_replace(Publication { instance, retired: false });
                    return;
                }
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(domain = %self.handle.name(), error, "domain.actor.not_replaced");
                    sleep(backoff.next()).await;
                }
            }
        }
    }

    /// Starts a new actor with its own pool, waits until it is ready, puts it in service and drains the old one. No query fails,
    /// because the old actor finishes its queries.
    ///
    /// A new actor that does not become ready is put in service only where the old one does not serve either.
    pub(in crate::actors) async fn replace(&self, config: Option<DomainConfig>) -> Result<(), LifecycleError> {
        let old = {
            let mut generations = self.generations.lock().await;
            let old = self.publication.borrow().instance.clone();
            let config = config.unwrap_or_else(|| old.workers.core().config().clone());
            let new = spawn(config, generations.next(), &self.restarts, (&self.deaths, &self.threads))?;
            if let Err(source) = self.wait_ready(&new).await
                && old.workers.core().status().borrow().state.serves()
            {
                drain(&new, Duration::ZERO).await;
                return Err(LifecycleError::NotReady { source });
            }
            self.publication.send_replace(Publication { instance: new, retired: false });
            self.restarts.fetch_add(1, Ordering::Relaxed);
            old
        };
        drain(&old, longest_query(old.workers.core().config())).await;
        Ok(())
    }

    /// Takes the domain out of service: waits for queries in flight, for at most `limit`, and closes every connection.
    pub(in crate::actors) async fn retire(&self, limit: Duration) {
        self.publication.send_modify(|publication| publication.retired = true);
        let _generations = self.generations.lock().await;
        let instance = self.publication.borrow().instance.clone();
        drain(&instance, limit).await;
    }

    /// Waits until `new` is ready or down.
    async fn wait_ready(&self, new: &Instance) -> Result<(), QueryError> {
        let core = new.workers.core();
        let limit = core.pool().longest_connect() + core.config().timeouts.probe;
        let mut status = core.status();
        let settled = status.wait_for(|now| now.state.serves() || matches!(now.state, State::Down { .. }));
        // The state says whether it is ready in time.
        drop(timeout(limit, settled).await);
        core.available()
    }
}

impl Generations {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The pause before the next respawn. It grows with the number of recent deaths.
    fn pause_after_death(&mut self) -> Duration {
        let now = Instant::now();
        self.recent_deaths.retain(|death| now.duration_since(*death) < DEATH_WINDOW);
        let deaths = u32::try_from(self.recent_deaths.len()).unwrap_or(u32::MAX);
        self.recent_deaths.push_back(now);
        Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).nth(deaths)
    }
}

/// Starts an actor on this thread, and its workers on theirs.
fn spawn(
    config: DomainConfig,
    generation: u64,
    restarts: &Arc<AtomicU64>,
    (deaths, threads): (&mpsc::UnboundedSender<Died>, &Threads),
) -> Result<Instance, LifecycleError> {
    let name = config.name.clone();
    let core = Core::new(config);
    let core = Arc::new(core.map_err(|source| LifecycleError::Pool { domain: name, source })?);
    let death_watch = DeathWatch::new(Arc::clone(&core), generation, deaths.clone());
    let workers = Arc::new(Workers::new(core, Arc::clone(restarts)));
    let address = Domain::start_with(Arc::clone(&workers), death_watch);
    let starts_worker = |thread: &mut ArbiterHandle| {
        let workers = Arc::clone(&workers);
        thread.spawn_fn(move || workers.join())
    };
    threads.lock().unwrap_or_else(PoisonError::into_inner).retain_mut(starts_worker);
    Ok(Instance { generation, address, workers })
}

/// The longest that a query can take, unless a node has a longer timeout.
fn longest_query(config: &DomainConfig) -> Duration {
    config.timeouts.acquire + config.timeouts.query + Duration::from_secs(1)
}

async fn drain(instance: &Instance, limit: Duration) {
    // An actor that has died has nothing to drain.
    instance.address.send(Drain { limit }).await.unwrap_or_default();
}

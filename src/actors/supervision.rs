//! The supervisor: replaces domain actors that die, and adds, restarts, removes and drains domains while the service runs.
//!
//! actix's supervisor does not restart an actor that panicked. Here each actor owns a `DeathWatch`, which reports to the supervisor
//! when it is dropped. The work is in `domain::lifecycle`, in futures that do not block this actor, so that a slow restart of
//! one domain does not delay others.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Message, ResponseFuture, StreamHandler};
use arc_swap::ArcSwap;
use futures_util::future::join_all;
use futures_util::stream;
use tokio::sync::mpsc;

use super::domain::{Died, DomainHandle, Lifecycle, LifecycleError, Threads};
use crate::config::DomainConfig;
use crate::types::DomainName;

/// Why a change to the domains was not made.
#[derive(Debug, thiserror::Error)]
pub enum SupervisionError {
    /// There is no actix system on this thread.
    #[error("domains can only be started inside an actix system")]
    NoSystem,
    /// No such domain.
    #[error("there is no domain `{domain}`")]
    Unknown {
        /// Its name.
        domain: DomainName,
    },
    /// A domain of that name exists.
    #[error("there is a domain `{domain}` already")]
    Exists {
        /// Its name.
        domain: DomainName,
    },
    /// The supervisor has ended, because the process is ending.
    #[error("the domains are being stopped")]
    Stopping,
    /// The domain's actor could not be started or replaced.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
}

/// All domains of the service. Cheap to clone, and usable on every thread.
#[derive(Debug, Clone)]
pub struct DomainSet {
    supervisor: Addr<Supervisor>,
    handles: Arc<ArcSwap<BTreeMap<DomainName, DomainHandle>>>,
    threads: Threads,
}

impl DomainSet {
    /// Starts an actor for each of `configs`. They connect in the background, so a database that is down causes no delay.
    ///
    /// # Errors
    /// [`SupervisionError`] where there is no actix system, two domains have one name, or an actor cannot be started.
    pub fn start(configs: Vec<DomainConfig>) -> Result<Self, SupervisionError> {
        if actix::System::try_current().is_none() {
            return Err(SupervisionError::NoSystem);
        }
        let (deaths, reports) = mpsc::unbounded_channel();
        let threads = Threads::default();
        let mut domains = BTreeMap::new();
        for config in configs {
            let name = config.name.clone();
            let lifecycle = Arc::new(Lifecycle::start(config, deaths.clone(), Arc::clone(&threads))?);
            if domains.insert(name.clone(), lifecycle).is_some() {
                return Err(SupervisionError::Exists { domain: name });
            }
        }
        let handles = Arc::new(ArcSwap::from_pointee(handles_of(&domains)));
        let (reports, shared) = (Some(reports), Arc::clone(&handles));
        let supervisor =
            Supervisor { domains, handles: shared, deaths, reports, threads: Arc::clone(&threads) }.start();
        Ok(Self { supervisor, handles, threads })
    }

    /// Starts a worker of each domain on this thread, which must belong to an actix system, also for domains and actors that are
    /// started later. Without this call the first query starts a worker.
    pub fn join(&self) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(Arbiter::current());
        self.handles.load().values().for_each(DomainHandle::join);
    }

    /// The handle of `domain`.
    pub fn get(&self, domain: &DomainName) -> Option<DomainHandle> {
        self.handles.load().get(domain).cloned()
    }

    /// All handles, by name.
    pub fn handles(&self) -> Arc<BTreeMap<DomainName, DomainHandle>> {
        self.handles.load_full()
    }

    /// Replaces the actor of `domain` without downtime: a new one connects and is put in service, then the old one finishes its
    /// queries. `config` replaces the configuration. A password file is read again in any case.
    ///
    /// # Errors
    /// [`SupervisionError`]. If the new actor does not become ready, the old one stays in service.
    pub async fn restart(&self, domain: &DomainName, config: Option<DomainConfig>) -> Result<(), SupervisionError> {
        self.send(Restart { domain: domain.clone(), config }).await
    }

    /// Starts a domain.
    ///
    /// # Errors
    /// [`SupervisionError`] where the name exists or the actor cannot be started.
    pub async fn add(&self, config: DomainConfig) -> Result<(), SupervisionError> {
        self.send(Add { config }).await
    }

    /// Takes `domain` out of service. Its queries in flight have `limit` to finish.
    ///
    /// # Errors
    /// [`SupervisionError`] where there is no such domain.
    pub async fn remove(&self, domain: &DomainName, limit: Duration) -> Result<(), SupervisionError> {
        self.send(Remove { domain: domain.clone(), limit }).await
    }

    /// Takes every domain out of service: queries in flight have `limit` to finish, then every connection is closed. Handles stay
    /// valid and report that their domain has been stopped.
    pub async fn drain(&self, limit: Duration) {
        // A supervisor that has ended has no domains to drain.
        self.supervisor.send(DrainAll { limit }).await.unwrap_or_default();
    }

    async fn send<M>(&self, message: M) -> Result<(), SupervisionError>
    where
        M: Message<Result = Result<(), SupervisionError>> + Send + 'static,
        Supervisor: Handler<M>,
    {
        self.supervisor.send(message).await.unwrap_or(Err(SupervisionError::Stopping))
    }
}

fn handles_of(domains: &BTreeMap<DomainName, Arc<Lifecycle>>) -> BTreeMap<DomainName, DomainHandle> {
    domains.iter().map(|(name, lifecycle)| (name.clone(), lifecycle.handle())).collect()
}

/// Handles the deaths of actors and all changes of the domains.
#[derive(Debug)]
struct Supervisor {
    domains: BTreeMap<DomainName, Arc<Lifecycle>>,
    handles: Arc<ArcSwap<BTreeMap<DomainName, DomainHandle>>>,
    deaths: mpsc::UnboundedSender<Died>,
    reports: Option<mpsc::UnboundedReceiver<Died>>,
    threads: Threads,
}

impl Supervisor {
    fn publish(&self) {
        self.handles.store(Arc::new(handles_of(&self.domains)));
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        if let Some(reports) = self.reports.take() {
            context.add_stream(stream::unfold(reports, async |mut reports| Some((reports.recv().await?, reports))));
        }
    }
}

impl StreamHandler<Died> for Supervisor {
    fn handle(&mut self, died: Died, _: &mut Context<Self>) {
        if let Some(lifecycle) = self.domains.get(&died.domain).map(Arc::clone) {
            actix::spawn(async move { lifecycle.respawn(&died).await });
        }
    }

    fn finished(&mut self, _: &mut Context<Self>) {
        // The stream never ends, because this actor holds a sender. (The default implementation stops the actor.)
    }
}

/// Replace a domain's actor.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), SupervisionError>")]
struct Restart {
    domain: DomainName,
    config: Option<DomainConfig>,
}

impl Handler<Restart> for Supervisor {
    type Result = ResponseFuture<Result<(), SupervisionError>>;

    fn handle(&mut self, message: Restart, _: &mut Context<Self>) -> Self::Result {
        let Restart { domain, config } = message;
        let lifecycle = self.domains.get(&domain).map(Arc::clone);
        Box::pin(async move {
            let lifecycle = lifecycle.ok_or(SupervisionError::Unknown { domain })?;
            Ok(lifecycle.replace(config).await?)
        })
    }
}

/// Start a domain.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), SupervisionError>")]
struct Add {
    config: DomainConfig,
}

impl Handler<Add> for Supervisor {
    type Result = Result<(), SupervisionError>;

    fn handle(&mut self, message: Add, _: &mut Context<Self>) -> Self::Result {
        let domain = message.config.name.clone();
        if self.domains.contains_key(&domain) {
            return Err(SupervisionError::Exists { domain });
        }
        let lifecycle = Lifecycle::start(message.config, self.deaths.clone(), Arc::clone(&self.threads))?;
        self.domains.insert(domain, Arc::new(lifecycle));
        self.publish();
        Ok(())
    }
}

/// Take a domain out of service.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), SupervisionError>")]
struct Remove {
    domain: DomainName,
    limit: Duration,
}

impl Handler<Remove> for Supervisor {
    type Result = ResponseFuture<Result<(), SupervisionError>>;

    fn handle(&mut self, message: Remove, _: &mut Context<Self>) -> Self::Result {
        let Remove { domain, limit } = message;
        let lifecycle = self.domains.remove(&domain);
        self.publish();
        Box::pin(async move {
            lifecycle.ok_or(SupervisionError::Unknown { domain })?.retire(limit).await;
            Ok(())
        })
    }
}

/// Take every domain out of service.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct DrainAll {
    limit: Duration,
}

impl Handler<DrainAll> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, message: DrainAll, _: &mut Context<Self>) -> Self::Result {
        let domains: Vec<_> = self.domains.values().map(Arc::clone).collect();
        Box::pin(async move {
            join_all(domains.iter().map(|domain| domain.retire(message.limit))).await;
        })
    }
}

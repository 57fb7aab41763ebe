//! The actors of the service, without a socket: domain actors, rule actors and the current release.
//!
//! `serve`, `domain`, `demo`, `run` and `check --db` use it; only the first three add HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::project::Project;
use crate::actors::coordinator::{Admission, BoundFlow, CoordinatorHandle, CoordinatorPool, UnknownDomain};
use crate::actors::domain::DomainHandle;
use crate::actors::rules::RulesHandle;
use crate::actors::supervision::{DomainSet, SupervisionError};
use crate::config::Config;
use crate::graph::Flow;
use crate::http::{
    Admin, AdminSide, Console, Gate, HeadLimits, Nodes, NodesOf, Release, Releases, RequestSettings, Service, Settings,
    Shared, Stopping,
};
use crate::metrics::{Metrics, MetricsError};
use crate::records::{Recorder, RecorderError};
use crate::types::{Deadline, DomainName};

/// The most lines of batches that are written at once, in the whole service.
const BATCH_WRITES: usize = 4;
/// How long the last records may take to be written where the service stops at once.
const LAST_RECORDS: Duration = Duration::from_millis(500);

/// Why the actors did not start.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// The domains could not be started.
    #[error(transparent)]
    Supervision(#[from] SupervisionError),
    /// Nothing can be put on record.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// Nothing can be counted.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A flow names a domain without an actor. [`Project::load`] should have found every domain.
    #[error(transparent)]
    Domain(#[from] UnknownDomain),
}

/// The flows, bound to the domains and to new rule actors. The rule actors of the previous release end with it.
pub(super) fn release(
    config: &Config,
    (flows, nodes): (Vec<Flow>, Option<NodesOf>),
    domains: &DomainSet,
    metrics: &Metrics,
) -> Result<Release, UnknownDomain> {
    let rules = RulesHandle::start(config.rules.threads.count(), config.http.max_in_flight, &config.rules.limits);
    let mut handles: BTreeMap<DomainName, DomainHandle> = domains.handles().as_ref().clone();
    let counters = metrics.of_release(&flows);
    let bound = flows.into_iter().zip(counters).map(|(flow, metrics)| BoundFlow::bind(flow, &handles, &rules, metrics));
    let bound = bound.collect::<Result<Vec<_>, _>>()?;
    for flow in bound.iter().filter(|flow| flow.effects().is_some_and(|effects| !effects.may_write())) {
        tracing::info!(flow = %flow.flow().name, "effects.off: no write role is configured, so the flow decides and writes nothing");
    }
    // Those that drain because nothing names them any more are no part of what is served.
    let answers_for = |name: &DomainName| nodes.as_ref().is_some_and(|nodes| nodes.domain == *name);
    handles.retain(|name, _| answers_for(name) || bound.iter().any(|flow| flow.uses(name)));
    let nodes = nodes.and_then(|nodes| Some((handles.get(&nodes.domain)?.clone(), nodes)));
    let nodes = nodes.map(|(handle, nodes)| Nodes::new(nodes, handle));
    let settings = Settings {
        request_timeout: config.http.request_timeout,
        max_body_bytes: config.http.body_limit,
        batch_window: config.http.batch_window,
        key_lifetime: config.effects.key_lifetime_s,
        rule_limits: config.rules.limits.clone(),
        time_zone: config.time_zone.clone(),
    };
    Ok(Release::new(settings, bound, handles).with_nodes(nodes))
}

/// The actors of the service.
pub struct Core {
    domains: DomainSet,
    releases: Releases,
    /// Bounds the decisions in flight, of all workers together.
    admission: Admission,
    recorder: Option<Recorder>,
    gate: Gate,
    metrics: Metrics,
    stopping: Stopping,
    config: Config,
}

impl Core {
    /// Starts an actor for each domain and the rule actors, and binds the flows to them. A database that is down prevents nothing:
    /// its domain is `down` until the database answers.
    ///
    /// Must be called inside an actix system.
    ///
    /// # Errors
    /// [`CoreError`].
    pub fn start(project: Project) -> Result<Self, CoreError> {
        let Project { config, flows, nodes, domains, access, records } = project;
        let recorder = Recorder::start(&config.records, records.as_ref())?;
        let domains = DomainSet::start(domains)?;
        let metrics = Metrics::new()?;
        let release = release(&config, (flows, nodes), &domains, &metrics)?;
        let admission = Admission::new(config.http.max_in_flight);
        let (releases, gate) = (Releases::new(release), Gate::new(access));
        let stopping = Stopping::default();
        Ok(Self { domains, releases, admission, recorder, gate, metrics, stopping, config })
    }

    /// The current release.
    pub fn releases(&self) -> &Releases {
        &self.releases
    }

    /// The configuration it was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The recorder of decisions, if there is one.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// The tokens of callers.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Whether the service is about to stop.
    pub fn stopping(&self) -> &Stopping {
        &self.stopping
    }

    /// The domain actors.
    pub fn domains(&self) -> &DomainSet {
        &self.domains
    }

    /// Makes the handlers' service for each worker.
    pub fn service_factory(
        &self,
        admin: Option<Admin>,
        admin_side: AdminSide,
        console: Option<Console>,
    ) -> ServiceFactory {
        let http = &self.config.http;
        let shared = Shared {
            releases: self.releases.clone(),
            metrics: self.metrics.clone(),
            max_in_flight: http.max_in_flight,
            batch_writes: Semaphore::new((http.max_in_flight / 2).clamp(1, BATCH_WRITES)),
            recorder: self.recorder.clone(),
            admin,
            console,
            mcp: self.config.mcp.enabled.then(|| http.cors.iter().flat_map(|cors| cors.origins.clone()).collect()),
            admin_side,
            gate: self.gate.clone(),
            stopping: self.stopping.clone(),
            log_decisions: self.config.log.decisions,
        };
        let settings = RequestSettings {
            metrics: self.metrics.clone(),
            traces: self.config.traces.is_some(),
            head_limits: HeadLimits { url: http.url_limit, headers: http.header_limit },
        };
        ServiceFactory {
            domains: self.domains.clone(),
            admission: self.admission.clone(),
            coordinators: CoordinatorPool::default(),
            shared: Arc::new(shared),
            settings,
        }
    }

    /// Lets the domain actors finish their queries and close their connections, and the recorder write its records, within
    /// `deadline`.
    pub async fn drain(&self, deadline: Deadline) {
        self.domains.drain(deadline.remaining()).await;
        if let Some(recorder) = &self.recorder {
            recorder.finish(deadline.remaining()).await;
        }
    }

    /// Closes all connections now, also those with queries in flight. Decisions that were made are still recorded.
    pub async fn break_off(&self) {
        self.domains.drain(Duration::ZERO).await;
        if let Some(recorder) = &self.recorder {
            recorder.finish(LAST_RECORDS).await;
        }
    }
}

/// Makes the handlers' service of each worker: its own coordinator, and the shared parts.
#[derive(Clone)]
pub struct ServiceFactory {
    domains: DomainSet,
    admission: Admission,
    coordinators: CoordinatorPool,
    shared: Arc<Shared>,
    settings: RequestSettings,
}

impl ServiceFactory {
    /// The settings of the middleware.
    pub fn settings(&self) -> RequestSettings {
        self.settings.clone()
    }

    /// The service of the worker of this thread.
    pub fn service(&self) -> Service {
        self.domains.join();
        let coordinator = CoordinatorHandle::start(self.admission.clone(), self.coordinators.clone());
        Service { shared: Arc::clone(&self.shared), coordinator }
    }
}

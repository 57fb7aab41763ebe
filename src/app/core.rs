//! The living part of the service, without a socket: domain actors, rule actors and the current release.
//!
//! `serve`, `demo`, `run` and `check --db` all stand on it; only the first two put HTTP in front.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
    /// A flow names a domain without an actor: a fault of [`Project::load`], which finds every domain.
    #[error(transparent)]
    Domain(#[from] UnknownDomain),
}

/// The flows, bound to the domains and to rule actors of their own: those of the release before end with it.
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
    // Those that drain because nothing names them any more are no part of what is served.
    let answers_for = |name: &DomainName| nodes.as_ref().is_some_and(|nodes| nodes.domain == *name);
    handles.retain(|name, _| answers_for(name) || bound.iter().any(|flow| flow.uses(name)));
    let nodes = nodes.and_then(|nodes| Some((handles.get(&nodes.domain)?.clone(), nodes)));
    let nodes = nodes.map(|(handle, nodes)| Nodes::new(nodes, handle));
    let settings = Settings {
        request_timeout: config.http.request_timeout,
        max_body_bytes: config.http.body_limit,
        batch_window: config.http.batch_window,
        time_zone: config.time_zone.clone(),
    };
    Ok(Release::new(settings, bound, handles).with_nodes(nodes))
}

/// The living part of the service.
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
    /// Starts an actor for each database and the rule actors, and binds the flows to them. Databases that are down are
    /// no obstacle: their domains say so and come back by themselves.
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

    /// What is served.
    pub fn releases(&self) -> &Releases {
        &self.releases
    }

    /// The configuration it was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What puts decisions on record; `None` where nothing does.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_ref()
    }

    /// Who may ask.
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
            recorder: self.recorder.clone(),
            admin,
            console,
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

    /// Lets the domain actors finish what is in flight and close their connections, and the recorder write what it has.
    /// All of it within `deadline`.
    pub async fn drain(&self, deadline: Deadline) {
        self.domains.drain(deadline.remaining()).await;
        if let Some(recorder) = &self.recorder {
            recorder.finish(deadline.remaining()).await;
        }
    }

    /// Has the domain actors close their connections now, whatever is in flight. What was decided is still put on record.
    pub async fn break_off(&self) {
        self.domains.drain(Duration::ZERO).await;
        if let Some(recorder) = &self.recorder {
            recorder.finish(LAST_RECORDS).await;
        }
    }
}

/// Makes the handlers' service for each worker: a coordinator of its own, and what all share.
#[derive(Clone)]
pub struct ServiceFactory {
    domains: DomainSet,
    admission: Admission,
    coordinators: CoordinatorPool,
    shared: Arc<Shared>,
    settings: RequestSettings,
}

impl ServiceFactory {
    /// What the middleware needs.
    pub fn settings(&self) -> RequestSettings {
        self.settings.clone()
    }

    /// The service of the worker whose thread this is.
    pub fn service(&self) -> Service {
        self.domains.join();
        let coordinator = CoordinatorHandle::start(self.admission.clone(), self.coordinators.clone());
        Service { shared: Arc::clone(&self.shared), coordinator }
    }
}

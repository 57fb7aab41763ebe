//! What is served now: the bound flows and the domains, swapped as a whole when either changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;

use crate::actors::coordinator::BoundFlow;
use crate::actors::domain::DomainHandle;
use crate::graph::Description;
use crate::types::{DomainName, FlowName, NodeId};

/// How decisions are made, whatever the flow.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a decision may take.
    pub request_timeout: Duration,
    /// The longest body, in bytes.
    pub max_body_bytes: usize,
    /// How many decisions of one batch are under way at once.
    pub batch_window: usize,
    /// The zone that says which day it is.
    pub time_zone: TimeZone,
}

/// The flows and domains that are served together.
pub struct Release {
    settings: Settings,
    /// By path.
    flows: HashMap<String, Arc<BoundFlow>>,
    domains: BTreeMap<DomainName, DomainHandle>,
    descriptions: Descriptions,
}

/// What the databases have said of the columns of a release's queries, by flow and node: each is asked until it has said it
/// once. Tables that change under a release are described anew after the next reload.
#[derive(Default)]
pub struct Descriptions(RwLock<HashMap<(FlowName, NodeId), Arc<Description>>>);

impl Descriptions {
    /// What was said of this node's query.
    pub fn get(&self, node: &(FlowName, NodeId)) -> Option<Arc<Description>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(node).cloned()
    }

    /// Keeps what was said.
    pub fn keep(&self, node: (FlowName, NodeId), description: Arc<Description>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(node, description);
    }
}

impl Release {
    /// These flows over these domains. Paths are unique: the loader refuses two flows of one path.
    pub fn new(
        settings: Settings,
        flows: impl IntoIterator<Item = BoundFlow>,
        domains: BTreeMap<DomainName, DomainHandle>,
    ) -> Self {
        let flows = flows.into_iter().map(|flow| (flow.flow().path.clone(), Arc::new(flow))).collect();
        Self { settings, flows, domains, descriptions: Descriptions::default() }
    }

    /// How its decisions are made.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The flow that answers at `path`.
    pub fn flow_at(&self, path: &str) -> Option<&Arc<BoundFlow>> {
        self.flows.get(path)
    }

    /// The flow of this name.
    pub fn flow_named(&self, name: &str) -> Option<&Arc<BoundFlow>> {
        self.flows.values().find(|flow| flow.flow().name.as_str() == name)
    }

    /// The flows by name.
    pub fn flows(&self) -> Vec<&Arc<BoundFlow>> {
        let mut flows: Vec<_> = self.flows.values().collect();
        flows.sort_by_key(|flow| flow.flow().name.clone());
        flows
    }

    /// What the databases have said of the columns of its queries.
    pub fn descriptions(&self) -> &Descriptions {
        &self.descriptions
    }

    /// The domains by name.
    pub fn domains(&self) -> &BTreeMap<DomainName, DomainHandle> {
        &self.domains
    }
}

/// The current release, shared by all workers.
#[derive(Clone)]
pub struct Releases(Arc<ArcSwap<Release>>);

impl Releases {
    /// Starts with `release`.
    pub fn new(release: Release) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(release)))
    }

    /// The release of this moment. A request keeps the one it started with.
    pub fn current(&self) -> Arc<Release> {
        self.0.load_full()
    }

    /// Puts `release` in its place and gives the old one.
    pub fn publish(&self, release: Release) -> Arc<Release> {
        self.0.swap(Arc::new(release))
    }
}

//! The current release: the bound flows and the domains, replaced together.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::tz::TimeZone;
use tokio::sync::watch;

use super::nodes::Nodes;
use crate::actors::coordinator::BoundFlow;
use crate::actors::domain::DomainHandle;
use crate::graph::{Catalog, Description, Flow};
use crate::grl;
use crate::types::{DomainName, FlowName, NodeId};

/// How decisions are made, whatever the flow.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a decision may take.
    pub request_timeout: Duration,
    /// The longest body, in bytes.
    pub max_body_bytes: usize,
    /// How many decisions of one batch are in flight at once.
    pub batch_window: usize,
    /// How long the key of a request that writes is kept, in seconds.
    pub key_lifetime: u32,
    /// What rules may ask for.
    pub rule_limits: grl::Limits,
    /// The zone that says which day it is.
    pub time_zone: TimeZone,
}

/// The flows and domains that are served together.
pub struct Release {
    settings: Settings,
    /// By path.
    flows: HashMap<String, Arc<BoundFlow>>,
    domains: BTreeMap<DomainName, DomainHandle>,
    /// The nodes for which `tributary domain` answers.
    nodes: Option<Arc<Nodes>>,
    /// Made on first use. Tables that change during a release are described again after the next reload.
    typed: RwLock<HashMap<FlowName, Arc<TypedFlow>>>,
}

/// A flow with the types of the columns that the databases have described so far.
#[derive(Default)]
pub(super) struct TypedFlow {
    columns: HashMap<NodeId, Description>,
    /// `None` while nothing is described, or if what is described does not fit the flow.
    flow: Option<Flow>,
}

impl TypedFlow {
    /// Whether the query of `node` is described.
    pub(super) fn describes(&self, node: &NodeId) -> bool {
        self.columns.contains_key(node)
    }

    /// The flow; `untyped` if no types are known.
    pub(super) fn flow_or<'a>(&'a self, untyped: &'a Flow) -> &'a Flow {
        self.flow.as_ref().unwrap_or(untyped)
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
        Self { settings, flows, domains, nodes: None, typed: RwLock::default() }
    }

    /// The same, which also answers for these nodes.
    #[must_use]
    pub fn with_nodes(self, nodes: Option<Nodes>) -> Self {
        Self { nodes: nodes.map(Arc::new), ..self }
    }

    /// The nodes for which it answers.
    pub(super) fn nodes(&self) -> Option<&Arc<Nodes>> {
        self.nodes.as_ref()
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

    /// The known columns of `flow`, one of its flows.
    pub(super) fn typed(&self, flow: &Flow) -> Arc<TypedFlow> {
        let known = self.typed.read().unwrap_or_else(PoisonError::into_inner).get(&flow.name).cloned();
        known.unwrap_or_default()
    }

    /// Compiles `flow` again with the columns that have been described now.
    pub(super) fn describe(&self, flow: &Flow, described: Vec<(NodeId, Description)>) -> Arc<TypedFlow> {
        let mut columns = self.typed(flow).columns.clone();
        columns.extend(described);
        let typed = Arc::new(TypedFlow { flow: flow.described(&Columns(&columns)), columns });
        let mut all = self.typed.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(flow.name.clone(), Arc::clone(&typed));
        typed
    }

    /// The domains by name.
    pub fn domains(&self) -> &BTreeMap<DomainName, DomainHandle> {
        &self.domains
    }
}

struct Columns<'a>(&'a HashMap<NodeId, Description>);

impl Catalog for Columns<'_> {
    fn description(&self, _: &FlowName, node: &NodeId) -> Option<&Description> {
        self.0.get(node)
    }
}

/// The current release, shared by all workers.
#[derive(Clone)]
pub struct Releases {
    current: Arc<ArcSwap<Release>>,
    published: watch::Sender<()>,
}

impl Releases {
    /// Starts with `release`.
    pub fn new(release: Release) -> Self {
        Self { current: Arc::new(ArcSwap::from_pointee(release)), published: watch::Sender::default() }
    }

    /// The current release. A request keeps the release with which it began.
    pub fn current(&self) -> Arc<Release> {
        self.current.load_full()
    }

    /// Changes each time that a release is published from now on.
    pub(super) fn published(&self) -> watch::Receiver<()> {
        self.published.subscribe()
    }

    /// Puts `release` in its place and gives the old one.
    pub fn publish(&self, release: Release) -> Arc<Release> {
        let before = self.current.swap(Arc::new(release));
        self.published.send_replace(());
        before
    }
}

//! What is served now: the bound flows and the domains, swapped as a whole when either changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::actors::coordinator::BoundFlow;
use crate::actors::domain::DomainHandle;
use crate::types::DomainName;

/// The flows and domains that are served together.
pub struct Release {
    /// By path.
    flows: HashMap<String, Arc<BoundFlow>>,
    domains: BTreeMap<DomainName, DomainHandle>,
}

impl Release {
    /// These flows over these domains. Paths are unique: the loader refuses two flows of one path.
    pub fn new(flows: impl IntoIterator<Item = BoundFlow>, domains: BTreeMap<DomainName, DomainHandle>) -> Self {
        let flows = flows.into_iter().map(|flow| (flow.flow().path.clone(), Arc::new(flow))).collect();
        Self { flows, domains }
    }

    /// The flow that answers at `path`.
    pub fn flow_at(&self, path: &str) -> Option<&Arc<BoundFlow>> {
        self.flows.get(path)
    }

    /// The flows by name.
    pub fn flows(&self) -> Vec<&Arc<BoundFlow>> {
        let mut flows: Vec<_> = self.flows.values().collect();
        flows.sort_by_key(|flow| flow.flow().name.clone());
        flows
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

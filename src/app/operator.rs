//! The operations of the admin endpoints and of SIGHUP.
//!
//! A reload first reads and compiles everything, and changes nothing where there are errors. Then new domains get actors, changed
//! domains are replaced without downtime, the new release replaces the old one at once, and domains that no flow names any more
//! drain. Requests in flight finish on the release with which they began.
//! Settings of the running server (addresses, limits of connections, workers, records, logs, traces) change only when the
//! service is started again: a reload names those that differ.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::core::{self, Core};
use super::project::{Project, Sources};
use super::watch::Watch;
use crate::actors::supervision::{DomainSet, SupervisionError};
use crate::config::{Config, DomainConfig};
use crate::diagnostics::Diagnostics;
use crate::http::{OperationError, Operations, Releases, Reloaded, Version};
use crate::metrics::Metrics;
use crate::types::DomainName;

/// The operations of the admin endpoints and of SIGHUP, one at a time.
pub(super) struct Operator {
    sources: Sources,
    domains: DomainSet,
    releases: Releases,
    watch: Arc<Watch>,
    metrics: Metrics,
    /// The configuration that the service was started with.
    started: Config,
    /// The configuration that each domain in service has.
    in_service: Mutex<BTreeMap<DomainName, DomainConfig>>,
}

impl Operator {
    pub(super) fn new(core: &Core, sources: Sources, in_service: Vec<DomainConfig>, watch: Arc<Watch>) -> Self {
        Self {
            sources,
            domains: core.domains().clone(),
            releases: core.releases().clone(),
            watch,
            metrics: core.metrics().clone(),
            started: core.config().clone(),
            in_service: Mutex::new(in_service.into_iter().map(|config| (config.name.clone(), config)).collect()),
        }
    }

    /// The current settings of a domain; `None` for a domain of an inline `connection:`.
    fn settings_of(&self, domain: &DomainName) -> Result<Option<DomainConfig>, Diagnostics> {
        let mut found = Diagnostics::new();
        let env = self.sources.variables(&mut found);
        let config = Config::load(&self.sources.arguments, env, found)?;
        let is_configured = config.configured_domains().contains(domain);
        is_configured.then(|| config.domain(domain, None)).transpose()
    }

    async fn restart_now(&self, name: &str) -> Result<(), OperationError> {
        let mut in_service = self.in_service.lock().await;
        let Some(domain) = in_service.keys().find(|known| known.as_str() == name).cloned() else {
            let known = in_service.keys().cloned().collect();
            return Err(OperationError::NoSuchDomain { name: name.to_owned(), known });
        };
        let config = self.settings_of(&domain).map_err(OperationError::Refused)?;
        self.domains.restart(&domain, config.clone()).await.map_err(|error| not_replaced(&domain, &error))?;
        tracing::info!(%domain, "domain restarted");
        if let Some(config) = config {
            in_service.insert(domain, config);
        }
        Ok(())
    }

    async fn reload_now(&self) -> Result<Reloaded, OperationError> {
        let mut in_service = self.in_service.lock().await;
        let (project, warnings) = Project::load(&self.sources, None).map_err(OperationError::Refused)?;
        for warning in warnings.iter() {
            tracing::warn!(code = warning.code, "{}", warning.message);
        }
        let wanted: BTreeMap<DomainName, DomainConfig> =
            project.domains.iter().map(|config| (config.name.clone(), config.clone())).collect();
        let (added, restarted) = self.change_domains(&wanted, &mut in_service).await?;
        let flows: Vec<Version> = project
            .flows
            .iter()
            .map(|flow| Version {
                flow: flow.name.clone(),
                graph: flow.graph_hash.clone(),
                rules: flow.rules_hash.clone(),
            })
            .collect();
        let needs_restart = self.started.needs_restart(&project.config);
        let release = core::release(&project.config, (project.flows, project.nodes), &self.domains, &self.metrics)
            .map_err(|error| OperationError::NotReplaced { domain: error.domain.clone(), why: error.to_string() })?;
        // First the tokens: who hears of the release sees what the caller may ask now.
        self.watch.follow(&project.config, project.access);
        let before = self.releases.publish(release);
        let names = before.flows().into_iter().map(|flow| flow.flow().name.clone());
        let removed_flows = names.filter(|name| !flows.iter().any(|version| version.flow == *name)).collect();
        let removed: Vec<DomainName> = in_service.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in &removed {
            in_service.remove(name);
            self.retire(name.clone());
        }
        Ok(Reloaded { flows, added, restarted, removed, removed_flows, needs_restart })
    }

    /// Starts and replaces domains. Where one cannot be replaced, no release is published, and domains that were already replaced
    /// serve the old flows.
    async fn change_domains(
        &self,
        wanted: &BTreeMap<DomainName, DomainConfig>,
        in_service: &mut BTreeMap<DomainName, DomainConfig>,
    ) -> Result<(Vec<DomainName>, Vec<DomainName>), OperationError> {
        let (mut added, mut restarted) = (Vec::new(), Vec::new());
        for (name, config) in wanted {
            let done = match in_service.get(name) {
                Some(current) if current.is_same(config) => continue,
                Some(_) => {
                    restarted.push(name.clone());
                    self.domains.restart(name, Some(config.clone())).await
                }
                None => {
                    added.push(name.clone());
                    self.domains.add(config.clone()).await
                }
            };
            done.map_err(|error| not_replaced(name, &error))?;
            in_service.insert(name.clone(), config.clone());
        }
        Ok((added, restarted))
    }

    /// Drains a domain that no flow names any more, in the background.
    fn retire(&self, domain: DomainName) {
        let (domains, limit) = (self.domains.clone(), self.started.http.drain_timeout);
        actix_web::rt::spawn(async move {
            if let Err(error) = domains.remove(&domain, limit).await {
                tracing::warn!(%domain, %error, "a domain that is not used any more could not be drained");
            }
        });
    }
}

/// Logs the changes of a reload, and the settings that need a restart.
fn tell(reloaded: &Reloaded) {
    tracing::info!(flows = reloaded.flows.len(), "reloaded");
    for flow in &reloaded.removed_flows {
        tracing::warn!(%flow, "the flow is not served any more: the files do not hold it");
    }
    if !reloaded.needs_restart.is_empty() {
        let settings = reloaded.needs_restart.join(", ");
        tracing::warn!(settings, "these settings have changed and take effect only when the service is started again");
    }
}

fn not_replaced(domain: &DomainName, error: &SupervisionError) -> OperationError {
    OperationError::NotReplaced { domain: domain.clone(), why: error.to_string() }
}

impl Operations for Operator {
    fn restart(&self, domain: &str) -> BoxFuture<'_, Result<(), OperationError>> {
        let domain = domain.to_owned();
        Box::pin(async move { self.restart_now(&domain).await })
    }

    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, OperationError>> {
        Box::pin(async move {
            let outcome = self.reload_now().await;
            match &outcome {
                Ok(reloaded) => tell(reloaded),
                Err(error) => tracing::error!(%error, "not reloaded; what was served before is still served"),
            }
            outcome
        })
    }
}

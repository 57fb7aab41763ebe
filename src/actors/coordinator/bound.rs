//! A compiled flow with the handles of its databases.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::span;
use crate::actors::domain::{DomainHandle, QueryRequest};
use crate::actors::effects::EffectBinding;
use crate::actors::rules::{QuickPolicy, QuickRulesHandle, RulesHandle};
use crate::flow::{Ports, QueryAnswer, QueryError, QueryErrorKind, RulesError, RunOptions};
use crate::graph::{Cause, Flow, Node, QueryNode, Work};
use crate::grl::{Evaluation, Lookup, Ruleset};
use crate::metrics::FlowMetrics;
use crate::types::{Deadline, DomainName, FlowName, Value};

/// A compiled flow with the handles of its databases and rule actors, ready to run.
pub struct BoundFlow {
    flow: Arc<Flow>,
    domains: HashMap<DomainName, DomainHandle>,
    rules: RulesHandle,
    /// How long the evaluations of each ruleset take, by the address of the ruleset.
    policies: HashMap<usize, QuickPolicy>,
    metrics: FlowMetrics,
    /// `None` for a flow without effects.
    effects: Option<EffectBinding>,
}

/// A decision's place in its batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchPlace {
    /// Its number, from 0.
    pub index: usize,
    /// The time limit of each of its queries. Waiting for a permit does not count.
    pub limit: Duration,
}

/// A flow names a domain that has no actor.
#[derive(Debug, thiserror::Error)]
#[error("flow `{flow}`: domain `{domain}` has no actor")]
pub struct UnknownDomain {
    /// The flow.
    pub flow: FlowName,
    /// The domain.
    pub domain: DomainName,
}

impl BoundFlow {
    /// Binds `flow` to its databases and metrics.
    ///
    /// # Errors
    /// [`UnknownDomain`] where `domains` lacks a domain of the flow.
    pub fn bind(
        flow: Flow,
        domains: &BTreeMap<DomainName, DomainHandle>,
        rules: &RulesHandle,
        metrics: FlowMetrics,
    ) -> Result<Self, UnknownDomain> {
        let mut bound = HashMap::new();
        for domain in flow.domains() {
            let Some(handle) = domains.get(domain) else {
                return Err(UnknownDomain { flow: flow.name.clone(), domain: domain.clone() });
            };
            bound.insert(domain.clone(), handle.clone());
        }
        let written = flow.effects.first().and_then(|effect| bound.get(&effect.domain));
        let effects = written.and_then(|handle| EffectBinding::new(&flow, handle.clone()));
        let rulesets = flow.nodes.iter().filter_map(|node| match &node.work {
            Work::Rules(rules) => Some((Arc::as_ptr(&rules.ruleset).addr(), QuickPolicy::default())),
            Work::Query(_) => None,
        });
        let policies = rulesets.collect();
        Ok(Self { flow: Arc::new(flow), domains: bound, rules: rules.clone(), policies, metrics, effects })
    }

    /// The flow.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    /// The flow, shared.
    pub fn shared(&self) -> &Arc<Flow> {
        &self.flow
    }

    /// Where its effects are written; `None` for a flow without effects.
    pub fn effects(&self) -> Option<&EffectBinding> {
        self.effects.as_ref()
    }

    /// Its metrics.
    pub fn metrics(&self) -> &FlowMetrics {
        &self.metrics
    }

    /// Whether it queries this domain.
    pub fn uses(&self, domain: &DomainName) -> bool {
        self.domains.contains_key(domain)
    }

    /// The domains that it requires, each once, sorted by name. A node with a default for a database that is down requires none.
    pub fn required_domains(&self) -> Vec<&DomainHandle> {
        let required = |node: &Node| match &node.work {
            Work::Query(query) if query.on_error.default_for(Cause::Down).is_none() => Some(query.domain.clone()),
            Work::Query(_) | Work::Rules(_) => None,
        };
        let required: HashSet<DomainName> = self.flow.nodes.iter().filter_map(required).collect();
        let mut domains: Vec<&DomainHandle> =
            self.domains.values().filter(|domain| required.contains(domain.name())).collect();
        domains.sort_by_key(|domain| domain.name().clone());
        domains
    }
}

/// A bound flow on one worker, with the rule actor of that worker.
pub(super) struct OnWorker<'a> {
    pub(super) bound: &'a BoundFlow,
    pub(super) quick: &'a QuickRulesHandle,
    pub(super) place: Option<BatchPlace>,
}

impl Ports for OnWorker<'_> {
    async fn query(&self, node: &QueryNode, params: Vec<Value>, deadline: Deadline) -> Result<QueryAnswer, QueryError> {
        let started = Instant::now();
        let result = self.query_domain(node, params, deadline).await;
        if let Some(metrics) = self.bound.metrics.of_query(node) {
            metrics.ended(&result, started.elapsed());
        }
        result
    }

    async fn evaluate(
        &self,
        ruleset: &Arc<Ruleset>,
        reads: Vec<Lookup>,
        run: &RunOptions,
    ) -> Result<Evaluation, RulesError> {
        let started = Instant::now();
        let unknown = QuickPolicy::default();
        let policy = self.bound.policies.get(&Arc::as_ptr(ruleset).addr()).unwrap_or(&unknown);
        let result = self.bound.rules.evaluate((self.quick, policy), ruleset, reads, run).await;
        if let Some(metrics) = self.bound.metrics.of_rules(ruleset) {
            metrics.ended(result.as_ref().map_or(&[], |evaluation| &evaluation.fired), started.elapsed());
        }
        result
    }
}

impl OnWorker<'_> {
    async fn query_domain(
        &self,
        node: &QueryNode,
        params: Vec<Value>,
        deadline: Deadline,
    ) -> Result<QueryAnswer, QueryError> {
        let Some(domain) = self.bound.domains.get(&node.domain) else {
            let kind = QueryErrorKind::Unavailable {
                why: "no actor serves this domain".to_owned(),
                retry_after: Duration::from_secs(1),
            };
            return Err(QueryError { domain: node.domain.clone(), node: Some(node.query.node().clone()), kind });
        };
        let span = span::of_query(node, domain);
        let query = Arc::clone(&node.query);
        let in_bulk = self.place.map(|place| place.limit);
        let traceparent = span::traceparent(&span, domain);
        let request = QueryRequest { query, params, deadline, timeout: node.timeout, in_bulk, traceparent };
        let result = domain.query(request).await;
        span::record_result(&span, &result);
        result
    }
}

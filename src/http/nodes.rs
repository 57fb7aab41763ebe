//! The nodes of one domain, for which `tributary domain` answers by the contract of `service/contract.rs`.
//!
//! The description is made by PREPARE. Every client asks for it at every probe, so the last one is the answer while a new one
//! is being made. Rows are compared with it before they are sent: where a table has changed, the description is made again, and
//! answers have its new version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::actors::domain::{DomainHandle, QueryRequest};
use crate::flow::{QueryError, QueryErrorKind};
use crate::graph::{Flow, Query, Work};
use crate::service::contract::{Answer, Answers, Asks, Description, NodeDescription, Row, TypeName};
use crate::types::{Deadline, Digest, DomainName, FlowName, Value};

/// The age at which a description is made again.
const KEPT: Duration = Duration::from_secs(2);
/// How long the database may take to describe its nodes.
const DESCRIPTION_LIMIT: Duration = Duration::from_secs(5);

/// The nodes of one domain, before it is known which actor serves it.
#[derive(Debug)]
pub struct NodesOf {
    /// The domain.
    pub domain: DomainName,
    nodes: BTreeMap<String, Node>,
}

/// One node.
#[derive(Debug)]
struct Node {
    query: Arc<Query>,
    timeout: Option<Duration>,
    /// The flows that it belongs to.
    flows: Vec<FlowName>,
}

/// The nodes of one domain.
pub struct Nodes {
    of: NodesOf,
    handle: DomainHandle,
    /// The last description, and when it was begun.
    described: ArcSwapOption<(Instant, Arc<Description>)>,
    /// Held while one is made.
    describing: Mutex<()>,
}

impl NodesOf {
    /// The nodes of `flows` that ask `domain`.
    ///
    /// # Errors
    /// The name of a node that two flows define differently.
    pub fn find(domain: &DomainName, flows: &[Flow]) -> Result<Self, String> {
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        for flow in flows {
            for node in &flow.nodes {
                let Work::Query(query) = &node.work else { continue };
                // A request of a REST interface has no description.
                if query.domain != *domain || query.query.request().is_some() {
                    continue;
                }
                match nodes.get_mut(node.id.as_str()) {
                    None => {
                        let (query, timeout) = (Arc::clone(&query.query), query.timeout);
                        nodes.insert(node.id.to_string(), Node { query, timeout, flows: vec![flow.name.clone()] });
                    }
                    Some(known) if known.query.is_same(&query.query) => known.flows.push(flow.name.clone()),
                    Some(_) => return Err(node.id.to_string()),
                }
            }
        }
        Ok(Self { domain: domain.clone(), nodes })
    }

    /// The names of the nodes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }
}

impl Nodes {
    /// The nodes, and the actor that serves them.
    pub fn new(of: NodesOf, handle: DomainHandle) -> Self {
        Self { of, handle, described: ArcSwapOption::empty(), describing: Mutex::default() }
    }

    /// The flows that `node` belongs to. `None` where there is no such node.
    pub(super) fn flows_of(&self, node: &str) -> Option<&[FlowName]> {
        self.of.nodes.get(node).map(|node| node.flows.as_slice())
    }

    /// The names of the nodes.
    pub(super) fn names(&self) -> Vec<&str> {
        self.of.names().collect()
    }

    /// Describes all nodes.
    ///
    /// # Errors
    /// Where the database does not serve, or cannot be asked for the first description.
    pub(super) async fn describe(self: &Arc<Self>) -> Result<Arc<Description>, QueryError> {
        self.handle.available()?;
        // What was wrong with a node may have been mended since.
        let is_whole = |(_, known): &(Instant, Arc<Description>)| known.nodes.values().all(|node| node.error.is_none());
        let Some((made, known)) = self.known().filter(is_whole) else {
            return self.described_since(Instant::now()).await;
        };
        if made.elapsed() >= KEPT && self.describing.try_lock().is_ok() {
            let nodes = Arc::clone(self);
            actix_web::rt::spawn(async move {
                if let Err(error) = nodes.described_since(made + KEPT).await {
                    tracing::warn!(domain = %nodes.of.domain, %error, "http.nodes.not_described");
                }
            });
        }
        Ok(known)
    }

    fn known(&self) -> Option<(Instant, Arc<Description>)> {
        self.described.load().as_deref().cloned()
    }

    /// The description that was made after `earliest`, or a new one.
    async fn described_since(&self, earliest: Instant) -> Result<Arc<Description>, QueryError> {
        let _describing = self.describing.lock().await;
        if let Some((_, known)) = self.known().filter(|(made, _)| *made >= earliest) {
            return Ok(known);
        }
        let deadline = Deadline::after(DESCRIPTION_LIMIT);
        let began = Instant::now();
        let asked = self.of.nodes.iter().map(async |(name, node)| {
            let outcome = self.handle.describe(&node.query, deadline).await;
            (name.clone(), outcome)
        });
        let mut nodes = BTreeMap::new();
        for (name, outcome) in join_all(asked).await {
            let node = match outcome {
                Ok(found) => NodeDescription::of(&found),
                Err(error) if error.kind.is_outage() => return Err(error),
                Err(error) => NodeDescription::failed(&error.kind),
            };
            nodes.insert(name, node);
        }
        let version = Digest::of(&serde_json::to_string(&nodes).unwrap_or_default());
        let description = Arc::new(Description { version, nodes });
        self.described.store(Some(Arc::new((began, Arc::clone(&description)))));
        Ok(description)
    }

    /// Answers all asks of `node`, which run at the same time.
    ///
    /// # Errors
    /// Where the database cannot be asked. Errors of single asks are among the answers.
    pub(super) async fn answer(&self, name: &str, asks: Asks, most: Duration) -> Result<Option<Answers>, QueryError> {
        let Some(node) = self.of.nodes.get(name) else { return Ok(None) };
        let began = Instant::now();
        let mut description = match self.known() {
            Some((_, known)) => known,
            None => self.described_since(began).await?,
        };
        let deadline = Deadline::after(Duration::from_millis(asks.timeout_ms).min(most));
        let params = description.nodes.get(name).map(|node| node.params.as_slice()).unwrap_or_default();
        let asked = asks.asks.iter().map(async |ask| {
            let params = read(ask, params).map_err(|kind| self.error(node, kind))?;
            let (query, timeout) = (Arc::clone(&node.query), node.timeout);
            let request = QueryRequest { query, params, deadline, timeout, in_bulk: None, traceparent: None };
            Ok(self.handle.query(request).await?.rows)
        });
        let found: Vec<Result<Vec<Value>, QueryError>> = join_all(asked).await;
        let fits = |description: &Description| {
            let described = description.nodes.get(name);
            let mut rows = found.iter().flatten().flatten();
            described.is_some_and(|described| rows.all(|row| described.allows(row)))
        };
        // A parameter that does not fit was perhaps read by the types of before.
        if !fits(&description) || found.iter().any(is_misfit) {
            description = self.described_since(began).await?;
        }
        let has_changed = !fits(&description);
        let answers = found.into_iter().map(|rows| match rows {
            Ok(_) if has_changed => Answer::error(&QueryErrorKind::Aborted {
                sqlstate: "0A000".to_owned(),
                detail: "a table changed during the query".to_owned(),
                is_final: false,
            }),
            Ok(rows) => Answer::rows(rows.iter().take(asks.max_rows.saturating_add(1)).filter_map(row)),
            Err(QueryError { kind: QueryErrorKind::Aborted { sqlstate, detail, .. }, .. }) => {
                Answer::error(&QueryErrorKind::Aborted { sqlstate, detail, is_final: true })
            }
            Err(error) => Answer::error(&error.kind),
        });
        let (version, answers) = (description.version.clone(), answers.collect());
        Ok(Some(Answers { version, node: name.to_owned(), answers }))
    }

    fn error(&self, node: &Node, kind: QueryErrorKind) -> QueryError {
        QueryError { domain: self.of.domain.clone(), node: Some(node.query.node().clone()), kind }
    }
}

/// Whether a parameter did not fit its type.
fn is_misfit(rows: &Result<Vec<Value>, QueryError>) -> bool {
    matches!(rows, Err(QueryError { kind: QueryErrorKind::Parameter { .. }, .. }))
}

fn row(row: &Value) -> Option<Row> {
    match row {
        Value::Map(record) => Some(Row::of(record)),
        _ => None,
    }
}

/// The parameters of one ask by their types.
fn read(ask: &[serde_json::Value], params: &[TypeName]) -> Result<Vec<Value>, QueryErrorKind> {
    if ask.len() != params.len() {
        return Err(QueryErrorKind::ParameterCount { expected: params.len(), given: ask.len() });
    }
    let read = |(number, (json, ty)): (usize, (&serde_json::Value, &TypeName))| {
        ty.0.read(json).map_err(|found| QueryErrorKind::Parameter {
            number: number + 1,
            expected: ty.0.to_string(),
            found,
        })
    };
    ask.iter().zip(params).enumerate().map(read).collect()
}

//! The nodes of one domain, for which `tributary domain` answers by the contract of `service/contract.rs`.
//!
//! The description is made by PREPARE and kept for a moment, because every client asks for it at every probe. Rows are compared
//! with it before they are sent: where a table has changed, the description is made again, and answers have its new version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::actors::domain::{DomainHandle, QueryRequest};
use crate::flow::{QueryError, QueryErrorKind};
use crate::graph::{Flow, Query, Work};
use crate::service::contract::{Answer, Answers, Asks, Description, NodeDescription, Row, TypeName};
use crate::types::{Deadline, Digest, DomainName, FlowName, Value};

/// How long a description is kept.
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
    described: Mutex<Option<(Instant, Arc<Description>)>>,
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
                if query.domain != *domain {
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
        Self { of, handle, described: Mutex::default() }
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
    /// Where the database cannot be asked.
    pub(super) async fn describe(&self) -> Result<Arc<Description>, QueryError> {
        self.described_since(Instant::now().checked_sub(KEPT)).await
    }

    /// The description that was made after `earliest`, or a new one.
    async fn described_since(&self, earliest: Option<Instant>) -> Result<Arc<Description>, QueryError> {
        let mut described = self.described.lock().await;
        if let Some((made, description)) = &*described
            && earliest.is_none_or(|earliest| *made >= earliest)
        {
            return Ok(Arc::clone(description));
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
        *described = Some((began, Arc::clone(&description)));
        Ok(description)
    }

    /// Answers all asks of `node`, which run at the same time.
    ///
    /// # Errors
    /// Where the database cannot be asked. Errors of single asks are among the answers.
    pub(super) async fn answer(&self, name: &str, asks: Asks, most: Duration) -> Result<Option<Answers>, QueryError> {
        let Some(node) = self.of.nodes.get(name) else { return Ok(None) };
        let known = self.described.lock().await.as_ref().map(|(_, description)| Arc::clone(description));
        let mut description = match known {
            Some(known) => known,
            None => self.describe().await?,
        };
        let began = Instant::now();
        let deadline = Deadline::after(Duration::from_millis(asks.timeout_ms).min(most));
        let params = description.nodes.get(name).map(|node| node.params.as_slice()).unwrap_or_default();
        let asked = asks.asks.iter().map(async |ask| {
            let params = read(ask, params).map_err(|kind| self.error(node, kind))?;
            let (query, timeout) = (Arc::clone(&node.query), node.timeout);
            let answer = self.handle.query(QueryRequest { query, params, deadline, timeout, in_bulk: None }).await?;
            Ok(answer.rows)
        });
        let found: Vec<Result<Vec<Value>, QueryError>> = join_all(asked).await;
        let fits = |description: &Description| {
            let described = description.nodes.get(name);
            let rows = found.iter().flatten().flatten();
            described.is_some_and(|described| rows.into_iter().all(|row| described.allows(row)))
        };
        if !fits(&description) {
            description = self.described_since(Some(began)).await?;
        }
        let has_changed = !fits(&description);
        let answers = found.into_iter().map(|rows| match rows {
            Ok(_) if has_changed => Answer::error(&QueryErrorKind::Aborted {
                sqlstate: "0A000".to_owned(),
                detail: "a table changed during the query".to_owned(),
            }),
            Ok(rows) => Answer::rows(rows.iter().take(asks.max_rows.saturating_add(1)).filter_map(row)),
            Err(error) => Answer::error(&error.kind),
        });
        let (version, answers) = (description.version.clone(), answers.collect());
        Ok(Some(Answers { version, node: name.to_owned(), answers }))
    }

    fn error(&self, node: &Node, kind: QueryErrorKind) -> QueryError {
        QueryError { domain: self.of.domain.clone(), node: Some(node.query.node().clone()), kind }
    }
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
            found: format!("a value that {found}"),
        })
    };
    ask.iter().zip(params).enumerate().map(read).collect()
}

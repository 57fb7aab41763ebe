//! One connection of a pool while a thread uses it: queries of a node become one request.
//!
//! A session whose request has no complete answer does not return to the pool: its connection is closed, by which the service
//! notices that nobody waits any more.

use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};

use super::connect::Connector;
use super::connection::Outgoing;
use super::contract::{Answers, Asks, Description, NodeDescription, write};
use super::status;
use crate::flow::QueryErrorKind;
use crate::graph::{self, Misfit, Query, Rendered, Request, Unfit};
use crate::pool::{Connected, Lease, Object, Shared, discard};
use crate::types::Value;

/// The header of W3C trace context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A connection that one thread uses.
#[derive(Debug)]
pub struct Session {
    connection: Option<Object<Connector>>,
    pool: Arc<Shared<Connector>>,
    epoch: u64,
    /// When the connection becomes too old for further requests.
    expiry: Instant,
}

impl From<Lease<Connector>> for Session {
    fn from(Lease { connection, pool }: Lease<Connector>) -> Self {
        let (epoch, expiry) = (pool.epoch(), pool.lifetime.expiry(connection.birth().at));
        Self { connection: Some(connection), pool, epoch, expiry }
    }
}

impl From<Misfit> for QueryErrorKind {
    fn from(Misfit { place, reason }: Misfit) -> Self {
        Self::Answer { place, reason }
    }
}

impl Session {
    /// Whether further requests may be sent at `now`: the connection is open, not too old, and of the current epoch.
    pub fn is_usable(&self, now: Instant) -> bool {
        let is_open = self.connection.as_ref().is_some_and(|connection| connection.is_usable());
        is_open && self.epoch == self.pool.epoch() && now < self.expiry
    }

    /// Checks by a round trip that the service answers.
    ///
    /// # Errors
    /// [`QueryErrorKind::Timeout`] without an answer within the probe timeout.
    pub async fn verify(&self) -> Result<(), QueryErrorKind> {
        let limit = self.pool.limits.probe;
        let checked = async { self.connection()?.describe().await.map_err(|error| error.into_query_error()).map(drop) };
        tokio::time::timeout(limit, checked).await.unwrap_or(Err(QueryErrorKind::Timeout { after: limit }))
    }

    /// What the service says of the node of `query`.
    ///
    /// # Errors
    /// [`QueryErrorKind`], such as that it has no such node.
    pub async fn describe(&self, query: &Query) -> Result<graph::Description, QueryErrorKind> {
        let description = self.connection()?.describe().await.map_err(|error| error.into_query_error())?;
        Ok(described(description.as_deref(), query, self.pool.limits.query)?.to_graph())
    }

    /// Asks the node of `query` once for each set of parameters, in one request. At most one row more than the node takes is asked
    /// for.
    ///
    /// # Errors
    /// [`QueryErrorKind`] for all of them. The caller has to enforce `limit`.
    pub async fn query(
        &self,
        query: &Query,
        parameter_sets: &[Arc<[Value]>],
        limit: Duration,
        traceparent: Option<Arc<str>>,
    ) -> Result<Vec<Result<Vec<Value>, QueryErrorKind>>, QueryErrorKind> {
        if let Some(kind) = self.connection()?.paused() {
            return Err(kind);
        }
        if let Some(request) = query.request() {
            let [params] = parameter_sets else { return Err(not_together()) };
            return Ok(vec![self.request(request, params, limit, traceparent).await]);
        }
        let connection = self.connection()?;
        let is_usable = |description: &Arc<Description>| described(Some(&**description), query, limit).is_ok();
        let described = match connection.description().filter(is_usable) {
            Some(description) => description,
            // What was wrong with the node may have been mended since.
            None => self.described(query).await?,
        };
        self::described(Some(&*described), query, limit)?;
        let asks = Asks {
            asks: parameter_sets.iter().map(|params| params.iter().map(write).collect()).collect(),
            timeout_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            max_rows: query.max_rows(),
        };
        let body = serde_json::to_vec(&asks).map_err(|error| QueryErrorKind::Request { why: error.to_string() })?;
        let outgoing = Outgoing {
            method: Method::POST,
            target: format!("/{}", query.node()),
            headers: traceparent.and_then(|trace| header(TRACEPARENT, &trace)).into_iter().collect(),
            body: Some(body.into()),
            is_idempotent: true,
        };
        let answer = connection.exchange(outgoing).await?;
        if let Some(kind) = status::error(answer.status(), answer.headers(), limit) {
            return Err(kind);
        }
        let answers: Answers = serde_json::from_slice(answer.body()).map_err(|error| not_the_contract(&error))?;
        let described = if answers.version == described.version { described } else { self.described(query).await? };
        if answers.version != described.version {
            let detail = "the service has changed since the query was asked".to_owned();
            return Err(QueryErrorKind::Aborted { sqlstate: "0A000".to_owned(), detail, is_final: false });
        }
        let node = self::described(Some(&*described), query, limit)?;
        Ok(answers.read(query.node().as_str(), parameter_sets.len(), node, limit)?)
    }

    /// Sends the request of a node that asks a REST interface, and reads the rows of its answer.
    async fn request(
        &self,
        request: &Request,
        params: &[Value],
        limit: Duration,
        traceparent: Option<Arc<str>>,
    ) -> Result<Vec<Value>, QueryErrorKind> {
        let Rendered { method, target, headers, body } = request.render(params).map_err(|unfit| {
            let Unfit { number, expected, found } = unfit;
            QueryErrorKind::Parameter { number, expected: expected.to_owned(), found: found.to_owned() }
        })?;
        let written = headers.iter().filter_map(|(name, value)| header(HeaderName::from_str(name).ok()?, value));
        let outgoing = Outgoing {
            method: match method {
                graph::Method::Get => Method::GET,
                graph::Method::Post => Method::POST,
            },
            target,
            headers: traceparent.and_then(|trace| header(TRACEPARENT, &trace)).into_iter().chain(written).collect(),
            body: body.map(Into::into),
            is_idempotent: request.is_idempotent(),
        };
        let answer = self.connection()?.exchange(outgoing).await?;
        if request.finds_nothing(answer.status().as_u16()) {
            return Ok(Vec::new());
        }
        match status::error(answer.status(), answer.headers(), limit) {
            Some(kind) => Err(kind),
            None => Ok(request.rows(answer.body())?),
        }
    }

    /// Asks the service for its description.
    async fn described(&self, query: &Query) -> Result<Arc<Description>, QueryErrorKind> {
        let description = self.connection()?.describe().await.map_err(|error| error.into_query_error())?;
        description.ok_or_else(|| undescribed(None, query))
    }

    fn connection(&self) -> Result<&Object<Connector>, QueryErrorKind> {
        // Only `drop` takes the connection.
        let closed = || QueryErrorKind::ConnectionLost { sent: false, detail: "the session has ended".to_owned() };
        self.connection.as_ref().ok_or_else(closed)
    }
}

/// The header, unless the value may not be one.
fn header(name: HeaderName, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name, HeaderValue::from_str(value).ok()?))
}

/// What `description` says of the node of `query`.
fn described<'a>(
    description: Option<&'a Description>,
    query: &Query,
    limit: Duration,
) -> Result<&'a NodeDescription, QueryErrorKind> {
    let node = description.and_then(|description| description.nodes.get(query.node().as_str()));
    let node = node.ok_or_else(|| undescribed(description, query))?;
    node.error.clone().map_or(Ok(node), |problem| Err(problem.into_kind(limit)))
}

/// Requests of REST interfaces are never coalesced.
fn not_together() -> QueryErrorKind {
    QueryErrorKind::Request { why: "a request cannot be sent for several queries".to_owned() }
}

fn undescribed(description: Option<&Description>, query: &Query) -> QueryErrorKind {
    let why = match description {
        Some(_) => format!("the service has no node `{}`", query.node()),
        None => "the service does not describe its nodes: its `GET /` is not that of the contract".to_owned(),
    };
    QueryErrorKind::Request { why }
}

/// The error of an answer that is not JSON, or has other members. serde's message may repeat a value, so only its place is kept.
fn not_the_contract(error: &serde_json::Error) -> QueryErrorKind {
    let (line, column) = (error.line(), error.column());
    let reason = match error.classify() {
        serde_json::error::Category::Data => format!("is not as the contract says at line {line}, column {column}"),
        _ => format!("is not JSON at line {line}, column {column}, or ends too early"),
    };
    QueryErrorKind::Answer { place: "/".to_owned(), reason }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let is_outdated = self.epoch != self.pool.epoch() || Instant::now() >= self.expiry;
        if is_outdated || connection.is_busy() || connection.is_closed() {
            discard(connection);
        }
    }
}

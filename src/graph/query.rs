//! A query as the graph wrote it, and how its database describes it.

use std::sync::Arc;

use super::request::Request;
use crate::config::Coalescing;
use crate::types::{NodeId, Type};

/// One node's query. Made once, when its flow is compiled.
#[derive(Debug)]
pub struct Query {
    node: NodeId,
    text: Box<str>,
    coalescing: Coalescing,
    max_rows: usize,
    request: Option<Request>,
}

impl Query {
    /// The query `text` of `node`, whether it may be coalesced, and how many rows the node takes.
    pub fn new(node: NodeId, text: impl Into<Box<str>>, coalescing: Coalescing, max_rows: usize) -> Arc<Self> {
        Arc::new(Self { node, text: text.into(), coalescing, max_rows, request: None })
    }

    /// What `node` asks of a REST interface. Requests are not coalesced.
    pub fn of_request(node: NodeId, request: Request) -> Arc<Self> {
        let (text, max_rows) = (request.written().into(), request.max_rows());
        Arc::new(Self { node, text, coalescing: Coalescing::Off, max_rows, request: Some(request) })
    }

    /// Its node.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Its SQL, with `$1`, `$2`, ... for parameters; or its request as the graph wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it may be coalesced.
    pub fn coalescing(&self) -> Coalescing {
        self.coalescing
    }

    /// Whether `other` asks the same in the same way.
    pub fn is_same(&self, other: &Self) -> bool {
        self.text == other.text && self.coalescing == other.coalescing && self.max_rows == other.max_rows
    }

    /// The most rows that its node takes.
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// The request of a node that asks a REST interface.
    pub fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// Whether it may be asked again where it is not known if it was carried out. SQL only reads.
    pub fn is_idempotent(&self) -> bool {
        self.request.as_ref().is_none_or(Request::is_idempotent)
    }
}

/// What PREPARE says of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its parameters in order.
    pub params: Vec<ColumnType>,
    /// Its columns in order.
    pub columns: Vec<Column>,
}

/// One column of a query's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: ColumnType,
}

/// A PostgreSQL type and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnType {
    /// Its name in PostgreSQL, such as `numeric` or `text[]`.
    pub name: String,
    /// The type of the values it becomes; `None` where there is no mapping.
    pub ty: Option<Type>,
}

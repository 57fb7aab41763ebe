//! A query as the graph wrote it, and what its database answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::coalesce::Joining;
use super::lanes::Tempo;
use crate::config::Coalescing;
use crate::types::{NodeId, Type, Value};

/// One node's query. Made once, when its flow is compiled; its identity is the key of every cache about it.
#[derive(Debug)]
pub struct Query {
    id: u64,
    node: NodeId,
    text: Box<str>,
    tempo: Tempo,
    coalescing: Coalescing,
    joining: Joining,
    max_rows: usize,
}

impl Query {
    /// The query `text` of `node`, whether it may be asked together with its like, and how many rows the node takes.
    pub fn new(node: NodeId, text: impl Into<Box<str>>, coalescing: Coalescing, max_rows: usize) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (id, text) = (NEXT.fetch_add(1, Ordering::Relaxed), text.into());
        let joining = Joining::of(&text, coalescing);
        Arc::new(Self { id, node, text, tempo: Tempo::default(), coalescing, joining, max_rows })
    }

    /// A number no other query of this process has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The node that asks it.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Its SQL, with `$1`, `$2`, ... for parameters.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it may be asked together with its like.
    pub fn coalescing(&self) -> Coalescing {
        self.coalescing
    }

    /// The most rows that its node takes.
    pub fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// How long it takes of late.
    pub(super) fn tempo(&self) -> &Tempo {
        &self.tempo
    }

    /// How long it usually takes; nothing where that is not known.
    pub(super) fn usual(&self) -> Duration {
        self.tempo.mean().unwrap_or_default()
    }

    /// What is known of asking it together with its like.
    pub(super) fn joining(&self) -> &Joining {
        &self.joining
    }
}

/// What a database answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The rows, each a map from column to value; all share their column names. At most one more than the node takes.
    pub rows: Vec<Value>,
    /// How long the query waited for a connection.
    pub waited: Duration,
    /// How long the database took, the way there and back included.
    pub took: Duration,
    /// How many queries the statement stood for: 1, or more where some that waited went together.
    pub together: usize,
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

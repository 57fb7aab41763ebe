//! What a flow answers.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::types::{FieldName, NodeId, Value};

/// What a flow answers: `{"status", "message", ...body}`, and `"degraded"` where a node's default stood in for its
/// database.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The outcome's name, such as `success` or `no_order`.
    pub status: String,
    /// What it means, for people.
    pub message: Option<String>,
    /// The rest of the answer, in the order of the graph.
    pub body: Vec<(FieldName, Value)>,
    /// The nodes whose default stood in for an answer of their database.
    pub degraded: Vec<NodeId>,
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", &self.status)?;
        if let Some(message) = &self.message {
            map.serialize_entry("message", message)?;
        }
        for (name, value) in &self.body {
            map.serialize_entry(&**name, value)?;
        }
        if !self.degraded.is_empty() {
            map.serialize_entry("degraded", &self.degraded)?;
        }
        map.end()
    }
}

//! What a flow answers.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::explain::{Explanation, REDACTED, Redaction};
use crate::graph::Outcome;
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

impl Decision {
    /// The decision as a file may keep it: the answer shows what the author of `outcome`, from which it was made, wants told, and
    /// the file nothing that the graph redacts.
    #[must_use]
    pub fn redacted(&self, redaction: &Redaction, outcome: &Outcome) -> Self {
        let mut kept = self.clone();
        if outcome.message.as_ref().is_some_and(|message| redaction.hides_message(message)) {
            kept.message = Some(REDACTED.to_owned());
        }
        for (name, value) in &mut kept.body {
            if let Some((_, template)) = outcome.body.iter().find(|(known, _)| known == name) {
                *value = redaction.answer(template, value);
            }
        }
        kept
    }

    /// Its fields as one value.
    pub fn to_value(&self) -> Value {
        let field = |name: &str, value| (FieldName::from(name), value);
        let degraded = || Value::list(self.degraded.iter().map(|node| Value::text(node.as_str())));
        let message = self.message.iter().map(|message| field("message", Value::text(message)));
        let fields = std::iter::once(field("status", Value::text(&self.status))).chain(message);
        let degraded = (!self.degraded.is_empty()).then(|| field("degraded", degraded()));
        Value::map(fields.chain(self.body.iter().cloned()).chain(degraded))
    }

    /// Writes its fields into a map that may hold more.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("status", &self.status)?;
        if let Some(message) = &self.message {
            map.serialize_entry("message", message)?;
        }
        for (name, value) in &self.body {
            map.serialize_entry(&**name, value)?;
        }
        if self.degraded.is_empty() { Ok(()) } else { map.serialize_entry("degraded", &self.degraded) }
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_fields(&mut map)?;
        map.end()
    }
}

/// A decision with what explains it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// Why, where somebody asked: `explain`.
    pub explain: Option<Box<Explanation>>,
    /// The facts that were replaced, where some were: `what_if`.
    pub what_if: Vec<String>,
}

impl Answer {
    /// Writes its fields into a map that may hold more.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn write_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.decision.write_fields(map)?;
        if !self.what_if.is_empty() {
            map.serialize_entry("what_if", &self.what_if)?;
        }
        self.explain.as_ref().map_or(Ok(()), |explain| map.serialize_entry("explain", explain))
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write_fields(&mut map)?;
        map.end()
    }
}

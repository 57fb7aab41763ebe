//! A decision.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::explain::{REDACTED, Redaction};
use crate::graph::{Decimals, Outcome};
use crate::types::{FieldName, NodeId, Value};

/// A decision: `{"status", "message", ...body, "degraded"}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The outcome's name, such as `success` or `no_order`.
    pub status: String,
    /// What it means, for people.
    pub message: Option<String>,
    /// The other fields, in the order of the graph.
    pub body: Vec<(FieldName, Value)>,
    /// The nodes whose default replaced an answer of their database.
    pub degraded: Vec<NodeId>,
    /// What decimals are in its JSON. Records, tests and replays compare it by value, and have numbers.
    pub decimals: Decimals,
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", &self.status)?;
        if let Some(message) = &self.message {
            map.serialize_entry("message", message)?;
        }
        for (name, value) in &self.body {
            map.serialize_entry(&**name, &self.decimals.written(value))?;
        }
        if !self.degraded.is_empty() {
            map.serialize_entry("degraded", &self.degraded)?;
        }
        map.end()
    }
}

impl Decision {
    /// The decision as records keep it: without the values that the graph redacts. `outcome` is the one that it was made from.
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
}

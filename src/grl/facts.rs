//! Where rules and expressions find facts: who owns one, how it is addressed, and what reading it can give.

use crate::types::{FieldName, Value};

/// Who owns a fact that comes from outside the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The flow's inputs.
    Input,
    /// The node of this index in its flow.
    Node(usize),
}

/// The address of a fact: its owner and the fields below it. No fields: the owner's whole value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FactRef {
    /// Who owns it.
    pub owner: Owner,
    /// The fields that lead to it.
    pub path: Box<[FieldName]>,
    /// How its author may write it (`supplier_info.lead_time`), for messages.
    pub written: FieldName,
}

/// Whether the facts at two dotted paths of one owner share anything: they are the same, or one is part of the other. An empty
/// path is the owner's whole value.
pub fn overlap(a: &str, b: &str) -> bool {
    let covers = |whole: &str, part: &str| {
        whole.is_empty() || part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    covers(a, b) || covers(b, a)
}

/// What reading a fact gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// Its value, null included.
    Value(Value),
    /// It has no value: its rules have not written it yet, its node was skipped, or its node allows its rules to wait.
    Unset,
    /// It has no value that can be relied on: a fact is missing, and a rule that waits for one may still write it.
    Unknown {
        /// A number it is not below, where that is certain.
        at_least: Option<Value>,
    },
    /// The owner's value has no such field: a column that its query did not select.
    Missing,
    /// The owner has the column, and its JSON document has no such key.
    NoKey {
        /// What has no such key, as its author may write it.
        of: FieldName,
        /// The key.
        key: FieldName,
    },
}

/// Reads facts for an expression.
pub trait Facts {
    /// Reads the fact at `fact`.
    fn read(&self, fact: &FactRef) -> Lookup;
}

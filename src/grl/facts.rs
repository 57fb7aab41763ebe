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

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A fact from outside the rules.
    Outside(FactRef),
    /// A fact of these rules.
    Own(FieldName),
}

impl Origin {
    /// How it is written.
    pub fn written(&self) -> &str {
        match self {
            Self::Outside(fact) => &fact.written,
            Self::Own(name) => name,
        }
    }
}

/// The first slot of own facts; those below are facts from outside.
pub(super) const LOCAL: usize = usize::MAX / 2;

/// The facts that the slots of an expression or a ruleset stand for.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) reads: &'a [FactRef],
    pub(super) locals: &'a [FieldName],
}

impl Names<'_> {
    pub(super) fn origin(self, slot: usize) -> Option<Origin> {
        match slot.checked_sub(LOCAL) {
            Some(local) => self.locals.get(local).cloned().map(Origin::Own),
            None => self.reads.get(slot).cloned().map(Origin::Outside),
        }
    }

    /// A text that is the same for slots that stand for one fact, whatever it is called.
    pub(super) fn key(self, slot: usize) -> String {
        match self.origin(slot) {
            Some(Origin::Outside(fact)) => format!("{:?} {}", fact.owner, fact.path.join(".")),
            Some(Origin::Own(name)) => format!("own {name}"),
            None => format!("slot {slot}"),
        }
    }
}

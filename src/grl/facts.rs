//! Facts: their owners, their addresses, and the results of reading them.

use std::collections::HashMap;

use crate::types::{FieldName, Value};

/// The owner of a fact that comes from outside the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// The flow's inputs.
    Input,
    /// The node of this index in its flow.
    Node(usize),
}

/// The address of a fact: its owner and the fields below it. Without fields it is the owner's whole value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FactRef {
    /// Its owner.
    pub owner: Owner,
    /// The fields that lead to it.
    pub path: Box<[FieldName]>,
    /// Its name in messages, such as `supplier_info.lead_time`.
    pub written: FieldName,
}

/// Whether two dotted paths of one owner overlap: they are equal, or one is part of the other. An empty path is the owner's whole
/// value.
pub fn overlap(a: &str, b: &str) -> bool {
    let covers = |whole: &str, part: &str| {
        whole.is_empty() || part.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    covers(a, b) || covers(b, a)
}

/// The result of reading a fact.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// Its value, null included.
    Value(Value),
    /// It has no value: its rules have not written it yet, its node was skipped, or its node allows its rules to wait.
    Unset,
    /// Its value is not certain: a rule that waits for a missing fact may still write it.
    Unknown {
        /// A certain lower bound, if there is one.
        at_least: Option<Value>,
    },
    /// The owner's value has no such field: a column that its query did not select.
    Missing,
    /// The owner has the column, and its JSON document has no such key.
    NoKey {
        /// The document or part without the key, as written.
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

/// The fact that a value comes from.
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

    /// A text that is the same for all slots of one fact, whatever name they use.
    pub(super) fn key(self, slot: usize) -> String {
        match self.origin(slot) {
            Some(Origin::Outside(fact)) => format!("{:?} {}", fact.owner, fact.path.join(".")),
            Some(Origin::Own(name)) => format!("own {name}"),
            None => format!("slot {slot}"),
        }
    }
}

/// Facts with dotted names as fields: `order.qty` is the field `qty` of `order`. `group` makes one value of the fields of a group.
pub(super) fn nest<T>(facts: Vec<(&str, T)>, group: &dyn Fn(Vec<(FieldName, T)>) -> T) -> Vec<(FieldName, T)> {
    let mut fields: Vec<(FieldName, T)> = Vec::new();
    let mut groups: Vec<(&str, Vec<(&str, T)>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (name, value) in facts {
        let Some((head, rest)) = name.split_once('.') else {
            fields.push((FieldName::from(name), value));
            continue;
        };
        let place = *places.entry(head).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, facts)) => facts.push((rest, value)),
            None => groups.push((head, vec![(rest, value)])),
        }
    }
    fields.extend(groups.into_iter().map(|(head, facts)| (FieldName::from(head), group(nest(facts, group)))));
    fields
}

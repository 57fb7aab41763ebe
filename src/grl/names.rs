//! The slots of a node's own facts and of the facts that it reads from outside.

use std::collections::{HashMap, HashSet};

use super::facts::FactRef;
use crate::types::Type;

/// The facts of the rule node itself, by how they are written.
#[derive(Default)]
pub(super) struct Locals {
    slots: HashMap<String, usize>,
    types: Vec<Type>,
    /// The prefixes of their dotted names: `order` of `order.total`.
    groups: HashSet<String>,
    /// Those that are a column of another node under its own name.
    mapped: HashSet<String>,
}

impl Locals {
    /// The slot of `name`, and whether it is new.
    pub(super) fn slot(&mut self, name: &str) -> (usize, bool) {
        if let Some(slot) = self.slots.get(name) {
            return (*slot, false);
        }
        let slot = self.types.len();
        self.slots.insert(name.to_owned(), slot);
        self.types.push(Type::Any);
        self.groups.extend(name.match_indices('.').filter_map(|(at, _)| name.get(..at)).map(str::to_owned));
        (slot, true)
    }

    /// Records that `name` is a column of another node under its own name.
    pub(super) fn set_mapped(&mut self, name: &str) {
        self.mapped.insert(name.to_owned());
    }

    pub(super) fn is_mapped(&self, name: &str) -> bool {
        self.mapped.contains(name)
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.slots.get(name).copied()
    }

    pub(super) fn ty(&self, slot: usize) -> &Type {
        self.types.get(slot).unwrap_or(&Type::Any)
    }

    pub(super) fn set_ty(&mut self, slot: usize, ty: Type) {
        if let Some(known) = self.types.get_mut(slot) {
            *known = ty;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.types.len()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.keys().map(String::as_str)
    }

    /// Whether a fact is below `name`, as `order.total` is below `order`.
    pub(super) fn is_group(&self, name: &str) -> bool {
        self.groups.contains(name)
    }
}

/// The facts that are read from outside, each once.
#[derive(Default)]
pub(super) struct Reads {
    facts: Vec<FactRef>,
    index: HashMap<FactRef, usize>,
}

impl Reads {
    pub(super) fn slot(&mut self, fact: FactRef) -> usize {
        if let Some(slot) = self.index.get(&fact) {
            return *slot;
        }
        let slot = self.facts.len();
        self.index.insert(fact.clone(), slot);
        self.facts.push(fact);
        slot
    }

    pub(super) fn into_facts(self) -> Vec<FactRef> {
        self.facts
    }
}

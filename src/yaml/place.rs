//! Where a value stands, and what a message calls it.

use super::marked::{Entry, Marked};
use crate::diagnostics::Span;

pub(super) struct Place<'a> {
    pub(super) node: &'a Marked,
    /// The value.
    pub(super) value: Span,
    /// What stands for it in a message about something it lacks: its key, or its first line.
    pub(super) head: Span,
    /// Its key in backticks, or the number of the item; `None` for the whole.
    pub(super) name: Option<String>,
}

impl<'a> Place<'a> {
    pub(super) fn root(node: &'a Marked) -> Self {
        Self { node, value: node.head(), head: node.head(), name: None }
    }

    pub(super) fn at_key(&self, entry: &'a Entry) -> Self {
        let node = entry.value();
        Self { node, value: node.head(), head: entry.key_span().clone(), name: Some(format!("`{}`", entry.key())) }
    }

    pub(super) fn at_item(&self, index: usize) -> Option<Self> {
        let node = self.node.items().get(index)?;
        let owner = self.name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        Some(Self { node, value: node.head(), head: node.head(), name: Some(format!("item {}{owner}", index + 1)) })
    }

    pub(super) fn named(&self) -> &str {
        self.name.as_deref().unwrap_or("this")
    }
}

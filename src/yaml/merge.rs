//! Merge keys: `<<: *base`, `<<: [*first, *second]`. Written keys replace merged ones, and an earlier
//! mapping of a list replaces a later one (<https://yaml.org/type/merge.html>).

use std::collections::HashSet;

use super::marked::{Entry, Kind, Marked};
use crate::diagnostics::{Diagnostic, Span};

/// The mappings that the value of a `<<` names.
pub(super) fn sources(value: &Marked, key: &Span) -> (Vec<Marked>, Option<Diagnostic>) {
    let is_mapping = |node: &Marked| matches!(node.kind(), Kind::Mapping(_));
    match value.kind() {
        Kind::Mapping(_) => (vec![value.clone()], None),
        Kind::Sequence(items) if items.iter().all(is_mapping) => (items.to_vec(), None),
        _ => {
            let message = format!("`<<` merges a mapping or a list of mappings; this is {}", value.describe());
            let help = "name an anchor: `<<: *base`; write a key that is called `<<` in quotes";
            (Vec::new(), Some(Diagnostic::error("bad-merge", key, message).help(help)))
        }
    }
}

/// Adds the entries of `merged` whose keys `entries` does not have.
pub(super) fn into(entries: &mut Vec<Entry>, merged: &[Marked]) {
    if merged.is_empty() {
        return;
    }
    let mut present: HashSet<String> = entries.iter().map(|entry| entry.key().to_owned()).collect();
    for entry in merged.iter().flat_map(Marked::entries) {
        if present.insert(entry.key().to_owned()) {
            entries.push(entry.clone());
        }
    }
}

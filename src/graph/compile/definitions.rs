//! Reads `constants:` and `functions:`, which all rules and expressions of the flow know.

use std::sync::Arc;

use super::Compiler;
use super::node::expression_text;
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet};
use crate::graph::spec::DefinitionSpec;
use crate::graph::values;
use crate::grl::{Constant, Definitions};
use crate::types::{FieldName, Value};
use crate::yaml::{self, Entry, Kind, Marked};

impl Compiler<'_> {
    pub(super) fn read_definitions(&mut self) {
        let mut definitions = Definitions::default();
        for entry in self.root.get("constants").map(Marked::entries).unwrap_or_default() {
            let Some((node, description)) = self.described(entry) else { continue };
            let Some(value) = values::literal(node, &mut self.found) else { continue };
            if let Value::Null | Value::Map(_) = value {
                let message = format!("the constant `{}` is {}", entry.key(), node.describe());
                let error = Diagnostic::error("bad-constant", node.head(), message);
                self.found.push(error.help("write a number, a text, true, false or a list of these"));
                continue;
            }
            let (name, span) = (FieldName::from(entry.key()), entry.key_span().clone());
            definitions.add_constant(Constant { name, value, description, span }, &mut self.found);
        }
        for entry in self.root.get("functions").map(Marked::entries).unwrap_or_default() {
            let Some((node, description)) = self.described(entry) else { continue };
            let Some(body) = expression_text(node, &mut self.found) else { continue };
            let place = entry.key_span();
            let signature = Snippet::new(Arc::clone(place.source()), entry.key(), [(0, place.range().start)]);
            let (limits, mut here) = (&self.context.rule_limits, Diagnostics::new());
            definitions.add_function(&signature, &body, description, limits, &mut here);
            // A function that was refused may be the one that seems unknown.
            let broken = self.found.has_errors();
            self.found.extend(here.into_iter().filter(|error| !broken || error.code != "unknown-function"));
        }
        self.definitions = Arc::new(definitions);
    }

    /// What is defined, and its description: the value itself, or a map with `value` and `description`.
    fn described<'e>(&mut self, entry: &'e Entry) -> Option<(&'e Marked, Option<String>)> {
        let value = entry.value();
        if !matches!(value.kind(), Kind::Mapping(_)) {
            return Some((value, None));
        }
        let spec = yaml::deserialize::<DefinitionSpec>(value, &mut self.found)?;
        Some((value.get("value")?, spec.description))
    }
}

//! YAML literals as values.

use std::sync::Arc;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::types::{FieldName, Record, Value};
use crate::yaml::{Kind, Marked, ScalarKind};

/// The value of a YAML node, with numbers exactly as written. A number that is too long is reported.
pub fn literal(node: &Marked, found: &mut Diagnostics) -> Option<Value> {
    match node.kind() {
        Kind::Sequence(items) => {
            items.iter().map(|item| literal(item, found)).collect::<Option<Arc<[Value]>>>().map(Value::List)
        }
        Kind::Mapping(entries) => {
            let fields: Option<Record> = entries
                .iter()
                .map(|entry| Some((FieldName::from(entry.key()), literal(entry.value(), found)?)))
                .collect();
            fields.map(|record| Value::Map(Arc::new(record)))
        }
        Kind::Scalar(scalar) => {
            let value = match scalar.kind() {
                ScalarKind::Null => Some(Value::Null),
                ScalarKind::Boolean(value) => Some(Value::Boolean(value)),
                ScalarKind::Text => Some(Value::text(scalar.text())),
                ScalarKind::Integer => {
                    scalar.integer().map(Value::Integer).or_else(|| scalar.decimal().map(Value::Decimal))
                }
                ScalarKind::Decimal => scalar.decimal().map(Value::Decimal),
            };
            if value.is_none() {
                found.push(Diagnostic::error("bad-number", node.head(), "the number has too many digits"));
            }
            value
        }
    }
}

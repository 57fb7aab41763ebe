//! A node becomes a typed value, or all errors in it are reported at once: the schema of the type finds what does not fit,
//! and `serde_yaml` makes the value of what does.

use schemars::JsonSchema;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny};
use serde_yaml::Value;

use super::check::{Place, check, schema_of};
use super::marked::{Entry, Kind, Marked};
use super::scalar::{Scalar, ScalarKind};
use crate::diagnostics::{Diagnostic, Diagnostics};

/// A value that the caller reads from the tree itself, with its places and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Any;

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

impl JsonSchema for Any {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Any".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::Schema::from(true)
    }
}

/// Makes a `T` of `node`. The errors have the codes `unknown-key`, `missing-key`, `unknown-word`, `wrong-type` and
/// `invalid-value`. Their messages repeat no value.
///
/// `None` where there is an error.
pub fn deserialize<T: DeserializeOwned + JsonSchema + 'static>(
    node: &Marked,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let value = serde_yaml::from_value(checked::<T>(node, diagnostics)?);
    if value.is_err() {
        // A schema that does not describe its type. The error of serde may repeat a value.
        let message = format!("this cannot be read as a {}", T::schema_name());
        diagnostics.push(Diagnostic::error("invalid-value", node.head(), message));
    }
    value.ok()
}

/// The value of `node` as `serde_yaml` has it, without what is null, where [`deserialize`] makes a `T` of it.
pub fn checked<T: JsonSchema + 'static>(node: &Marked, diagnostics: &mut Diagnostics) -> Option<Value> {
    let mut found = Diagnostics::new();
    check(&schema_of::<T>(), &Place::root(node), &mut found);
    let value = found.is_empty().then(|| value(node));
    diagnostics.extend(found);
    value
}

fn value(node: &Marked) -> Value {
    match node.kind() {
        Kind::Sequence(items) => Value::Sequence(items.iter().map(value).collect()),
        Kind::Mapping(entries) => {
            let pair = |entry: &Entry| (Value::from(entry.key()), value(entry.value()));
            Value::Mapping(entries.iter().filter(|entry| !entry.value().is_null()).map(pair).collect())
        }
        Kind::Scalar(scalar) => match scalar.kind() {
            ScalarKind::Null => Value::Null,
            ScalarKind::Boolean(value) => Value::Bool(value),
            ScalarKind::Text => Value::from(scalar.text()),
            ScalarKind::Integer | ScalarKind::Decimal => number(scalar),
        },
    }
}

fn number(scalar: &Scalar) -> Value {
    let integer = scalar.wide_integer();
    let signed = integer.and_then(|integer| i64::try_from(integer).ok()).map(Value::from);
    let unsigned = || integer.and_then(|integer| u64::try_from(integer).ok()).map(Value::from);
    let float = || Value::from(scalar.decimal().map_or(f64::NAN, |number| number.to_f64()));
    signed.or_else(unsigned).unwrap_or_else(float)
}

//! The `input:` section of a flow file.

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::value::less;
use super::{InputField, InputSchema, Scalar};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::graph::decimals::Decimals;
use crate::graph::unknown_type::unknown_type;
use crate::graph::values;
use crate::types::{FieldName, Value, check_name};
use crate::yaml::{self, Any, Marked};

/// Names of types.
const TYPE: &str = "^(list of +)?(text|integer|decimal|boolean|date|timestamp|uuid) *$";

/// An input: a type, or a type with limits.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "read from the tree, with its places")]
pub(in crate::graph) enum InputSpec {
    Type(#[schemars(regex(pattern = TYPE))] String),
    Limited(InputKeys),
}

/// The keys of one input. Values that must stay exact are read from the tree itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "some keys are read from the tree, with their places")]
pub(in crate::graph) struct InputKeys {
    /// Text, integer, decimal, boolean, date, timestamp, uuid, or `list of` one of them.
    #[schemars(regex(pattern = TYPE), extend("examples" = ["text", "list of text"]))]
    r#type: String,
    /// Whether it must be given (the default). If not, and it is left out, it is its default, or null.
    required: Option<bool>,
    /// The most characters of a text.
    max_length: Option<usize>,
    /// What a text must match as a whole.
    pattern: Option<String>,
    /// The least it may be; for numbers, dates and timestamps.
    minimum: Option<Any>,
    /// The most it may be; for numbers, dates and timestamps.
    maximum: Option<Any>,
    /// The only values it may have.
    #[schemars(length(min = 1))]
    r#enum: Option<Vec<Any>>,
    /// What it is if it is left out.
    default: Option<Any>,
    /// A value to try the flow with. The OpenAPI document has it, and `tributary demo` asks for it.
    example: Option<Any>,
    /// What it is, for people.
    description: Option<String>,
}

/// Reads the section.
pub(in crate::graph) fn read(section: &Marked, decimals: Decimals, found: &mut Diagnostics) -> InputSchema {
    let mut fields = Vec::new();
    if section.entries().is_empty() && !section.is_null() {
        let message = format!("`input` is {}, not a mapping of names to types", section.describe());
        found.push(
            Diagnostic::error("wrong-type", section.head(), message)
                .help("write `input: { product_id: { type: text } }`"),
        );
    }
    for entry in section.entries() {
        if let Err(error) = check_name("input", entry.key()) {
            found.push(Diagnostic::error("bad-name", entry.key_span(), error.to_string()));
        }
        fields.extend(field(entry.key(), entry.value(), found).map(|field| InputField { decimals, ..field }));
    }
    InputSchema::new(fields)
}

fn field(name: &str, node: &Marked, found: &mut Diagnostics) -> Option<InputField> {
    let name = FieldName::from(name);
    // `product_id: text` is the short form.
    if let Some(text) = node.as_text() {
        let (scalar, is_list) = ty(text, node, found)?;
        return Some(plain(name, scalar, is_list));
    }
    let keys: InputKeys = yaml::deserialize(node, found)?;
    let (scalar, is_list) = ty(&keys.r#type, node.get("type").unwrap_or(node), found)?;
    let mut field = plain(name, scalar, is_list);
    let value = |key: &str, found: &mut Diagnostics| node.get(key).and_then(|node| scalar_value(scalar, node, found));
    field.required = keys.required.unwrap_or(true);
    field.max_length = keys.max_length;
    field.pattern = pattern(keys.pattern.as_deref(), node, found);
    field.minimum = value("minimum", found);
    field.maximum = value("maximum", found);
    field.description = keys.description;
    let listed =
        node.get("enum").map(|list| list.items().iter().filter_map(|item| scalar_value(scalar, item, found)).collect());
    field.one_of = listed;
    field.default = node.get("default").and_then(|value| fitting("default", &field, value, found));
    field.example = node.get("example").and_then(|value| fitting("example", &field, value, found));
    refuse_senseless(&field, node, found);
    Some(field)
}

fn plain(name: FieldName, scalar: Scalar, is_list: bool) -> InputField {
    InputField {
        name,
        scalar,
        is_list,
        decimals: Decimals::default(),
        required: true,
        max_length: None,
        pattern: None,
        minimum: None,
        maximum: None,
        one_of: None,
        default: None,
        example: None,
        description: None,
    }
}

fn ty(text: &str, place: &Marked, found: &mut Diagnostics) -> Option<(Scalar, bool)> {
    let (name, is_list) = text.strip_prefix("list of ").map_or((text, false), |name| (name, true));
    let scalar = Scalar::parse(name.trim());
    if scalar.is_none() {
        let known = Scalar::ALL.map(Scalar::name);
        let is_type = |meant: &str| known.contains(&meant.strip_prefix("list of ").unwrap_or(meant));
        found.push(unknown_type((if is_list { "list of " } else { "" }, name), &known, is_type, place));
    }
    scalar.map(|scalar| (scalar, is_list))
}

fn scalar_value(scalar: Scalar, node: &Marked, found: &mut Diagnostics) -> Option<Value> {
    let read = match node.scalar() {
        Some(written) if node.as_text().is_some() || scalar == Scalar::Text => scalar.read_text(written.text()),
        Some(_) => values::literal(node, found).map_or(Ok(Value::Null), |value| match (scalar, value) {
            (Scalar::Decimal, Value::Integer(integer)) => Ok(Value::Decimal(integer.into())),
            (Scalar::Integer, value @ Value::Integer(_))
            | (Scalar::Decimal, value @ Value::Decimal(_))
            | (Scalar::Boolean, value @ Value::Boolean(_)) => Ok(value),
            (scalar, value) => Err(("wrong_type", format!("must be {}, not {}", scalar.name(), value.type_name()))),
        }),
        None => Err(("wrong_type", format!("must be {}, not {}", scalar.name(), node.describe()))),
    };
    match read {
        Ok(value) => Some(value),
        Err((_, message)) => {
            found.push(Diagnostic::error("wrong-type", node.head(), format!("this value {message}")));
            None
        }
    }
}

/// The value at `key`, which must be one that the input may have.
fn fitting(key: &str, field: &InputField, node: &Marked, found: &mut Diagnostics) -> Option<Value> {
    let value = if field.is_list {
        if node.items().is_empty() && node.scalar().is_some() {
            let message = format!("the {key} of a list must be a list, not {}", node.describe());
            found.push(Diagnostic::error("wrong-type", node.head(), message));
            return None;
        }
        Value::List(node.items().iter().filter_map(|item| scalar_value(field.scalar, item, found)).collect())
    } else {
        scalar_value(field.scalar, node, found)?
    };
    let misfit = match &value {
        Value::List(items) => items.iter().find_map(|item| field.check(item).err()),
        value => field.check(value).err(),
    };
    if let Some((_, message)) = misfit {
        let message = format!("the {key} does not fit its own limits: it {message}");
        let code = if key == "default" { "bad-default" } else { "bad-example" };
        found.push(Diagnostic::error(code, node.head(), message));
    }
    Some(value)
}

/// Anchored: an input must match as a whole.
fn pattern(text: Option<&str>, node: &Marked, found: &mut Diagnostics) -> Option<Regex> {
    match Regex::new(&format!("^(?:{})$", text?)) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
            let place = node.get("pattern").unwrap_or(node).head();
            found.push(Diagnostic::error("bad-pattern", place, format!("the pattern cannot be read: {reason}")));
            None
        }
    }
}

fn refuse_senseless(field: &InputField, node: &Marked, found: &mut Diagnostics) {
    let mut refuse = |key: &str, message: &str| {
        if let Some(entry) = node.entry(key) {
            found.push(Diagnostic::error("senseless-limit", entry.key_span(), format!("`{key}` {message}")));
        }
    };
    if field.scalar != Scalar::Text {
        refuse("max_length", "is for inputs of type text");
        refuse("pattern", "is for inputs of type text");
    }
    if matches!(field.scalar, Scalar::Text | Scalar::Boolean | Scalar::Uuid) {
        refuse("minimum", "is for numbers, dates and timestamps");
        refuse("maximum", "is for numbers, dates and timestamps");
    }
    if let (Some(least), Some(most)) = (&field.minimum, &field.maximum)
        && less(most, least)
    {
        refuse("minimum", "is above `maximum`: no value fits");
    }
    if field.one_of.as_ref().is_some_and(Vec::is_empty) {
        refuse("enum", "has no values: none fits");
    }
}

//! A node is checked against the JSON Schema of the type that it becomes, so that all errors are found at once.
//!
//! Of JSON Schema it knows what `schemars` writes for the types of this service: `type`, `properties`, `required`,
//! `additionalProperties`, `items`, `minimum`, `maximum`, `anyOf`, `oneOf`, words as `enum` or `const`, and the formats of
//! [`super::formats`]. Messages never repeat a value, which may be a secret.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value as Schema;

use super::formats::format;
use super::marked::{Entry, Kind, Marked};
use super::scalar::ScalarKind;
use crate::diagnostics::{Diagnostic, Diagnostics, Span, nearest};

/// The JSON Schema (2020-12) of `T`, without references. It is made once for each type.
pub fn schema_of<T: JsonSchema + 'static>() -> Arc<Schema> {
    static MADE: LazyLock<Mutex<HashMap<TypeId, Arc<Schema>>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
        Arc::new(settings.into_generator().into_root_schema_for::<T>().to_value())
    };
    Arc::clone(made.entry(TypeId::of::<T>()).or_insert_with(make))
}

/// A node, and what a message calls it.
pub(super) struct Place<'a> {
    pub(super) node: &'a Marked,
    /// The value.
    pub(super) value: Span,
    /// Where a message about a missing key points: its own key, or its first line.
    pub(super) head: Span,
    /// Its key in backticks, or the number of the item; `None` for the whole.
    pub(super) name: Option<String>,
    /// The schema of the mapping that it is a value of.
    pub(super) within: Option<&'a Schema>,
}

impl<'a> Place<'a> {
    pub(super) fn root(node: &'a Marked) -> Self {
        Self { node, value: node.head(), head: node.head(), name: None, within: None }
    }

    pub(super) fn at_key(entry: &'a Entry) -> Self {
        let (node, name) = (entry.value(), Some(format!("`{}`", entry.key())));
        Self { node, value: node.head(), head: entry.key_span().clone(), name, within: None }
    }

    pub(super) fn at_item(&self, index: usize) -> Option<Self> {
        let node = self.node.items().get(index)?;
        let owner = self.name.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        let name = Some(format!("item {}{owner}", index + 1));
        Some(Self { node, value: node.head(), head: node.head(), name, within: None })
    }

    pub(super) fn named(&self) -> &str {
        self.name.as_deref().unwrap_or("this")
    }
}

/// Reports everything at `place` that does not fit `schema`.
pub(super) fn check(schema: &Schema, place: &Place<'_>, found: &mut Diagnostics) {
    let schema = without_null(schema);
    match (kind(schema), place.node.kind()) {
        (Some("object"), Kind::Mapping(entries)) => object(schema, entries, place, found),
        (Some("object"), _) if place.node.is_null() => object(schema, &[], place, found),
        (Some("array"), Kind::Sequence(items)) => {
            let items = (0..items.len()).filter_map(|at| place.at_item(at));
            items.for_each(|item| check(&schema["items"], &item, found));
        }
        (Some("array"), _) if place.node.is_null() => {}
        _ if fits(schema, place.node) => {}
        _ => found.push(misfit(schema, place)),
    }
}

fn object(schema: &Schema, entries: &[Entry], place: &Place<'_>, found: &mut Diagnostics) {
    let known = schema["properties"].as_object();
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str).collect();
    for entry in entries {
        let own = known.and_then(|known| known.get(entry.key()));
        let others = Some(&schema["additionalProperties"]).filter(|others| *others != &Schema::Bool(false));
        let is_default = own.is_some() && entry.value().is_null() && !required.contains(&entry.key());
        match own.or(others) {
            Some(_) if is_default => {}
            Some(of) => check(of, &Place { within: Some(schema), ..Place::at_key(entry) }, found),
            None => {
                let known: Vec<&str> = known.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect();
                found.push(unknown_key(place, entry, &known));
            }
        }
    }
    for key in required.into_iter().filter(|key| !entries.iter().any(|entry| entry.key() == *key)) {
        let owner = place.name.as_deref().unwrap_or("the file");
        let diagnostic = Diagnostic::error("missing-key", &place.head, format!("{owner} has no `{key}`"));
        found.push(diagnostic.label(format!("`{key}` is required here")));
    }
}

/// Whether a node fits `schema`.
fn fits(schema: &Schema, node: &Marked) -> bool {
    if let Some(words) = words(schema) {
        return node.as_text().is_some_and(|text| words.contains(&text));
    }
    if let Some(alternatives) = alternatives(schema) {
        return alternatives.iter().any(|schema| fits(schema, node));
    }
    if !kind(schema).is_none_or(|kind| is_of_kind(kind, node)) {
        return false;
    }
    let number = node.scalar().and_then(|scalar| scalar.wide_integer());
    let holds = |text| format(schema).is_none_or(|format| (format.holds)(text));
    number.is_none_or(|number| bounds(schema).contains(number)) && node.as_text().is_none_or(holds)
}

/// The schema of what is not null.
fn without_null(schema: &Schema) -> &Schema {
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([of, null]) if null["type"] == "null" => of,
        _ => schema,
    }
}

/// The type, where it is one beside null.
fn kind(schema: &Schema) -> Option<&str> {
    match &schema["type"] {
        Schema::Array(types) => match types.as_slice() {
            [of, null] if null == "null" => of.as_str(),
            _ => None,
        },
        of => of.as_str(),
    }
}

fn alternatives(schema: &Schema) -> Option<&Vec<Schema>> {
    schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())
}

/// The words that are allowed, where nothing else is.
fn words(schema: &Schema) -> Option<Vec<&str>> {
    if let Some(word) = schema["const"].as_str() {
        return Some(vec![word]);
    }
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().filter_map(Schema::as_str).collect());
    }
    let words = alternatives(schema)?.iter().map(words).collect::<Option<Vec<_>>>()?;
    Some(words.concat())
}

fn is_of_kind(kind: &str, node: &Marked) -> bool {
    match node.kind() {
        Kind::Mapping(_) => kind == "object",
        Kind::Sequence(_) => kind == "array",
        Kind::Scalar(scalar) => match scalar.kind() {
            ScalarKind::Null => false,
            ScalarKind::Boolean(_) => kind == "boolean",
            ScalarKind::Integer => matches!(kind, "integer" | "number"),
            ScalarKind::Decimal => kind == "number",
            ScalarKind::Text => kind == "string",
        },
    }
}

struct Bounds {
    least: Option<i64>,
    most: Option<i64>,
}

impl Bounds {
    fn contains(&self, number: i128) -> bool {
        self.least.is_none_or(|least| number >= least.into()) && self.most.is_none_or(|most| number <= most.into())
    }
}

fn bounds(schema: &Schema) -> Bounds {
    let most = schema["maximum"].as_i64();
    let of_type = (schema["format"] == "uint32").then_some(i64::from(u32::MAX));
    Bounds { least: schema["minimum"].as_i64(), most: most.or(of_type) }
}

/// What `schema` allows, in words.
fn expected(schema: &Schema) -> String {
    if let Some(words) = words(schema) {
        return in_words(&words);
    }
    if let Some(alternatives) = alternatives(schema) {
        return alternatives.iter().map(expected).collect::<Vec<_>>().join(" or ");
    }
    if let Some(format) = format(schema) {
        return format.expected.to_owned();
    }
    match (kind(schema), bounds(schema)) {
        (Some("object"), _) => "a mapping".to_owned(),
        (Some("array"), _) => "a list".to_owned(),
        (Some("string"), _) => "text".to_owned(),
        (Some("boolean"), _) => "true or false".to_owned(),
        (Some("integer"), Bounds { least: Some(least), most: Some(most) }) => {
            format!("a whole number from {} to {}", grouped(least), grouped(most))
        }
        (Some("integer"), Bounds { least: Some(0), most: None }) => "a whole number that is not negative".to_owned(),
        (Some("integer"), _) => "a whole number".to_owned(),
        _ => "a number".to_owned(),
    }
}

/// With a comma before every three digits.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn unknown_key(place: &Place<'_>, entry: &Entry, known: &[&str]) -> Diagnostic {
    let key = entry.key();
    let owner = place.name.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
    let help = match (beside(place, key), nearest(key, known.iter().copied())) {
        (Some(owner), _) => format!("`{key}` is a key of `{owner}`"),
        (None, Some(name)) => format!("did you mean `{name}`?"),
        (None, None) if known.is_empty() => "no key is allowed here".to_owned(),
        (None, None) => format!("known here: {}", in_words(known)),
    };
    let message = format!("unknown key `{key}`{owner}");
    Diagnostic::error("unknown-key", entry.key_span(), message).label("not a known key").help(help)
}

/// The mapping beside `place` that has this key.
fn beside<'a>(place: &Place<'a>, key: &str) -> Option<&'a str> {
    let siblings = place.within?["properties"].as_object()?;
    let mut owners = siblings.iter().filter(|(_, schema)| without_null(schema)["properties"].get(key).is_some());
    owners.next().map(|(owner, _)| owner.as_str())
}

fn misfit(schema: &Schema, place: &Place<'_>) -> Diagnostic {
    let message = format!("{} must be {}", place.named(), expected(schema));
    if let Some(words) = words(schema) {
        let meant = nearest(place.node.as_text().unwrap_or(""), words);
        let help = meant.map(|name| format!("did you mean `{name}`?"));
        return Diagnostic::error("unknown-word", &place.value, message).maybe_help(help);
    }
    if kind(schema).is_none_or(|kind| is_of_kind(kind, place.node)) {
        return Diagnostic::error("invalid-value", &place.value, message);
    }
    let scalar = place.node.scalar().map(|scalar| scalar.kind());
    let is_number_or_boolean = scalar.is_some_and(|kind| !matches!(kind, ScalarKind::Null | ScalarKind::Text));
    let help = (kind(schema) == Some("string") && is_number_or_boolean)
        .then(|| "write it in quotes to make it text".to_owned());
    Diagnostic::error("wrong-type", &place.value, message)
        .label(format!("this is {}", place.node.describe()))
        .maybe_help(help)
}

/// `a`, `a` or `b`, `a`, `b` or `c`.
fn in_words(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [rest @ .., last] => {
            let rest: Vec<String> = rest.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", rest.join(", "))
        }
    }
}

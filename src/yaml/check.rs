//! A node is checked against the JSON Schema of the type that it becomes, so that all errors are found at once.
//!
//! Of JSON Schema it knows what `schemars` writes for the types of this service: `type`, `properties`, `required`,
//! `additionalProperties`, `items`, `minimum`, `maximum`, and words as `enum` or `const`. It passes everything else, which
//! a type then checks for itself. Messages never repeat a value, which may be a secret.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};

use super::marked::{Entry, Kind, Marked};
use super::place::Place;
use super::scalar::{Scalar, ScalarKind};
use crate::diagnostics::{Diagnostic, Diagnostics, nearest};

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

/// A checked node, as serde reads it.
pub(super) enum Tree {
    Scalar(Value),
    /// Stands for a required value that was refused.
    Placeholder(Value),
    /// Items with their positions in the file.
    List(Vec<(usize, Tree)>),
    Map(Vec<Field>),
}

pub(super) struct Field {
    pub(super) key: String,
    pub(super) is_required: bool,
    pub(super) value: Tree,
}

impl Tree {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Scalar(value) | Self::Placeholder(value) => value.clone(),
            Self::List(items) => Value::Sequence(items.iter().map(|(_, item)| item.to_value()).collect()),
            Self::Map(fields) => {
                let pair = |field: &Field| (Value::String(field.key.clone()), field.value.to_value());
                Value::Mapping(fields.iter().map(pair).collect())
            }
        }
    }
}

/// What is left of the node at `place` without what does not fit; all that does not fit goes to `found`.
pub(super) fn check(schema: &Schema, place: &Place<'_>, found: &mut Diagnostics) -> Option<Tree> {
    let schema = without_null(schema);
    if let Some(words) = words(schema) {
        let text = place.node.as_text().filter(|text| words.contains(text));
        return text.map(|text| Tree::Scalar(text.into())).or_else(|| refuse(unknown_word(place, &words), found));
    }
    let kind = kind(schema);
    match (kind, place.node.kind()) {
        (Some("object"), Kind::Mapping(entries)) => Some(object(schema, entries, place, found)),
        (Some("object"), Kind::Scalar(_)) if place.node.is_null() => Some(object(schema, &[], place, found)),
        (Some("array"), Kind::Sequence(_)) => Some(list(schema, place, found)),
        (Some("array"), Kind::Scalar(_)) if place.node.is_null() => Some(Tree::List(Vec::new())),
        (Some(kind), Kind::Scalar(scalar)) if is_of_kind(kind, scalar) => match scalar.wide_integer() {
            Some(number) if !bounds(schema).contains(number) => {
                let message = format!("{} must be {}", place.named(), expected(kind, schema));
                refuse(Diagnostic::error("invalid-value", &place.value, message), found)
            }
            _ => Some(Tree::Scalar(scalar_value(scalar))),
        },
        (Some(kind), _) => refuse(wrong_type(place, kind, schema), found),
        (None, _) => Some(anything(place.node)),
    }
}

fn refuse(diagnostic: Diagnostic, found: &mut Diagnostics) -> Option<Tree> {
    found.push(diagnostic);
    None
}

fn object(schema: &Schema, entries: &[Entry], place: &Place<'_>, found: &mut Diagnostics) -> Tree {
    let known = schema["properties"].as_object();
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str).collect();
    let mut fields = Vec::with_capacity(entries.len());
    for entry in entries {
        let others = Some(&schema["additionalProperties"]).filter(|others| *others != &Schema::Bool(false));
        let Some(of) = known.and_then(|known| known.get(entry.key())).or(others) else {
            let known: Vec<&str> = known.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect();
            found.push(unknown_key(place, entry, &known));
            continue;
        };
        let is_required = required.contains(&entry.key());
        let may_be_null = !is_required && known.is_some_and(|known| known.contains_key(entry.key()));
        if may_be_null && entry.value().is_null() {
            continue;
        }
        let value = check(of, &place.at_key(entry), found);
        let value = value.or_else(|| is_required.then(|| Tree::Placeholder(harmless(of))));
        fields.extend(value.map(|value| Field { key: entry.key().to_owned(), is_required, value }));
    }
    for key in required.into_iter().filter(|key| !entries.iter().any(|entry| entry.key() == *key)) {
        let owner = place.name.as_deref().unwrap_or("the file");
        let diagnostic = Diagnostic::error("missing-key", &place.head, format!("{owner} has no `{key}`"));
        found.push(diagnostic.label(format!("`{key}` is required here")));
        let of = known.and_then(|known| known.get(key)).unwrap_or(&Schema::Null);
        fields.push(Field { key: key.to_owned(), is_required: true, value: Tree::Placeholder(harmless(of)) });
    }
    Tree::Map(fields)
}

fn list(schema: &Schema, place: &Place<'_>, found: &mut Diagnostics) -> Tree {
    let items = (0..place.node.items().len()).filter_map(|at| Some((at, place.at_item(at)?)));
    Tree::List(items.filter_map(|(at, item)| Some((at, check(&schema["items"], &item, found)?))).collect())
}

/// A value that fits `schema`.
fn harmless(schema: &Schema) -> Value {
    let schema = without_null(schema);
    if let Some(word) = words(schema).and_then(|words| words.first().copied()) {
        return word.into();
    }
    match kind(schema) {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str);
            required.map(|key| (Value::from(key), harmless(&schema["properties"][key]))).collect::<Mapping>().into()
        }
        Some("array") => Value::Sequence(Vec::new()),
        Some("string") => "".into(),
        Some("boolean") => false.into(),
        Some("integer" | "number") => bounds(schema).least.unwrap_or(0).into(),
        _ => Value::Null,
    }
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

/// The words that are allowed, where nothing else is.
fn words(schema: &Schema) -> Option<Vec<&str>> {
    if let Some(word) = schema["const"].as_str() {
        return Some(vec![word]);
    }
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().filter_map(Schema::as_str).collect());
    }
    let alternatives = schema["oneOf"].as_array()?.iter().map(words).collect::<Option<Vec<_>>>()?;
    Some(alternatives.concat())
}

fn is_of_kind(kind: &str, scalar: &Scalar) -> bool {
    match scalar.kind() {
        ScalarKind::Null => false,
        ScalarKind::Boolean(_) => kind == "boolean",
        ScalarKind::Integer => matches!(kind, "integer" | "number"),
        ScalarKind::Decimal => kind == "number",
        ScalarKind::Text => kind == "string",
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

fn expected(kind: &str, schema: &Schema) -> String {
    match (kind, bounds(schema)) {
        ("object", _) => "a mapping".to_owned(),
        ("array", _) => "a list".to_owned(),
        ("string", _) => "text".to_owned(),
        ("boolean", _) => "true or false".to_owned(),
        ("integer", Bounds { least: Some(least), most: Some(most) }) => {
            format!("a whole number from {least} to {}", grouped(most))
        }
        ("integer", Bounds { least: Some(0), most: None }) => "a whole number that is not negative".to_owned(),
        ("integer", _) => "a whole number".to_owned(),
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
    let help = match nearest(key, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "no key is allowed here".to_owned(),
        None => format!("known here: {}", in_words(known)),
    };
    let message = format!("unknown key `{key}`{owner}");
    Diagnostic::error("unknown-key", entry.key_span(), message).label("not a known key").help(help)
}

fn unknown_word(place: &Place<'_>, known: &[&str]) -> Diagnostic {
    let message = format!("{} must be {}", place.named(), in_words(known));
    let meant = nearest(place.node.as_text().unwrap_or(""), known.iter().copied());
    let help = meant.map(|name| format!("did you mean `{name}`?"));
    Diagnostic::error("unknown-word", &place.value, message).maybe_help(help)
}

fn wrong_type(place: &Place<'_>, kind: &str, schema: &Schema) -> Diagnostic {
    let message = format!("{} must be {}", place.named(), expected(kind, schema));
    let is_number_or_boolean =
        place.node.scalar().is_some_and(|scalar| !matches!(scalar.kind(), ScalarKind::Null | ScalarKind::Text));
    let help = (kind == "string" && is_number_or_boolean).then(|| "write it in quotes to make it text".to_owned());
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

fn anything(node: &Marked) -> Tree {
    match node.kind() {
        Kind::Sequence(items) => Tree::List(items.iter().map(anything).enumerate().collect()),
        Kind::Mapping(entries) => {
            let field = |entry: &Entry| Field {
                key: entry.key().to_owned(),
                is_required: false,
                value: anything(entry.value()),
            };
            Tree::Map(entries.iter().map(field).collect())
        }
        Kind::Scalar(scalar) => Tree::Scalar(scalar_value(scalar)),
    }
}

fn scalar_value(scalar: &Scalar) -> Value {
    let float = || Value::from(scalar.decimal().map_or(f64::NAN, |number| number.to_f64()));
    match scalar.kind() {
        ScalarKind::Null => Value::Null,
        ScalarKind::Boolean(value) => Value::Bool(value),
        ScalarKind::Text => Value::String(scalar.text().to_owned()),
        ScalarKind::Decimal => float(),
        ScalarKind::Integer => {
            let integer = scalar.wide_integer();
            let signed = integer.and_then(|integer| i64::try_from(integer).ok()).map(Value::from);
            let unsigned = || integer.and_then(|integer| u64::try_from(integer).ok()).map(Value::from);
            signed.or_else(unsigned).unwrap_or_else(float)
        }
    }
}

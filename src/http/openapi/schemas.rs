//! JSON Schema (2020-12) of inputs and answers of flows. Unknown types are unrestricted.

use serde_json::{Map, Value as Json, json};

use super::keys;
use crate::graph::{Flow, InputField, InputSchema, Scalar, Template};
use crate::grl::{Expression, Owner};
use crate::types::{Field, Shape, Type};

/// The body that asks for a decision.
pub(super) fn input(inputs: &InputSchema) -> Json {
    let properties: Map<String, Json> =
        inputs.fields().iter().map(|each| (each.name.to_string(), field(each))).collect();
    let required: Vec<&str> =
        inputs.fields().iter().filter(|each| each.required && each.default.is_none()).map(|each| &*each.name).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn field(field: &InputField) -> Json {
    let mut schema = scalar(field);
    if field.is_list {
        schema = json!({ "type": "array", "items": schema });
    }
    if !field.required {
        schema = nullable(schema);
    }
    if let Json::Object(schema) = &mut schema {
        if let Some(description) = &field.description {
            schema.insert("description".to_owned(), json!(description));
        }
        if let Some(default) = &field.default {
            schema.insert("default".to_owned(), json!(default));
        }
        if let Some(example) = &field.example {
            schema.insert("examples".to_owned(), json!([example]));
        }
    }
    schema
}

/// One value of an input, or an element of it where it is a list.
fn scalar(field: &InputField) -> Json {
    let mut schema = match field.scalar {
        // PostgreSQL takes no NUL.
        Scalar::Text => json!({ "type": "string", "pattern": "^[^\\u0000]*$" }),
        Scalar::Integer => json!({ "type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX }),
        Scalar::Decimal => json!({ "type": "number" }),
        Scalar::Boolean => json!({ "type": "boolean" }),
        Scalar::Date => json!({ "type": "string", "format": "date" }),
        Scalar::Timestamp => json!({ "type": "string", "format": "date-time" }),
        Scalar::Uuid => json!({ "type": "string", "format": "uuid" }),
    };
    let Json::Object(keys) = &mut schema else { return schema };
    if let Some(length) = field.max_length {
        keys.insert("maxLength".to_owned(), json!(length));
    }
    if let Some(pattern) = field.bare_pattern().filter(|pattern| is_portable(pattern)) {
        let no_nul = keys.insert("pattern".to_owned(), json!(format!("^(?:{pattern})$")));
        keys.insert("allOf".to_owned(), json!([{ "pattern": no_nul }]));
    }
    let is_number = matches!(field.scalar, Scalar::Integer | Scalar::Decimal);
    let mut limits: Vec<String> = Vec::new();
    for (key, word, value) in [("minimum", "at least", &field.minimum), ("maximum", "at most", &field.maximum)] {
        match value {
            Some(value) if is_number => {
                keys.insert(key.to_owned(), json!(value));
            }
            // JSON Schema orders only numbers.
            Some(value) => limits.push(format!("{word} {value}")),
            None => {}
        }
    }
    if !limits.is_empty() {
        keys.insert("$comment".to_owned(), json!(limits.join(", ")));
    }
    if let Some(values) = &field.one_of {
        keys.insert("enum".to_owned(), json!(values));
    }
    schema
}

/// Whether a pattern means the same in JSON Schema, whose character classes are ASCII and whose syntax is smaller.
fn is_portable(pattern: &str) -> bool {
    let other = ["(?", "[[", "&&", "--", "~~", "\\A", "\\z", "\\p", "\\P", "\\x", "\\u", "\\U", "\\w", "\\W"];
    let also_other = ["\\d", "\\D", "\\s", "\\S", "\\b", "\\B", "\\a", "\\Q", "\\<", "\\>", "\\#", "\\&", "\\~"];
    let grouped = pattern.replace("(?:", "(");
    !other.iter().chain(&also_other).any(|syntax| grouped.contains(syntax))
}

/// The same, or null.
pub(super) fn nullable(mut schema: Json) -> Json {
    let Json::Object(keys) = &mut schema else { return schema };
    if let Some(Json::Array(values)) = keys.get_mut("enum") {
        values.push(Json::Null);
    }
    if let Some(ty) = keys.get_mut("type") {
        *ty = json!([ty, "null"]);
    }
    schema
}

/// The schema of the body of an answer.
pub(super) struct Body<'a> {
    /// The flow that answers.
    pub(super) flow: &'a Flow,
    /// Whether its types hold: facts that a request replaces may be of others.
    pub(super) typed: bool,
}

impl Body<'_> {
    /// The schema of a part of it.
    pub(super) fn part(&self, part: &Template) -> Json {
        match part {
            Template::Map(fields) => {
                let properties: Map<String, Json> =
                    fields.iter().map(|(name, part)| (name.to_string(), self.part(part))).collect();
                let required = keys::required(self.flow, fields.iter().map(|(name, part)| (&**name, part)));
                json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
            }
            Template::List(items) if items.is_empty() => json!({ "type": "array", "maxItems": 0 }),
            Template::List(items) => {
                let elements: Vec<Json> = items.iter().map(|item| self.part(item)).collect();
                let length = elements.len();
                let kept = items.iter().filter(|item| !keys::reads_effect(self.flow, item)).count();
                if kept < length {
                    return json!({ "type": "array", "items": { "anyOf": elements }, "minItems": kept, "maxItems": length });
                }
                json!({ "type": "array", "prefixItems": elements, "minItems": length, "maxItems": length })
            }
            Template::Leaf(_) if !self.typed => json!({}),
            Template::Leaf(expression) => of_type(expression.ty(), self.may_be_null(expression)),
        }
    }

    /// A column or a fact may be null; a literal, or an input that always has a value, is not.
    fn may_be_null(&self, expression: &Expression) -> bool {
        match expression.reads() {
            [] => serde_json::from_str::<Json>(expression.text()).map_or(true, |literal| literal.is_null()),
            [fact] if fact.owner == Owner::Input && expression.text().trim() == &*fact.written => {
                let is_input = |field: &&InputField| fact.path.first() == Some(&field.name);
                let input = self.flow.inputs.fields().iter().find(is_input);
                input.is_none_or(|input| !input.required && input.default.is_none())
            }
            _ => true,
        }
    }
}

/// The values of a type.
fn of_type(ty: &Type, may_be_null: bool) -> Json {
    let schema = match ty {
        Type::Any => json!({}),
        Type::Boolean => json!({ "type": "boolean" }),
        Type::Integer => json!({ "type": "integer", "format": "int64" }),
        Type::Decimal => json!({ "type": "number" }),
        Type::Text => json!({ "type": "string" }),
        Type::Date => json!({ "type": "string", "format": "date" }),
        Type::Timestamp => json!({ "type": "string", "format": "date-time" }),
        Type::List(element) => json!({ "type": "array", "items": of_type(element, true) }),
        Type::Map(shape) => object(shape),
    };
    if may_be_null { nullable(schema) } else { schema }
}

/// A row, or the facts of a rule node, of which some may be unset.
fn object(shape: &Shape) -> Json {
    let fields = shape.fields.iter().map(|field| (field.name.to_string(), of_type(&field.ty, true)));
    json!({ "type": "object", "properties": fields.collect::<Map<_, _>>() })
}

/// A whole row as a request gives it: it has all columns. A value of another type is left to the rules.
pub(super) fn row(columns: &Shape) -> Json {
    let of = |field: &Field| (field.name.to_string(), json!({ "description": format!("of type {}", field.ty) }));
    let required: Vec<&str> = columns.fields.iter().map(|field| &*field.name).collect();
    json!({
        "type": "object",
        "required": required,
        "properties": columns.fields.iter().map(of).collect::<Map<_, _>>(),
        "additionalProperties": columns.open
    })
}

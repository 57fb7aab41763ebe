//! JSON Schema (2020-12) of inputs and answers of flows. Unknown types are unrestricted.

use serde_json::{Map, Value as Json, json};

use super::keys;
use crate::graph::{
    Decimals, Flow, InputField, InputSchema, OnError, Outcome, QueryNode, Rows, Scalar, Template, Work,
};
use crate::grl::{Expression, Owner};
use crate::types::{Field, FieldName, Shape, Type};

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
            schema.insert("default".to_owned(), json!(field.decimals.written(default)));
        }
        if let Some(example) = &field.example {
            schema.insert("examples".to_owned(), json!([field.decimals.written(example)]));
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
        Scalar::Decimal => decimal(field.decimals),
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
    let is_number = match field.scalar {
        Scalar::Decimal => field.decimals == Decimals::Number,
        scalar => scalar == Scalar::Integer,
    };
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
        let values: Vec<_> = values.iter().map(|value| field.decimals.written(value)).collect();
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
    match keys.get_mut("type") {
        Some(Json::Array(types)) => types.push(json!("null")),
        Some(ty) => *ty = json!([ty, "null"]),
        None => {}
    }
    schema
}

/// The schema of the body of an answer.
#[derive(Clone, Copy)]
pub(super) struct Body<'a> {
    /// The flow that answers.
    pub(super) flow: &'a Flow,
    /// Whether its types hold: facts that a request replaces may be of others.
    pub(super) typed: bool,
    /// The flow as it runs, without what databases described, where that decides how its JSON has decimals.
    pub(super) undescribed: Option<&'a Flow>,
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
            Template::Leaf(expression) => {
                let (runs, may_be_null) = (self.at_run_time(expression), self.may_be_null(expression));
                self.with_uuids(expression, of_type(expression.ty(), &runs, may_be_null, self.flow.decimals))
            }
        }
    }

    /// The query and the path below its rows, where an expression is just that.
    fn column<'e>(&'e self, expression: &'e Expression) -> Option<(&'e QueryNode, &'e [FieldName])> {
        let [fact] = expression.reads() else { return None };
        match (fact.owner, expression.text().trim() == &*fact.written) {
            (Owner::Node(place), true) => match &self.flow.nodes.get(place)?.work {
                // A default has no column's type.
                Work::Query(query) if matches!(query.on_error, OnError::Fail) => Some((query, &fact.path)),
                _ => None,
            },
            _ => None,
        }
    }

    /// `schema`, which is that of `expression`, with the format of UUIDs: they are texts.
    fn with_uuids(&self, expression: &Expression, mut schema: Json) -> Json {
        let places: Vec<String> = match self.column(expression) {
            Some((query, path)) => {
                let row = if query.rows == Rows::Many { "/items" } else { "" };
                let place = |column: &FieldName| match path {
                    [] => Some(format!("{row}/properties/{column}")),
                    [name] if name == column => Some(row.to_owned()),
                    _ => None,
                };
                query.uuids.iter().filter_map(place).collect()
            }
            None => {
                let inputs = self.input(expression).into_iter().filter(|input| input.scalar == Scalar::Uuid);
                inputs.map(|input| if input.is_list { "/items" } else { "" }.to_owned()).collect()
            }
        };
        for place in places {
            if let Some(Json::Object(text)) = schema.pointer_mut(&place) {
                text.insert("format".to_owned(), json!("uuid"));
            }
        }
        schema
    }

    /// The input that an expression just is.
    fn input(&self, expression: &Expression) -> Option<&InputField> {
        let [fact] = expression.reads() else { return None };
        let is_plain = fact.owner == Owner::Input && expression.text().trim() == &*fact.written;
        self.flow.inputs.fields().iter().find(|field| is_plain && *fact.path == [field.name.clone()])
    }

    /// The type that makes whole numbers of an expression decimals. A column is of its own type at run time.
    fn at_run_time(&self, expression: &Expression) -> Type {
        let is_column = self.column(expression).is_some();
        let outcomes = self.undescribed.iter().filter(|_| !is_column).flat_map(|flow| &flow.outcomes);
        let mut expressions = outcomes.flat_map(Outcome::expressions);
        expressions.find(|each| each.text() == expression.text()).unwrap_or(expression).ty().clone()
    }

    /// A column or a fact may be null; a literal, or an input that always has a value, is not.
    fn may_be_null(&self, expression: &Expression) -> bool {
        if expression.reads().is_empty() {
            return serde_json::from_str::<Json>(expression.text()).map_or(true, |literal| literal.is_null());
        }
        self.input(expression).is_none_or(|input| !input.required && input.default.is_none())
    }
}

/// The values of type `ty`, known as `runs` at run time: a decimal that is not known as one may be a whole number.
fn of_type(ty: &Type, runs: &Type, may_be_null: bool, decimals: Decimals) -> Json {
    let schema = match ty {
        Type::Any => json!({}),
        Type::Boolean => json!({ "type": "boolean" }),
        Type::Integer => json!({ "type": "integer", "format": "int64" }),
        Type::Decimal if decimals == Decimals::String && runs != ty => {
            json!({ "type": ["string", "integer"], "pattern": Decimals::PATTERN })
        }
        Type::Decimal => decimal(decimals),
        Type::Text => json!({ "type": "string" }),
        Type::Date => json!({ "type": "string", "format": "date" }),
        Type::Timestamp => json!({ "type": "string", "format": "date-time" }),
        Type::List(element) => {
            let runs = if let Type::List(runs) = runs { runs } else { &Type::Any };
            json!({ "type": "array", "items": of_type(element, runs, true, decimals) })
        }
        Type::Map(shape) => object(shape, runs, decimals),
    };
    if may_be_null { nullable(schema) } else { schema }
}

fn decimal(decimals: Decimals) -> Json {
    match decimals {
        Decimals::Number => json!({ "type": "number" }),
        Decimals::String => json!({ "type": "string", "format": "decimal", "pattern": Decimals::PATTERN }),
    }
}

/// A row, or the facts of a rule node, of which some may be unset.
fn object(shape: &Shape, runs: &Type, decimals: Decimals) -> Json {
    let runs = |name: &str| if let Type::Map(runs) = runs { runs.field(name) } else { None };
    let fields = shape.fields.iter().map(|field| {
        (field.name.to_string(), of_type(&field.ty, runs(&field.name).unwrap_or(&Type::Any), true, decimals))
    });
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

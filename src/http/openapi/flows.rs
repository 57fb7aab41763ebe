//! The endpoints of a flow: one decision, many of them, one with facts replaced, what changes one.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::schemas::{self, Body};
use super::{Contract, keys, responses};
use crate::flow::explain::Explanation;
use crate::flow::flip::{Flips, MOST_FACTS};
use crate::graph::{Decimals, Flow, Node, OnError, Outcome, Rows, Work};
use crate::http::handlers::batch::LastLine;
use crate::http::problem::Problem;
use crate::http::problem::kinds::{self, Kind};
use crate::types::FieldName;

/// What a flow adds to the document.
pub(super) struct FlowContract {
    pub(super) schemas: Map<String, Json>,
    pub(super) paths: Map<String, Json>,
}

/// What `flow`, one of the flows of `whole`, adds. Facts can be replaced if there are admin endpoints or tokens.
pub(super) fn contract(flow: &Flow, whole: &Contract<'_>, generator: &mut SchemaGenerator) -> FlowContract {
    let mut writer = Writer { flow, whole, generator };
    let (mut schemas, mut paths) = (Map::new(), Map::new());
    let statuses = Status::of(flow, "outcome");
    let undescribed = if flow.decimals == Decimals::String { flow.undescribed() } else { None };
    let body = Body { flow, typed: true, undescribed: undescribed.as_ref() };
    for status in &statuses {
        schemas.insert(status.schema.clone(), status.schema(&body));
    }
    schemas.insert(named(flow, "input"), schemas::input(&flow.inputs));
    schemas.insert(named(flow, "decision"), writer.answer(&statuses, &Members::default()));
    let waits = |status: &Status<'_>| status.outcomes.iter().any(|outcome| keys::may_wait(outcome));
    let pending: Vec<Status<'_>> = statuses.iter().filter(|status| waits(status)).cloned().collect();
    if !pending.is_empty() {
        let approval = Members { required: vec![("approval", keys::approval())], ..Members::default() };
        schemas.insert(named(flow, "pending"), writer.answer(&pending, &approval));
    }
    if !flow.effects.is_empty() {
        schemas.insert(named(flow, "element"), keys::element(schemas::input(&flow.inputs)));
    }
    schemas.insert(named(flow, "line"), writer.line(&statuses));
    paths.insert(flow.path.clone(), json!({ "post": writer.decide() }));
    paths.insert(format!("{}/batch", flow.path), json!({ "post": writer.batch() }));
    if whole.with_admin || whole.with_tokens {
        // Facts are replaced by values of whatever type.
        let (replaced, untyped) = (Status::of(flow, "replaced"), Body { typed: false, ..body });
        schemas.extend(replaced.iter().map(|status| (status.schema.clone(), status.schema(&untyped))));
        schemas.insert(named(flow, "replaced"), writer.answer(&replaced, &replaced_facts()));
        paths.insert(format!("{}/what-if", flow.path), json!({ "post": writer.what_if() }));
        paths.insert(format!("{}/flip", flow.path), json!({ "post": writer.flip() }));
    }
    FlowContract { schemas, paths }
}

/// What a flow takes and gives, each schema complete in itself. Columns are of any type.
pub(in crate::http) struct FlowSchemas {
    /// The inputs.
    pub(in crate::http) input: Json,
    /// The inputs, and a key where the flow has effects.
    pub(in crate::http) keyed: Json,
    /// A decision.
    pub(in crate::http) decision: Json,
    /// A decision with its explanation.
    pub(in crate::http) explained: Json,
    /// The inputs of a decision with facts replaced, and those facts.
    pub(in crate::http) what_if: Json,
    /// A decision with facts replaced.
    pub(in crate::http) replaced: Json,
    /// What a search of changes takes.
    pub(in crate::http) flip: Json,
    /// The changes.
    pub(in crate::http) flips: Json,
}

impl FlowSchemas {
    /// Those of `flow`.
    pub(in crate::http) fn of(flow: &Flow) -> Self {
        let body = Body { flow, typed: true, undescribed: None };
        let one_of = |body| {
            let statuses = Status::of(flow, "outcome");
            json!({ "type": "object", "oneOf": statuses.iter().map(|status| status.schema(body)).collect::<Vec<_>>() })
        };
        let any = one_of(&body);
        let why = json!({ "type": "object", "description": "Why the decision is so" });
        let why = Members { required: vec![("explain", why)], ..Members::default() };
        let input = schemas::input(&flow.inputs);
        let mut pending = Members::default();
        if flow.outcomes.iter().any(keys::may_wait) {
            pending.optional.push(("approval", keys::approval()));
        }
        Self {
            keyed: if flow.effects.is_empty() { input.clone() } else { keys::element(input.clone()) },
            decision: completed(flow, any.clone(), &pending, None),
            explained: completed(flow, any, &why, None),
            what_if: what_if_body(flow, &input),
            flip: flip_body(flow, &input),
            flips: flips(),
            replaced: completed(flow, one_of(&Body { typed: false, ..body }), &replaced_facts(), None),
            input,
        }
    }
}

/// An endpoint of a flow.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FlowEndpoint {
    Decide,
    Batch,
    WhatIf,
    Flip,
}

impl FlowEndpoint {
    /// Whether it needs the right to a what-if, or the admin token.
    fn is_privileged(self) -> bool {
        matches!(self, Self::WhatIf | Self::Flip)
    }

    /// The problems it may answer with. `writes`: the flow has effects.
    fn problems(self, with_tokens: bool, writes: bool) -> Vec<Kind> {
        let own = [kinds::BAD_QUERY, kinds::BAD_KEY, kinds::INVALID_INPUT];
        let body = [&kinds::OF_BODIES[..], &own, &kinds::OF_FLOWS].concat();
        let (own, closed): (_, &[Kind]) = match self {
            Self::Decide => {
                let of_keys = if writes { &kinds::OF_KEYS[..] } else { &[] };
                ([&body, of_keys].concat(), &[kinds::UNAUTHORIZED, kinds::FORBIDDEN])
            }
            Self::WhatIf | Self::Flip => {
                ([&body[..], &[kinds::BAD_OVERRIDE, kinds::UNAUTHORIZED]].concat(), &[kinds::FORBIDDEN])
            }
            Self::Batch => (
                vec![kinds::MALFORMED_BODY, kinds::SLOW_BODY, kinds::MEDIA_TYPE, kinds::BAD_QUERY, kinds::BAD_KEY],
                &[kinds::UNAUTHORIZED, kinds::FORBIDDEN],
            ),
        };
        if with_tokens { [&own, closed].concat() } else { own }
    }
}

/// The name of one of a flow's schemas.
fn named(flow: &Flow, what: &str) -> String {
    format!("{}.{what}", flow.name)
}

fn reference(name: &str) -> Json {
    json!({ "$ref": path_of(name) })
}

fn path_of(schema: &str) -> String {
    format!("#/components/schemas/{schema}")
}

/// A status that a flow answers with. It tells the schemas of outcomes apart: several outcomes of one status have one schema.
#[derive(Clone)]
struct Status<'a> {
    name: &'a str,
    outcomes: Vec<&'a Outcome>,
    /// The name of its schema: the status without characters that a name may not have, and a number where several are equal.
    schema: String,
}

impl<'a> Status<'a> {
    /// Those of `flow`, in the order of its outcomes; the names of their schemas have `what` in them.
    fn of(flow: &'a Flow, what: &str) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::with_capacity(flow.outcomes.len());
        for outcome in &flow.outcomes {
            if let Some(known) = all.iter_mut().find(|known| known.name == outcome.status) {
                known.outcomes.push(outcome);
                continue;
            }
            let valid = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
            let status: String = outcome.status.chars().map(valid).collect();
            let first = named(flow, &format!("{what}.{status}"));
            let mut schema = first.clone();
            let mut number = 2;
            while all.iter().any(|known| known.schema == schema) {
                schema = format!("{first}.{number}");
                number += 1;
            }
            all.push(Self { name: &outcome.status, outcomes: vec![outcome], schema });
        }
        all
    }

    fn schema(&self, body: &Body<'_>) -> Json {
        match &self.outcomes[..] {
            [outcome] => outcome_schema(body, outcome),
            // openapi-typescript takes the schema of a mapping that is an object, or an `allOf`, which it adds the status to.
            several => {
                let any: Vec<Json> = several.iter().map(|each| outcome_schema(body, each)).collect();
                json!({ "allOf": [{ "anyOf": any }] })
            }
        }
    }
}

fn outcome_schema(body: &Body<'_>, outcome: &Outcome) -> Json {
    let mut properties = Map::new();
    properties.insert("status".to_owned(), json!({ "type": "string", "const": outcome.status }));
    if outcome.message.is_some() {
        properties
            .insert("message".to_owned(), json!({ "type": "string", "description": "What it means, for people" }));
    }
    let mut required: Vec<&str> = if outcome.message.is_some() { vec!["status", "message"] } else { vec!["status"] };
    required.extend(keys::required(body.flow, outcome.body.iter().map(|(name, part)| (&**name, part))));
    for (name, part) in &outcome.body {
        properties.insert(name.to_string(), body.part(part));
    }
    json!({ "type": "object", "required": required, "properties": properties })
}

/// The outcomes, with what the service adds: the members, and an explanation where there may be one.
fn completed(flow: &Flow, mut schema: Json, more: &Members, explain: Option<Json>) -> Json {
    let members = more.required.iter().chain(&more.optional);
    let mut properties: Map<String, Json> = members.map(|(name, each)| ((*name).to_owned(), each.clone())).collect();
    let required: Vec<&str> = more.required.iter().map(|(name, _)| *name).collect();
    let stands_in =
        |node: &&Node| matches!(&node.work, Work::Query(query) if matches!(query.on_error, OnError::Default { .. }));
    let may_stand_in: Vec<&str> = flow.nodes.iter().filter(stands_in).map(|node| node.id.as_str()).collect();
    if !may_stand_in.is_empty() {
        let description = "The nodes whose default stood in for an answer of their database";
        properties.insert(
            "degraded".to_owned(),
            json!({ "type": "array", "minItems": 1, "items": { "enum": may_stand_in }, "description": description }),
        );
    }
    properties.extend(explain.map(|explain| ("explain".to_owned(), explain)));
    if let Json::Object(schema) = &mut schema {
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        schema.insert("properties".to_owned(), Json::Object(properties));
        schema.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    schema
}

/// What an answer has for which facts were replaced.
fn replaced_facts() -> Members {
    let facts = json!({
        "type": "array", "minItems": 1, "items": { "type": "string" }, "description": "The facts that were replaced"
    });
    Members { required: vec![("what_if", facts)], ..Members::default() }
}

/// The body that asks for a decision with facts replaced; `input` is the schema of the inputs.
fn what_if_body(flow: &Flow, input: &Json) -> Json {
    let nodes: Vec<&str> = flow.nodes.iter().map(|node| node.id.as_str()).collect();
    let inputs: Vec<&FieldName> = flow.inputs.fields().iter().map(|field| &field.name).collect();
    let inputs = inputs.iter().map(|name| &***name).collect::<Vec<_>>().join("|");
    let owners = [
        (!nodes.is_empty()).then(|| format!("(?:{})(?:\\.[^.]+)*", nodes.join("|"))),
        (!inputs.is_empty()).then(|| format!("input\\.(?:{inputs})")),
    ];
    let facts = owners.into_iter().flatten().collect::<Vec<_>>().join("|");
    let needs_input = flow.inputs.fields().iter().any(|field| field.required && field.default.is_none());
    let required = if needs_input { vec!["input", "set"] } else { vec!["set"] };
    let rows: Map<String, Json> = flow.nodes.iter().filter_map(whole_row).collect();
    json!({
        "type": "object",
        "required": required,
        "properties": {
            "input": input,
            "set": {
                "description": "The facts to replace (`node.column`, `input.name`, a node for its whole row) and their values",
                "type": "object", "minProperties": 1, "properties": rows,
                "propertyNames": { "pattern": format!("^(?:{facts})$") }
            }
        },
        "additionalProperties": false
    })
}

/// The body that asks what changes a decision: that of a what-if, which need replace nothing, and what is searched.
fn flip_body(flow: &Flow, input: &Json) -> Json {
    let mut body = what_if_body(flow, input);
    if let Some(Json::Array(required)) = body.get_mut("required") {
        required.retain(|name| name != "set");
        required.push(json!("facts"));
    }
    if let Some(Json::Object(set)) = body.pointer_mut("/properties/set") {
        set.shift_remove("minProperties");
    }
    let fact = body.pointer("/properties/set/propertyNames/pattern").cloned();
    if let Some(Json::Object(properties)) = body.get_mut("properties") {
        let facts = json!({
            "description": "The numbers to search: `node.column` or `input.name`",
            "type": "array", "minItems": 1, "maxItems": MOST_FACTS, "uniqueItems": true,
            "items": { "type": "string", "pattern": fact }
        });
        let field =
            "The field of the answer that must change, such as `order.quantity`; the outcome where this is left out";
        properties.insert("facts".to_owned(), facts);
        properties.insert("field".to_owned(), json!({ "description": field, "type": "string" }));
    }
    body
}

/// The changes that a search found, in one schema without references.
fn flips() -> Json {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|all| {
        all.inline_subschemas = true;
        all.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<Flips>().to_value()
}

/// What an answer has beside the fields of its outcome.
#[derive(Default)]
struct Members {
    /// Those that it always has.
    required: Vec<(&'static str, Json)>,
    /// Those that it may have.
    optional: Vec<(&'static str, Json)>,
}

/// Writes the entries of one flow.
struct Writer<'a, 'c> {
    flow: &'a Flow,
    whole: &'a Contract<'c>,
    generator: &'a mut SchemaGenerator,
}

impl Writer<'_, '_> {
    fn reference<T: schemars::JsonSchema>(&mut self) -> Json {
        self.generator.subschema_for::<T>().to_value()
    }

    /// One of the outcomes, with what the service adds.
    fn answer(&mut self, statuses: &[Status<'_>], more: &Members) -> Json {
        let one_of_them: Vec<Json> = statuses.iter().map(|each| reference(&each.schema)).collect();
        let mapping: Map<String, Json> =
            statuses.iter().map(|each| (each.name.to_owned(), json!(path_of(&each.schema)))).collect();
        let discriminator = json!({ "propertyName": "status", "mapping": mapping });
        let schema = json!({ "type": "object", "oneOf": one_of_them, "discriminator": discriminator });
        let explain = self.reference::<Explanation>();
        completed(self.flow, schema, more, Some(explain))
    }

    /// A line of the answer to a batch.
    fn line(&mut self, statuses: &[Status<'_>]) -> Json {
        let index = json!({ "type": "integer", "minimum": 0, "description": "The position of the input, from 0" });
        let mut answer = Members { required: vec![("index", index.clone())], ..Members::default() };
        let mut problem =
            Map::from_iter([("index".to_owned(), index), ("error".to_owned(), self.reference::<Problem>())]);
        if !self.flow.effects.is_empty() {
            answer.optional.extend([("replayed", keys::replayed()), ("approval", keys::approval())]);
            problem.insert("replayed".to_owned(), keys::replayed());
        }
        json!({
            "description": "A line of the answer to a batch: a decision or a problem; the last may be the summary",
            "anyOf": [
                self.answer(statuses, &answer),
                {
                    "type": "object",
                    "required": ["index", "error"],
                    "properties": problem,
                    "additionalProperties": false
                },
                self.reference::<LastLine>()
            ]
        })
    }

    fn decide(&mut self) -> Json {
        let flow = self.flow;
        let summary = flow.description.clone().unwrap_or_else(|| format!("Decide {}", flow.name));
        let body = json!({ "application/json": { "schema": reference(&named(flow, "input")) } });
        let answer = json!({ "application/json": { "schema": reference(&named(flow, "decision")) } });
        let mut decide = self.operation(FlowEndpoint::Decide, ("decide", &summary), (body, answer, "The decision"));
        if !flow.effects.is_empty() {
            self.add_keys(&mut decide);
        }
        decide
    }

    /// Adds the key of a request, and the answers that there are with one.
    fn add_keys(&self, decide: &mut Json) {
        let flow = self.flow;
        if let Some(Json::Array(parameters)) = decide.get_mut("parameters") {
            parameters.push(keys::parameter(flow));
        }
        let Some(Json::Object(responses)) = decide.get_mut("responses") else { return };
        let headers = keys::headers(decision_headers());
        if flow.outcomes.iter().any(keys::may_wait) {
            let schema = reference(&named(flow, "pending"));
            let pending = json!({
                "description": "The decision, whose effect waits for approval",
                "headers": headers,
                "content": { "application/json": { "schema": schema } }
            });
            responses.insert("202".to_owned(), pending);
        }
        for (_, response) in responses.iter_mut().filter(|(status, _)| matches!(status.as_str(), "200" | "404")) {
            if let Json::Object(response) = response {
                response.insert("headers".to_owned(), headers.clone());
            }
        }
    }

    fn batch(&mut self) -> Json {
        let flow = self.flow;
        let input = reference(&named(flow, if flow.effects.is_empty() { "input" } else { "element" }));
        let lenient = json!({ "description": "anything else: its line says what is wrong with it" });
        let body = json!({
            "application/json": { "schema": { "type": "array", "items": { "anyOf": [input, lenient] } } },
            "application/x-ndjson": { "schema": { "type": "string", "description": "An input a line" } }
        });
        let description = format!("A line for each input, in order, each of the schema `{}`", named(flow, "line"));
        let answer = json!({ "application/x-ndjson": {
        "schema": { "type": "string", "description": description },
        "x-line": reference(&named(flow, "line"))
    } });
        let summary = format!("Decide {} for many inputs", flow.name);
        let mut batch =
            self.operation(FlowEndpoint::Batch, ("batch", &summary), (body, answer, "The decisions, as they are made"));
        if let Some(Json::Array(parameters)) = batch.get_mut("parameters") {
            parameters.push(responses::flag("summary", "Whether a last line counts how the decisions ended"));
        }
        batch
    }

    fn what_if(&mut self) -> Json {
        let flow = self.flow;
        let schema = what_if_body(flow, &reference(&named(flow, "input")));
        let body = json!({ "application/json": { "schema": schema } });
        let answer = json!({ "application/json": { "schema": reference(&named(flow, "replaced")) } });
        let summary = format!("Decide {} with facts replaced", flow.name);
        self.operation(FlowEndpoint::WhatIf, ("whatIf", &summary), (body, answer, "The decision there would be"))
    }

    fn flip(&mut self) -> Json {
        let flow = self.flow;
        let schema = flip_body(flow, &reference(&named(flow, "input")));
        let body = json!({ "application/json": { "schema": schema } });
        let answer = json!({ "application/json": { "schema": self.reference::<Flips>() } });
        let summary = format!("Find what changes a decision of {}", flow.name);
        let description =
            "For each fact the nearest values that were found, and the smallest change of several together";
        self.operation(FlowEndpoint::Flip, ("flip", &summary), (body, answer, description))
    }

    fn operation(
        &mut self,
        endpoint: FlowEndpoint,
        (verb, summary): (&str, &str),
        (body, answer, description): (Json, Json, &str),
    ) -> Json {
        let Self { flow, whole, .. } = *self;
        let explain = if whole.with_tokens {
            "Whether the answer says why; the token needs the right `explain`"
        } else {
            "Whether the answer says why"
        };
        let explain = (endpoint != FlowEndpoint::Flip).then(|| responses::flag("explain", explain));
        let mut parameters: Vec<Json> = explain.into_iter().collect();
        if whole.with_tokens || endpoint.is_privileged() {
            parameters.push(as_of(whole.with_tokens));
        }
        let mut responses = Map::new();
        let headers = decision_headers();
        responses
            .insert("200".to_owned(), json!({ "description": description, "headers": headers, "content": answer }));
        responses.extend(responses::of_problems(
            endpoint.problems(whole.with_tokens, !flow.effects.is_empty()),
            self.generator,
        ));
        let security = if endpoint.is_privileged() { whole.security_of_privileged() } else { whole.security() };
        json!({
            "operationId": format!("{}.{verb}", flow.name),
            "tags": [flow.name],
            "summary": summary,
            "security": security,
            "parameters": parameters,
            "requestBody": { "required": true, "content": body },
            "responses": responses
        })
    }
}

/// The schema of a value that replaces the answer of a query node.
fn whole_row(node: &Node) -> Option<(String, Json)> {
    let Work::Query(query) = &node.work else { return None };
    let row = schemas::row(&query.columns);
    let rows = match query.rows {
        Rows::One => row,
        Rows::Optional => schemas::nullable(row),
        Rows::Many => json!({ "type": "array", "items": row }),
    };
    Some((node.id.to_string(), rows))
}

/// What the headers of a decision say.
fn decision_headers() -> Json {
    let header =
        |description: &str| json!({ "required": true, "description": description, "schema": { "type": "string" } });
    json!({
        "Decision-Id": header("The id of the decision, as in its record; decisions of a batch are named after it and their index"),
        "Graph-Version": header("The hash of the graph that decided"),
        "Rules-Version": header("The hash of the rules that decided")
    })
}

/// What sets the clock of a decision.
fn as_of(with_tokens: bool) -> Json {
    let who = if with_tokens { "a token with the right `what_if`" } else { "the admin token" };
    json!({
        "name": "as_of", "in": "query",
        "description": format!("The moment that the decision is made at, for {who}; now where it is left out"),
        // RFC 3339 has offsets that no zone has; they are refused.
        "schema": {
            "type": "string", "format": "date-time",
            "pattern": "([Zz]|[+](0[0-9]|1[0-3]):[0-5][0-9]|-(0[0-9]|1[01]):[0-5][0-9])$"
        }
    })
}

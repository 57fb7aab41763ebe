//! The rules of flows for people who review them: as text, Markdown or JSON.
//!
//! [`Listing::of`] collects what is written in compiled flows; a writer for each format writes it. The same flows always give the
//! same text.

mod markdown;
mod text;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::plan::{Flow, Node, RuleNode, Work};
use crate::grl::{Beginning, Constant, OwnFunction, RuleInfo, RuleText, Ruleset, TableText};
use crate::types::{FieldName, Value};

/// The rules of flows.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Listing {
    /// The flows, in the order of their files.
    pub flows: Vec<FlowListing>,
}

/// The rules of a flow.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FlowListing {
    /// Its name.
    pub flow: String,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The place of its path: file, line and column.
    pub place: String,
    /// The first 16 hexadecimal digits of the SHA-256 of the graph file.
    pub graph_version: String,
    /// The same over its rule files.
    pub rules_version: String,
    /// The constants that its rules and expressions know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constants: Vec<ConstantListing>,
    /// The functions that its rules and expressions know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<FunctionListing>,
    /// The nodes that run rules, each after those that it depends on.
    pub nodes: Vec<NodeListing>,
}

/// A constant of a flow.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ConstantListing {
    /// Its name.
    pub constant: String,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its file, line and column.
    pub place: String,
    /// Its value.
    #[schemars(with = "Json")]
    pub value: Value,
}

/// A function of a flow.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FunctionListing {
    /// Its name and parameters.
    pub function: String,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The file, line and column of its expression.
    pub place: String,
    /// The expression that is its value.
    pub value: String,
}

/// The rules of a node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NodeListing {
    /// Its name.
    pub node: String,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its file, line and column.
    pub place: String,
    /// The conditions of the edges that lead to it: it runs where all of them are true.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs_if: Vec<String>,
    /// Whether a rule that waits for a missing fact counts as one that does not fire.
    #[serde(skip_serializing_if = "is_false")]
    pub allows_waiting: bool,
    /// The facts that it starts with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub starts_with: Vec<Starting>,
    /// The facts of inputs and other nodes that it reads.
    pub reads: Vec<String>,
    /// The facts that its rules write.
    pub writes: Vec<String>,
    /// In place of rules: the expression whose value is its fact `result`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// In place of rules: its table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<TableListing>,
    /// Its rules, in the order in which they are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleListing>,
}

/// A decision table.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TableListing {
    /// The hit policy: which of the rows that match give their results.
    pub hit: &'static str,
    /// By result: its values in the order of preference.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<Json>>")]
    pub prefer: BTreeMap<String, Vec<Value>>,
    /// The headers of its columns.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<RowListing>,
}

/// A row of a table.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RowListing {
    /// Its name, in explanations and coverage.
    pub rule: String,
    /// Its file, line and column.
    pub place: String,
    /// Its cells as they are written, one for each column.
    pub cells: Vec<String>,
}

/// A fact that a node starts with: a value of the graph, or another fact.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Starting {
    /// The fact.
    pub fact: String,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Json")]
    pub value: Option<Value>,
    /// The fact whose value it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A rule.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RuleListing {
    /// Its name.
    pub rule: String,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The comment directly above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Its file, line and column.
    pub place: String,
    /// Rules of higher salience are tried first. A `let` has none: it is computed after the rules that write what it reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salience: Option<i32>,
    /// Whether it fires at most once in a decision.
    pub no_loop: bool,
    /// The day or moment from which it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective: Option<String>,
    /// The day or moment from which it no longer counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Its condition; a `let` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Its statements, without `;`.
    pub then: Vec<String>,
    /// The facts that it reads.
    pub reads: Vec<String>,
    /// The facts that it writes.
    pub writes: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Listing {
    /// The rules of `flows`.
    pub fn of<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> Self {
        Self { flows: flows.into_iter().map(FlowListing::of).collect() }
    }

    /// For people, in lines.
    pub fn text(&self) -> String {
        text::write(self)
    }

    /// As a Markdown document.
    pub fn markdown(&self) -> String {
        markdown::write(self)
    }

    /// The JSON Schema of a listing as JSON.
    pub fn schema() -> String {
        let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let mut schema = generator.into_root_schema_for::<Self>();
        schema.insert("title".to_owned(), "The rules of flows, as `tributary rules --format json` prints them".into());
        // What every document of a command has.
        let counts = json!({ "type": "integer", "minimum": 0 });
        for (name, own) in [("errors", &counts), ("warnings", &counts), ("diagnostics", &json!({ "type": "array" }))] {
            if let Some(properties) = schema.get_mut("properties").and_then(Json::as_object_mut) {
                properties.insert(name.to_owned(), own.clone());
            }
        }
        format!("{:#}\n", Json::from(schema))
    }
}

impl FlowListing {
    fn of(flow: &Flow) -> Self {
        let nodes = flow.nodes.iter().filter_map(|node| match &node.work {
            Work::Rules(rules) => Some(NodeListing::of(node, rules)),
            Work::Query(_) => None,
        });
        Self {
            flow: flow.name.to_string(),
            description: flow.description.clone(),
            place: flow.path_span.to_string(),
            graph_version: flow.graph_hash.clone(),
            rules_version: flow.rules_hash.clone(),
            constants: flow.definitions.constants().iter().map(ConstantListing::of).collect(),
            functions: flow.definitions.functions().iter().map(|function| FunctionListing::of(function)).collect(),
            nodes: nodes.collect(),
        }
    }
}

impl ConstantListing {
    fn of(constant: &Constant) -> Self {
        Self {
            constant: constant.name.to_string(),
            description: constant.description.clone(),
            place: constant.span.to_string(),
            value: constant.value.clone(),
        }
    }

    fn written(&self) -> String {
        format!("{} = {}", self.constant, self.value.written())
    }
}

impl FunctionListing {
    fn of(function: &OwnFunction) -> Self {
        Self {
            function: function.signature(),
            description: function.description.clone(),
            place: function.body.span(0..0).to_string(),
            value: one_line(function.body.text()),
        }
    }

    fn written(&self) -> String {
        format!("{} = {}", self.function, self.value)
    }
}

impl NodeListing {
    fn of(node: &Node, rules: &RuleNode) -> Self {
        let ruleset = &rules.ruleset;
        let (condition, table) = (ruleset.condition(), ruleset.table_text());
        let has_rules = condition.is_none() && table.is_none();
        let listed = ruleset.rules().enumerate().filter(|_| has_rules);
        let listed: Vec<RuleListing> =
            listed.filter_map(|(position, info)| Some(RuleListing::of(&info, ruleset.text(position)?))).collect();
        let texts = (0..ruleset.rules().len()).filter_map(|position| ruleset.text(position));
        let mut writes: Vec<String> = Vec::new();
        for fact in texts.flat_map(|text| text.writes) {
            if !writes.contains(&fact) {
                writes.push(fact);
            }
        }
        let mut reads: Vec<String> = ruleset.reads().iter().map(|fact| fact.written.to_string()).collect();
        reads.sort();
        reads.dedup();
        Self {
            node: node.id.to_string(),
            description: node.description.clone(),
            place: node.span.to_string(),
            runs_if: node.guards.iter().map(|guard| one_line(guard.rule.text())).collect(),
            allows_waiting: rules.allows_waiting.is_some(),
            starts_with: starting(rules),
            reads,
            writes,
            condition,
            table: table.map(|table| TableListing::of(table, ruleset)),
            rules: listed,
        }
    }
}

fn starting(rules: &RuleNode) -> Vec<Starting> {
    let values: Vec<(&FieldName, &Value)> = rules.ruleset.starting_facts().collect();
    let starting = rules.ruleset.own_facts().filter_map(|(name, beginning)| {
        let (value, from) = match beginning {
            Beginning::Unset => return None,
            Beginning::Starting => (values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value), None),
            Beginning::Mapped(source) => (None, Some(source.written.to_string())),
        };
        Some(Starting { fact: name.to_string(), value: value.cloned(), from })
    });
    starting.collect()
}

impl TableListing {
    fn of(table: TableText, ruleset: &Ruleset) -> Self {
        let rows = ruleset.rules().zip(table.rows).map(|(info, cells)| RowListing {
            rule: info.name.to_owned(),
            place: info.place,
            cells,
        });
        Self {
            hit: table.hit.name(),
            prefer: table.prefer.into_iter().map(|(name, values)| (name.to_string(), values)).collect(),
            columns: table.columns,
            rows: rows.collect(),
        }
    }

    /// The hit policy and its order of preference.
    fn policy(&self) -> String {
        let preferred = |(name, values): (&String, &Vec<Value>)| {
            format!("{name}: {}", values.iter().map(Value::written).collect::<Vec<_>>().join(", "))
        };
        let prefer: Vec<String> = self.prefer.iter().map(preferred).collect();
        if prefer.is_empty() { self.hit.to_owned() } else { format!("{} ({})", self.hit, prefer.join("; ")) }
    }
}

impl RuleListing {
    fn of(info: &RuleInfo<'_>, text: RuleText) -> Self {
        Self {
            rule: info.name.to_owned(),
            description: info.description.map(str::to_owned),
            comment: (!text.comment.is_empty()).then(|| text.comment.join("\n")),
            place: info.place.clone(),
            salience: text.when.as_ref().map(|_| info.salience),
            no_loop: info.no_loop,
            effective: text.effective,
            expires: text.expires,
            when: text.when,
            then: text.then,
            reads: text.reads,
            writes: text.writes,
        }
    }

    /// Its attributes in words: `salience 90, no-loop, from 2026-01-01, until 2027-01-01`.
    fn attributes(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.salience.filter(|salience| *salience != 0).map(|salience| format!("salience {salience}")));
        parts.extend(self.no_loop.then(|| "no-loop".to_owned()));
        parts.extend(self.effective.as_ref().map(|from| format!("from {from}")));
        parts.extend(self.expires.as_ref().map(|until| format!("until {until}")));
        parts.join(", ")
    }
}

impl Starting {
    /// `moq = 5` or `moq = supplier_info.moq`.
    fn written(&self) -> String {
        let value = self.value.as_ref().map(Value::written).or_else(|| self.from.clone());
        format!("{} = {}", self.fact, value.unwrap_or_default())
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

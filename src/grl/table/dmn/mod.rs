//! Reads a decision table of a DMN model (1.1 to 1.5) to a grid.
//!
//! The grid's text is the table in the language of rules, with the places of the model's XML. What the model computes before the table
//! (other decisions, business knowledge) is not read: the inputs are facts of the flow, by their names.

mod feel;
mod xml;

use std::sync::Arc;

use super::grid::{Addresses, Cell, Grid, GridRow, trimmed};
use super::hit::HitPolicy;
use crate::diagnostics::{Diagnostics, Snippet, Source};
use crate::types::FieldName;
use feel::{Kind, Text, plain, translated};
use xml::{Element, refused};

/// A table of a model.
pub(super) struct Model {
    pub(super) grid: Grid,
    pub(super) policy: HitPolicy,
    /// The values of a result in their order, as a list of the language, by its name.
    pub(super) prefer: Vec<(FieldName, Cell)>,
}

/// The table of the decision `part`, or of the only one.
pub(super) fn model(source: &Arc<Source>, part: Option<&str>, found: &mut Diagnostics) -> Option<Model> {
    let read = xml::root(source).and_then(|root| {
        let (decision, table) = table(source, &root, part)?;
        let mut names = Vec::new();
        named(&root, &mut names);
        let mut writer = Writer { source, names, text: Text::default() };
        writer.table(decision, table)
    });
    match read {
        Ok(model) => Some(model),
        Err(error) => {
            found.push(*error);
            None
        }
    }
}

type Refused<T> = Result<T, Box<crate::diagnostics::Diagnostic>>;

/// The decision and its table.
fn table<'a>(source: &Arc<Source>, root: &'a Element, part: Option<&str>) -> Refused<(&'a Element, &'a Element)> {
    let tables: Vec<(&Element, &Element)> =
        root.all("decision").filter_map(|decision| Some((decision, decision.child("decisionTable")?))).collect();
    let name = |decision: &Element| decision.attribute("name").unwrap_or("").to_owned();
    let chosen: Vec<_> = tables.iter().filter(|(decision, _)| part.is_none_or(|part| name(decision) == part)).collect();
    match (chosen.as_slice(), part) {
        ([one], _) => Ok(**one),
        (_, part) => {
            let message = match part {
                Some(part) => format!("the model has no decision `{part}` with a decision table"),
                None => format!("the model has {} decisions with decision tables", tables.len()),
            };
            let known: Vec<String> = tables.iter().map(|(decision, _)| name(decision)).collect();
            let help = format!(
                "name one behind the file, as in `model.dmn#{}`: {}",
                known.first().map_or("", |name| name),
                known.join(", ")
            );
            Err(refused(source, root.at.clone(), message, &help))
        }
    }
}

/// The names in the model that are no plain names.
fn named(element: &Element, into: &mut Vec<String>) {
    let name = element.attribute("name").map(str::trim).filter(|name| plain(name) != **name);
    into.extend(name.map(str::to_owned));
    element.children.iter().for_each(|child| named(child, into));
}

struct Writer<'a> {
    source: &'a Arc<Source>,
    names: Vec<String>,
    text: Text,
}

impl Writer<'_> {
    fn table(&mut self, decision: &Element, table: &Element) -> Refused<Model> {
        let policy = self.policy(table)?;
        let outputs: Vec<&Element> = table.all("output").collect();
        let mut header = Vec::new();
        for input in table.all("input") {
            let expression = input.child("inputExpression").and_then(|expression| expression.child("text"));
            let Some(expression) = expression else {
                return Err(refused(
                    self.source,
                    input.at.clone(),
                    "the input has no expression".to_owned(),
                    "write one in the model",
                ));
            };
            header.push(self.cell("when ", &expression.text, expression.at.end, Kind::Expression));
        }
        let mut results = Vec::new();
        for output in &outputs {
            let own = output.attribute("name").filter(|name| !name.is_empty());
            let variable = decision.child("variable").and_then(|variable| variable.attribute("name"));
            let only = || variable.or(decision.attribute("name")).filter(|_| outputs.len() == 1);
            let Some(name) = own.or_else(only) else {
                let message = "one of several outputs has no name".to_owned();
                return Err(refused(self.source, output.at.clone(), message, "write one in the model"));
            };
            results.push(FieldName::from(plain(name)));
            header.push(self.cell("then ", &[(plain(name), output.at.start)], output.at.end, Kind::Tests));
        }
        let mut rows = Vec::new();
        for (number, rule) in (1..).zip(table.all("rule")) {
            rows.push(GridRow { number, cells: self.row(rule, header.len())? });
        }
        let default = self.default(&outputs, header.len(), policy)?;
        let mut prefer = Vec::new();
        for (output, name) in outputs.iter().zip(results).filter(|_| policy.needs_preference()) {
            if let Some(values) = output.child("outputValues").and_then(|values| values.child("text")) {
                let stretches: Vec<_> = std::iter::once(("[".to_owned(), values.at.end))
                    .chain(values.text.iter().cloned())
                    .chain([("]".to_owned(), values.at.end)])
                    .collect();
                prefer.push((name, self.cell("", &stretches, values.at.end, Kind::Expression)));
            }
        }
        if policy.needs_preference() && prefer.is_empty() {
            let message = format!("the hit policy {} needs the values of an output in their order", policy.name());
            return Err(refused(self.source, table.at.clone(), message, "write `outputValues` in the model"));
        }
        let text = std::mem::take(&mut self.text);
        let snippet = Snippet::new(Arc::clone(self.source), text.text, text.pieces);
        Ok(Model { grid: Grid { snippet, header, rows, default, addresses: Addresses::Rules }, policy, prefer })
    }

    fn policy(&self, table: &Element) -> Refused<HitPolicy> {
        let policy = table.attribute("hitPolicy").unwrap_or("UNIQUE");
        let aggregation = table.attribute("aggregation").unwrap_or("");
        Ok(match (policy, aggregation) {
            ("UNIQUE", _) => HitPolicy::Unique,
            ("ANY", _) => HitPolicy::Any,
            ("PRIORITY", _) => HitPolicy::Priority,
            ("FIRST", _) => HitPolicy::First,
            ("RULE ORDER", _) => HitPolicy::RuleOrder,
            ("OUTPUT ORDER", _) => HitPolicy::OutputOrder,
            ("COLLECT", "") => HitPolicy::Collect,
            ("COLLECT", "SUM") => HitPolicy::Sum,
            ("COLLECT", "MIN") => HitPolicy::Min,
            ("COLLECT", "MAX") => HitPolicy::Max,
            ("COLLECT", "COUNT") => HitPolicy::Count,
            _ => {
                let message = format!("there is no hit policy `{policy} {aggregation}`");
                return Err(refused(self.source, table.at.clone(), message, "write one of DMN"));
            }
        })
    }

    fn row(&mut self, rule: &Element, width: usize) -> Refused<Vec<Cell>> {
        let mut cells = Vec::new();
        for entry in rule.all("inputEntry") {
            // An entry without a text is `-`.
            cells.push(self.entry(entry, "-", Kind::Tests));
        }
        for entry in rule.all("outputEntry") {
            cells.push(self.entry(entry, "null", Kind::Expression));
        }
        if cells.len() != width {
            let message = format!("the rule has {} entries, and the table {width} inputs and outputs", cells.len());
            return Err(refused(self.source, rule.at.clone(), message, "export the model once more"));
        }
        Ok(cells)
    }

    fn entry(&mut self, entry: &Element, empty: &str, kind: Kind) -> Cell {
        let text = entry.child("text");
        let stretches = text.map(|text| text.text.as_slice()).unwrap_or_default();
        let end = text.map_or(entry.at.end, |text| text.at.end);
        if stretches.iter().all(|(text, _)| text.trim().is_empty()) {
            return self.cell("", &[(empty.to_owned(), entry.at.start)], end, Kind::Tests);
        }
        self.cell("", stretches, end, kind)
    }

    /// The row that is taken where no other one matches, if an output has a default.
    fn default(&mut self, outputs: &[&Element], width: usize, policy: HitPolicy) -> Refused<Option<Vec<Cell>>> {
        let defaults: Vec<Option<&Element>> = outputs.iter().map(|output| output.child("defaultOutputEntry")).collect();
        let Some(first) = defaults.iter().flatten().next().copied() else { return Ok(None) };
        if policy == HitPolicy::Count {
            let message = format!("the hit policy {} has no default", policy.name());
            return Err(refused(self.source, first.at.clone(), message, "delete `defaultOutputEntry`, or add a rule"));
        }
        let mut cells: Vec<Cell> = Vec::new();
        for _ in 0..width - outputs.len() {
            cells.push(self.cell("", &[("-".to_owned(), first.at.start)], first.at.end, Kind::Tests));
        }
        for default in defaults {
            cells.push(match default {
                Some(default) => self.entry(default, "null", Kind::Expression),
                None => self.cell("", &[("null".to_owned(), first.at.start)], first.at.end, Kind::Tests),
            });
        }
        Ok(Some(cells))
    }

    /// Writes a cell: `before`, then what stands for the text.
    fn cell(&mut self, before: &str, stretches: &[(String, usize)], end: usize, kind: Kind) -> Cell {
        let start = self.text.text.len();
        let first = stretches.first().map_or(end, |(_, at)| *at);
        self.text.push(before, first);
        let written = translated(stretches, kind, &self.names);
        let offset = self.text.text.len();
        self.text.pieces.extend(written.pieces.into_iter().map(|(at, file)| (offset + at, file)));
        self.text.text.push_str(&written.text);
        let at = trimmed(&self.text.text, start..self.text.text.len());
        self.text.push("\n", end);
        Cell { at, is_value: false }
    }
}

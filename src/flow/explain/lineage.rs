//! Where each field of an answer comes from: its expression, the facts in it, the rules that wrote those, and so on down
//! to columns and inputs.
//!
//! A fact that a rule wrote depends on what the assignment reads and on what the rule's condition reads. Of several rules that
//! wrote it, the last counts; where that one added to the value (`+=`), those before it count too.

use serde::Serialize;

use crate::flow::trace::Trace;
use crate::graph::{Flow, Outcome, Template, Work};
use crate::grl::{Beginning, FactRef, Origin, Owner, RulesTrace, Ruleset, overlap};
use crate::types::FieldName;

/// Where the value of one field of the body comes from. Names are written as `node.field`.
#[derive(Debug, Clone, Serialize, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The expression of the graph that makes it.
    pub expression: String,
    /// The facts of rule nodes behind it, the nearest first.
    pub facts: Vec<String>,
    /// The rules that wrote those, the nearest first.
    pub rules: Vec<RuleRef>,
    /// The columns behind those.
    pub columns: Vec<ColumnRef>,
    /// The inputs behind those.
    pub inputs: Vec<String>,
}

/// A rule that wrote a fact.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct RuleRef {
    /// Its node.
    pub node: String,
    /// Its name.
    pub rule: String,
    /// Its file, line and column.
    pub place: String,
    /// The statement that wrote it.
    pub statement: String,
}

/// A column of a query, or of what an effect returned.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct ColumnRef {
    /// The node of the query, or the effect.
    pub node: String,
    /// The column; empty for the whole row.
    pub column: String,
    /// The domain of the node or effect.
    pub domain: String,
}

pub(super) fn of(flow: &Flow, trace: &Trace, outcome: &Outcome) -> Vec<(String, Lineage)> {
    let mut fields = Vec::new();
    for (name, template) in &outcome.body {
        follow(flow, trace, name, template, &mut fields);
    }
    fields
}

fn follow(flow: &Flow, trace: &Trace, path: &str, template: &Template, into: &mut Vec<(String, Lineage)>) {
    match template {
        Template::Map(fields) => {
            for (name, template) in fields {
                follow(flow, trace, &format!("{path}.{name}"), template, into);
            }
        }
        Template::List(items) => {
            for (number, template) in items.iter().enumerate() {
                follow(flow, trace, &format!("{path}[{number}]"), template, into);
            }
        }
        // Without what the effect returns, the answer lacks the field.
        Template::Leaf(expression) if flow.reads_effect(expression) && !has_returned(trace) => {}
        Template::Leaf(expression) => {
            let mut tracer = Tracer { flow, trace, lineage: Lineage::default(), seen: Vec::new() };
            tracer.lineage.expression = expression.text().split_whitespace().collect::<Vec<_>>().join(" ");
            expression.reads().iter().for_each(|fact| tracer.outside(fact));
            into.push((path.to_owned(), tracer.lineage));
        }
    }
}

fn has_returned(trace: &Trace) -> bool {
    let statements = trace.effect.iter().flat_map(|effect| &effect.statements);
    statements.into_iter().any(|statement| statement.returned.is_some())
}

struct Tracer<'a> {
    flow: &'a Flow,
    trace: &'a Trace,
    lineage: Lineage,
    seen: Vec<(usize, FieldName)>,
}

impl<'a> Tracer<'a> {
    /// Follows a fact that is read outside its node.
    fn outside(&mut self, fact: &FactRef) {
        let path = fact.path.join(".");
        let Owner::Node(place) = fact.owner else {
            push(&mut self.lineage.inputs, path);
            return;
        };
        let flow = self.flow;
        let Some(node) = flow.nodes.get(place) else {
            if let Some(effect) = place.checked_sub(flow.nodes.len()).and_then(|effect| flow.effects.get(effect)) {
                let (node, domain) = (effect.name.to_string(), effect.domain.to_string());
                push(&mut self.lineage.columns, ColumnRef { node, column: path, domain });
            }
            return;
        };
        match &node.work {
            Work::Query(query) => {
                let (node, domain) = (node.id.to_string(), query.domain.to_string());
                push(&mut self.lineage.columns, ColumnRef { node, column: path, domain });
            }
            Work::Rules(rules) => {
                let facts = rules.ruleset.own_facts().filter(|(name, _)| overlap(name, &path));
                let facts: Vec<(FieldName, Beginning)> = facts.map(|(name, begun)| (name.clone(), begun)).collect();
                for (name, beginning) in facts {
                    self.own(place, &rules.ruleset, &name, &beginning);
                }
            }
        }
    }

    /// Follows a fact of a rule node.
    fn own(&mut self, place: usize, ruleset: &'a Ruleset, name: &FieldName, beginning: &Beginning) {
        let key = (place, name.clone());
        if self.seen.contains(&key) {
            return;
        }
        self.seen.push(key);
        let Some(node) = self.flow.nodes.get(place).map(|node| node.id.to_string()) else { return };
        let Some(trace) = self.trace.nodes.get(place).and_then(|node| node.rules.as_deref()) else { return };
        push(&mut self.lineage.facts, format!("{node}.{name}"));
        let (writers, begun) = writers(ruleset, trace, name);
        if let (Beginning::Mapped(fact), true) = (beginning, begun) {
            self.outside(fact);
        }
        for (rule, reads, statement) in writers {
            if let Some(info) = ruleset.rule(rule) {
                let (rule, place) = (info.name.to_owned(), info.place);
                push(&mut self.lineage.rules, RuleRef { node: node.clone(), rule, place, statement });
            }
            for origin in reads.into_iter().chain(ruleset.condition_reads(rule)) {
                match origin {
                    Origin::Outside(fact) => self.outside(&fact),
                    Origin::Own(name) => {
                        let beginning = ruleset.own_facts().find(|(known, _)| **known == name);
                        if let Some((name, beginning)) = beginning.map(|(name, beginning)| (name.clone(), beginning)) {
                            self.own(place, ruleset, &name, &beginning);
                        }
                    }
                }
            }
        }
    }
}

/// The assignments that made the value of a fact: the rule, what each reads, and the statement. The second result is whether
/// the starting value counts, too.
fn writers(ruleset: &Ruleset, trace: &RulesTrace, name: &FieldName) -> (Vec<(usize, Vec<Origin>, String)>, bool) {
    let mut writers = Vec::new();
    for firing in trace.fired.iter().rev().filter(|firing| firing.writes.iter().any(|write| write.fact == *name)) {
        for assignment in ruleset.assignments(firing.rule).into_iter().rev().filter(|known| known.fact == name) {
            let statement = assignment.text.split_whitespace().collect::<Vec<_>>().join(" ");
            writers.push((firing.rule, assignment.reads, statement));
            if !assignment.adds {
                return (writers, false);
            }
        }
    }
    (writers, true)
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

//! What no explanation shows: columns the graph names in `redact:`, and facts that rules compute from those.
//!
//! The plan determines it: a fact is redacted where a rule may assign it a value made from a redacted one. A condition that reads
//! a redacted column does not hide what its rule assigns. The answer to the client is never changed: the author of an
//! outcome chooses its body. Records and recorded tests keep no redacted value.

use std::collections::HashSet;

use crate::flow::trace::EffectTrace;
use crate::graph::{Effect, Flow, Message, MessagePart, Template, Work};
use crate::grl::{Beginning, Expression, FactRef, Failed, Operand, Origin, Owner, Reason, overlap};
use crate::types::{FieldName, Value};

/// The text in place of a redacted value.
pub const REDACTED: &str = "(redacted)";

/// What a flow does not show.
pub struct Redaction {
    /// By node: the columns or facts.
    hidden: HashSet<(usize, FieldName)>,
    /// Effects that are given hidden values, by their position in the flow. What they return may hold those.
    effects: HashSet<usize>,
    /// The number of nodes.
    nodes: usize,
}

impl Redaction {
    /// What `flow` does not show.
    pub fn of(flow: &Flow) -> Self {
        let mut redaction = Self { hidden: HashSet::new(), effects: HashSet::new(), nodes: flow.nodes.len() };
        for (place, node) in flow.nodes.iter().enumerate() {
            match &node.work {
                Work::Query(query) => redaction.hidden.extend(query.redact.iter().map(|name| (place, name.clone()))),
                Work::Rules(_) if redaction.hidden.is_empty() => {}
                Work::Rules(_) => redaction.follow(place, flow),
            }
        }
        for (place, effect) in flow.effects.iter().enumerate() {
            let mut params = effect.statements.iter().flat_map(|statement| &statement.params);
            if params.any(|param| redaction.hides_expression(param)) {
                redaction.effects.insert(place);
            }
        }
        redaction
    }

    /// Hides the facts of a rule node that are made from hidden ones. The nodes that it reads come before it.
    fn follow(&mut self, place: usize, flow: &Flow) {
        let Some(Work::Rules(rules)) = flow.nodes.get(place).map(|node| &node.work) else { return };
        let ruleset = &rules.ruleset;
        for (name, beginning) in ruleset.own_facts() {
            if matches!(&beginning, Beginning::Mapped(fact) if self.hides_fact(fact)) {
                self.hidden.insert((place, name.clone()));
            }
        }
        loop {
            let before = self.hidden.len();
            for rule in 0..ruleset.rules().len() {
                for assignment in ruleset.assignments(rule) {
                    if assignment.reads.iter().any(|origin| self.hides(Some(place), origin)) {
                        self.hidden.insert((place, assignment.fact.clone()));
                    }
                }
            }
            if self.hidden.len() == before {
                return;
            }
        }
    }

    fn hides_fact(&self, fact: &FactRef) -> bool {
        match fact.owner {
            Owner::Input => false,
            Owner::Node(node) => self.hides_path(node, &fact.path.join(".")),
        }
    }

    /// Whether the fact at `path` of `node` is hidden, or holds one that is, or is part of one.
    fn hides_path(&self, node: usize, path: &str) -> bool {
        match node.checked_sub(self.nodes) {
            Some(effect) => self.effects.contains(&effect),
            None => self.hidden.iter().any(|(owner, name)| *owner == node && overlap(name, path)),
        }
    }

    /// Whether the fact of `origin` is hidden. `node` is the rule node whose own fact it may be.
    pub(super) fn hides(&self, node: Option<usize>, origin: &Origin) -> bool {
        match (origin, node) {
            _ if self.hidden.is_empty() => false,
            (Origin::Outside(fact), _) => self.hides_fact(fact),
            (Origin::Own(name), Some(node)) => self.hides_path(node, name),
            (Origin::Own(_), None) => false,
        }
    }

    /// Whether the fact that a what-if names so (`node.column`, `node`) is hidden, or holds one that is.
    pub fn hides_named(&self, flow: &Flow, fact: &str) -> bool {
        let (node, path) = fact.split_once('.').map_or((fact, ""), |(node, path)| (node.trim(), path.trim()));
        let place = flow.nodes.iter().position(|known| known.id.as_str() == node);
        place.is_some_and(|place| {
            self.hidden.iter().any(|(owner, name)| *owner == place && (path.is_empty() || overlap(name, path)))
        })
    }

    /// A value of a node without its hidden parts: a row, rows, or facts.
    pub fn value(&self, node: usize, value: &Value) -> Value {
        if !self.hidden.iter().any(|(owner, _)| *owner == node) {
            return value.clone();
        }
        self.below(node, "", value)
    }

    fn below(&self, node: usize, path: &str, value: &Value) -> Value {
        match value {
            Value::Map(record) => Value::map(record.iter().map(|(name, value)| {
                let path = if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
                let hidden = self.hidden.contains(&(node, FieldName::from(path.as_str())));
                let shown = if hidden { Value::text(REDACTED) } else { self.below(node, &path, value) };
                (name.clone(), shown)
            })),
            Value::List(items) => Value::list(items.iter().map(|item| self.below(node, path, item))),
            other => other.clone(),
        }
    }

    /// A parameter, unless it is hidden.
    pub fn parameter(&self, fact: &FactRef, value: &Value) -> Value {
        if self.hides_fact(fact) { Value::text(REDACTED) } else { value.clone() }
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.hidden.is_empty()
    }

    /// Whether the expression reads a hidden fact.
    pub fn hides_expression(&self, expression: &Expression) -> bool {
        expression.reads().iter().any(|fact| self.hides_fact(fact))
    }

    /// Whether the message shows a hidden fact.
    pub fn hides_message(&self, message: &Message) -> bool {
        let hides = |part: &MessagePart| matches!(part, MessagePart::Expression(part) if self.hides_expression(part));
        message.parts.iter().any(hides)
    }

    /// A value that an outcome made of `template`, without its hidden parts.
    pub fn answer(&self, template: &Template, value: &Value) -> Value {
        match (template, value) {
            (Template::Leaf(expression), _) if self.hides_expression(expression) => Value::text(REDACTED),
            (Template::Map(fields), Value::Map(record)) => {
                let field = |(name, template): &(FieldName, Template)| {
                    (name.clone(), record.get(name).map_or(Value::Null, |value| self.answer(template, value)))
                };
                Value::map(fields.iter().map(field))
            }
            (Template::List(items), Value::List(values)) => {
                Value::list(items.iter().zip(values.iter()).map(|(item, value)| self.answer(item, value)))
            }
            _ => value.clone(),
        }
    }

    /// What an effect was given and returned, without hidden parts.
    pub fn effect(&self, effect: &Effect, notes: &EffectTrace) -> EffectTrace {
        let mut shown = notes.clone();
        let hide = |value: &mut Value| *value = Value::text(REDACTED);
        for (statement, known) in shown.statements.iter_mut().zip(&effect.statements) {
            let params = statement.params.iter_mut().flatten().zip(&known.params);
            params.filter(|(_, param)| self.hides_expression(param)).for_each(|(value, _)| hide(value));
            statement.returned.iter_mut().filter(|_| self.effects.contains(&notes.effect)).for_each(hide);
        }
        if effect.event.as_ref().is_some_and(|event| self.hides_expression(&event.key)) {
            shown.event_key = shown.event_key.map(|_| REDACTED.to_owned());
        }
        shown
    }

    /// A reason in sentences. `node` is the rule node that it is about, if any.
    pub(super) fn sentences(&self, node: Option<usize>, reason: &Reason) -> Vec<String> {
        match reason {
            Reason::NotYet => vec!["its date-effective has not come".to_owned()],
            Reason::Expired => vec!["its date-expires has come".to_owned()],
            Reason::Overruled { by } => vec![format!("it matches, and {by} was chosen")],
            Reason::False(failed) => failed.iter().map(|failed| self.failed(node, failed).to_string()).collect(),
            Reason::Waits(origins) => {
                origins.iter().map(|origin| format!("{} has no known value", origin.written())).collect()
            }
            Reason::Lacks(origins) => {
                let lacks = |origin: &Origin| {
                    format!("{} has no known value, and it would be assigned from it", origin.written())
                };
                origins.iter().map(lacks).collect()
            }
        }
    }

    fn failed(&self, node: Option<usize>, failed: &Failed) -> Failed {
        let mut shown = failed.clone();
        for operand in &mut shown.operands {
            if self.hides_operand(node, operand) {
                operand.value = Value::text(REDACTED);
                shown.short_by = None;
            }
        }
        shown
    }

    fn hides_operand(&self, node: Option<usize>, operand: &Operand) -> bool {
        operand.origins.iter().any(|origin| self.hides(node, origin))
    }
}

//! Warns of values of facts that do not meet: a comparison with a value that a fact never has, and a value without an outcome.

use super::Compiler;
use crate::diagnostics::{Diagnostic, Span};
use crate::graph::finite::{self, FiniteFacts};
use crate::graph::plan::{Node, Outcome, Work};
use crate::grl::{Domain, Expression, FactRef, Owner};
use crate::types::Value;
use crate::yaml::Marked;

impl Compiler<'_> {
    /// Warns of comparisons with values that a fact of another node never has.
    pub(super) fn warn_of_values(&mut self, nodes: &[Node], outcomes: &[Outcome]) {
        let known = finite::finite_facts(nodes);
        let outside = |fact: &FactRef| finite::of(&known, fact);
        let makers = |fact: &FactRef| match fact.owner {
            Owner::Node(place) => {
                let node = nodes.get(place).map_or("", |node| node.id.as_str());
                format!("the rules and starting facts of `{node}`")
            }
            Owner::Input => String::new(),
        };
        let warnings = |expression: &Expression, is_condition: bool, about: &Span| {
            let found = expression.never_equal(is_condition, &outside, &makers).into_iter();
            found.map(|warning| warning.about(about.clone())).collect::<Vec<_>>()
        };
        for node in nodes {
            if let Work::Rules(rules) = &node.work {
                // The author wrote a node, not a rule; or a table, which has no comments.
                let is_condition =
                    rules.ruleset.is_table() || self.draft_of(node).is_some_and(|yaml| yaml.get("condition").is_some());
                let found = rules.ruleset.never_equal(&outside, &makers).into_iter();
                let about = |warning: Diagnostic| if is_condition { warning.about(node.span.clone()) } else { warning };
                self.found.extend(found.map(about));
            }
            for guard in &node.guards {
                let edge = self.item_of("edges", &guard.rule.span());
                self.found.extend(warnings(&guard.rule, true, &edge));
            }
        }
        for outcome in outcomes {
            let item = self.item_of("outcomes", &outcome.span);
            for expression in outcome.expressions() {
                let is_condition = outcome.when.as_ref().is_some_and(|when| std::ptr::eq(when, expression));
                self.found.extend(warnings(expression, is_condition, &item));
            }
        }
        self.warn_of_unhandled(nodes, outcomes, &known);
        self.warn_of_tables(nodes, &known);
    }

    /// Warns of what is proved of decision tables, with what is known of inputs and of facts that have few values.
    fn warn_of_tables(&mut self, nodes: &[Node], known: &FiniteFacts) {
        let domain = |fact: &FactRef| match (fact.owner, &*fact.path) {
            (Owner::Input, [name]) => {
                let input = self.head.inputs.fields().iter().find(|field| field.name == *name && !field.is_list)?;
                Some(match &input.one_of {
                    Some(values) => Domain::Few(values.clone()),
                    None => Domain::Between(input.minimum.clone(), input.maximum.clone()),
                })
            }
            _ => finite::of(known, fact).map(Domain::Few),
        };
        let mut found = Vec::new();
        for node in nodes {
            if let Work::Rules(rules) = &node.work {
                let warnings = rules.ruleset.table_warnings(&domain).into_iter();
                found.extend(warnings.map(|warning| warning.about(node.span.clone())));
            }
        }
        self.found.extend(found);
    }

    /// Warns of values that rules give a fact, and with which no outcome that asks for the fact holds.
    fn warn_of_unhandled(&mut self, nodes: &[Node], outcomes: &[Outcome], known: &FiniteFacts) {
        let Some(whens) = outcomes.iter().map(|outcome| outcome.when.as_ref()).collect::<Option<Vec<_>>>() else {
            return;
        };
        let mut seen: Vec<&FactRef> = Vec::new();
        for fact in whens.iter().flat_map(|when| when.reads()) {
            let Owner::Node(place_of) = fact.owner else { continue };
            if seen.iter().any(|known| known.owner == fact.owner && known.path == fact.path) {
                continue;
            }
            seen.push(fact);
            let (Some(values), Some(Work::Rules(rules))) =
                (finite::of(known, fact), nodes.get(place_of).map(|node| &node.work))
            else {
                continue;
            };
            let is_handled =
                |value: &Value| value.is_null() || !whens.iter().all(|when| when.never_holds_where(fact, value));
            for value in values.iter().filter(|value| !is_handled(value)) {
                let Some((rule, place)) = rules.ruleset.last_to_assign(&fact.path.join("."), value) else { continue };
                let message = format!("no outcome holds where `{}` is {}", fact.written, value.written());
                let warning = Diagnostic::warning("unhandled-value", place, message);
                let help = "add an outcome for it, or a last one for all that is left";
                let is_table = rules.ruleset.is_table();
                let about = nodes.get(place_of).filter(|_| is_table).map_or(rule, |node| node.span.clone());
                self.found.extend([warning.help(help).about(about)]);
            }
        }
    }

    fn draft_of(&self, node: &Node) -> Option<&Marked> {
        self.nodes.iter().find(|draft| draft.id == node.id).map(|draft| draft.yaml)
    }

    /// The place of the item of the list `key` that `span` is in.
    fn item_of(&self, key: &str, span: &Span) -> Span {
        let items = self.root.get(key).map(Marked::items).unwrap_or_default();
        let item = items.iter().find(|item| item.span().range().contains(&span.range().start));
        item.map_or_else(|| span.clone(), |item| item.span().clone())
    }
}

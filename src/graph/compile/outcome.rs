//! Compiles outcomes: conditions, messages and bodies.

use std::sync::Arc;

use super::Compiler;
use super::braces::{self, Part};
use super::node::expression_text;
use crate::diagnostics::{Diagnostic, Snippet};
use crate::graph::plan::{Effect, Message, MessagePart, Outcome, Template};
use crate::graph::spec::{OutcomeSpec, RESERVED};
use crate::grl::{Expression, ExpressionKind, Scope};
use crate::types::{FieldName, Type};
use crate::yaml::{self, Kind, Marked};

impl Compiler<'_> {
    /// The outcomes in the order of the file. They see all nodes, whose order in the plan is `order`.
    pub(super) fn outcomes(&mut self, order: &[usize], effects: &[(Effect, Type)]) -> Vec<Outcome> {
        let mut scope = self.scope_of_end(order);
        for (effect, _) in effects {
            let place = format!(
                "what effect `{0}` returns can be read in the `body` of an outcome with `effect: {0}`, which is filled after it",
                effect.name
            );
            scope.add_elsewhere(effect.name.as_str(), place);
        }
        let items = self.root.get("outcomes").map(Marked::items).unwrap_or_default();
        if items.is_empty() {
            let place = self.root.get("outcomes").map_or_else(|| self.root.head(), Marked::head);
            self.found
                .push(Diagnostic::error("no-outcomes", place, "the flow has no outcomes").help("say how it can end"));
        }
        let mut outcomes: Vec<Outcome> = Vec::new();
        for item in items {
            let Some(outcome) = self.outcome(item, &scope, effects) else { continue };
            if let Some(before) = outcomes.iter().find(|before| before.when.is_none()) {
                let message = format!("the outcome `{}` is never reached", outcome.status);
                let warning = Diagnostic::warning("unreachable-outcome", &outcome.span, message);
                self.found.push(
                    warning
                        .related(before.span.clone(), "this one always holds")
                        .help("put it before, or give the other a `when`"),
                );
            }
            let warning = outcome.when.as_ref().and_then(|when| hidden(&outcome, when, &outcomes));
            self.found.extend(warning.map(|warning| warning.about(item.span().clone())));
            outcomes.push(outcome);
        }
        // An outcome with an error may have the effect.
        if !self.found.has_errors() {
            self.warn_of_unused_effects(effects, &outcomes);
        }
        outcomes
    }

    /// What can be named when all nodes have ended, in the `order` of the plan.
    pub(super) fn scope_of_end(&self, order: &[usize]) -> Scope {
        let places = super::node::places(order, self.nodes.len());
        let visible: Vec<(usize, bool)> = order.iter().map(|node| (*node, true)).collect();
        self.scope(&visible, &places)
    }

    fn outcome(&mut self, item: &Marked, scope: &Scope, effects: &[(Effect, Type)]) -> Option<Outcome> {
        let spec = yaml::deserialize::<OutcomeSpec>(item, &mut self.found)?;
        let span = item.get("status").map_or_else(|| item.head(), Marked::head);
        if spec.status.trim().is_empty() {
            self.found.push(Diagnostic::error("bad-name", &span, "an outcome's status may not be empty"));
        }
        let mut when = None;
        if let Some(node) = item.get("when").filter(|_| spec.when.is_some()) {
            when = Some(self.condition(node, scope)?);
        } else {
            let message = format!(
                "the outcome `{}` has no `when`: it is what is left over, not what the rules assert",
                spec.status
            );
            let help = "write the condition that is its evidence";
            let warning = Diagnostic::warning("unasserted-outcome", &span, message).help(help);
            self.found.push(warning.about(item.span().clone()));
        }
        let message = item.get("message").filter(|_| spec.message.is_some()).and_then(Marked::snippet);
        let message = message.and_then(|text| self.message(&text, scope));
        let effect = item.get("effect").filter(|_| spec.effect.is_some());
        let effect = effect.and_then(|name| self.effect_named(name, effects));
        let approval = match item.get("approval").filter(|_| spec.approval.is_some()) {
            Some(node) => self.approval(node, scope, effect.is_some() || spec.effect.is_some()),
            None => None,
        };
        // Its body may name what the effect returns, which its conditions and its message come before.
        let with_effect =
            effect.and_then(|place| effects.get(place).map(|effect| self.scope_with(scope, place, effect)));
        let body_scope = with_effect.as_ref().unwrap_or(scope);
        let body = item.get("body").map(|body| self.body(body, body_scope)).unwrap_or_default();
        Some(Outcome { status: spec.status, when, message, body, effect, approval, span })
    }

    fn condition(&mut self, node: &Marked, scope: &Scope) -> Option<Expression> {
        let text = expression_text(node, &mut self.found)?;
        let compiled = Expression::compile(&text, scope, ExpressionKind::Condition, &self.context.rule_limits);
        self.keep(compiled)
    }

    fn approval(&mut self, node: &Marked, scope: &Scope, has_effect: bool) -> Option<Expression> {
        if !has_effect {
            let message = "an outcome without `effect` has nothing to approve";
            self.found
                .push(Diagnostic::error("wrong-key", node.head(), message).help("name an `effect`, or delete this"));
        }
        self.condition(node, scope)
    }

    fn body(&mut self, body: &Marked, scope: &Scope) -> Vec<(FieldName, Template)> {
        for entry in body.entries().iter().filter(|entry| RESERVED.contains(&entry.key())) {
            let message = format!("`{}` is set by the service", entry.key());
            self.found.push(
                Diagnostic::error("reserved-field", entry.key_span(), message).help("give the field another name"),
            );
        }
        match self.template(body, scope) {
            Some(Template::Map(fields)) => fields,
            _ => Vec::new(),
        }
    }

    pub(super) fn template(&mut self, node: &Marked, scope: &Scope) -> Option<Template> {
        match node.kind() {
            Kind::Mapping(entries) => {
                let mut fields = Vec::with_capacity(entries.len());
                for entry in entries {
                    if let Some(template) = self.template(entry.value(), scope) {
                        fields.push((FieldName::from(entry.key()), template));
                    }
                }
                Some(Template::Map(fields))
            }
            Kind::Sequence(items) => {
                Some(Template::List(items.iter().filter_map(|item| self.template(item, scope)).collect()))
            }
            Kind::Scalar(scalar) => {
                let text = if scalar.text().is_empty() {
                    // A key without a value is null.
                    let place = node.span().range().start;
                    Snippet::new(Arc::clone(node.span().source()), "null", [(0, place)])
                } else {
                    node.snippet()?
                };
                let compiled = Expression::compile(&text, scope, ExpressionKind::Value, &self.context.rule_limits);
                self.keep(compiled).map(Template::Leaf)
            }
        }
    }

    /// Text with `{expression}` in it; `{{` and `}}` are braces.
    fn message(&mut self, text: &Snippet, scope: &Scope) -> Option<Message> {
        let found = braces::parts(text).map_err(|error| self.found.push(error)).ok()?;
        let mut parts = Vec::with_capacity(found.len());
        for part in found {
            parts.push(match part {
                Part::Text(text) => MessagePart::Text(text),
                Part::Inner(inner) => {
                    let kind = ExpressionKind::Value;
                    let compiled = Expression::compile(&inner, scope, kind, &self.context.rule_limits);
                    MessagePart::Expression(self.keep(compiled)?)
                }
            });
        }
        Some(Message { parts })
    }
}

/// The warning about an outcome with the condition `when`, if it is proved: that it is never true, or that an earlier outcome
/// holds whenever it does, or the other way round.
fn hidden(outcome: &Outcome, when: &Expression, before: &[Outcome]) -> Option<Diagnostic> {
    let unreachable = |help: &str| {
        let message = format!("the outcome `{}` is never reached", outcome.status);
        Diagnostic::warning("unreachable-outcome", when.span(), message).help(help)
    };
    if when.is_never_true() {
        return Some(unreachable("correct its `when`, or delete it").label("no values make its `when` true"));
    }
    let conditions = || before.iter().filter_map(|earlier| Some((earlier, earlier.when.as_ref()?)));
    let conditions = || conditions().filter(|(_, earlier)| !earlier.is_never_true());
    if let Some((first, _)) = conditions().find(|(_, earlier)| earlier.follows_from(when)) {
        let warning = unreachable("put it before, or correct its `when`");
        return Some(warning.related(first.span.clone(), "this one holds whenever it does"));
    }
    let (first, _) = conditions().find(|(_, earlier)| when.follows_from(earlier))?;
    let message =
        format!("the outcome `{}` holds whenever `{}` does; the first one is the answer", outcome.status, first.status);
    let warning = Diagnostic::warning("overlapping-outcomes", when.span(), message);
    let warning = warning.related(first.span.clone(), "this one is tried before");
    Some(warning.help("make their conditions exclude each other; or write `# allow: overlapping-outcomes` above it"))
}

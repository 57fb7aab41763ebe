//! Effects: the statements that outcomes write, their parameters, and the event of the outbox.
//!
//! Parameters and events are expressions, as the leaves of an answer. They name inputs, nodes, and what earlier statements of the same
//! effect return.

use std::sync::Arc;

use super::Compiler;
use super::node::expression_text;
use super::query::{fits_parameter, remedy_of_parameter};
use crate::config::Coalescing;
use crate::diagnostics::{Diagnostic, Span, nearest};
use crate::graph::plan::{Effect, Event, Outcome, Rows, Statement};
use crate::graph::spec::{EffectSpec, EventSpec, StatementSpec};
use crate::graph::sql::{self, SqlFacts};
use crate::graph::{Description, Query};
use crate::grl::{Expression, ExpressionKind, Owner, Scope};
use crate::types::{DomainName, NodeId, Shape, Type};
use crate::yaml::{self, Entry, Marked};

impl Compiler<'_> {
    /// The effects in the order of the file, each with the type of what it returns. They see all nodes, whose order in the plan is
    /// `order`.
    pub(super) fn effects(&mut self, order: &[usize]) -> Vec<(Effect, Type)> {
        let scope = self.scope_of_end(order);
        let root = self.root;
        let mut effects: Vec<(Effect, Type)> = Vec::new();
        for entry in root.get("effects").map(Marked::entries).unwrap_or_default() {
            let Some(effect) = self.effect(entry, effects.len(), &scope) else { continue };
            if let Some((first, _)) = effects.first().filter(|(first, _)| first.domain != effect.0.domain) {
                let message = format!(
                    "effect `{}` writes to `{}`, and `{}` to `{}`: the effects of a flow write to one domain",
                    effect.0.name, effect.0.domain, first.name, first.domain
                );
                let place = entry.value().get("database").map_or_else(|| effect.0.span.clone(), Marked::head);
                let help = "announce it by an event, and let who receives it write to the other domain";
                self.found.push(Diagnostic::error("several-domains", place, message).help(help));
            }
            effects.push(effect);
        }
        effects
    }

    fn effect(&mut self, entry: &Entry, place: usize, scope: &Scope) -> Option<(Effect, Type)> {
        let (yaml, span) = (entry.value(), entry.key_span().clone());
        let name = NodeId::parse(entry.key()).map_err(|error| self.bad_name(&span, error.to_string())).ok();
        if scope.has_owner(entry.key()) {
            self.bad_name(&span, format!("`{}` already names a node or the inputs", entry.key()));
        }
        let spec = yaml::deserialize::<EffectSpec>(yaml, &mut self.found)?;
        let place_of = |key| yaml.get(key).map_or_else(|| span.clone(), Marked::head);
        let domain = DomainName::parse(&spec.database);
        let domain = domain.map_err(|error| self.bad_name(&place_of("database"), error.to_string())).ok();
        let (name, domain) = (name?, domain?);
        let items = yaml.get("statements").map(Marked::items).unwrap_or_default();
        if items.is_empty() {
            let message = format!("the effect `{name}` has no statements");
            self.found.push(Diagnostic::error("missing-key", place_of("statements"), message));
        }
        let mut effect = Effect {
            name,
            description: spec.description,
            domain,
            statements: Vec::new(),
            event: None,
            span: span.clone(),
        };
        let mut returned = Shape::closed([]);
        for (position, item) in items.iter().enumerate() {
            let seen = (effect, Type::Map(Arc::new(returned.clone())));
            let within = self.scope_with(scope, place, &seen);
            effect = seen.0;
            let Some((statement, columns)) = self.effect_statement(item, (&effect.name, position), &within) else {
                continue;
            };
            if statement.rows == Rows::One {
                returned.fields.extend(columns.fields);
                returned.open |= columns.open;
            }
            effect.statements.push(statement);
        }
        let ty = Type::Map(Arc::new(returned));
        let effect = (effect, ty);
        let within = self.scope_with(scope, place, &effect);
        let event = yaml.get("event").filter(|event| !event.is_null());
        let event = event.and_then(|event| self.event(event, &within));
        Some((Effect { event, ..effect.0 }, effect.1))
    }

    fn bad_name(&mut self, place: &Span, message: String) {
        self.found.push(Diagnostic::error("bad-name", place, message).help("give the effect another name"));
    }

    /// `scope` with what the effect at `place` returns.
    pub(super) fn scope_with(&self, scope: &Scope, place: usize, (effect, ty): &(Effect, Type)) -> Scope {
        let mut scope = scope.clone();
        scope.add_qualified(effect.name.as_str(), Owner::Node(self.nodes.len() + place), ty.clone());
        scope
    }

    /// A statement, and the columns that it returns.
    fn effect_statement(
        &mut self,
        item: &Marked,
        (effect, position): (&NodeId, usize),
        scope: &Scope,
    ) -> Option<(Statement, Shape)> {
        let spec = yaml::deserialize::<StatementSpec>(item, &mut self.found)?;
        let span = item.get("query").map_or_else(|| item.head(), Marked::head);
        let facts = sql::examine_statement(&spec.query);
        if let Some((code, message)) = &facts.problem {
            let help = "write one statement for each item of `statements`; the service begins and ends the transaction";
            self.found.push(Diagnostic::error(code, &span, message.clone()).help(help));
        }
        let catalog = self.context.catalog;
        let description = catalog.and_then(|catalog| catalog.statement(&self.head.name, effect, position)).cloned();
        let params = self.effect_params(item, scope, &facts, &span, description.as_ref());
        let columns = self.row(&facts, description.as_ref(), &span);
        let rows = super::query::rows(spec.rows);
        let query = Query::new(effect.clone(), spec.query, Coalescing::Off, 1);
        Some((Statement { query, span, params: params?, rows }, columns))
    }

    fn effect_params(
        &mut self,
        item: &Marked,
        scope: &Scope,
        facts: &SqlFacts,
        query: &Span,
        description: Option<&Description>,
    ) -> Option<Vec<Expression>> {
        let items = item.get("params").map(Marked::items).unwrap_or_default();
        self.refuse_wrong_numbers(facts, items.len(), false, query)?;
        let mut params = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            let text = expression_text(item, &mut self.found)?;
            let compiled = Expression::compile(&text, scope, ExpressionKind::Value, &self.context.rule_limits);
            let param = self.keep(compiled)?;
            let expected = description.and_then(|description| description.params.get(number));
            if let Some(column) = expected
                && let Some(expected) = &column.ty
                && !fits_parameter(param.ty(), expected)
            {
                let message =
                    format!("`{}` is of type {}, and ${} takes {}", param.text(), param.ty(), number + 1, column.name);
                let help = remedy_of_parameter(param.ty(), (expected, &column.name), number + 1);
                self.found.push(Diagnostic::error("parameter-type", item.head(), message).help(help));
            }
            params.push(param);
        }
        Some(params)
    }

    fn event(&mut self, event: &Marked, scope: &Scope) -> Option<Event> {
        let spec = yaml::deserialize::<EventSpec>(event, &mut self.found)?;
        for key in ["type", "aggregate"] {
            if let Some(blank) = event.get(key).filter(|node| node.as_text().is_some_and(|text| text.trim().is_empty()))
            {
                let message = format!("the `{key}` of an event may not be empty");
                let help = "write what happened to what, such as `purchase_order.placed`";
                self.found.push(Diagnostic::error("bad-name", blank.head(), message).help(help));
            }
        }
        let text = expression_text(event.get("key")?, &mut self.found)?;
        let key = Expression::compile(&text, scope, ExpressionKind::Value, &self.context.rule_limits);
        let key = self.keep(key)?;
        let payload = match event.get("payload").filter(|payload| !payload.is_null()) {
            Some(payload) => Some(self.template(payload, scope)?),
            None => None,
        };
        let kind = spec.r#type.split('.').next().unwrap_or_default().to_owned();
        Some(Event { aggregate: spec.aggregate.unwrap_or(kind), ty: spec.r#type, key, payload })
    }

    /// The position of the effect that an outcome names.
    pub(super) fn effect_named(&mut self, name: &Marked, effects: &[(Effect, Type)]) -> Option<usize> {
        let text = name.as_text()?;
        let found = effects.iter().position(|(effect, _)| effect.name.as_str() == text);
        // An effect with an error of its own is not among them.
        let is_written = self.root.get("effects").is_some_and(|effects| effects.get(text).is_some());
        if found.is_none() && !is_written {
            let known: Vec<&str> = effects.iter().map(|(effect, _)| effect.name.as_str()).collect();
            let help = match nearest(text, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if known.is_empty() => "write it under `effects`".to_owned(),
                None => format!("the effects are: {}", known.join(", ")),
            };
            let message = format!("there is no effect `{text}`");
            self.found.push(Diagnostic::error("unknown-effect", name.head(), message).help(help));
        }
        found
    }

    pub(super) fn warn_of_unused_effects(&mut self, effects: &[(Effect, Type)], outcomes: &[Outcome]) {
        for (place, (effect, _)) in effects.iter().enumerate() {
            if !outcomes.iter().any(|outcome| outcome.effect == Some(place)) {
                let message = format!("no outcome has the effect `{}`", effect.name);
                let help = "name it in an outcome (`effect: ...`), or delete it";
                self.found.push(Diagnostic::warning("unused-effect", &effect.span, message).help(help));
            }
        }
    }
}

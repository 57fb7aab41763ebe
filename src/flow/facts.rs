//! What is known so far in a run: the inputs and the values of the nodes that have ended.

use std::borrow::Cow;
use std::sync::Arc;

use crate::graph::{Flow, RuleNode, Work};
use crate::grl::{FactRef, Facts, Lookup, Owner, Unknowns};
use crate::types::{FieldName, Value};

/// What is known so far.
pub(super) struct Known<'a> {
    flow: &'a Flow,
    inputs: Cow<'a, Value>,
    /// By node and effect.
    nodes: Cow<'a, [State]>,
}

/// What is known of a node's facts.
#[derive(Debug, Clone, Default)]
pub(super) enum State {
    /// It has not ended, or it was skipped: its facts are unset.
    #[default]
    Unset,
    /// It did not run because a condition or a parameter is unknown. So are its facts.
    Unknown,
    /// It has this value, in which these facts are unknown.
    Value(Value, Option<Arc<Unknowns>>),
}

impl<'a> Known<'a> {
    pub(super) fn new(flow: &'a Flow, inputs: Value) -> Self {
        // The effects come after the nodes.
        let nodes = Cow::Owned(vec![State::Unset; flow.nodes.len() + flow.effects.len()]);
        Self { flow, inputs: Cow::Owned(inputs), nodes }
    }

    /// What was known at the end of a run, by [`Self::into_parts`].
    pub(super) fn of_parts(flow: &'a Flow, (inputs, nodes): &'a (Value, Vec<State>)) -> Self {
        Self { flow, inputs: Cow::Borrowed(inputs), nodes: Cow::Borrowed(nodes) }
    }

    /// The inputs, and the state of each node and effect.
    pub(super) fn into_parts(self) -> (Value, Vec<State>) {
        (self.inputs.into_owned(), self.nodes.into_owned())
    }

    pub(super) fn set(&mut self, node: usize, value: Value, unknown: Option<Arc<Unknowns>>) {
        self.put(node, State::Value(value, unknown));
    }

    pub(super) fn set_unknown(&mut self, node: usize) {
        self.put(node, State::Unknown);
    }

    /// Takes over the value that a node has in `other`. Returns whether there is one.
    pub(super) fn copy(&mut self, node: usize, other: &Known<'_>) -> bool {
        let Some(state @ State::Value(..)) = other.nodes.get(node) else { return false };
        self.put(node, state.clone());
        true
    }

    fn put(&mut self, node: usize, state: State) {
        if let Some(slot) = self.nodes.to_mut().get_mut(node) {
            *slot = state;
        }
    }

    /// The unknown facts of a node that ran.
    pub(super) fn unknowns(&self, node: usize) -> Option<&Unknowns> {
        match self.nodes.get(node)? {
            State::Value(_, unknown) => unknown.as_deref(),
            State::Unset | State::Unknown => None,
        }
    }

    /// Whether the node did not run because a condition or a parameter is unknown.
    pub(super) fn is_unknown(&self, node: usize) -> bool {
        matches!(self.nodes.get(node), Some(State::Unknown))
    }

    /// Whether the node was skipped.
    pub(super) fn is_skipped(&self, node: usize) -> bool {
        matches!(self.nodes.get(node), Some(State::Unset))
    }

    /// An own fact of a rule node, where it has a value.
    pub(super) fn own(&self, node: usize, name: &str) -> Option<Value> {
        match self.nodes.get(node)? {
            State::Value(value, _) => value.at(name.split('.')),
            State::Unset | State::Unknown => None,
        }
    }

    /// Why a fact has no value. A fact of a rule node may not have been written by any rule, a column may not have been selected,
    /// and a JSON document may lack a key.
    fn absent(&self, fact: &FactRef, value: &Value) -> Lookup {
        let there = |length: usize| value.at(fact.path.iter().take(length).map(|name| &**name)).is_some();
        let length = (1..fact.path.len()).take_while(|length| there(*length)).last().unwrap_or(0);
        let node = match fact.owner {
            Owner::Node(node) => self.flow.nodes.get(node).map(|node| &node.work),
            Owner::Input => None,
        };
        let in_json = match node {
            Some(Work::Rules(rules)) => rules.ruleset.is_value(fact.path.get(..length).unwrap_or_default()),
            Some(Work::Query(_)) | None => length > 0,
        };
        match (fact.path.get(length), node) {
            (Some(key), _) if in_json => {
                let missing = fact.path.len() - length;
                let of = fact.written.rsplitn(missing + 1, '.').last().unwrap_or("");
                Lookup::NoKey { of: FieldName::from(of), key: key.clone() }
            }
            (_, Some(Work::Rules(RuleNode { allows_waiting: Some(_), .. }))) => Lookup::Unset,
            (_, Some(Work::Rules(_))) => Lookup::Unknown { at_least: None },
            _ => Lookup::Missing,
        }
    }
}

impl Facts for Known<'_> {
    fn read(&self, fact: &FactRef) -> Lookup {
        let at = |value: &Value| value.at(fact.path.iter().map(|name| &**name)).map(Lookup::Value);
        let node = match fact.owner {
            Owner::Input => return at(&self.inputs).unwrap_or_else(|| self.absent(fact, &self.inputs)),
            Owner::Node(node) => node,
        };
        match self.nodes.get(node) {
            Some(State::Value(value, unknown)) => {
                let unknown = unknown.as_ref().and_then(|unknown| unknown.find(fact));
                unknown.or_else(|| at(value)).unwrap_or_else(|| self.absent(fact, value))
            }
            Some(State::Unknown) => Lookup::Unknown { at_least: None },
            Some(State::Unset) | None => Lookup::Unset,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Env;
    use crate::diagnostics::Source;
    use crate::graph::{Context, RuleFiles, compile};
    use crate::grl::{Expression, ExpressionKind, Limits, Scope};
    use crate::types::{Clock, Type};

    struct Rules;

    impl RuleFiles for Rules {
        fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
            Ok(Source::new(path, "rule A no-loop { when true then kept = d.doc; order.qty = 1; order.unit = \"kg\"; }"))
        }
    }

    #[test]
    fn a_missing_key_a_missing_column_and_an_unset_fact_are_different_errors() {
        let text = "{ flow: f, nodes: { d: { type: DBNode, database: x_db, query: SELECT doc FROM t, params: [] },
            r: { type: RuleNode, rules: r.grl } }, outcomes: [ { status: ok, when: true } ] }";
        let env = Env::default();
        let context = Context::new(&env);
        let (flow, _) = compile(&Source::new("f.yaml", text), &Rules, &context).unwrap_or_else(|e| panic!("{e}"));
        let value = |text: &str| Value::from_json(&serde_json::from_str(text).unwrap()).unwrap();
        let mut known = Known::new(&flow, value("{}"));
        known.set(0, value(r#"{"doc":{"a":{"b":1}}}"#), None);
        known.set(1, value(r#"{"kept":{"a":1},"order":{"unit":"kg"}}"#), None);
        let mut scope = Scope::new();
        for (name, place) in [("d", 0), ("r", 1)] {
            scope.add(name, Owner::Node(place), Type::Any);
        }
        let read = |path: &str| {
            let text = Source::new("test", path).snippet();
            let compiled = Expression::compile(&text, &scope, ExpressionKind::Value, &Limits::default());
            let (expression, _) = compiled.unwrap_or_else(|found| panic!("{found}"));
            let clock = Clock::fixed(jiff::Timestamp::UNIX_EPOCH, jiff::tz::TimeZone::UTC);
            expression.evaluate(&known, &clock).map_err(|error| error.to_string())
        };
        assert_eq!(read("d.doc.a.b"), Ok(Some(1.into())));
        assert_eq!(read("r.order.qty"), Ok(None));
        for (path, expected) in [
            ("d.doc.extra", "the JSON of `d.doc` has no key `extra`"),
            ("d.doc.a.c.e", "the JSON of `d.doc.a` has no key `c`"),
            ("r.kept.extra", "the JSON of `r.kept` has no key `extra`"),
            ("d.other", "the query did not select `d.other`"),
        ] {
            let error = read(path).unwrap_err();
            assert!(error.contains(expected), "{path}: {error}");
        }
    }
}

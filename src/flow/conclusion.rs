//! The end of a decision that writes: the parameters of its effect, and, once the effect has run, its event and its answer.
//!
//! A [`Conclusion`] keeps the facts of a run. Whoever writes the effect asks it for the parameters of each statement, gives it the rows
//! that come back, and asks it for the event and the final decision. It writes nothing itself.

use std::sync::Arc;

use super::decision::Decision;
use super::error::FlowError;
use super::facts::{Known, State};
use super::outcome::Filler;
use super::trace::{EffectTrace, StatementTrace};
use crate::graph::{Effect, Event, Flow, Outcome, Rows};
use crate::grl::Owner;
use crate::types::{Clock, NodeId, Record, Value};

/// The facts at the end of a run, and the outcome that was chosen.
#[derive(Debug, Clone)]
pub struct Conclusion {
    outcome: usize,
    facts: (Value, Vec<State>),
    clock: Clock,
    degraded: Vec<NodeId>,
    /// By statement of the effect that ran: the first row that it returned.
    returned: Vec<Option<Value>>,
}

/// A row of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The kind of thing that it is about.
    pub aggregate: String,
    /// The thing that it is about.
    pub key: String,
    /// The type of the event.
    pub ty: String,
    /// What it says.
    pub payload: Value,
}

impl Conclusion {
    pub(super) fn new(outcome: usize, known: Known<'_>, clock: Clock, degraded: Vec<NodeId>) -> Self {
        Self { outcome, facts: known.into_parts(), clock, degraded, returned: Vec::new() }
    }

    fn outcome<'f>(&self, flow: &'f Flow) -> Result<&'f Outcome, FlowError> {
        flow.outcomes.get(self.outcome).ok_or(FlowError::Broken)
    }

    /// The facts, for [`Known::of_parts`].
    pub(super) fn facts(&self) -> &(Value, Vec<State>) {
        &self.facts
    }

    /// The checked inputs.
    pub fn inputs(&self) -> &Value {
        &self.facts.0
    }

    /// The effect of the outcome.
    pub fn effect<'f>(&self, flow: &'f Flow) -> Option<&'f Effect> {
        flow.effects.get(flow.outcomes.get(self.outcome)?.effect?)
    }

    /// Evaluates with the facts that are known now.
    fn with<T>(&self, flow: &Flow, evaluate: impl FnOnce(&Filler<'_>) -> Result<T, FlowError>) -> Result<T, FlowError> {
        let known = Known::of_parts(flow, &self.facts);
        let effect = self.effect(flow).map(|effect| &effect.name);
        evaluate(&Filler { flow, outcome: self.outcome(flow)?, known: &known, clock: &self.clock, effect })
    }

    /// Whether the effect waits for an approval.
    ///
    /// # Errors
    /// That of the condition, or [`FlowError::Undecided`] where a fact has no value.
    pub fn needs_approval(&self, flow: &Flow) -> Result<bool, FlowError> {
        self.with(flow, |filler| match &filler.outcome.approval {
            Some(condition) => Ok(filler.value(condition)? == Value::Boolean(true)),
            None => Ok(false),
        })
    }

    /// The parameters of the statement at this position.
    ///
    /// # Errors
    /// As [`Self::needs_approval`].
    pub fn params(&self, flow: &Flow, position: usize) -> Result<Vec<Value>, FlowError> {
        let statement = self.effect(flow).and_then(|effect| effect.statements.get(position));
        let params = statement.map(|statement| statement.params.as_slice()).unwrap_or_default();
        self.with(flow, |filler| params.iter().map(|param| filler.value(param)).collect())
    }

    /// The parameters of each statement that needs no row of another one.
    ///
    /// # Errors
    /// As [`Self::needs_approval`].
    pub fn first_params(&self, flow: &Flow) -> Result<Vec<Option<Vec<Value>>>, FlowError> {
        let statements = self.effect(flow).map(|effect| effect.statements.as_slice()).unwrap_or_default();
        let params = statements.iter().enumerate().map(|(position, statement)| {
            let waits = statement.params.iter().any(|param| flow.reads_effect(param));
            if waits { Ok(None) } else { self.params(flow, position).map(Some) }
        });
        params.collect()
    }

    /// Adds the rows that the statement at this position returned. The row of a statement with `rows: one` becomes fields of the effect.
    pub fn returned(&mut self, flow: &Flow, position: usize, rows: &[Value]) {
        let Some(place) = flow.outcomes.get(self.outcome).and_then(|outcome| outcome.effect) else { return };
        self.returned.push(rows.first().cloned());
        let statement = flow.effects.get(place).and_then(|effect| effect.statements.get(position));
        let is_one = statement.is_some_and(|statement| statement.rows == Rows::One);
        let Owner::Node(node) = flow.owner_of_effect(place) else { return };
        let Some(state) = self.facts.1.get_mut(node) else { return };
        let mut fields = match state {
            State::Value(Value::Map(record), _) => {
                record.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
            }
            _ => Vec::new(),
        };
        if let (true, Some(Value::Map(row))) = (is_one, rows.first()) {
            fields.extend(row.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        *state = State::Value(Value::Map(Arc::new(fields.into_iter().collect::<Record>())), None);
    }

    /// What the effect is given, and what it returned so far; `None` where there is none.
    pub fn notes(&self, flow: &Flow) -> Option<Box<EffectTrace>> {
        let effect = flow.outcomes.get(self.outcome)?.effect?;
        let mut notes = Box::new(EffectTrace { effect, ..EffectTrace::default() });
        // A statement is given what those before it returned, so they are gone through as they ran.
        let mut again = Self { returned: Vec::new(), ..self.clone() };
        again.forget(flow, effect);
        notes.failed = again.note(flow, &self.returned, &mut notes).err().map(Arc::new);
        Some(notes)
    }

    fn note(&mut self, flow: &Flow, returned: &[Option<Value>], notes: &mut EffectTrace) -> Result<(), FlowError> {
        notes.needs_approval = self.needs_approval(flow)?;
        let Some(effect) = self.effect(flow) else { return Ok(()) };
        for (position, statement) in effect.statements.iter().enumerate() {
            let row = returned.get(position);
            let waits = position > returned.len() && statement.params.iter().any(|param| flow.reads_effect(param));
            let params = if waits { None } else { Some(self.params(flow, position)?) };
            notes.statements.push(StatementTrace { params, returned: row.cloned().flatten() });
            if let Some(row) = row {
                self.returned(flow, position, row.as_slice());
            }
        }
        let has_run = returned.len() == effect.statements.len();
        if let Some(event) = effect.event.as_ref().filter(|event| has_run || !flow.reads_effect(&event.key)) {
            notes.event_key = Some(self.with(flow, |filler| key(filler, event))?);
        }
        Ok(())
    }

    /// Unsets the facts of the effect.
    fn forget(&mut self, flow: &Flow, effect: usize) {
        if let Owner::Node(node) = flow.owner_of_effect(effect)
            && let Some(state) = self.facts.1.get_mut(node)
        {
            *state = State::Unset;
        }
    }

    /// The row of the outbox, whose payload is `decision` where the graph names no other.
    ///
    /// # Errors
    /// As [`Self::needs_approval`]; a key that is null.
    pub fn event(&self, flow: &Flow, decision: &Decision) -> Result<Option<EventRow>, FlowError> {
        let Some(event) = self.effect(flow).and_then(|effect| effect.event.as_ref()) else { return Ok(None) };
        self.with(flow, |filler| {
            let key = key(filler, event)?;
            let payload = match &event.payload {
                Some(payload) => filler.template(payload)?,
                None => decision.to_value(),
            };
            let (aggregate, ty) = (event.aggregate.clone(), event.ty.clone());
            let payload = flow.decimals.written(&payload).into_owned();
            Ok(Some(EventRow { aggregate, key, ty, payload }))
        })
    }

    /// The decision, with what the effect returned.
    ///
    /// # Errors
    /// As [`Self::needs_approval`].
    pub fn decision(&self, flow: &Flow) -> Result<Decision, FlowError> {
        self.with(flow, |filler| Filler { effect: None, ..*filler }.fill(self.degraded.clone()))
    }
}

/// The key of an event.
fn key(filler: &Filler<'_>, event: &Event) -> Result<String, FlowError> {
    let key = filler.value(&event.key)?;
    if key.is_null() {
        return Err(filler.failed(event.key.is_null("the key of an event")));
    }
    Ok(key.to_string())
}

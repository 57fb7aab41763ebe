//! The end of a run: the first outcome whose condition holds, filled with values.

use super::decision::Decision;
use super::error::{FlowError, Undecided};
use super::facts::Known;
use super::missing::{Missing, Roots, Waiting};
use crate::graph::{Flow, Message, MessagePart, Outcome, Template};
use crate::grl::{EvalError, Expression, FactRef, Facts, Lookup, Owner};
use crate::types::{Clock, FieldName, NodeId, Value};

/// Picks the outcome and fills it. `tried` is called for each outcome that is evaluated.
///
/// The outcomes are tried in order. An unknown one ends the run: a missing fact may contradict any later one. Where only
/// unset facts (those of skipped nodes) make an outcome unknown, it does not hold.
pub(super) fn decide(
    flow: &Flow,
    known: &Known<'_>,
    clock: &Clock,
    degraded: Vec<NodeId>,
    tried: &mut dyn FnMut(&Outcome, bool),
) -> Result<(usize, Decision), FlowError> {
    let mut unset = Vec::new();
    for (place, outcome) in flow.outcomes.iter().enumerate() {
        let filler = Filler { flow, outcome, known, clock, effect: None };
        let holds = filler.holds(&mut unset);
        if !matches!(holds, Err(FlowError::Expression { .. })) {
            tried(outcome, matches!(holds, Ok(true)));
        }
        if holds? {
            return Ok((place, filler.fill(degraded)?));
        }
    }
    let (missing, waiting) = roots(flow, known, clock, &unset);
    Err(FlowError::Undecided(Box::new(Undecided { outcome: None, unset: names(&unset), missing, waiting })))
}

/// The missing facts behind those that have no value, and the rules that wait for them.
fn roots(flow: &Flow, known: &Known<'_>, clock: &Clock, lacked: &[&FactRef]) -> (Vec<Missing>, Vec<Waiting>) {
    let mut roots = Roots::new(flow, known, clock);
    roots.follow(lacked);
    (roots.missing, roots.waiting)
}

fn names(facts: &[&FactRef]) -> Vec<String> {
    let mut names: Vec<String> = facts.iter().map(|fact| fact.written.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

/// Evaluates the expressions of an outcome or of its effect.
pub(super) struct Filler<'a> {
    pub(super) flow: &'a Flow,
    pub(super) outcome: &'a Outcome,
    pub(super) known: &'a Known<'a>,
    pub(super) clock: &'a Clock,
    /// The effect whose expressions are evaluated; `None` for those of the outcome.
    pub(super) effect: Option<&'a NodeId>,
}

impl<'a> Filler<'a> {
    /// Whether the outcome's condition is true. Where only unset facts make it unknown, it is false, and they are added to `unset`.
    fn holds(&self, unset: &mut Vec<&'a FactRef>) -> Result<bool, FlowError> {
        let Some(when) = &self.outcome.when else { return Ok(true) };
        if let Some(value) = self.evaluate(when)? {
            return Ok(value == Value::Boolean(true));
        }
        let lacked = when.lacks(self.known, self.clock);
        if lacked.iter().any(|fact| matches!(self.known.read(fact), Lookup::Unknown { .. })) {
            return Err(self.undecided(&lacked));
        }
        unset.extend(lacked);
        Ok(false)
    }

    fn undecided(&self, lacked: &[&FactRef]) -> FlowError {
        let (missing, waiting) = roots(self.flow, self.known, self.clock, lacked);
        let outcome = Some(self.outcome.status.clone());
        FlowError::Undecided(Box::new(Undecided { outcome, unset: names(lacked), missing, waiting }))
    }

    /// The answer. Fields that read what an effect returns are left out where the effect did not run.
    pub(super) fn fill(&self, degraded: Vec<NodeId>) -> Result<Decision, FlowError> {
        Ok(Decision {
            status: self.outcome.status.clone(),
            message: self.outcome.message.as_ref().map(|message| self.message(message)).transpose()?,
            body: self.fields(&self.outcome.body)?,
            degraded,
            decimals: self.flow.decimals,
        })
    }

    fn message(&self, message: &Message) -> Result<String, FlowError> {
        let mut text = String::new();
        for part in &message.parts {
            match part {
                MessagePart::Text(part) => text.push_str(part),
                MessagePart::Expression(expression) => {
                    let value = self.value(expression)?;
                    if value.is_null() {
                        return Err(self.failed(expression.is_null("a message")));
                    }
                    text.push_str(&value.to_string());
                }
            }
        }
        Ok(text)
    }

    fn fields(&self, fields: &[(FieldName, Template)]) -> Result<Vec<(FieldName, Value)>, FlowError> {
        let kept = fields.iter().filter(|(_, template)| !self.is_left_out(template));
        kept.map(|(name, template)| Ok((name.clone(), self.template(template)?))).collect()
    }

    fn is_left_out(&self, template: &Template) -> bool {
        let Template::Leaf(expression) = template else { return false };
        expression.reads().iter().any(|fact| {
            self.flow.effect_of(fact.owner).is_some()
                && matches!(fact.owner, Owner::Node(place) if self.known.is_skipped(place))
        })
    }

    pub(super) fn template(&self, template: &Template) -> Result<Value, FlowError> {
        match template {
            Template::Map(fields) => Ok(Value::map(self.fields(fields)?)),
            Template::List(elements) => {
                let kept = elements.iter().filter(|element| !self.is_left_out(element));
                kept.map(|element| self.template(element)).collect::<Result<_, _>>().map(Value::List)
            }
            Template::Leaf(expression) => Ok(self.flow.decimals.typed(self.value(expression)?, expression.ty())),
        }
    }

    /// The value of an expression that the outcome needs.
    pub(super) fn value(&self, expression: &Expression) -> Result<Value, FlowError> {
        let value = self.evaluate(expression)?;
        value.ok_or_else(|| self.undecided(&expression.lacks(self.known, self.clock)))
    }

    fn evaluate(&self, expression: &Expression) -> Result<Option<Value>, FlowError> {
        expression.evaluate(self.known, self.clock).map_err(|source| self.failed(source))
    }

    pub(super) fn failed(&self, source: EvalError) -> FlowError {
        let place = match self.effect {
            Some(effect) => format!("effect `{effect}`"),
            None => format!("outcome `{}`", self.outcome.status),
        };
        FlowError::Expression { place, source }
    }
}

//! How a run ends: the first outcome whose evidence holds, filled with values.

use super::decision::Decision;
use super::error::FlowError;
use super::facts::Known;
use crate::graph::{Message, MessagePart, Outcome, Template};
use crate::grl::{EvalError, Expression, FactRef};
use crate::types::{Clock, FieldName, NodeId, Value};

/// Picks the outcome and fills it; `tried` is told of each that is looked at.
pub(super) fn decide(
    outcomes: &[Outcome],
    known: &Known<'_>,
    clock: &Clock,
    degraded: Vec<NodeId>,
    tried: &mut dyn FnMut(&Outcome, bool),
) -> Result<Decision, FlowError> {
    let mut unset = Vec::new();
    for outcome in outcomes {
        let filler = Filler { outcome, known, clock };
        let holds = filler.holds(&mut unset)?;
        tried(outcome, holds);
        if holds {
            return filler.fill(degraded);
        }
    }
    Err(FlowError::Undecided { unset: names(unset) })
}

fn names(unset: Vec<FactRef>) -> Vec<String> {
    let mut names: Vec<String> = unset.into_iter().map(|fact| fact.written.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

struct Filler<'a> {
    outcome: &'a Outcome,
    known: &'a Known<'a>,
    clock: &'a Clock,
}

impl Filler<'_> {
    /// Whether the outcome's condition is true. Where it cannot be known, the facts that are unset go to `unset`.
    fn holds(&self, unset: &mut Vec<FactRef>) -> Result<bool, FlowError> {
        let Some(when) = &self.outcome.when else { return Ok(true) };
        match self.evaluate(when)? {
            Some(Value::Boolean(holds)) => Ok(holds),
            Some(_) | None => {
                unset.extend(when.unset(self.known));
                Ok(false)
            }
        }
    }

    fn fill(&self, degraded: Vec<NodeId>) -> Result<Decision, FlowError> {
        Ok(Decision {
            status: self.outcome.status.clone(),
            message: self.outcome.message.as_ref().map(|message| self.message(message)).transpose()?,
            body: self.fields(&self.outcome.body)?,
            degraded,
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
        fields.iter().map(|(name, template)| Ok((name.clone(), self.template(template)?))).collect()
    }

    fn template(&self, template: &Template) -> Result<Value, FlowError> {
        match template {
            Template::Map(fields) => Ok(Value::map(self.fields(fields)?)),
            Template::List(elements) => {
                elements.iter().map(|element| self.template(element)).collect::<Result<_, _>>().map(Value::List)
            }
            Template::Leaf(expression) => self.value(expression),
        }
    }

    /// The value of an expression that the outcome cannot do without.
    fn value(&self, expression: &Expression) -> Result<Value, FlowError> {
        let value = self.evaluate(expression)?;
        value.ok_or_else(|| FlowError::Undecided { unset: names(expression.unset(self.known)) })
    }

    fn evaluate(&self, expression: &Expression) -> Result<Option<Value>, FlowError> {
        expression.evaluate(self.known, self.clock).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: EvalError) -> FlowError {
        FlowError::Expression { place: format!("outcome `{}`", self.outcome.status), source }
    }
}

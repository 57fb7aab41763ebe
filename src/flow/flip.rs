//! At which value of one number the outcome becomes another.
//!
//! The search runs the flow again and again over the same answers, with nothing but that fact replaced: away from its
//! value in steps that double, up and down, until the ending differs, then by halves down to the last digit the fact is
//! kept in. Where the ending changes more than once on the way, what is found is a change, and not always the nearest.

use num_bigint::BigInt;
use serde::Serialize;
use serde_json::Value as Json;

use super::error::FlowError;
use super::executor::{Report, Run};
use super::offline::{self, Answers, Bench};
use super::overrides::Overrides;
use super::trace::{NodeEnd, Trace};
use crate::graph::Flow;
use crate::types::{Decimal, FieldName, Value};

/// Steps double so often: from one unit to about 4.6 quintillion of them.
const DOUBLINGS: u32 = 62;

/// What the search found.
#[derive(Debug, Clone, Serialize)]
pub struct Flip {
    /// The fact.
    pub fact: String,
    /// Its value.
    pub value: Value,
    /// How the run ends with that.
    pub ending: String,
    /// The change at lower values, where there is one.
    pub below: Option<Edge>,
    /// The change at higher values, where there is one.
    pub above: Option<Edge>,
}

/// Two neighbouring values with different endings.
#[derive(Debug, Clone, Serialize)]
pub struct Edge {
    /// The value farthest from that of today with its ending.
    pub last: Value,
    /// The next one, whose ending differs.
    pub first: Value,
    /// How the run ends with that.
    pub ending: String,
    /// What it says then: the decision, or nothing where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Json>,
}

/// One run to search around.
pub struct Search<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// What the run did, with its answers.
    pub trace: &'a Trace,
    /// The facts that are replaced already.
    pub run: &'a Run,
    /// What evaluates its rules.
    pub bench: &'a Bench,
    /// The field of the answer that must change; `None`: the outcome.
    pub field: Option<&'a str>,
}

impl Search<'_> {
    /// Searches around the value that `fact` has.
    ///
    /// # Errors
    /// [`FlowError::Override`] where the fact is not a number.
    pub fn flip(&self, fact: &str) -> Result<Flip, FlowError> {
        let refused = |why: &str| FlowError::Override { fact: fact.to_owned(), why: why.to_owned() };
        Overrides::none().set(self.flow, fact, Value::Null)?;
        let value = self.value(fact).ok_or_else(|| refused("it has no value in this run"))?;
        let (unscaled, scale) = match &value {
            Value::Integer(integer) => (BigInt::from(*integer), 0),
            Value::Decimal(decimal) => decimal.unscaled(),
            other => return Err(refused(&format!("only a number can be searched, and this is {}", other.type_name()))),
        };
        let answers = offline::answers(self.flow, self.trace);
        let line =
            Line { search: self, fact, answers: &answers, scale, is_integer: matches!(value, Value::Integer(_)) };
        let Some((here, _)) = line.ending(&unscaled) else {
            return Err(refused("the run cannot be repeated without its databases"));
        };
        let edge = |sign: i32| line.edge(&unscaled, &here, sign);
        Ok(Flip { fact: fact.to_owned(), value, below: edge(-1), above: edge(1), ending: here })
    }

    fn value(&self, fact: &str) -> Option<Value> {
        let mut names = fact.split('.').map(str::trim);
        let head = names.next()?;
        let owner = if head == "input" {
            &self.trace.inputs
        } else {
            let place = self.flow.nodes.iter().position(|node| node.id.as_str() == head)?;
            match &self.trace.nodes.get(place)?.end {
                NodeEnd::Value(value) | NodeEnd::Degraded { value, .. } => value,
                _ => return None,
            }
        };
        owner.at(names)
    }
}

/// The values of one fact, in units of its last digit.
struct Line<'a> {
    search: &'a Search<'a>,
    fact: &'a str,
    answers: &'a Answers,
    scale: i64,
    is_integer: bool,
}

impl Line<'_> {
    fn at(&self, unscaled: &BigInt) -> Option<Value> {
        if self.is_integer {
            return i64::try_from(unscaled).ok().map(Value::Integer);
        }
        Decimal::from_unscaled(unscaled.clone(), self.scale).ok().map(Value::Decimal)
    }

    /// How the run ends with this value, and what it says.
    fn ending(&self, unscaled: &BigInt) -> Option<(String, Option<Json>)> {
        let Search { flow, trace, run, bench, field } = self.search;
        let mut run = (*run).clone();
        run.overrides.set(flow, self.fact, self.at(unscaled)?).ok()?;
        let report = offline::decide(flow, trace.inputs.clone(), self.answers, &run, bench).ok()?;
        Some(ending(&report, *field))
    }

    /// The change in the direction of `sign`.
    fn edge(&self, from: &BigInt, here: &str, sign: i32) -> Option<Edge> {
        let at = |distance: &BigInt| from + distance * sign;
        let mut near = BigInt::from(0);
        for doubling in 0..DOUBLINGS {
            let mut far = BigInt::from(1) << doubling;
            if self.ending(&at(&far))?.0 == here {
                near = far;
                continue;
            }
            while &far - &near > BigInt::from(1) {
                let middle: BigInt = (&near + &far) / 2;
                if self.ending(&at(&middle))?.0 == here {
                    near = middle;
                } else {
                    far = middle;
                }
            }
            let (ending, decision) = self.ending(&at(&far))?;
            return Some(Edge { last: self.at(&at(&near))?, first: self.at(&at(&far))?, ending, decision });
        }
        None
    }
}

/// How a run ended: its outcome or its error, or the value of one field.
fn ending(report: &Report, field: Option<&str>) -> (String, Option<Json>) {
    let decision = match &report.result {
        Ok(decision) => decision,
        Err(error) => return (format!("error {}", error.code()), None),
    };
    let json = serde_json::to_value(decision).ok();
    let name = match field {
        None => decision.status.clone(),
        Some(field) => {
            let names = field.split('.').map(FieldName::from);
            let found = names.fold(json.as_ref(), |json, name| json.and_then(|json| json.get(&*name)));
            let shown = found.map_or_else(|| "absent".to_owned(), Json::to_string);
            format!("{}: {field} {shown}", decision.status)
        }
    };
    (name, json)
}

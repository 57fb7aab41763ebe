//! The value of one number at which the outcome changes.
//!
//! The search repeats the run over the same answers and replaces only that fact. It moves away from the present value in
//! steps that double, up and down, until the ending differs, and then halves the interval down to the last digit of the
//! fact. Where a query depends on the fact, the databases are queried. A value that cannot be tried (the input does not allow it,
//! or a database does not answer) bounds the search, and the result says where and why. Where the ending changes more than
//! once, the search finds one of the changes, not always the nearest.

use num_bigint::BigInt;
use serde::Serialize;
use serde_json::Value as Json;

use super::error::{FlowError, RulesError};
use super::offline::{self, Answers, OfflineEngines};
use super::options::RunOptions;
use super::overrides::Overrides;
use super::report::Report;
use super::trace::{NodeEnd, Trace};
use crate::graph::Flow;
use crate::types::{Decimal, FieldName, Value};

/// How often the step doubles: from one unit to about 4.6 quintillion.
const DOUBLINGS: u32 = 62;

/// What the search found.
#[derive(Debug, Clone, Serialize)]
pub struct Flip {
    /// The fact.
    pub fact: String,
    /// Its value.
    pub value: Value,
    /// How the run ends with this value.
    pub ending: String,
    /// The change at lower values, where there is one.
    pub below: Option<Edge>,
    /// The change at higher values, where there is one.
    pub above: Option<Edge>,
    /// Where the search of lower values stopped, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below_bound: Option<Bound>,
    /// Where the search of higher values stopped, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above_bound: Option<Bound>,
}

/// The end of an incomplete search.
#[derive(Debug, Clone, Serialize)]
pub struct Bound {
    /// The last value that could be tried. Its ending is the present one.
    pub last: Value,
    /// Why the next value could not be tried.
    pub why: String,
}

/// Two neighbouring values with different endings.
#[derive(Debug, Clone, Serialize)]
pub struct Edge {
    /// The farthest value with the present ending.
    pub last: Value,
    /// The next value, whose ending differs.
    pub first: Value,
    /// How the run ends with that.
    pub ending: String,
    /// The decision that it makes; `None` where it makes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Json>,
}

/// One run to search around.
pub struct Search<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// What the run did.
    pub trace: &'a Trace,
    /// The options of the run, with the facts that it replaces.
    pub run: &'a RunOptions,
    /// The engines that evaluate its rules.
    pub engines: &'a OfflineEngines,
    /// The field of the answer that must change; `None`: the outcome.
    pub field: Option<&'a str>,
}

impl Search<'_> {
    /// Searches around the present value of `fact`. `ask` decides with databases, where the answers of the run are not enough.
    ///
    /// # Errors
    /// [`FlowError::Override`] where the fact is not a number.
    pub async fn flip(&self, fact: &str, ask: impl AsyncFn(RunOptions) -> Report) -> Result<Flip, FlowError> {
        let refused = |why: &str| FlowError::Override { fact: fact.to_owned(), why: why.to_owned() };
        let number = self.number(fact)?;
        let answers = offline::answers(self.flow, self.trace);
        let tries = Tries { search: self, answers: &answers, ask: &ask };
        let line = Line { tries: &tries, number: &number };
        let here = line.ending(&number.unscaled).await;
        let (here, _) = here.map_err(|why| refused(&format!("the run cannot be repeated: {why}")))?;
        let below = line.side(&number.unscaled, &here, -1).await;
        let above = line.side(&number.unscaled, &here, 1).await;
        let (below, below_bound) = below.parts();
        let (above, above_bound) = above.parts();
        let Number { fact, value, .. } = number;
        Ok(Flip { fact, value, ending: here, below, above, below_bound, above_bound })
    }

    /// The number that `fact` is in the run.
    ///
    /// # Errors
    /// [`FlowError::Override`] where it is none.
    pub(super) fn number(&self, fact: &str) -> Result<Number, FlowError> {
        let refused = |why: &str| FlowError::Override { fact: fact.to_owned(), why: why.to_owned() };
        Overrides::none().set(self.flow, fact, Value::Null)?;
        let value = self.value(fact).ok_or_else(|| refused("it has no value in this run"))?;
        let (unscaled, scale) = match &value {
            Value::Integer(integer) => (BigInt::from(*integer), 0),
            Value::Decimal(decimal) => decimal.unscaled(),
            other => return Err(refused(&format!("only a number can be searched, and this is {}", other.type_name()))),
        };
        Ok(Number { fact: fact.to_owned(), value, unscaled, scale })
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

/// What a search in one direction found.
enum Side {
    Edge(Edge),
    Bound(Bound),
    /// No change within the range of the search.
    Nothing,
}

impl Side {
    fn parts(self) -> (Option<Edge>, Option<Bound>) {
        match self {
            Self::Edge(edge) => (Some(edge), None),
            Self::Bound(bound) => (None, Some(bound)),
            Self::Nothing => (None, None),
        }
    }
}

/// A number of the run, counted in units of its last digit.
pub(super) struct Number {
    pub(super) fact: String,
    pub(super) value: Value,
    pub(super) unscaled: BigInt,
    scale: i64,
}

impl Number {
    /// The value of so many units.
    pub(super) fn at(&self, unscaled: &BigInt) -> Option<Value> {
        if matches!(self.value, Value::Integer(_)) {
            return i64::try_from(unscaled).ok().map(Value::Integer);
        }
        Decimal::from_unscaled(unscaled.clone(), self.scale).ok().map(Value::Decimal)
    }
}

/// The ending and the decision for some values, or why they cannot be tried.
pub(super) type Tried = Result<(String, Option<Json>), String>;

/// Repeats the run with other values.
pub(super) struct Tries<'a, A> {
    pub(super) search: &'a Search<'a>,
    pub(super) answers: &'a Answers,
    pub(super) ask: &'a A,
}

impl<A: AsyncFn(RunOptions) -> Report> Tries<'_, A> {
    /// The end of the run with these numbers of units.
    pub(super) async fn ending(&self, numbers: impl IntoIterator<Item = (&Number, &BigInt)>) -> Tried {
        let Search { flow, trace, run, engines, field } = self.search;
        let mut run = (*run).clone();
        for (number, unscaled) in numbers {
            let value = number.at(unscaled).ok_or("the next value has too many digits")?;
            run.overrides.set(flow, &number.fact, value).map_err(|error| error.to_string())?;
        }
        let report = match offline::decide(flow, trace.inputs.clone(), self.answers, &run, engines) {
            Ok(report) => report,
            Err(unanswered) => {
                let report = (self.ask)(run).await;
                if let Err(error) = &report.result
                    && is_no_ending(error)
                {
                    return Err(format!("{unanswered}; asked for it: {error}"));
                }
                report
            }
        };
        match &report.result {
            Err(FlowError::Override { why, .. }) => Err(format!("it {why}")),
            _ => Ok(ending(&report, *field)),
        }
    }
}

/// The values of one fact.
struct Line<'a, A> {
    tries: &'a Tries<'a, A>,
    number: &'a Number,
}

impl<A: AsyncFn(RunOptions) -> Report> Line<'_, A> {
    fn at(&self, unscaled: &BigInt) -> Option<Value> {
        self.number.at(unscaled)
    }

    async fn ending(&self, unscaled: &BigInt) -> Tried {
        self.tries.ending([(self.number, unscaled)]).await
    }

    /// The search in the direction of `sign`.
    async fn side(&self, from: &BigInt, here: &str, sign: i32) -> Side {
        let mut near = BigInt::from(0);
        for doubling in 0..DOUBLINGS {
            let far = BigInt::from(1) << doubling;
            let tried = self.ending(&(from + &far * sign)).await;
            if tried.as_ref().is_ok_and(|(ending, _)| ending == here) {
                near = far;
            } else {
                return self.narrow((from, here, sign), (near, far), tried).await;
            }
        }
        Side::Nothing
    }

    /// Halves the interval between `near`, which has the present ending, and `far`, which has another or an unknown one.
    async fn narrow(
        &self,
        (from, here, sign): (&BigInt, &str, i32),
        (mut near, mut far): (BigInt, BigInt),
        mut beyond: Tried,
    ) -> Side {
        while &far - &near > BigInt::from(1) {
            let middle: BigInt = (&near + &far) / 2;
            let tried = self.ending(&(from + &middle * sign)).await;
            if tried.as_ref().is_ok_and(|(ending, _)| ending == here) {
                near = middle;
            } else {
                (far, beyond) = (middle, tried);
            }
        }
        let Some(last) = self.at(&(from + near * sign)) else { return Side::Nothing };
        match (beyond, self.at(&(from + far * sign))) {
            (Ok((ending, decision)), Some(first)) => Side::Edge(Edge { last, first, ending, decision }),
            (Ok(_), None) => Side::Nothing,
            (Err(why), _) => Side::Bound(Bound { last, why }),
        }
    }
}

/// Whether an error has another cause than the value that was tried, such as a database that does not answer.
fn is_no_ending(error: &FlowError) -> bool {
    match error {
        FlowError::Query { .. } | FlowError::Deadline { .. } | FlowError::Overloaded { .. } | FlowError::Broken => true,
        FlowError::Rules { source, .. } => !matches!(source, RulesError::Rule(_)),
        _ => false,
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

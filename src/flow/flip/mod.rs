//! What changes a decision: numbers, and how far they must move for the run to end otherwise.
//!
//! A search repeats the run over the same answers and replaces only its facts. `alone` searches around each fact by itself,
//! `together` the smallest change of several, and `proof` shows that there is no smaller one. Where a query depends on a fact, the
//! databases are queried. A value that cannot be tried (the input does not allow it, a database does not answer, or the time is
//! over) bounds the search, and the result says where and why.

mod alone;
mod proof;
mod together;

use std::cell::Cell;
use std::collections::BTreeSet;

use num_bigint::BigInt;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;

use super::error::{FlowError, RulesError};
use super::offline::{self, Answers, OfflineEngines};
use super::options::RunOptions;
use super::overrides::Overrides;
use super::report::Report;
use super::trace::{Detail, NodeEnd, Trace};
use crate::graph::Flow;
use crate::types::{Decimal, FieldName, Value};

pub use self::alone::{Bound, Edge, Flip};
pub use self::together::{Change, Changed, Together};

/// The most facts of one search: each further one triples the directions of their common change.
pub const MOST_FACTS: usize = 4;

/// What the searches found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Flips {
    /// What changes the decision if one fact alone is another, for each of the facts.
    pub flips: Vec<Flip>,
    /// The smallest change of all of them together, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub together: Option<Together>,
}

/// What is searched.
#[derive(Debug, Clone)]
pub struct Question {
    /// The numbers: `node.column` or `input.name`.
    pub facts: Vec<String>,
    /// The field of the answer that must change; `None`: the outcome.
    pub field: Option<String>,
}

/// One run to search around. Its deadline is that of the searches.
pub struct Search<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// What the run did.
    pub trace: &'a Trace,
    /// The options of the run, with the facts that it replaces.
    pub run: &'a RunOptions,
    /// The engines that evaluate its rules.
    pub engines: &'a OfflineEngines,
}

impl Search<'_> {
    /// Searches around the present values. `ask` decides with databases, where the answers of the run are not enough.
    ///
    /// # Errors
    /// [`FlowError::Override`] if a fact is not a number, is named twice, or there are too many; if no outcome has the field; or if
    /// the run cannot be repeated.
    pub async fn flips(
        &self,
        question: &Question,
        ask: impl AsyncFn(RunOptions) -> Report,
    ) -> Result<Flips, FlowError> {
        let numbers = self.numbers(&question.facts)?;
        if let Some(field) =
            question.field.as_deref().filter(|field| !self.flow.outcomes.iter().any(|outcome| outcome.may_have(field)))
        {
            let names: BTreeSet<&str> =
                self.flow.outcomes.iter().flat_map(|outcome| &outcome.body).map(|(name, _)| &**name).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            return Err(refused(
                field,
                format!("no outcome has this field; beside `status` and `message` they have {names}"),
            ));
        }
        let answers = offline::answers(self.flow, self.trace);
        let tries = Tries {
            search: self,
            field: question.field.as_deref(),
            answers: &answers,
            ask: &ask,
            has_asked: Cell::new(false),
        };
        let here = tries.ending([]).await;
        let (here, _) = here.map_err(|why| {
            let first = question.facts.first().map_or("", String::as_str);
            refused(first, format!("the run cannot be repeated: {why}"))
        })?;
        let mut flips = Vec::with_capacity(numbers.len());
        for number in &numbers {
            flips.push(Flip::search(&tries, number, &here).await);
        }
        let together = if numbers.len() > 1 { Some(Together::search(&tries, &numbers, &here).await) } else { None };
        Ok(Flips { flips, together })
    }

    fn numbers(&self, facts: &[String]) -> Result<Vec<Number>, FlowError> {
        if let Some(further) = facts.get(MOST_FACTS) {
            return Err(refused(further, format!("at most {MOST_FACTS} facts are searched together")));
        }
        let is_twice = |(place, fact): &(usize, &String)| facts.iter().take(*place).any(|known| known == *fact);
        if let Some((_, twice)) = facts.iter().enumerate().find(is_twice) {
            return Err(refused(twice, "it is named twice".to_owned()));
        }
        facts.iter().map(|fact| self.number(fact)).collect()
    }

    /// The number that `fact` is in the run.
    ///
    /// # Errors
    /// [`FlowError::Override`] where it is none.
    fn number(&self, fact: &str) -> Result<Number, FlowError> {
        let refused = |why: &str| refused(fact, why.to_owned());
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

fn refused(fact: &str, why: String) -> FlowError {
    FlowError::Override { fact: fact.to_owned(), why }
}

/// A number of the run, counted in units of its last digit.
#[derive(Debug, Clone)]
struct Number {
    fact: String,
    value: Value,
    unscaled: BigInt,
    scale: i64,
}

impl Number {
    /// The value of so many units.
    fn at(&self, unscaled: &BigInt) -> Option<Value> {
        if matches!(self.value, Value::Integer(_)) {
            return i64::try_from(unscaled).ok().map(Value::Integer);
        }
        Decimal::from_unscaled(unscaled.clone(), self.scale).ok().map(Value::Decimal)
    }
}

/// The ending and the decision for some values, or why they cannot be tried.
type Tried = Result<(String, Option<Json>), String>;

/// Repeats the run with other values.
struct Tries<'a, A> {
    search: &'a Search<'a>,
    field: Option<&'a str>,
    answers: &'a Answers,
    ask: &'a A,
    /// Whether a query depended on a value that was tried. Its rows may be others the next time.
    has_asked: Cell<bool>,
}

impl<A: AsyncFn(RunOptions) -> Report> Tries<'_, A> {
    /// Whether a further run can be made.
    fn is_in_time(&self) -> Result<(), String> {
        if self.search.run.deadline.has_passed() {
            return Err("the time of the search (`http.request_timeout_ms`) is over".to_owned());
        }
        Ok(())
    }

    /// The end of the run with these numbers of units.
    async fn ending(&self, numbers: impl IntoIterator<Item = (&Number, &BigInt)>) -> Tried {
        let Search { flow, trace, run, engines } = self.search;
        self.is_in_time()?;
        // Other requests of this thread have their turn.
        tokio::task::yield_now().await;
        let mut run = RunOptions { detail: Detail::Decision, ..(*run).clone() };
        for (number, unscaled) in numbers {
            let value = number.at(unscaled).ok_or("the next value has too many digits")?;
            run.overrides.set(flow, &number.fact, value).map_err(|error| error.to_string())?;
        }
        let report = match offline::decide(flow, trace.inputs.clone(), self.answers, &run, engines) {
            Ok(report) => report,
            Err(unanswered) => {
                self.has_asked.set(true);
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
            _ => Ok(ending(&report, self.field)),
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

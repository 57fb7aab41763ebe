//! A line for each decision, in the order of the inputs. A window of them is in flight at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::ready;
use futures_util::stream::{self, Stream, StreamExt};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::line::{Line, LineResult};
use super::shard::Shard;
use super::split::{Element, Form, Splitter};
use super::window::in_groups;
use crate::actors::coordinator::{BatchPlace, BoundFlow};
use crate::flow::explain::Explanation;
use crate::flow::{Detail, FlowError, RunOptions};
use crate::graph::KeyedInputs;
use crate::http::keyed::key_of_element;
use crate::http::{Label, Problem, Service, Settings};
use crate::types::{Clock, Deadline, Value};

/// Many decisions of one flow.
#[derive(Clone)]
pub struct Batch {
    /// What decides.
    pub service: Service,
    /// The flow.
    pub flow: Arc<BoundFlow>,
    /// How decisions are made.
    pub settings: Settings,
    /// The id and the caller of the batch. Ids of its decisions are made of that id and their index.
    pub label: Label,
    /// The trace it belongs to, where traces are made.
    pub trace_id: Option<String>,
    /// Whether each decision says why.
    pub explains: bool,
    /// The moment that its decisions are made at, where it is not that of each.
    pub as_of: Option<Timestamp>,
    /// The shard whose inputs are decided, where not all are.
    pub shard: Option<Shard>,
}

/// The body as far as it has been read.
struct Reading<B> {
    body: Option<B>,
    splitter: Splitter,
    index: usize,
    broken: Option<Problem>,
    time_limit: Duration,
    /// By when the element that is being read has to be there.
    due: Option<Instant>,
}

impl Batch {
    /// Decides the elements of `body`; its end, or an error of it, ends the batch.
    pub fn lines<B, T, E>(self, body: B, form: Form) -> impl Stream<Item = Line>
    where
        B: Stream<Item = Result<T, E>> + Unpin,
        T: AsRef<[u8]>,
    {
        let elements = self.elements(body, form);
        self.decided(elements)
    }

    /// As [`Self::lines`], once the body has begun.
    ///
    /// # Errors
    /// Where it does not begin as a batch does.
    pub async fn begin<B, T, E>(self, body: B, form: Form) -> Result<impl Stream<Item = Line>, Problem>
    where
        B: Stream<Item = Result<T, E>> + Unpin,
        T: AsRef<[u8]>,
    {
        let mut elements = Box::pin(self.elements(body, form).peekable());
        match elements.as_mut().peek().await {
            Some((0, Err(problem))) => return Err(problem.clone()),
            Some((0, Ok(Err(error)))) if !error.goes_on() => return Err(Problem::malformed(error.to_string())),
            _ => {}
        }
        Ok(self.decided(elements))
    }

    fn elements<B, T, E>(
        &self,
        body: B,
        form: Form,
    ) -> impl Stream<Item = (usize, Result<Element, Problem>)> + use<B, T, E>
    where
        B: Stream<Item = Result<T, E>> + Unpin,
        T: AsRef<[u8]>,
    {
        let splitter = Splitter::new(form, self.settings.max_body_bytes);
        let time_limit = self.settings.request_timeout;
        elements(Reading { body: Some(body), splitter, index: 0, broken: None, time_limit, due: None })
    }

    fn decided<S: Stream<Item = (usize, Result<Element, Problem>)>>(
        self,
        elements: S,
    ) -> impl Stream<Item = Line> + use<S> {
        let window = self.settings.batch_window;
        let reader = self.clone();
        let inputs = elements
            .filter_map(move |(index, element)| ready(reader.inputs(index, element).map(|inputs| (index, inputs))));
        let decisions = inputs.map(move |(index, inputs)| {
            let batch = self.clone();
            async move { Line { index, result: batch.result(index, inputs).await } }
        });
        in_groups(decisions, window)
    }

    /// The inputs of the element at `index`, or why there are none; `None` where it belongs to another shard.
    fn inputs(&self, index: usize, element: Result<Element, Problem>) -> Option<Result<KeyedInputs, Problem>> {
        let element = match element {
            Ok(element) => element,
            // The file could not be read on. This happens to a process, and to the others only if they say so.
            Err(problem) => return Some(Err(problem)),
        };
        let inputs = match &element {
            Ok(bytes) => self.flow.flow().inputs.parse_element(bytes).map_err(Problem::input),
            Err(error) => Err(Problem::malformed(error.to_string())),
        };
        let is_ours = self.shard.is_none_or(|shard| match (&inputs, element) {
            // Every value serializes.
            (Ok(element), _) => shard.contains(serde_json::to_vec(&element.inputs).unwrap_or_default()),
            (Err(_), Ok(bytes)) => shard.contains(bytes),
            // What is too long was not kept.
            (Err(_), Err(_)) => shard.contains(index.to_string()),
        });
        is_ours.then_some(inputs)
    }

    async fn result(&self, index: usize, inputs: Result<KeyedInputs, Problem>) -> LineResult {
        let (inputs, key) = match inputs.and_then(|inputs| key_of_element(inputs, &self.flow, self.as_of.is_some())) {
            Ok(element) => element,
            Err(problem) => return LineResult::Problem(self.traced(problem)),
        };
        match key {
            Some(key) => self.clone().write(inputs, key).await,
            None => self.decide(index, inputs).await,
        }
    }

    async fn decide(&self, index: usize, inputs: Value) -> LineResult {
        let run = self.run(Deadline::never());
        let label = Label { id: format!("{}/{index}", self.label.id), caller: self.label.caller.clone() };
        let place = BatchPlace { index, limit: self.settings.request_timeout };
        let report = self.service.decide_in_turn(&self.flow, inputs, run, (&label, place)).await;
        match report.answer(self.flow.flow(), self.explains, Vec::new()) {
            Ok(answer) => LineResult::Answer(answer),
            Err((error, explain)) => LineResult::Problem(self.problem(&error, explain)),
        }
    }

    /// How each of its decisions is made.
    pub(super) fn run(&self, deadline: Deadline) -> RunOptions {
        let zone = self.settings.time_zone.clone();
        let clock = match self.as_of {
            Some(moment) => Clock::fixed(moment, zone),
            None => Clock::system(zone),
        };
        let mut run = RunOptions::new(clock, deadline);
        run.detail = if self.explains { Detail::Reasons } else { Detail::Decision };
        run
    }

    /// The problem of a line without a decision.
    pub(super) fn problem(&self, error: &FlowError, explain: Option<Box<Explanation>>) -> Problem {
        self.traced(Problem::flow(&self.flow.flow().name, error).explained(explain))
    }

    pub(super) fn traced(&self, problem: Problem) -> Problem {
        problem.traced(self.trace_id.as_deref())
    }
}

/// The elements of a body with their positions; an error where the body itself broke off, or the next
/// one was not there in time.
fn elements<B, T, E>(reading: Reading<B>) -> impl Stream<Item = (usize, Result<Element, Problem>)>
where
    B: Stream<Item = Result<T, E>> + Unpin,
    T: AsRef<[u8]>,
{
    stream::unfold(reading, |mut reading| async move {
        loop {
            if let Some(element) = reading.splitter.pop() {
                let index = reading.index;
                reading.index += 1;
                reading.due = None;
                return Some(((index, Ok(element)), reading));
            }
            if let Some(problem) = reading.broken.take() {
                return Some(((reading.index, Err(problem)), reading));
            }
            let due = *reading.due.get_or_insert_with(|| Instant::now() + reading.time_limit);
            match timeout_at(due, reading.body.as_mut()?.next()).await {
                Ok(Some(Ok(bytes))) => reading.splitter.push(bytes.as_ref()),
                Ok(Some(Err(_))) => {
                    reading.body = None;
                    reading.broken = Some(Problem::unreadable_body());
                }
                Err(_) => {
                    reading.body = None;
                    reading.broken = Some(Problem::slow_body(reading.time_limit));
                }
                Ok(None) => {
                    reading.body = None;
                    reading.splitter.finish();
                }
            }
        }
    })
}

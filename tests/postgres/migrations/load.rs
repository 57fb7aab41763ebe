//! Clients and batches that run generated queries and collect the answers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::clock::sleep;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinHandle;
use tributary::actors::domain::DomainHandle;
use tributary::flow::QueryErrorKind;
use tributary::graph::Query;
use tributary::types::Value;

use super::schema::Question;
use crate::fixture::{ask, ask_in_bulk, query};

const CLIENTS: usize = 64;
const BATCH: usize = 5_000;
/// The concurrent queries of a batch.
const WINDOW: usize = 256;
/// The pause of a client between an answer and its next query.
const PAUSE: Duration = Duration::from_millis(2);
/// The pause between two batches.
const BATCH_PAUSE: Duration = Duration::from_millis(300);
/// The deadline of a query.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// A row: names and values as text.
pub(super) type Row = Vec<(String, Option<String>)>;

/// An answer with its times.
pub(super) struct Observation {
    pub(super) question: usize,
    pub(super) params: usize,
    pub(super) asked: Instant,
    pub(super) answered: Instant,
    pub(super) rows: Vec<Row>,
}

/// The clients, the queries of one round, and their outcomes.
pub(super) struct Load {
    handle: DomainHandle,
    pub(super) questions: Vec<Question>,
    queries: Vec<Arc<Query>>,
    params: Vec<Vec<Vec<Value>>>,
    /// The family of most queries.
    pub(super) focus: Cell<usize>,
    stopped: Cell<bool>,
    answers: RefCell<Vec<usize>>,
    pub(super) observations: RefCell<Vec<Observation>>,
    pub(super) errors: RefCell<BTreeMap<String, u64>>,
}

impl Load {
    pub(super) fn new(handle: &DomainHandle, questions: Vec<Question>) -> Self {
        let queries = questions.iter().map(|question| query(&question.text)).collect();
        let value = |(number, text): (usize, &String)| match number {
            0 => Value::Integer(text.parse().expect("a key")),
            _ => Value::Text(text.as_str().into()),
        };
        let values = |params: &Vec<String>| params.iter().enumerate().map(value).collect();
        let params = questions.iter().map(|question| question.params.iter().map(values).collect()).collect();
        let answers = RefCell::new(vec![0; super::FAMILIES.len()]);
        let handle = handle.clone();
        let (focus, stopped) = (Cell::default(), Cell::default());
        let (observations, errors) = (RefCell::default(), RefCell::default());
        Self { handle, questions, queries, params, focus, stopped, answers, observations, errors }
    }

    /// Starts the clients.
    pub(super) fn start(self: &Rc<Self>, random: &mut StdRng) -> Vec<JoinHandle<()>> {
        let mut clients: Vec<JoinHandle<()>> = (0..CLIENTS)
            .map(|number| actix::spawn(Rc::clone(self).client(StdRng::from_rng(random), number % 2 == 0)))
            .collect();
        clients.push(actix::spawn(Rc::clone(self).batches(StdRng::from_rng(random))));
        clients
    }

    /// Waits until every client has its last answer.
    pub(super) async fn stop(&self, clients: Vec<JoinHandle<()>>) {
        self.stopped.set(true);
        for client in clients {
            client.await.expect("a client that ends");
        }
    }

    /// The number of answers of a family so far, including errors.
    pub(super) fn answers(&self, family: usize) -> usize {
        self.answers.borrow()[family]
    }

    /// Runs a query many times concurrently. Returns the size of the largest statement.
    pub(super) async fn burst(&self, question: usize) -> usize {
        let asks = (0..CLIENTS).map(|number| self.ask(question, number % self.params[question].len(), true));
        join_all(asks).await.into_iter().max().unwrap_or(0)
    }

    async fn client(self: Rc<Self>, mut random: StdRng, in_bulk: bool) {
        while !self.stopped.get() {
            let question = self.pick(&mut random);
            self.ask(question, random.random_range(0..self.params[question].len()), in_bulk).await;
            sleep(PAUSE).await;
        }
    }

    async fn batches(self: Rc<Self>, mut random: StdRng) {
        while !self.stopped.get() {
            let question = self.pick(&mut random);
            let asks = stream::iter(0..BATCH).take_while(|_| std::future::ready(!self.stopped.get()));
            let asks = asks.map(|number| self.ask(question, number % self.params[question].len(), true));
            asks.buffer_unordered(WINDOW).for_each(|_| std::future::ready(())).await;
            sleep(BATCH_PAUSE).await;
        }
    }

    fn pick(&self, random: &mut StdRng) -> usize {
        loop {
            let question = random.random_range(0..self.questions.len());
            if self.questions[question].family == self.focus.get() || random.random_bool(0.15) {
                return question;
            }
        }
    }

    /// Runs a query and records the answer. Returns the number of queries of its statement.
    async fn ask(&self, question: usize, params: usize, in_bulk: bool) -> usize {
        let (query, values, asked) = (&self.queries[question], &self.params[question][params], Instant::now());
        let answer = if in_bulk {
            ask_in_bulk(&self.handle, query, values, LIMIT).await
        } else {
            ask(&self.handle, query, values, LIMIT, None).await
        };
        let answered = Instant::now();
        self.answers.borrow_mut()[self.questions[question].family] += 1;
        match answer {
            Ok(answer) => {
                let rows = answer.rows.iter().map(row).collect();
                self.observations.borrow_mut().push(Observation { question, params, asked, answered, rows });
                answer.together
            }
            Err(error) => {
                let code = match &error.kind {
                    QueryErrorKind::Sql { sqlstate, .. } => sqlstate.clone(),
                    kind => kind.code().to_owned(),
                };
                *self.errors.borrow_mut().entry(code).or_default() += 1;
                0
            }
        }
    }
}

fn row(row: &Value) -> Row {
    let Value::Map(record) = row else { panic!("{row} is no row") };
    let text = |value: &Value| (!value.is_null()).then(|| value.to_string());
    record.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

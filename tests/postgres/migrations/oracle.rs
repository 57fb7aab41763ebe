//! The expected answers of each version of the schema, read directly from PostgreSQL, and the check of every answer.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, SimpleQueryMessage};

use super::load::{Load, Observation, Row};
use super::schema::{FAMILIES, Family, Question};
use crate::support::connect;

/// How long versions are kept: longer than any answer takes.
const RETENTION: Duration = Duration::from_secs(60);
/// The most wrong answers that are shown.
const SHOWN: usize = 5;

/// The session that changes the schema and reads the expected answers.
pub(super) struct Oracle {
    client: Client,
    database: String,
}

/// One version of a family: when it was valid, and the answers of its queries. A query without an answer is an error.
struct Version {
    from: Instant,
    until: Option<Instant>,
    answers: HashMap<(usize, usize), Vec<Row>>,
}

/// The versions of every family, and statistics of the answers.
#[derive(Default)]
pub(super) struct Histories {
    versions: Vec<Vec<Version>>,
    pub(super) requests: u64,
    pub(super) right: u64,
    changes: u64,
    errors: BTreeMap<String, u64>,
}

impl Oracle {
    pub(super) async fn connect(url: &str, database: &str) -> Self {
        let oracle = Self { client: connect(url).await, database: database.to_owned() };
        oracle.change(&format!("SET search_path = {}", super::PATHS[0])).await;
        oracle
    }

    /// Runs a change as one transaction.
    pub(super) async fn change(&self, statements: &str) {
        let statements = statements.replace("{database}", &self.database);
        self.client.batch_execute(&statements).await.unwrap_or_else(|error| panic!("{statements}: {error:?}"));
    }

    /// The current answers of the queries of `family`.
    async fn answers(&self, questions: &[Question], family: usize) -> HashMap<(usize, usize), Vec<Row>> {
        let mut answers = HashMap::new();
        let of_family = questions.iter().enumerate().filter(|(_, question)| question.family == family);
        for (number, question) in of_family {
            if self.client.batch_execute(&format!("PREPARE asked AS {}", question.text)).await.is_err() {
                continue;
            }
            for (place, params) in question.params.iter().enumerate() {
                let params: Vec<String> = params.iter().map(|param| format!("'{param}'")).collect();
                if let Ok(answer) = self.client.simple_query(&format!("EXECUTE asked({})", params.join(", "))).await {
                    answers.insert((number, place), in_order(question, answer.iter().filter_map(row).collect()));
                }
            }
            self.change("DEALLOCATE asked").await;
        }
        answers
    }
}

impl Histories {
    /// Starts a round of new queries with the current schema.
    pub(super) async fn begin(&mut self, oracle: &Oracle, questions: &[Question]) {
        self.versions.clear();
        for (family, Family { keeps, .. }) in FAMILIES.iter().enumerate() {
            self.versions.push(Vec::new());
            self.changed(oracle, questions, family, Instant::now()).await;
            if *keeps {
                // Sessions of the last round may still have the other setting.
                oracle.change(&format!("SET search_path = {}", super::PATHS[1])).await;
                self.changed(oracle, questions, family, Instant::now()).await;
                oracle.change(&format!("SET search_path = {}", super::PATHS[0])).await;
            }
        }
    }

    /// Adds a version of a family, whose change was sent at `sent`.
    pub(super) async fn changed(&mut self, oracle: &Oracle, questions: &[Question], family: usize, sent: Instant) {
        let now = Instant::now();
        let answers = oracle.answers(questions, family).await;
        let versions = &mut self.versions[family];
        if !FAMILIES[family].keeps {
            if let Some(last) = versions.last_mut() {
                last.until = Some(now);
            }
            versions.retain(|version| version.until.is_none_or(|until| now.duration_since(until) < RETENTION));
        } else if versions.len() > 1 {
            return;
        }
        versions.push(Version { from: sent, until: None, answers });
        self.changes += 1;
    }

    /// Checks the answers since the last check.
    pub(super) fn judge(&mut self, load: &Load) {
        let mut wrong = Vec::new();
        for seen in load.observations.take() {
            let question = &load.questions[seen.question];
            let rows = in_order(question, seen.rows.clone());
            let valid: Vec<&Version> =
                self.versions[question.family].iter().filter(|version| version.was_valid(&seen)).collect();
            let key = (seen.question, seen.params);
            if valid.iter().any(|version| version.answers.get(&key) == Some(&rows)) {
                self.right += 1;
            } else if wrong.len() < SHOWN {
                let params = &question.params[seen.params];
                let expected: Vec<_> = valid.iter().map(|version| version.answers.get(&key)).collect();
                wrong.push(format!("{} {params:?}\nanswered: {rows:?}\nexpected one of: {expected:?}", question.text));
            }
            self.requests += 1;
        }
        for (code, count) in load.errors.take() {
            self.requests += count;
            *self.errors.entry(code).or_default() += count;
        }
        assert!(wrong.is_empty(), "wrong answers:\n{}", wrong.join("\n"));
    }

    /// Whether a query has answers for all its parameters in the current schema.
    pub(super) fn has_answers(&self, load: &Load, question: usize) -> bool {
        let asked = &load.questions[question];
        let last = self.versions[asked.family].last().expect("a version");
        (0..asked.params.len()).all(|params| last.answers.contains_key(&(question, params)))
    }

    /// The statistics of all requests, in a line.
    pub(super) fn summary(&self, coalesced: u64) -> String {
        let Self { requests, right, changes, errors, .. } = self;
        let share = coalesced * 100 / requests.max(&1);
        format!(
            "{changes} versions, {requests} requests, {right} right, errors {errors:?}, wrong 0, {coalesced} coalesced \
             ({share} %)"
        )
    }
}

impl Version {
    /// Whether it was valid while the query was in flight.
    fn was_valid(&self, seen: &Observation) -> bool {
        self.from <= seen.answered && self.until.is_none_or(|until| until >= seen.asked)
    }
}

/// Sorts the rows of a query that does not order them.
fn in_order(question: &Question, mut rows: Vec<Row>) -> Vec<Row> {
    if !question.text.contains("ORDER BY") {
        rows.sort();
    }
    rows
}

fn row(message: &SimpleQueryMessage) -> Option<Row> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    let names = row.columns().iter().enumerate();
    Some(names.map(|(index, column)| (column.name().to_owned(), row.get(index).map(str::to_owned))).collect())
}

//! A record as it is read back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value as Json;

use super::entry::FORMAT;
use super::typed::restore;
use crate::flow::QueryErrorKind;
use crate::flow::offline::{Answers, Canned};
use crate::types::{Clock, NodeId, Value};

/// A line that is not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON of the right shape.
    #[error("this is not a decision record: {source}")]
    Shape {
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It is of a format that this version does not know.
    #[error("the record is of format {found}; this version reads format {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// A value in it is not what the record itself says.
    #[error("{what}")]
    Value {
        /// Which, and what it should be.
        what: String,
    },
}

/// A record.
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    /// The format.
    pub record: u32,
    /// The id of the decision.
    pub id: String,
    /// Who asked, where callers have a name. A replay ignores it.
    #[serde(default)]
    pub caller: Option<String>,
    /// The moment the decision was made at.
    pub at: Timestamp,
    /// The zone that said which day it was.
    pub time_zone: String,
    /// The flow that decided.
    pub flow: String,
    /// The hashes of graph and rules.
    pub versions: BTreeMap<String, String>,
    /// How long the run took, in microseconds.
    pub took_us: u64,
    /// The inputs.
    pub input: Json,
    /// Columns whose values are not in the record.
    #[serde(default)]
    pub redacted: Vec<String>,
    /// By node: what it was asked and what it answered.
    pub nodes: BTreeMap<String, RecordedNode>,
    /// The decision, where there is one.
    #[serde(default)]
    pub decision: Option<Json>,
    /// Why there is none.
    #[serde(default)]
    pub error: Option<Ended>,
}

/// Why a run gave no decision.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ended {
    /// The code of the problem.
    pub code: String,
    /// The node it happened at.
    #[serde(default)]
    pub node: Option<String>,
}

/// What one node was asked and answered.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct RecordedNode {
    /// How it ended.
    pub state: String,
    /// The hash of its query.
    #[serde(default)]
    pub query: Option<String>,
    /// The parameters.
    #[serde(default)]
    pub params: Vec<Json>,
    /// The rows.
    #[serde(default)]
    pub rows: Option<Vec<Json>>,
    /// What JSON does not tell of their columns.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// How many rows it found, where that is why it failed.
    #[serde(default)]
    pub found: Option<usize>,
    /// The code of its failure.
    #[serde(default)]
    pub failed: Option<String>,
    /// The rules that fired.
    #[serde(default)]
    pub fired: Vec<String>,
    /// When it started, in microseconds since the run began.
    #[serde(default)]
    pub start_us: Option<u64>,
    /// How long it took, in microseconds.
    #[serde(default)]
    pub took_us: Option<u64>,
}

impl Record {
    /// Whether a line holds no record by design: it is empty, or the seal at the end of a file.
    pub fn is_absent(line: &str) -> bool {
        line.trim().is_empty() || line.starts_with("{\"seal\":")
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn parse(line: &str) -> Result<Self, RecordError> {
        let record: Self = serde_json::from_str(line.trim_start_matches('\u{feff}'))
            .map_err(|source| RecordError::Shape { source })?;
        if record.record == FORMAT { Ok(record) } else { Err(RecordError::Format { found: record.record }) }
    }

    /// The clock of the decision.
    ///
    /// # Errors
    /// [`RecordError::Value`] where the zone is not known here.
    pub fn clock(&self) -> Result<Clock, RecordError> {
        let zone = TimeZone::get(&self.time_zone)
            .map_err(|_| RecordError::Value { what: format!("there is no time zone `{}`", self.time_zone) })?;
        Ok(Clock::fixed(self.at, zone))
    }

    /// What the databases answered, by node.
    ///
    /// # Errors
    /// [`RecordError::Value`] where a row is not what its types say.
    pub fn answers(&self) -> Result<Answers, RecordError> {
        let mut answers = Answers::new();
        for (name, node) in &self.nodes {
            let bad = |what: String| RecordError::Value { what: format!("node `{name}`: {what}") };
            let Some(answer) = node.answer().map_err(bad)? else { continue };
            let id = NodeId::parse(name).map_err(|error| bad(error.to_string()))?;
            answers.insert(id, answer);
        }
        Ok(answers)
    }
}

impl RecordedNode {
    /// What its database answered; `None` where it is a rule node or was not asked.
    fn answer(&self) -> Result<Option<Canned>, String> {
        if let Some(rows) = &self.rows {
            let row = |row: &Json| {
                let row = Value::from_json(row).map_err(|error| error.to_string())?;
                restore(&row, &self.types)
            };
            let rows = rows.iter().map(row).collect::<Result<_, _>>()?;
            let params = self.params.iter().map(Value::from_json).collect::<Result<_, _>>();
            let params = Some(params.map_err(|error| error.to_string())?);
            return Ok(Some(Canned::Rows { rows, params }));
        }
        Ok(match (self.found, self.failed.as_deref().and_then(QueryErrorKind::of_code)) {
            (Some(found), _) => Some(Canned::Rows { rows: vec![Value::map([]); found], params: None }),
            (None, Some(kind)) => Some(Canned::Failed(kind)),
            // The run ended before this node did, or before it began. Decided again, the nodes may end in another order.
            (None, None) if self.query.is_some() && matches!(self.state.as_str(), "unfinished" | "not_started") => {
                Some(Canned::Never)
            }
            (None, None) => None,
        })
    }
}

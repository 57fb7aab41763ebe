//! A line of the answer to a batch.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use crate::actors::effects::Ending;
use crate::flow::Answer;
use crate::http::Problem;

/// What came of one input.
pub struct Line {
    /// Its position, from 0.
    pub index: usize,
    /// What came of it.
    pub result: LineResult,
}

/// A decision, or why there is none.
pub enum LineResult {
    /// A decision that writes nothing.
    Answer(Answer),
    /// There is no decision, or it was not written.
    Problem(Problem),
    /// The answer that is stored with the key of the input.
    Stored(StoredLine),
}

/// An answer that is stored with a key.
pub struct StoredLine {
    /// Whether it is a decision; a problem otherwise.
    pub is_decision: bool,
    /// Whether another request made it.
    pub replayed: bool,
    /// The decision, or the problem.
    pub body: Map<String, Json>,
}

impl StoredLine {
    /// The line of this answer.
    pub(super) fn new(ending: &Ending, replayed: bool) -> Self {
        // What is stored is an object.
        let body = serde_json::from_str(&ending.body).unwrap_or_default();
        Self { is_decision: ending.status < 400, replayed, body }
    }

    /// The text of a member.
    pub(super) fn word(&self, member: &str) -> &str {
        self.body.get(member).and_then(Json::as_str).unwrap_or_default()
    }
}

/// `{"index", ...decision}`, or `{"index", "error": problem}`. An answer that was stored before has `"replayed": true`, too.
impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Error<'a> {
            Now(&'a Problem),
            Stored(&'a Map<String, Json>),
        }
        #[derive(Serialize, Default)]
        struct Fields<'a> {
            index: usize,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            replayed: bool,
            #[serde(flatten)]
            answer: Option<&'a Answer>,
            #[serde(flatten)]
            stored: Option<&'a Map<String, Json>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            error: Option<Error<'a>>,
        }
        let fields = Fields { index: self.index, ..Fields::default() };
        let fields = match &self.result {
            LineResult::Answer(answer) => Fields { answer: Some(answer), ..fields },
            LineResult::Problem(problem) => Fields { error: Some(Error::Now(problem)), ..fields },
            LineResult::Stored(StoredLine { is_decision: true, replayed, body }) => {
                Fields { replayed: *replayed, stored: Some(body), ..fields }
            }
            LineResult::Stored(StoredLine { replayed, body, .. }) => {
                Fields { replayed: *replayed, error: Some(Error::Stored(body)), ..fields }
            }
        };
        fields.serialize(serializer)
    }
}

//! The id and the trace of a request, and the headers of its decision.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use uuid::Uuid;

use crate::graph::Flow;

/// The header with the id of a request.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id taken from a client, in bytes.
const MAX_LENGTH: usize = 128;

/// The id of the decision that a response is about, or of the batch whose decisions are named after it and their index.
pub const DECISION_ID: HeaderName = HeaderName::from_static("decision-id");
/// The hash of the graph that decided.
pub const GRAPH_VERSION: HeaderName = HeaderName::from_static("graph-version");
/// The hash of the rules that decided.
pub const RULES_VERSION: HeaderName = HeaderName::from_static("rules-version");

/// The header of an answer that was stored with its key.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The id of a request: from `X-Request-Id` if the client sent a valid one, else a new one.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) HeaderValue);

impl RequestId {
    /// The id that `request` sends, or a new one.
    pub(super) fn of(request: &impl HttpMessage) -> Self {
        let sent = request.headers().get(REQUEST_ID).filter(|value| is_valid(value));
        Self(sent.cloned().unwrap_or_else(|| header_value(&Uuid::new_v4().to_string())))
    }

    /// As text.
    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("")
    }
}

/// Printable ASCII of a reasonable length, which fits a log line and a header.
fn is_valid(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// The trace that a request belongs to. Requests have one if traces are on.
#[derive(Debug, Clone)]
pub(super) struct TraceId(pub(super) String);

impl TraceId {
    /// The trace that `request` belongs to, as 32 hexadecimal digits.
    pub(super) fn of(request: &HttpRequest) -> Option<String> {
        request.extensions().get::<Self>().map(|id| id.0.clone())
    }
}

/// The id of a decision in its record, its log line and its response, and its caller.
#[derive(Debug, Clone, Default)]
pub struct Label {
    /// The id of the decision.
    pub id: String,
    /// The name of the caller, if callers have one.
    pub caller: Option<String>,
}

impl Label {
    /// A new decision of `flow`, or a batch of them, for this request. Its response gets the headers.
    pub(super) fn new(request: &HttpRequest, flow: &Flow, caller: Option<&str>) -> Self {
        let id = Uuid::new_v4().to_string();
        request.extensions_mut().insert(DecisionHeaders(vec![
            (DECISION_ID, header_value(&id)),
            (GRAPH_VERSION, header_value(&flow.graph_hash)),
            (RULES_VERSION, header_value(&flow.rules_hash)),
        ]));
        Self { id, caller: caller.map(str::to_owned) }
    }

    /// The response of this request repeats the answer of the decision of this id.
    pub(super) fn repeats(request: &HttpRequest, id: &str) {
        let replayed = (REPLAYED, HeaderValue::from_static("true"));
        request.extensions_mut().insert(DecisionHeaders(vec![(DECISION_ID, header_value(id)), replayed]));
    }
}

/// The headers of the decision that a request leads to.
#[derive(Clone)]
pub(super) struct DecisionHeaders(pub(super) Vec<(HeaderName, HeaderValue)>);

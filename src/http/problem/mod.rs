//! Every failure, as `application/problem+json` (RFC 9457) with a stable code.
//!
//! Only this module maps errors to statuses. A problem names flow, node and domain where they apply. It never contains SQL text, a
//! parameter, a secret or the name of a Rust type.

pub(super) mod kinds;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};
use schemars::JsonSchema;
use serde::Serialize;

use super::operations::OperationError;
use super::request::{RequestId, TraceId};
use crate::config::Right;
use crate::diagnostics::render_json;
use crate::flow::explain::Explanation;
use crate::flow::{FlowError, QueryError, Undecided};
use crate::graph::{FieldProblem, InputError};
use crate::types::{DomainName, FlowName, NodeId};

/// A failure (RFC 9457). `code` is stable; `title` and `detail` are for people.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Problem {
    /// The kind of problem, as a URI.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri"))]
    kind: String,
    /// The kind of problem, in words.
    title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "number")]
    #[schemars(with = "u16", range(min = 400, max = 599))]
    status: StatusCode,
    /// What happened this time.
    detail: String,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<Box<str>>,
    /// The kind of problem: stable, for programs.
    code: &'static str,
    /// The identity of the request, as in `X-Request-Id` and in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// The trace that the request belongs to, if traces are on.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<Box<str>>,
    /// The flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<FlowName>,
    /// The node it happened at.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    /// The domain it happened at.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<DomainName>,
    /// The error code of PostgreSQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<String>,
    /// Whether the same request may succeed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    #[serde(flatten)]
    undecided: Option<Box<Undecided>>,
    /// What is wrong with which input, or with which fact of a search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    /// What is wrong with the files, as `tributary check --format json` prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    diagnostics: Option<serde_json::Value>,
    /// What the run did, if the request asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Arc<Explanation>>,
    #[serde(skip)]
    retry_after: Option<Duration>,
    #[serde(skip)]
    allow: Option<&'static str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    fn new((code, status, title): kinds::Kind, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:tributary:problem:{}", code.replace('_', "-")),
            title,
            status,
            detail: detail.into(),
            instance: None,
            code,
            request_id: None,
            trace_id: None,
            flow: None,
            node: None,
            domain: None,
            sqlstate: None,
            retryable: None,
            undecided: None,
            errors: Vec::new(),
            diagnostics: None,
            explain: None,
            retry_after: None,
            allow: None,
        }
    }

    /// Nothing is served at `path`.
    pub fn no_such_path(path: &str) -> Self {
        let path: String = path.chars().take(200).collect();
        Self::new(
            kinds::NO_SUCH_PATH,
            format!("`{path}` is neither a flow nor an endpoint; GET /flows lists the flows"),
        )
    }

    /// There is no domain of this name; `known` are those there are.
    pub fn no_such_domain(name: &str, known: &[&str]) -> Self {
        Self::unknown(kinds::NO_SUCH_DOMAIN, "domain", name, known)
    }

    /// There is no flow of this name; `known` are those there are.
    pub fn no_such_flow(name: &str, known: &[&str]) -> Self {
        Self::unknown(kinds::NO_SUCH_FLOW, "flow", name, known)
    }

    /// All connections but the reserved ones are in use.
    pub fn too_many_connections() -> Self {
        let problem =
            Self::new(kinds::OVERLOADED, "all connections are in use but those reserved for probes and administration");
        Self { retryable: Some(true), retry_after: Some(Duration::from_secs(1)), ..problem }
    }

    /// So many listen to the events already.
    pub fn too_many_listeners(limit: usize) -> Self {
        let problem = Self::new(kinds::OVERLOADED, format!("{limit} clients listen to the events, and no more may"));
        Self { retryable: Some(true), retry_after: Some(Duration::from_secs(5)), ..problem }
    }

    /// The client accepts none of the `offered` media types.
    pub fn not_acceptable(offered: &[&str]) -> Self {
        Self::new(kinds::NOT_ACCEPTABLE, format!("the available types are {}", offered.join(", ")))
    }

    /// The path takes only `allowed`.
    pub fn method_not_allowed(method: &str, allowed: &'static str) -> Self {
        let problem = Self::new(kinds::METHOD, format!("this path takes {allowed}, not {method}"));
        Self { allow: Some(allowed), ..problem }
    }

    /// The body is longer than `limit` bytes.
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(kinds::TOO_LARGE, format!("a request body may have at most {limit} bytes"))
    }

    /// What was counted cannot be shown.
    pub fn no_metrics() -> Self {
        Self::new(kinds::INTERNAL, "the metrics cannot be shown; the log says why")
    }

    /// An answer that is no JSON.
    pub fn unwritable(error: &serde_json::Error) -> Self {
        Self::new(kinds::INTERNAL, format!("the answer cannot be written: {error}"))
    }

    /// The body was not there in time.
    pub fn slow_body(limit: Duration) -> Self {
        Self::new(kinds::SLOW_BODY, format!("a request body must be there within {} ms", limit.as_millis()))
    }

    /// Path and query have more than `limit` bytes.
    pub fn url_too_long(limit: usize) -> Self {
        Self::new(kinds::URL_TOO_LONG, format!("path and query may have at most {limit} bytes"))
    }

    /// The headers have more than `limit` bytes.
    pub fn headers_too_large(limit: usize) -> Self {
        Self::new(kinds::HEADERS_TOO_LARGE, format!("all headers together may have at most {limit} bytes"))
    }

    /// The body broke off, or its transfer encoding is broken.
    pub fn unreadable_body() -> Self {
        Self::new(kinds::MALFORMED_BODY, "the request body could not be read to its end")
    }

    /// No approval has this id, of those that the request may see.
    pub fn no_such_approval(id: &str) -> Self {
        let id: String = id.chars().take(200).collect();
        Self::new(kinds::NO_SUCH_APPROVAL, format!("there is no approval `{id}`; GET /approvals lists those that wait"))
    }

    /// The effect of an approval is another one now.
    pub fn approval_changed(version: &str) -> Self {
        let detail = format!(
            "the effect differs from the approved one: GET the approval for what has changed, and approve its `version`, now `{version}`"
        );
        Self::new(kinds::APPROVAL_CHANGED, detail)
    }

    /// The approval was resolved before.
    pub fn already_resolved(id: &str) -> Self {
        Self::new(kinds::ALREADY_RESOLVED, format!("GET /approvals/{id} has how it was resolved"))
    }

    /// The `Idempotency-Key` makes no sense.
    pub fn bad_key(detail: impl Into<String>) -> Self {
        Self::new(kinds::BAD_KEY, detail)
    }

    /// A key of a decision that is never written.
    pub fn key_of_nothing() -> Self {
        let why = "a search, or a decision with facts replaced or with another clock, writes nothing: send no Idempotency-Key";
        Self::bad_key(why)
    }

    /// A key of a whole batch.
    pub fn key_of_batch() -> Self {
        Self::bad_key("a batch has no Idempotency-Key of its own: give each line to write the member `Idempotency-Key`")
    }

    /// The body is JSON, or should be, and not what this path takes.
    pub fn malformed(detail: String) -> Self {
        Self::new(kinds::MALFORMED_BODY, detail)
    }

    /// The query string asks for what there is not.
    pub fn bad_query(detail: &str) -> Self {
        Self::new(kinds::BAD_QUERY, detail)
    }

    /// The body's type is not the one that is expected.
    pub fn wrong_media_type(expected: &str, found: Option<&str>) -> Self {
        let found = found.map_or_else(|| "none was sent".to_owned(), |found| format!("`{found}` was sent"));
        Self::new(kinds::MEDIA_TYPE, format!("send the header `Content-Type: {expected}`; {found}"))
    }

    /// The body is not what the flow's inputs ask for.
    pub fn input(error: InputError) -> Self {
        match error {
            InputError::Malformed { .. } => Self::new(kinds::MALFORMED_BODY, error.to_string()),
            InputError::Invalid(errors) => {
                let detail = match errors.as_slice() {
                    [only] => format!("{}: {}", only.pointer, only.message),
                    several => format!("{} inputs do not fit; see `errors`", several.len()),
                };
                Self { errors, ..Self::new(kinds::INVALID_INPUT, detail) }
            }
        }
    }

    /// A flow gave no decision.
    pub fn flow(flow: &FlowName, error: &FlowError) -> Self {
        let kind = kinds::of(error);
        let undecided = match error {
            FlowError::Undecided(undecided) => Some(undecided.clone()),
            _ => None,
        };
        Self {
            flow: Some(flow.clone()),
            node: error.node().cloned(),
            domain: error.domain().cloned(),
            sqlstate: error.sqlstate().map(str::to_owned),
            retryable: Some(error.is_retryable()),
            retry_after: error.retry_after(),
            undecided,
            ..Self::new(kind, error.to_string())
        }
    }

    /// Names the fact that was refused: a JSON pointer into the body.
    #[must_use]
    pub fn at(self, pointer: String, why: &str) -> Self {
        Self { errors: vec![FieldProblem { pointer, code: "fact", message: why.to_owned() }], ..self }
    }

    /// There is no node of this name; `known` are those there are.
    pub fn no_such_node(name: &str, known: &[&str]) -> Self {
        Self::unknown(kinds::NO_SUCH_NODE, "node", name, known)
    }

    fn unknown(kind: kinds::Kind, what: &str, name: &str, known: &[&str]) -> Self {
        let name: String = name.chars().take(200).collect();
        Self::new(kind, format!("there is no {what} `{name}`; the {what}s are: {}", known.join(", ")))
    }

    /// The database of a domain could not be asked.
    pub fn domain(error: &QueryError) -> Self {
        Self {
            node: error.node.clone(),
            domain: Some(error.domain.clone()),
            sqlstate: error.kind.sqlstate().map(str::to_owned),
            retryable: Some(error.kind.is_outage()),
            retry_after: error.kind.retry_after(),
            ..Self::new(kinds::of_code(error.kind.code()), error.to_string())
        }
    }

    /// The admin endpoints are off.
    pub fn admin_off() -> Self {
        Self::new(
            kinds::ADMIN_OFF,
            "set ADMIN_TOKEN or ADMIN_TOKEN_FILE and have the service read its files again (SIGHUP) to have them",
        )
    }

    /// The request has no token, or the wrong one.
    pub fn unauthorized() -> Self {
        Self::new(kinds::UNAUTHORIZED, "send the header `Authorization: Bearer <the admin token>`")
    }

    /// The request has no token that is good now.
    pub fn no_token() -> Self {
        Self::new(
            kinds::UNAUTHORIZED,
            "send the header `Authorization: Bearer <token>` with a token that is known and has not expired",
        )
    }

    /// The request comes from a page that may not ask.
    pub fn foreign_origin() -> Self {
        Self::new(
            kinds::FORBIDDEN,
            "pages of this origin may not ask; `http.cors` in the configuration lists those that may",
        )
    }

    /// The token is good, for other flows.
    pub fn forbidden(flow: &FlowName) -> Self {
        let problem = Self::new(kinds::FORBIDDEN, format!("this token may not ask the flow `{flow}`"));
        Self { flow: Some(flow.clone()), ..problem }
    }

    /// The token is valid and lacks the right that the request needs.
    pub fn no_right(right: Right) -> Self {
        let word = right.word();
        Self::new(
            kinds::FORBIDDEN,
            format!("this token lacks the right `{word}`: its entry in the file of tokens lists its `rights`"),
        )
    }

    /// An operation was not done.
    pub fn operation(error: &OperationError) -> Self {
        match error {
            OperationError::NoSuchDomain { name, known } => {
                let known: Vec<&str> = known.iter().map(DomainName::as_str).collect();
                Self::no_such_domain(name, &known)
            }
            OperationError::Refused(found) => {
                let (errors, _) = found.counts();
                let detail = format!("{errors} errors; what was served before is still served");
                let diagnostics = serde_json::from_str(&render_json(found)).ok();
                Self { diagnostics, ..Self::new(kinds::REFUSED, detail) }
            }
            OperationError::NotReplaced { domain, why } => Self {
                domain: Some(domain.clone()),
                retryable: Some(true),
                ..Self::new(kinds::NOT_REPLACED, why.clone())
            },
        }
    }

    /// Adds what the run did.
    #[must_use]
    pub fn explained(self, explain: Option<Box<Explanation>>) -> Self {
        Self { explain: explain.map(Arc::from), ..self }
    }

    /// Names the request that it answers, and the trace of that request.
    #[must_use]
    pub fn answering(self, request: &HttpRequest) -> Self {
        // A URL that is too long is not repeated in full.
        let longest = if self.status == StatusCode::URI_TOO_LONG { 200 } else { usize::MAX };
        let instance = request.path().chars().take(longest).collect::<String>();
        let request_id = request.extensions().get::<RequestId>().map(|id| id.as_str().to_owned());
        Self { instance: Some(instance.into()), request_id, ..self }.traced(TraceId::of(request).as_deref())
    }

    /// Names the trace that its request belongs to.
    #[must_use]
    pub fn traced(self, trace_id: Option<&str>) -> Self {
        Self { trace_id: trace_id.map(Box::from), ..self }
    }

    /// The body of its response.
    pub(super) fn to_json(&self) -> String {
        // Every problem serializes.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Its stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.content_type("application/problem+json");
        if let Some(after) = self.retry_after {
            response.insert_header((RETRY_AFTER, after.as_secs_f64().ceil().max(1.0).to_string()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(allow) = self.allow {
            response.insert_header((ALLOW, allow));
        }
        response.body(self.to_json())
    }
}

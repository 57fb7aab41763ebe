//! Every failure, as `application/problem+json` (RFC 9457) with a stable code.
//!
//! The one place where errors become statuses. A problem names flow, node and domain where they apply; it never holds SQL
//! text, a parameter, a secret or the name of a Rust type.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::admin::OperationError;
use crate::config::Right;
use crate::diagnostics::render_json;
use crate::flow::explain::Explanation;
use crate::flow::{FlowError, Undecided};
use crate::graph::{FieldProblem, InputError};
use crate::types::{DomainName, FlowName, NodeId};

/// A failure as its client sees it.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem in words.
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    /// What happened this time.
    detail: String,
    /// The path that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<Box<str>>,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// The trace that the request belongs to, where traces are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<FlowName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<DomainName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    /// Why no outcome was decided, where that is the problem.
    #[serde(flatten)]
    undecided: Option<Box<Undecided>>,
    /// What is wrong with which input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
    /// What is wrong with the files, as `tributary check --format json` prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnostics: Option<serde_json::Value>,
    /// What the run did, where the request asked for that.
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

/// A kind of problem: its code, status and title.
type Kind = (&'static str, StatusCode, &'static str);

const MALFORMED_BODY: Kind = ("malformed_body", StatusCode::BAD_REQUEST, "The request body is not JSON");
const BAD_QUERY: Kind = ("bad_query", StatusCode::BAD_REQUEST, "The query string makes no sense");
const NO_SUCH_PATH: Kind = ("no_such_path", StatusCode::NOT_FOUND, "Nothing is served at this path");
const NO_SUCH_DOMAIN: Kind = ("no_such_domain", StatusCode::NOT_FOUND, "There is no such domain");
const NO_SUCH_FLOW: Kind = ("no_such_flow", StatusCode::NOT_FOUND, "There is no such flow");
const NOT_ACCEPTABLE: Kind =
    ("not_acceptable", StatusCode::NOT_ACCEPTABLE, "It is not to be had in a form that the client accepts");
const NOT_FOUND: Kind = ("not_found", StatusCode::NOT_FOUND, "A row that the decision needs does not exist");
const METHOD: Kind = ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The path is served for another method");
const TOO_LARGE: Kind = ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large");
const MEDIA_TYPE: Kind = ("wrong_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The request body must be JSON");
const INVALID_INPUT: Kind = ("invalid_input", StatusCode::UNPROCESSABLE_ENTITY, "An input does not fit its schema");
const TOO_MANY_ROWS: Kind =
    ("too_many_rows", StatusCode::INTERNAL_SERVER_ERROR, "A query found more rows than its node takes");
const RULE_ERROR: Kind = ("rule_error", StatusCode::INTERNAL_SERVER_ERROR, "A rule could not be evaluated");
const UNDECIDED: Kind = ("undecided", StatusCode::INTERNAL_SERVER_ERROR, "No outcome has its evidence");
const QUERY_FAILED: Kind = ("query_failed", StatusCode::INTERNAL_SERVER_ERROR, "A database refused a query");
const BAD_COLUMN: Kind = ("unmappable_column", StatusCode::INTERNAL_SERVER_ERROR, "A column cannot be represented");
const BAD_PARAMETER: Kind = ("bad_parameter", StatusCode::INTERNAL_SERVER_ERROR, "A parameter does not fit its query");
const INTERNAL: Kind = ("internal_error", StatusCode::INTERNAL_SERVER_ERROR, "The decision broke off");
const BAD_OVERRIDE: Kind =
    ("invalid_override", StatusCode::UNPROCESSABLE_ENTITY, "A fact cannot be replaced as was asked");
const ADMIN_OFF: Kind = ("admin_off", StatusCode::NOT_FOUND, "The admin endpoints are off");
const UNAUTHORIZED: Kind = ("unauthorized", StatusCode::UNAUTHORIZED, "The token is missing or wrong");
const FORBIDDEN: Kind = ("forbidden", StatusCode::FORBIDDEN, "The token does not allow this");
const SLOW_BODY: Kind = ("slow_body", StatusCode::REQUEST_TIMEOUT, "The request body came too slowly");
const URL_TOO_LONG: Kind = ("url_too_long", StatusCode::URI_TOO_LONG, "The URL is too long");
const HEADERS_TOO_LARGE: Kind =
    ("headers_too_large", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request headers are too large");
const REFUSED: Kind = ("refused", StatusCode::UNPROCESSABLE_ENTITY, "The new files are refused; nothing was changed");
const NOT_REPLACED: Kind = ("not_replaced", StatusCode::SERVICE_UNAVAILABLE, "The domain was not replaced");
const OVERLOADED: Kind = ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "The service is at its limit");
const DOMAIN_OVERLOADED: Kind = ("domain_overloaded", StatusCode::SERVICE_UNAVAILABLE, "A database is at its limit");
const DOMAIN_DOWN: Kind = ("domain_unavailable", StatusCode::SERVICE_UNAVAILABLE, "A database is unavailable");
const CONNECTION_LOST: Kind = ("connection_lost", StatusCode::SERVICE_UNAVAILABLE, "A connection to a database broke");
const QUERY_ABORTED: Kind =
    ("query_aborted", StatusCode::SERVICE_UNAVAILABLE, "A database aborted a query for a reason that passes");
const TIMEOUT: Kind = ("timeout", StatusCode::GATEWAY_TIMEOUT, "The deadline passed");

impl Problem {
    fn new((code, status, title): Kind, detail: impl Into<String>) -> Self {
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
        Self::new(NO_SUCH_PATH, format!("`{path}` is neither a flow nor an endpoint; GET /flows lists the flows"))
    }

    /// There is no domain of this name; `known` are those there are.
    pub fn no_such_domain(name: &str, known: &[&str]) -> Self {
        let name: String = name.chars().take(200).collect();
        Self::new(NO_SUCH_DOMAIN, format!("there is no domain `{name}`; the domains are: {}", known.join(", ")))
    }

    /// There is no flow of this name; `known` are those there are.
    pub fn no_such_flow(name: &str, known: &[&str]) -> Self {
        let name: String = name.chars().take(200).collect();
        Self::new(NO_SUCH_FLOW, format!("there is no flow `{name}`; the flows are: {}", known.join(", ")))
    }

    /// All connections but the reserved ones are in use.
    pub fn too_many_connections() -> Self {
        let problem =
            Self::new(OVERLOADED, "all connections are in use but those reserved for probes and administration");
        Self { retryable: Some(true), retry_after: Some(Duration::from_secs(1)), ..problem }
    }

    /// So many listen to the events already.
    pub fn too_many_listeners(limit: usize) -> Self {
        let problem = Self::new(OVERLOADED, format!("{limit} clients listen to the events, and no more may"));
        Self { retryable: Some(true), retry_after: Some(Duration::from_secs(5)), ..problem }
    }

    /// None of the types that the client accepts is to be had; `offered` are those that are.
    pub fn not_acceptable(offered: &[&str]) -> Self {
        Self::new(NOT_ACCEPTABLE, format!("this is to be had as {}", offered.join(", ")))
    }

    /// The path takes only `allowed`.
    pub fn method_not_allowed(method: &str, allowed: &'static str) -> Self {
        let problem = Self::new(METHOD, format!("this path takes {allowed}, not {method}"));
        Self { allow: Some(allowed), ..problem }
    }

    /// The body is longer than `limit` bytes.
    pub fn body_too_large(limit: usize) -> Self {
        Self::new(TOO_LARGE, format!("a request body may have at most {limit} bytes"))
    }

    /// What was counted cannot be shown.
    pub fn no_metrics() -> Self {
        Self::new(INTERNAL, "the metrics cannot be shown; the log says why")
    }

    /// The body was not there in time.
    pub fn slow_body(limit: Duration) -> Self {
        Self::new(SLOW_BODY, format!("a request body must be there within {} ms", limit.as_millis()))
    }

    /// Path and query have more than `limit` bytes.
    pub fn url_too_long(limit: usize) -> Self {
        Self::new(URL_TOO_LONG, format!("path and query may have at most {limit} bytes"))
    }

    /// The headers have more than `limit` bytes.
    pub fn headers_too_large(limit: usize) -> Self {
        Self::new(HEADERS_TOO_LARGE, format!("all headers together may have at most {limit} bytes"))
    }

    /// The body broke off, or its transfer encoding is broken.
    pub fn unreadable_body() -> Self {
        Self::new(MALFORMED_BODY, "the request body could not be read to its end")
    }

    /// The body is JSON, or should be, and not what this path takes.
    pub fn malformed(detail: String) -> Self {
        Self::new(MALFORMED_BODY, detail)
    }

    /// The query string asks for what there is not.
    pub fn bad_query(detail: &str) -> Self {
        Self::new(BAD_QUERY, detail)
    }

    /// The body's type is not the one that is expected.
    pub fn wrong_media_type(expected: &str, found: Option<&str>) -> Self {
        let found = found.map_or_else(|| "none was sent".to_owned(), |found| format!("`{found}` was sent"));
        Self::new(MEDIA_TYPE, format!("send the header `Content-Type: {expected}`; {found}"))
    }

    /// The body is not what the flow's inputs ask for.
    pub fn input(error: InputError) -> Self {
        match error {
            InputError::Malformed { .. } => Self::new(MALFORMED_BODY, error.to_string()),
            InputError::Invalid(errors) => {
                let detail = match errors.as_slice() {
                    [only] => format!("{}: {}", only.pointer, only.message),
                    several => format!("{} inputs do not fit; see `errors`", several.len()),
                };
                Self { errors, ..Self::new(INVALID_INPUT, detail) }
            }
        }
    }

    /// A flow gave no decision.
    pub fn flow(flow: &FlowName, error: &FlowError) -> Self {
        let kind = kind_of(error);
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

    /// The admin endpoints are off.
    pub fn admin_off() -> Self {
        Self::new(
            ADMIN_OFF,
            "set ADMIN_TOKEN or ADMIN_TOKEN_FILE and have the service read its files again (SIGHUP) to have them",
        )
    }

    /// The request has no token, or the wrong one.
    pub fn unauthorized() -> Self {
        Self::new(UNAUTHORIZED, "send the header `Authorization: Bearer <the admin token>`")
    }

    /// The request has no token that is good now.
    pub fn no_token() -> Self {
        Self::new(
            UNAUTHORIZED,
            "send the header `Authorization: Bearer <token>` with a token that is known and has not expired",
        )
    }

    /// The token is good, for other flows.
    pub fn forbidden(flow: &FlowName) -> Self {
        let problem = Self::new(FORBIDDEN, format!("this token may not ask the flow `{flow}`"));
        Self { flow: Some(flow.clone()), ..problem }
    }

    /// The token is valid and lacks the right that the request needs.
    pub fn no_right(right: Right) -> Self {
        let word = right.word();
        Self::new(
            FORBIDDEN,
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
                Self { diagnostics, ..Self::new(REFUSED, detail) }
            }
            OperationError::NotReplaced { domain, why } => {
                Self { domain: Some(domain.clone()), retryable: Some(true), ..Self::new(NOT_REPLACED, why.clone()) }
            }
        }
    }

    /// Adds what the run did.
    #[must_use]
    pub fn explained(self, explain: Option<Box<Explanation>>) -> Self {
        Self { explain: explain.map(Arc::from), ..self }
    }

    /// Names the request it answers.
    #[must_use]
    pub fn at(self, path: &str, request_id: Option<&str>) -> Self {
        Self { instance: Some(path.into()), request_id: request_id.map(str::to_owned), ..self }
    }

    /// Names the trace that its request belongs to.
    #[must_use]
    pub fn traced(self, trace_id: Option<&str>) -> Self {
        Self { trace_id: trace_id.map(Box::from), ..self }
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

/// The kinds of problem that a flow can end in.
const OF_FLOWS: [Kind; 14] = [
    NOT_FOUND,
    TOO_MANY_ROWS,
    BAD_PARAMETER,
    RULE_ERROR,
    OVERLOADED,
    INTERNAL,
    UNDECIDED,
    TIMEOUT,
    DOMAIN_DOWN,
    DOMAIN_OVERLOADED,
    CONNECTION_LOST,
    QUERY_ABORTED,
    QUERY_FAILED,
    BAD_COLUMN,
];

/// What is asked, and so with which problems it may be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A decision.
    Decision,
    /// A decision with facts replaced.
    WhatIf,
    /// Many decisions.
    Batch,
    /// What is served, or how it is.
    Plain,
    /// What is served, to whoever may ask it.
    Listing,
    /// What was counted.
    Metrics,
    /// A flow as a picture.
    Picture,
    /// Whether flows can be served.
    Readiness,
    /// How one domain is.
    Domain,
    /// A domain restarted.
    Restart,
    /// The files read again.
    Reload,
}

impl Asked {
    /// The statuses of the problems, each with its codes, in order.
    ///
    /// `with_tokens` says whether callers need one.
    pub(super) fn problems(self, with_tokens: bool) -> BTreeMap<u16, Vec<&'static str>> {
        let own: Vec<Kind> = match self {
            Self::Decision => [&BODIES[..], &[BAD_QUERY, INVALID_INPUT], &OF_FLOWS].concat(),
            Self::WhatIf => [&BODIES[..], &[BAD_QUERY, INVALID_INPUT, BAD_OVERRIDE, UNAUTHORIZED], &OF_FLOWS].concat(),
            Self::Batch => vec![MALFORMED_BODY, SLOW_BODY, MEDIA_TYPE, BAD_QUERY],
            Self::Plain | Self::Listing => Vec::new(),
            Self::Metrics => vec![INTERNAL],
            Self::Picture => vec![BAD_QUERY, NO_SUCH_FLOW, NOT_ACCEPTABLE],
            Self::Readiness => vec![BAD_QUERY],
            Self::Domain => vec![NO_SUCH_DOMAIN],
            Self::Restart => vec![UNAUTHORIZED, NO_SUCH_DOMAIN, REFUSED, NOT_REPLACED],
            Self::Reload => vec![UNAUTHORIZED, REFUSED, NOT_REPLACED],
        };
        let closed: &[Kind] = match self {
            Self::WhatIf if with_tokens => &[FORBIDDEN],
            Self::Decision | Self::Batch if with_tokens => &[UNAUTHORIZED, FORBIDDEN],
            Self::Picture | Self::Listing if with_tokens => &[UNAUTHORIZED],
            _ => &[],
        };
        let mut problems: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
        for (code, status, _) in own.into_iter().chain(closed.iter().copied()).chain(HEADS) {
            problems.entry(status.as_u16()).or_default().push(code);
        }
        problems
    }
}

/// What may be wrong with a body before anybody looks into it.
const BODIES: [Kind; 4] = [MALFORMED_BODY, SLOW_BODY, TOO_LARGE, MEDIA_TYPE];

/// What may be wrong with the head of any request.
const HEADS: [Kind; 2] = [URL_TOO_LONG, HEADERS_TOO_LARGE];

fn kind_of(error: &FlowError) -> Kind {
    let code = error.code();
    OF_FLOWS.into_iter().chain([BAD_OVERRIDE]).find(|(known, ..)| *known == code).unwrap_or(INTERNAL)
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
        response.body(serde_json::to_string(self).unwrap_or_default())
    }
}

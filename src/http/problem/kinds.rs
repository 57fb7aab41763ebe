//! The kinds of problem: code, HTTP status and title. This is the only table of statuses.

use actix_web::http::StatusCode;

use crate::flow::FlowError;

/// A kind of problem: its code, status and title.
pub(in crate::http) type Kind = (&'static str, StatusCode, &'static str);

pub(in crate::http) const MALFORMED_BODY: Kind =
    ("malformed_body", StatusCode::BAD_REQUEST, "The request body is not of the form that this path takes");
pub(in crate::http) const BAD_QUERY: Kind = ("bad_query", StatusCode::BAD_REQUEST, "The query string makes no sense");
pub(in crate::http) const NO_SUCH_PATH: Kind =
    ("no_such_path", StatusCode::NOT_FOUND, "Nothing is served at this path");
pub(in crate::http) const NO_SUCH_DOMAIN: Kind = ("no_such_domain", StatusCode::NOT_FOUND, "There is no such domain");
pub(in crate::http) const NO_SUCH_FLOW: Kind = ("no_such_flow", StatusCode::NOT_FOUND, "There is no such flow");
pub(in crate::http) const NOT_ACCEPTABLE: Kind =
    ("not_acceptable", StatusCode::NOT_ACCEPTABLE, "No acceptable representation");
pub(in crate::http) const NOT_FOUND: Kind =
    ("not_found", StatusCode::NOT_FOUND, "A row that the decision needs does not exist");
pub(in crate::http) const METHOD: Kind =
    ("method_not_allowed", StatusCode::METHOD_NOT_ALLOWED, "The path is served for another method");
pub(in crate::http) const TOO_LARGE: Kind =
    ("body_too_large", StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large");
pub(in crate::http) const MEDIA_TYPE: Kind =
    ("wrong_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The request body must be JSON");
pub(in crate::http) const INVALID_INPUT: Kind =
    ("invalid_input", StatusCode::UNPROCESSABLE_ENTITY, "An input does not fit its schema");
pub(in crate::http) const TOO_MANY_ROWS: Kind =
    ("too_many_rows", StatusCode::INTERNAL_SERVER_ERROR, "A query found more rows than its node takes");
pub(in crate::http) const RULE_ERROR: Kind =
    ("rule_error", StatusCode::INTERNAL_SERVER_ERROR, "A rule could not be evaluated");
pub(in crate::http) const UNDECIDED: Kind =
    ("undecided", StatusCode::INTERNAL_SERVER_ERROR, "No outcome has its evidence");
pub(in crate::http) const QUERY_FAILED: Kind =
    ("query_failed", StatusCode::INTERNAL_SERVER_ERROR, "A database refused a query");
pub(in crate::http) const BAD_COLUMN: Kind =
    ("unmappable_column", StatusCode::INTERNAL_SERVER_ERROR, "A column cannot be represented");
pub(in crate::http) const REQUEST_FAILED: Kind =
    ("request_failed", StatusCode::INTERNAL_SERVER_ERROR, "A domain's service refused a request");
pub(in crate::http) const BAD_ANSWER: Kind =
    ("bad_answer", StatusCode::INTERNAL_SERVER_ERROR, "The answer of a domain's service is not as declared");
pub(in crate::http) const NO_SUCH_NODE: Kind = ("no_such_node", StatusCode::NOT_FOUND, "There is no such node");
pub(in crate::http) const BAD_PARAMETER: Kind =
    ("bad_parameter", StatusCode::INTERNAL_SERVER_ERROR, "A parameter does not fit its query");
pub(in crate::http) const INTERNAL: Kind =
    ("internal_error", StatusCode::INTERNAL_SERVER_ERROR, "The decision broke off");
pub(in crate::http) const BAD_OVERRIDE: Kind =
    ("invalid_override", StatusCode::UNPROCESSABLE_ENTITY, "A fact cannot be replaced or searched as was asked");
pub(in crate::http) const ADMIN_OFF: Kind = ("admin_off", StatusCode::NOT_FOUND, "The admin endpoints are off");
pub(in crate::http) const UNAUTHORIZED: Kind =
    ("unauthorized", StatusCode::UNAUTHORIZED, "The token is missing or wrong");
pub(in crate::http) const FORBIDDEN: Kind = ("forbidden", StatusCode::FORBIDDEN, "The token does not allow this");
pub(in crate::http) const SLOW_BODY: Kind =
    ("slow_body", StatusCode::REQUEST_TIMEOUT, "The request body came too slowly");
pub(in crate::http) const URL_TOO_LONG: Kind = ("url_too_long", StatusCode::URI_TOO_LONG, "The URL is too long");
pub(in crate::http) const HEADERS_TOO_LARGE: Kind =
    ("headers_too_large", StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The request headers are too large");
pub(in crate::http) const REFUSED: Kind =
    ("refused", StatusCode::UNPROCESSABLE_ENTITY, "The new files are refused; nothing was changed");
pub(in crate::http) const NOT_REPLACED: Kind =
    ("not_replaced", StatusCode::SERVICE_UNAVAILABLE, "The domain was not replaced");
pub(in crate::http) const OVERLOADED: Kind =
    ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "The service is at its limit");
pub(in crate::http) const DOMAIN_OVERLOADED: Kind =
    ("domain_overloaded", StatusCode::SERVICE_UNAVAILABLE, "A database is at its limit");
pub(in crate::http) const DOMAIN_DOWN: Kind =
    ("domain_unavailable", StatusCode::SERVICE_UNAVAILABLE, "A database is unavailable");
pub(in crate::http) const CONNECTION_LOST: Kind =
    ("connection_lost", StatusCode::SERVICE_UNAVAILABLE, "A connection to a database broke");
pub(in crate::http) const QUERY_ABORTED: Kind =
    ("query_aborted", StatusCode::SERVICE_UNAVAILABLE, "A database aborted a query for a reason that passes");
pub(in crate::http) const TIMEOUT: Kind = ("timeout", StatusCode::GATEWAY_TIMEOUT, "The deadline passed");

pub(in crate::http) const EFFECTS_OFF: Kind =
    ("effects_off", StatusCode::NOT_IMPLEMENTED, "Nothing may be written to a database");
pub(in crate::http) const KEY_REUSED: Kind =
    ("key_reused", StatusCode::UNPROCESSABLE_ENTITY, "The key belongs to a request with other inputs");
pub(in crate::http) const KEY_IN_PROGRESS: Kind =
    ("key_in_progress", StatusCode::CONFLICT, "Another request with this key has not ended");
pub(in crate::http) const CONFLICT: Kind =
    ("conflict", StatusCode::CONFLICT, "The rows changed while the decision was written");
pub(in crate::http) const EFFECT_UNKNOWN: Kind =
    ("effect_unknown", StatusCode::SERVICE_UNAVAILABLE, "It is not known whether the decision was written");
pub(in crate::http) const BAD_KEY: Kind = ("bad_key", StatusCode::BAD_REQUEST, "The Idempotency-Key makes no sense");

pub(in crate::http) const NO_SUCH_APPROVAL: Kind =
    ("no_such_approval", StatusCode::NOT_FOUND, "There is no such approval");
pub(in crate::http) const APPROVAL_CHANGED: Kind =
    ("approval_changed", StatusCode::CONFLICT, "The rows have changed since the decision");
pub(in crate::http) const ALREADY_RESOLVED: Kind =
    ("already_resolved", StatusCode::CONFLICT, "The approval waits no more");

/// The kinds of problem that a request with a key can end in, beside those of its flow.
pub(in crate::http) const OF_KEYS: [Kind; 5] = [EFFECTS_OFF, KEY_REUSED, KEY_IN_PROGRESS, CONFLICT, EFFECT_UNKNOWN];

/// The kinds of problem that a flow can end in.
pub(in crate::http) const OF_FLOWS: [Kind; 16] = [
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
    REQUEST_FAILED,
    BAD_ANSWER,
];

/// What may be wrong with a body before its fields are read.
pub(in crate::http) const OF_BODIES: [Kind; 4] = [MALFORMED_BODY, SLOW_BODY, TOO_LARGE, MEDIA_TYPE];

/// What may be wrong with the head of any request.
pub(in crate::http) const OF_HEADS: [Kind; 2] = [URL_TOO_LONG, HEADERS_TOO_LARGE];

/// The kind of a flow's error, by its code.
pub(super) fn of(error: &FlowError) -> Kind {
    of_code(error.code())
}

/// The kind of this code.
pub(super) fn of_code(code: &str) -> Kind {
    OF_FLOWS.into_iter().chain(OF_KEYS).chain([BAD_OVERRIDE]).find(|(known, ..)| *known == code).unwrap_or(INTERNAL)
}

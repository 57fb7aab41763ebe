//! The header `Idempotency-Key`, and the response of an answer that was stored with one.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse};

use crate::actors::effects::Ending;
use crate::http::Problem;
use crate::types::{IdempotencyKey, KeyError};

/// The header.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of `request`. `supposes`: it replaces facts or sets the clock, so it may have none.
///
/// # Errors
/// A [`Problem`] for what is no key, for several keys, and for a key of a request that never writes.
pub(super) fn key_of(request: &HttpRequest, supposes: bool) -> Result<Option<IdempotencyKey>, Problem> {
    let mut sent = request.headers().get_all(KEY);
    let Some(first) = sent.next() else { return Ok(None) };
    let refuse = |error: KeyError| Problem::bad_key(format!("Idempotency-Key: {error}"));
    if sent.next().is_some() {
        return Err(refuse(KeyError::Several));
    }
    if supposes {
        return Err(Problem::key_of_nothing());
    }
    let text = String::from_utf8_lossy(first.as_bytes());
    IdempotencyKey::parse(&text).map(Some).map_err(refuse)
}

/// The response with this answer.
pub(super) fn response(ending: &Ending) -> HttpResponse {
    let status = StatusCode::from_u16(ending.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = if status.is_success() { "application/json" } else { "application/problem+json" };
    HttpResponse::build(status).content_type(content_type).body(ending.body.clone())
}

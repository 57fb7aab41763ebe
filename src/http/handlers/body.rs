//! Request bodies: their type, their bytes, and the two parts of a what-if's.

use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use serde_json::Value as Json;
use tokio::time::timeout;

use crate::actors::coordinator::BoundFlow;
use crate::flow::{FlowError, Overrides};
use crate::graph::without_bom;
use crate::http::{Problem, Settings};
use crate::types::Value;

/// The media type of the body, without its parameters.
pub(super) fn media_type(request: &HttpRequest) -> Option<String> {
    let sent = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok())?;
    Some(sent.split(';').next().unwrap_or("").trim().to_ascii_lowercase())
}

/// The body of a request that sends JSON.
///
/// # Errors
/// A [`Problem`] if it is of another type, too large, too slow, or breaks off.
pub(in crate::http) async fn read_json(
    request: &HttpRequest,
    payload: web::Payload,
    settings: &Settings,
) -> Result<web::Bytes, Problem> {
    match media_type(request).as_deref() {
        Some(essence) if essence == "application/json" || essence.ends_with("+json") => {}
        sent => return Err(Problem::wrong_media_type("application/json", sent)),
    }
    let (limit, time): (usize, Duration) = (settings.max_body_bytes, settings.request_timeout);
    match timeout(time, payload.to_bytes_limited(limit)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(Problem::unreadable_body()),
        Ok(Err(_)) => Err(Problem::body_too_large(limit)),
        Err(_) => Err(Problem::slow_body(time)),
    }
}

/// The checked inputs and the replaced facts of a what-if's body. `needs_set`: at least one fact is replaced.
///
/// # Errors
/// A [`Problem`] if the body has another shape, or its inputs or facts do not fit the flow.
pub(in crate::http) fn what_if(body: &[u8], flow: &BoundFlow, needs_set: bool) -> Result<(Value, Overrides), Problem> {
    let (inputs, set) = parts(body, needs_set)?;
    let flow = flow.flow();
    let mut overrides = Overrides::none();
    for (fact, value) in set {
        let refused = |why| FlowError::Override { fact: fact.clone(), why };
        let value = Value::from_json(&value).map_err(|error| refused(error.to_string()));
        let done = value.and_then(|value| overrides.set(flow, &fact, value));
        done.map_err(|error| Problem::flow(&flow.name, &error))?;
    }
    let inputs = flow.inputs.parse_json(inputs.to_string().as_bytes()).map_err(Problem::input)?;
    Ok((inputs, overrides))
}

fn parts(body: &[u8], needs_set: bool) -> Result<(Json, Vec<(String, Json)>), Problem> {
    const SHAPE: &str = "the body of a what-if is {\"input\": {...}, \"set\": {\"node.column\": value}}";
    let json: Json =
        serde_json::from_slice(without_bom(body)).map_err(|error| Problem::malformed(format!("{SHAPE}; {error}")))?;
    let Json::Object(mut fields) = json else { return Err(Problem::malformed(SHAPE.to_owned())) };
    let inputs = fields.shift_remove("input").unwrap_or_else(|| Json::Object(serde_json::Map::new()));
    let set = match fields.shift_remove("set") {
        Some(Json::Object(set)) if !set.is_empty() || !needs_set => set.into_iter().collect(),
        None if !needs_set => Vec::new(),
        _ => return Err(Problem::malformed(format!("{SHAPE}; `set` names at least one fact"))),
    };
    match fields.keys().next() {
        Some(unknown) => Err(Problem::malformed(format!("{SHAPE}; there is no key `{unknown}`"))),
        None => Ok((inputs, set)),
    }
}

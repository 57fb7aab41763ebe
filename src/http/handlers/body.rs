//! Request bodies: their type, their bytes, and the parts of those that suppose facts.

use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use serde_json::Value as Json;
use tokio::time::timeout;

use crate::actors::coordinator::BoundFlow;
use crate::flow::flip::Question;
use crate::flow::{FlowError, Overrides};
use crate::graph::{Flow, without_bom};
use crate::http::{Problem, Settings};
use crate::types::{Value, from_unique_json};

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
    let mut fields =
        Fields::read(body, "the body of a what-if is {\"input\": {...}, \"set\": {\"node.column\": value}}")?;
    let (inputs, set) = (fields.inputs(), fields.set(needs_set)?);
    fields.end()?;
    supposed(flow.flow(), &inputs, set)
}

/// The checked inputs, the replaced facts and the question of a search's body. It replaces as many facts as it wants.
///
/// # Errors
/// As of [`what_if`].
pub(in crate::http) fn flip(body: &[u8], flow: &BoundFlow) -> Result<(Value, Overrides, Question), Problem> {
    let mut fields = Fields::read(body, "the body of a search is {\"input\": {...}, \"facts\": [\"node.column\"]}")?;
    let question = Question { facts: fields.facts()?, field: fields.field()? };
    let (inputs, set) = (fields.inputs(), fields.set(false)?);
    fields.end()?;
    let (inputs, overrides) = supposed(flow.flow(), &inputs, set)?;
    Ok((inputs, overrides, question))
}

/// Facts by name, as a body sets them.
type Set = serde_json::Map<String, Json>;

fn supposed(flow: &Flow, inputs: &Json, set: Set) -> Result<(Value, Overrides), Problem> {
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

/// The fields of a body that are not read yet.
struct Fields {
    fields: serde_json::Map<String, Json>,
    /// What the body is, for who sends another.
    shape: &'static str,
}

impl Fields {
    fn read(body: &[u8], shape: &'static str) -> Result<Self, Problem> {
        match from_unique_json(without_bom(body)) {
            Ok(Json::Object(fields)) => Ok(Self { fields, shape }),
            Ok(_) => Err(Problem::malformed(shape.to_owned())),
            Err(error) => Err(Problem::malformed(format!("{shape}; {error}"))),
        }
    }

    fn refused(&self, why: &str) -> Problem {
        Problem::malformed(format!("{}; {why}", self.shape))
    }

    fn inputs(&mut self) -> Json {
        self.fields.shift_remove("input").unwrap_or_else(|| Json::Object(Set::new()))
    }

    fn set(&mut self, needed: bool) -> Result<Set, Problem> {
        match self.fields.shift_remove("set") {
            Some(Json::Object(set)) if !set.is_empty() || !needed => Ok(set),
            None if !needed => Ok(Set::new()),
            _ => Err(self.refused("`set` names at least one fact")),
        }
    }

    fn facts(&mut self) -> Result<Vec<String>, Problem> {
        let facts =
            self.fields.shift_remove("facts").and_then(|facts| serde_json::from_value::<Vec<String>>(facts).ok());
        let needed = || self.refused("`facts` names the numbers to search, at least one");
        facts.filter(|facts| !facts.is_empty()).ok_or_else(needed)
    }

    fn field(&mut self) -> Result<Option<String>, Problem> {
        match self.fields.shift_remove("field") {
            None => Ok(None),
            Some(Json::String(field)) => Ok(Some(field)),
            Some(_) => Err(self.refused("`field` is the name of a field of the answer")),
        }
    }

    fn end(&self) -> Result<(), Problem> {
        let unknown = self.fields.keys().next();
        unknown.map_or(Ok(()), |unknown| Err(self.refused(&format!("there is no key `{unknown}`"))))
    }
}

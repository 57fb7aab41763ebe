//! The identity of a request: taken from `X-Request-Id` where the client sent a decent one, else made; echoed always. And the
//! headers of a decision, which its request carries from where it is made to its answer.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use uuid::Uuid;

use super::service::Service;
use crate::graph::Flow;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest identity taken from a client, in bytes.
const MAX_LENGTH: usize = 128;

/// The id of the decision that a response is about, or of the batch whose decisions are named after it and their index.
pub const DECISION_ID: HeaderName = HeaderName::from_static("decision-id");
/// The hash of the graph that decided.
pub const GRAPH_VERSION: HeaderName = HeaderName::from_static("graph-version");
/// The hash of the rules that decided.
pub const RULES_VERSION: HeaderName = HeaderName::from_static("rules-version");

/// The headers of the decision that a request leads to.
#[derive(Clone)]
struct DecisionHeaders([(HeaderName, HeaderValue); 3]);

/// A new decision of `flow`, or a batch of them, for this request: its id. The response has the headers.
pub(super) fn name_decision(request: &HttpRequest, flow: &Flow) -> String {
    let id = Uuid::new_v4().to_string();
    let value = |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    let headers =
        [(DECISION_ID, value(&id)), (GRAPH_VERSION, value(&flow.graph_hash)), (RULES_VERSION, value(&flow.rules_hash))];
    request.extensions_mut().insert(DecisionHeaders(headers));
    id
}

/// The identity of a request.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    fn of(request: &ServiceRequest) -> Self {
        let sent = request.headers().get(HEADER).filter(|value| is_decent(value));
        Self(sent.cloned().unwrap_or_else(Self::made))
    }

    fn made() -> HeaderValue {
        HeaderValue::from_str(&Uuid::new_v4().to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("")
    }
}

/// Printable ASCII of a reasonable length: what can stand in a log line and a header.
fn is_decent(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

/// Gives each request its identity, before anything else sees it, and its response the header.
///
/// # Errors
/// Only what the service behind it gives.
pub async fn tag_request<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let id = RequestId::of(&request);
    request.extensions_mut().insert(id.clone());
    let metrics = request.app_data::<web::Data<Service>>().map(|service| service.metrics.clone());
    let mut response = next.call(request).await?;
    if let Some(metrics) = metrics {
        metrics.answered(response.status().as_u16());
    }
    let decision = response.request().extensions_mut().remove::<DecisionHeaders>();
    for (name, value) in decision.into_iter().flat_map(|headers| headers.0) {
        response.headers_mut().insert(name, value);
    }
    response.headers_mut().insert(HEADER, id.0);
    Ok(response)
}

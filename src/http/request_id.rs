//! The identity of a request: taken from `X-Request-Id` where the client sent a decent one, else made; echoed always.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use uuid::Uuid;

use super::service::Service;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest identity taken from a client, in bytes.
const MAX_LENGTH: usize = 128;

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
    response.headers_mut().insert(HEADER, id.0);
    Ok(response)
}

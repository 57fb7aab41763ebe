//! Server-sent events, the media type `text/event-stream`: a response that goes on for as long as there may be events.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{Accept, CACHE_CONTROL, Header, HeaderName, Quality};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream::{Stream, StreamExt};
use tokio::time::timeout;

use super::problem::Problem;

/// The media type.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// A comment is sent where there was no event for so long, so that both sides notice a broken connection.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);

/// The response of these events, each with the empty line behind it.
pub(super) fn response(events: impl Stream<Item = String> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(EVENT_STREAM)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .insert_header((HeaderName::from_static("x-content-type-options"), "nosniff"))
        .streaming(events.map(|text| Ok::<_, Infallible>(web::Bytes::from(text))))
}

/// The next event, or a comment; `None` after the last. `next` is dropped where it takes too long.
pub(super) async fn event_or_comment(next: impl Future<Output = Option<String>>) -> Option<String> {
    timeout(HEARTBEAT, next).await.unwrap_or_else(|_| Some(": still here\n\n".to_owned()))
}

/// Refuses a request that does not accept events.
///
/// # Errors
/// The [`Problem`].
pub(super) fn must_be_accepted(request: &HttpRequest) -> Result<(), Problem> {
    let Accept(wanted) = Accept::parse(request).unwrap_or_else(|_| Accept(Vec::new()));
    let is_event_stream = |range: &str| matches!(range, EVENT_STREAM | "text/*" | "*/*");
    if wanted.iter().any(|range| range.quality > Quality::ZERO && is_event_stream(range.item.essence_str())) {
        return Ok(());
    }
    Err(Problem::not_acceptable(&[EVENT_STREAM]))
}

//! `GET /events`: how the domains are, as server-sent events.
//!
//! The first event, `hello`, holds the samples of the last minutes; each `pulse` after it how every domain is, once a
//! second and at once where a state changes. A comment goes out where nothing else does, so that both sides notice a
//! connection that is gone.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream::{self, Stream};
use serde_json::json;
use tokio::time::timeout;

use super::Console;
use super::pulse::{Listener, MOST_LISTENERS};
use crate::http::handlers::answering;
use crate::http::{Problem, Service};

/// A comment is sent where there was no event for so long.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long browsers wait before they connect again, in milliseconds.
const RETRY_MS: u32 = 1_000;

/// Tells how the domains are, for as long as the client listens.
pub(super) async fn stream(
    request: HttpRequest,
    console: web::Data<Console>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let Some(listener) = console.pulse.listen() else {
        return Err(answering(&request, Problem::too_many_listeners(MOST_LISTENERS)));
    };
    let hello = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "admin": service.admin.is_some(),
        "past": console.pulse.past(),
    });
    let first = format!("retry: {RETRY_MS}\nevent: hello\ndata: {hello}\n\n");
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((HeaderName::from_static("x-accel-buffering"), "no"))
        .insert_header((HeaderName::from_static("x-content-type-options"), "nosniff"))
        .streaming(events(first, listener)))
}

fn events(first: String, mut listener: Listener) -> impl Stream<Item = Result<web::Bytes, Infallible>> {
    // Whatever there is already is news to whoever has just come.
    listener.latest.mark_changed();
    stream::unfold((Some(first), listener), |(first, mut listener)| async move {
        let text = match first {
            Some(first) => first,
            None => next(&mut listener).await?,
        };
        Some((Ok(web::Bytes::from(text)), (None, listener)))
    })
}

/// The next event; `None` after the last.
async fn next(listener: &mut Listener) -> Option<String> {
    loop {
        match timeout(HEARTBEAT, listener.latest.changed()).await {
            Ok(Ok(())) => {
                let latest = listener.latest.borrow_and_update();
                if latest.closed {
                    return None;
                }
                if !latest.data.is_empty() {
                    return Some(format!("event: pulse\ndata: {}\n\n", latest.data));
                }
            }
            Ok(Err(_)) => return None,
            Err(_) => return Some(": still here\n\n".to_owned()),
        }
    }
}

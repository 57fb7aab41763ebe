//! `GET /events`: how the domains are, as server-sent events.
//!
//! The first event, `hello`, holds the samples of the last minutes; each `pulse` after it how every domain is, once a
//! second and at once where a state changes. It has the timings of a flow's nodes if they are new. A comment is
//! sent if nothing else is, so that both sides notice a broken connection.

use std::collections::HashMap;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::Console;
use super::pulse::{Latest, Listener, MOST_LISTENERS};
use crate::http::endpoint::{Endpoint, Method};
use crate::http::event_stream::{event_or_comment, response};
use crate::http::{Gate, Problem, Service};
use crate::types::FlowName;

/// How long browsers wait before they connect again, in milliseconds.
const RETRY_MS: u32 = 1_000;

/// Sends how the domains are, for as long as the client listens and its token is valid.
pub(in crate::http) const STREAM: Endpoint =
    Endpoint { method: Method::Stream, ..Endpoint::get("/events", |route| route.to(stream)) };

async fn stream(
    request: HttpRequest,
    console: web::Data<Console>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    service.gate.visible(&request, Vec::<&FlowName>::new(), |name| *name)?;
    let Some(listener) = console.pulse.listen() else {
        return Err(Problem::too_many_listeners(MOST_LISTENERS));
    };
    let hello = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "admin": service.has_admin() && service.admin_side.is(&request),
        "past": console.pulse.past(),
    });
    let first = format!("retry: {RETRY_MS}\nevent: hello\ndata: {hello}\n\n");
    let gate = service.gate.clone();
    Ok(response(events(first, Subscriber { listener, gate, request, sent: HashMap::new() })))
}

/// A listener, and what it may hear.
struct Subscriber {
    listener: Listener,
    gate: Gate,
    request: HttpRequest,
    /// By flow: the decision whose timings were sent last.
    sent: HashMap<FlowName, Timestamp>,
}

fn events(first: String, mut subscriber: Subscriber) -> impl Stream<Item = String> {
    // A new listener gets the latest event at once.
    subscriber.listener.latest.mark_changed();
    stream::unfold((Some(first), subscriber), |(first, mut subscriber)| async move {
        let text = match first {
            Some(first) => first,
            None => event_or_comment(subscriber.next()).await?,
        };
        Some((text, (None, subscriber)))
    })
}

impl Subscriber {
    /// The next event; `None` after the last.
    async fn next(&mut self) -> Option<String> {
        loop {
            self.listener.latest.changed().await.ok()?;
            let latest = self.listener.latest.borrow_and_update().clone();
            if latest.closed {
                return None;
            }
            if !latest.domains.is_null() {
                return self.event(&latest);
            }
        }
    }

    /// The event, with the flows that the listener may ask; `None` where its token is no longer good.
    fn event(&mut self, latest: &Latest) -> Option<String> {
        let visible = self.gate.visible(&self.request, latest.flows.iter().collect(), |flow| &flow.name).ok()?;
        let mut flows = serde_json::Map::new();
        for flow in visible {
            let mut answer = flow.versions.clone();
            if let (Json::Object(answer), Some((at, last))) = (&mut answer, &flow.last)
                && self.sent.insert(flow.name.clone(), *at) != Some(*at)
            {
                answer.insert("last".to_owned(), last.clone());
            }
            flows.insert(flow.name.to_string(), answer);
        }
        let mut data = Json::clone(&latest.domains);
        if let Json::Object(data) = &mut data {
            data.insert("flows".to_owned(), Json::Object(flows));
        }
        Some(format!("event: pulse\ndata: {data}\n\n"))
    }
}

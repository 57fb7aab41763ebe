//! One event on its way: its headers, by the binary mode of `CloudEvents` 1.0, and how a delivery ends.

use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::postgres::{EventKey, OutboxEvent};
use crate::types::DomainName;

/// What the value of a `CloudEvents` header may not have (HTTP binding, 3.1.3.2), beside what is not ASCII.
const REFUSED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// An event on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub(super) domain: &'a DomainName,
    pub(super) key: &'a EventKey,
    pub(super) event: &'a OutboxEvent,
}

/// Why an event was not acknowledged.
#[derive(Debug)]
pub(super) enum Undelivered {
    /// There is no connection, so no event can be sent.
    Unreachable(String),
    /// Another attempt may succeed, after a pause if one is asked for.
    Failed(String, Option<Duration>),
    /// The destination does not want the event.
    Refused(String),
}

impl Delivery<'_> {
    /// The headers that describe the event.
    pub(super) fn headers(&self) -> [(&'static str, String); 6] {
        let encoded = |text: &str| utf8_percent_encode(text, REFUSED).to_string();
        [
            ("ce-specversion", "1.0".to_owned()),
            ("ce-id", self.event.id.clone()),
            ("ce-type", encoded(&self.event.kind)),
            ("ce-source", format!("{}/{}", self.domain, encoded(&self.key.aggregate_type))),
            ("ce-subject", encoded(&self.key.aggregate_id)),
            ("ce-time", self.event.created_at.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_cloudevents_and_percent_encoded() {
        let domain = DomainName::parse("oms_db").unwrap();
        let key =
            EventKey { aggregate_type: "purchase order".to_owned(), aggregate_id: "Größe \"50 %\"\r\n".to_owned() };
        let event = OutboxEvent {
            id: "5b0c3f8e-0000-4000-8000-000000000001".to_owned(),
            kind: "purchase_order.placed".to_owned(),
            payload: "{}".to_owned(),
            created_at: "2026-01-15T09:00:00.000001Z".to_owned(),
        };
        let headers = Delivery { domain: &domain, key: &key, event: &event }.headers();
        let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(
            lines.join("\n"),
            "ce-specversion: 1.0\n\
             ce-id: 5b0c3f8e-0000-4000-8000-000000000001\n\
             ce-type: purchase_order.placed\n\
             ce-source: oms_db/purchase%20order\n\
             ce-subject: Gr%C3%B6%C3%9Fe%20%2250%20%25%22%0D%0A\n\
             ce-time: 2026-01-15T09:00:00.000001Z"
        );
    }
}

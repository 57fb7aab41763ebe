//! The formats of texts that a schema may name (`"format": "time-zone"`), and how each is checked.

use std::net::{Ipv4Addr, SocketAddr};

use jiff::tz::TimeZone;
use serde_json::Value as Schema;

use crate::types::{DomainName, parse_moment};

pub(super) struct Format {
    name: &'static str,
    /// What a text of this format is, in words.
    pub(super) expected: &'static str,
    pub(super) holds: fn(&str) -> bool,
}

const FORMATS: [Format; 7] = [
    Format {
        name: "socket-address",
        expected: "an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:8080",
        holds: |text| socket_address(text).is_some(),
    },
    Format {
        name: "time-zone",
        expected: "an IANA time zone, such as UTC or Europe/Berlin",
        holds: |text| TimeZone::get(text).is_ok(),
    },
    Format {
        name: "log-filter",
        expected: "a level (error, warn, info, debug, trace, off) or a filter such as tributary=debug,info",
        holds: |text| tracing_subscriber::EnvFilter::builder().parse(text).is_ok(),
    },
    Format {
        name: "origin",
        expected: "an origin, such as https://erp.example.com, or `*`",
        holds: |text| {
            let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
            let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']);
            text == "*" || host.is_some_and(is_host)
        },
    },
    Format {
        name: "table",
        expected: "the name of a table, such as audit.decision_records",
        holds: |text| text.split('.').count() <= 2 && text.split('.').all(is_lowercase_name),
    },
    Format {
        name: "domain",
        expected: "the name of a domain: ASCII letters, digits and `_`",
        holds: |text| DomainName::parse(text).is_ok(),
    },
    Format {
        name: "date-time",
        expected: "a moment with its zone, such as 2027-06-30T00:00:00Z",
        holds: |text| parse_moment(text).is_ok(),
    },
];

/// The format that `schema` names.
pub(super) fn format(schema: &Schema) -> Option<&'static Format> {
    let name = schema["format"].as_str()?;
    FORMATS.iter().find(|format| format.name == name)
}

/// The address that `text` is; `localhost` is 127.0.0.1.
pub fn socket_address(text: &str) -> Option<SocketAddr> {
    let local = |port: &str| port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    text.parse().ok().or_else(|| text.strip_prefix("localhost:").and_then(local))
}

fn is_lowercase_name(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c == '_';
    text.starts_with(is_letter) && text.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

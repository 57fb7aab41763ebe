//! Settings that are written as text: each is checked when it is read, and an error says what is wanted without repeating
//! the value. These are functions for `#[serde(deserialize_with = "...")]`; a field may be an `Option`.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;

use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, IntoDeserializer, value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_yaml::Value;

use super::service::{LogFormat, Threads};
use crate::types::DomainName;

/// The most that a number of things or bytes can be.
pub(super) const MOST: usize = 1 << 30;

fn text<'de, D, T, U>(deserializer: D, parse: impl Fn(&str) -> Option<T>, expected: &str) -> Result<U, D::Error>
where
    D: Deserializer<'de>,
    U: From<T>,
{
    let text = String::deserialize(deserializer)?;
    parse(&text).map(U::from).ok_or_else(|| D::Error::custom(format_args!("this must be {expected}")))
}

/// An address and a port.
pub(super) fn address<'de, D: Deserializer<'de>, T: From<SocketAddr>>(deserializer: D) -> Result<T, D::Error> {
    let parse = |text: &str| {
        let local = |port: &str| port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        text.parse().ok().or_else(|| text.strip_prefix("localhost:").and_then(local))
    };
    text(deserializer, parse, "an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:8080")
}

/// A filter of `tracing`.
pub(super) fn filter<'de, D: Deserializer<'de>, T: From<String>>(deserializer: D) -> Result<T, D::Error> {
    let parse = |text: &str| tracing_subscriber::EnvFilter::builder().parse(text).is_ok().then(|| text.to_owned());
    let expected = "a level (error, warn, info, debug, trace, off) or a filter such as tributary=debug,info";
    text(deserializer, parse, expected)
}

/// The name of a table, with its schema where need be. It is written into SQL as it is.
pub(super) fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let is_name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
            && part.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_')
    };
    let is_table = |text: &str| text.split('.').count() <= 2 && text.split('.').all(is_name);
    let parse = |text: &str| is_table(text).then(|| text.to_owned());
    text(deserializer, parse, "the name of a table, such as audit.decision_records")
}

/// Origins of pages: scheme, host and perhaps port; or `*`.
pub(super) fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let is_origin = |text: &String| {
        let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        text == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']))
    };
    let origins = Vec::<String>::deserialize(deserializer)?;
    match origins.iter().all(is_origin) {
        true => Ok(origins),
        false => Err(D::Error::custom("each must be an origin, such as https://erp.example.com, or `*`")),
    }
}

/// The name of a domain.
pub(super) fn domain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DomainName>, D::Error> {
    let text = String::deserialize(deserializer)?;
    DomainName::parse(&text).map(Some).map_err(D::Error::custom)
}

/// An IANA time zone.
pub(super) fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeZone, D::Error> {
    let parse = |text: &str| TimeZone::get(text).ok();
    text(deserializer, parse, "an IANA time zone, such as UTC or Europe/Berlin")
}

/// The name of a time zone.
pub(super) fn zone_name<S: Serializer>(zone: &TimeZone, serializer: S) -> Result<S::Ok, S::Error> {
    zone.iana_name().serialize(serializer)
}

/// The format of log lines of this name.
pub(super) fn log_format(text: &str) -> Option<LogFormat> {
    let deserializer: value::StrDeserializer<'_, value::Error> = text.into_deserializer();
    LogFormat::deserialize(deserializer).ok()
}

impl TryFrom<Value> for Threads {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= 1_024);
        match (value.as_str(), count.and_then(NonZeroUsize::new)) {
            (Some("auto"), _) => Ok(Self::PerCore),
            (_, Some(count)) => Ok(Self::Exactly(count)),
            _ => Err("this must be `auto` (one a core) or a whole number from 1 to 1,024"),
        }
    }
}

impl Serialize for Threads {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::PerCore => serializer.serialize_str("auto"),
            Self::Exactly(count) => count.serialize(serializer),
        }
    }
}

impl JsonSchema for Threads {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Threads".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 1024 }] })
    }
}

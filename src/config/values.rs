//! Settings whose types do not read and write themselves as the file has them. Their schemas say what is allowed.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_yaml::Value;

use crate::types::DomainName;
use crate::yaml::socket_address;

/// The most that a number of things or bytes can be.
pub(super) const MOST: usize = 1 << 30;

/// An address and a port; the field may be an `Option`.
pub(super) fn address<'de, D: Deserializer<'de>, T: From<SocketAddr>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    socket_address(&text).map(T::from).ok_or_else(|| D::Error::custom("not an address and a port"))
}

/// The name of a domain.
pub(super) fn domain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DomainName>, D::Error> {
    DomainName::parse(&String::deserialize(deserializer)?).map(Some).map_err(D::Error::custom)
}

/// An IANA time zone.
pub(super) fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeZone, D::Error> {
    TimeZone::get(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The name of a time zone.
pub(super) fn zone_name<S: Serializer>(zone: &TimeZone, serializer: S) -> Result<S::Ok, S::Error> {
    zone.iana_name().serialize(serializer)
}

/// How many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "serde_yaml::Value")]
pub enum Threads {
    /// One for each core that this process may use.
    #[default]
    PerCore,
    /// This many.
    Exactly(NonZeroUsize),
}

impl Threads {
    /// The number on this machine.
    pub fn count(self) -> usize {
        match self {
            Self::PerCore => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            Self::Exactly(count) => count.get(),
        }
    }
}

impl TryFrom<Value> for Threads {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        let count = value.as_u64().and_then(|count| usize::try_from(count).ok()).and_then(NonZeroUsize::new);
        match (value.as_str(), count) {
            (Some("auto"), _) => Ok(Self::PerCore),
            (_, Some(count)) => Ok(Self::Exactly(count)),
            _ => Err("not a number of threads"),
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
    fn schema_name() -> Cow<'static, str> {
        "Threads".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "oneOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 1024 }] })
    }
}

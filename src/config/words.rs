//! Settings as they are written: each checks itself, in the file as in the environment, and says what it wants without
//! repeating what it got.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::service::{LogFormat, Threads};

/// A setting that is read from text.
pub(super) trait FromText: Sized {
    /// The value of `text`, or what it should have been.
    fn from_text(text: &str) -> Result<Self, &'static str>;
}

/// A time in milliseconds, from 1 to a day.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
pub(super) struct Milliseconds(#[schemars(with = "u64")] pub(super) Duration);

/// A number of things or bytes, from 1 to 2^30.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
pub(super) struct Count(pub(super) usize);

/// A number of things that may be none.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
pub(super) struct CountOrNone(pub(super) usize);

/// An address and a port.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub(super) struct Bind(pub(super) SocketAddr);

/// The origin of a page: scheme, host and perhaps port; or `*`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub(super) struct Origin(pub(super) String);

/// An IANA time zone.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub(super) struct Zone(#[schemars(with = "String")] pub(super) TimeZone);

/// The name of a table, with its schema where need be. It is written into SQL as it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub(super) struct Table(pub(super) String);

/// A filter of `tracing`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub(super) struct Filter(pub(super) String);

const MILLISECONDS: &str = "this must be a time in milliseconds from 1 to 86,400,000 (a day)";
const COUNT: &str = "this must be a whole number from 1 to 1,073,741,824";
const COUNT_OR_NONE: &str = "this must be a whole number from 0 to 1,073,741,824";
const THREADS: &str = "this must be `auto` (one a core) or a whole number from 1 to 1,024";
const DAY_MS: u64 = 86_400_000;
const MOST: u64 = 1 << 30;

impl TryFrom<u64> for Milliseconds {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        let in_range = (1..=DAY_MS).contains(&number);
        in_range.then(|| Self(Duration::from_millis(number))).ok_or(MILLISECONDS)
    }
}

impl TryFrom<u64> for Count {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        usize::try_from(number).ok().filter(|_| (1..=MOST).contains(&number)).map(Self).ok_or(COUNT)
    }
}

impl TryFrom<u64> for CountOrNone {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        usize::try_from(number).ok().filter(|_| number <= MOST).map(Self).ok_or(COUNT_OR_NONE)
    }
}

impl FromText for Milliseconds {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| MILLISECONDS).and_then(|number: u64| Self::try_from(number))
    }
}

impl FromText for Count {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| COUNT).and_then(|number: u64| Self::try_from(number))
    }
}

impl FromText for Bind {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        let local = |port: &str| port.parse().ok().map(|port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let address = text.parse().ok().or_else(|| text.strip_prefix("localhost:").and_then(local));
        address.map(Self).ok_or("this must be an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:8080")
    }
}

impl FromText for Origin {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let bare = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']);
        let decent = text == "*" || host.is_some_and(bare);
        decent.then(|| Self(text.to_owned())).ok_or("this must be an origin, such as https://erp.example.com, or `*`")
    }
}

impl FromText for Zone {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        TimeZone::get(text).map(Self).map_err(|_| "this must be an IANA time zone, such as UTC or Europe/Berlin")
    }
}

impl FromText for Table {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        let is_name = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
                && part.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_')
        };
        let is_table = text.split('.').count() <= 2 && text.split('.').all(is_name);
        is_table
            .then(|| Self(text.to_owned()))
            .ok_or("this must be the name of a table, such as audit.decision_records")
    }
}

impl FromText for Filter {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
        parsed.map(|_| Self(text.to_owned())).map_err(
            |_| "this must be a level (error, warn, info, debug, trace, off) or a filter such as tributary=debug,info",
        )
    }
}

impl FromText for LogFormat {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        match text {
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("this must be `pretty` or `json`"),
        }
    }
}

impl FromText for Threads {
    fn from_text(text: &str) -> Result<Self, &'static str> {
        match text {
            "auto" => Ok(Self::PerCore),
            _ => text.parse().map_err(|_| THREADS).and_then(threads),
        }
    }
}

fn threads(number: u64) -> Result<Threads, &'static str> {
    let count = usize::try_from(number).ok().filter(|count| *count <= 1_024).and_then(NonZeroUsize::new);
    count.map(Threads::Exactly).ok_or(THREADS)
}

/// The text constructors serve the file as well.
macro_rules! try_from_text {
    ($($type:ty),*) => {
        $(impl TryFrom<String> for $type {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::from_text(&text)
            }
        })*
    };
}

try_from_text!(Bind, Origin, Table, Zone, Filter);

impl<'de> Deserialize<'de> for Threads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Threads;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`auto` or a whole number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Threads, E> {
                if text == "auto" { Ok(Threads::PerCore) } else { Err(E::custom(THREADS)) }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Threads, E> {
                threads(number).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Threads {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Threads".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "oneOf": [{ "const": "auto" }, { "type": "integer", "minimum": 1, "maximum": 1024 }] })
    }
}

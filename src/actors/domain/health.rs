//! The health of a domain, as the health endpoints show it. Reading it sends nothing to the database.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::core::Core;
use super::state::{LastError, LastProbe, State};
use crate::metrics::BatchCounts;
use crate::pool::PoolStatus;
use crate::postgres::{self, StalenessHealth};
use crate::types::DomainName;

/// The health of a domain.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Health {
    /// The domain.
    pub domain: DomainName,
    /// Its state.
    #[serde(serialize_with = "name")]
    #[schemars(with = "String", extend("enum" = ["starting", "ready", "degraded", "down", "draining", "stopped"]))]
    pub state: State,
    /// When it entered that state.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub since: Timestamp,
    /// The last error, redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
    /// How often its actor was replaced.
    pub restarts: u64,
    /// The time until the next probe, in milliseconds. Only while it is down.
    #[serde(rename = "retry_in_ms", skip_serializing_if = "Option::is_none", serialize_with = "milliseconds")]
    #[schemars(with = "u64")]
    pub retry_in: Option<Duration>,
    /// Its connections.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub pool: PoolStatus,
    /// The connections of its write role, which effects use. Only where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub write_pool: Option<PoolStatus>,
    /// How many queries its coalesced statements answered. For metrics.
    #[serde(skip)]
    pub batches: BatchCounts,
    /// Queries that are in flight or wait for a connection.
    pub in_flight: usize,
    /// The last probe that was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe: Option<LastProbe>,
    /// How old its rows may be. Only where the domain limits that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staleness: Option<StalenessHealth>,
    /// The host and port of the service that answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The version of its database server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<Arc<String>>,
}

impl Health {
    pub(super) fn of(core: &Core, restarts: u64) -> Self {
        let status = core.status().borrow().clone();
        let retry_in = match status.state {
            State::Down { next, .. } => Some(next.saturating_duration_since(Instant::now())),
            _ => None,
        };
        Self {
            domain: core.config().name.clone(),
            state: status.state,
            since: status.since,
            last_error: status.last_error,
            restarts,
            retry_in,
            pool: core.pool_status(),
            write_pool: core.writes().map(postgres::Pool::status),
            batches: core.batches.counts(),
            in_flight: core.in_flight(),
            last_probe: status.last_probe,
            staleness: core.pool().staleness_health(),
            service: core.pool().service(),
            server_version: core.pool().server_version(),
        }
    }
}

fn name<S: Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.name())
}

#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn milliseconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}
